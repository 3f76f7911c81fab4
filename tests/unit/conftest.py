"""What keeps all unit tests together quick.

Owns how many random examples a property gets: few per run, others in each run.
Called by pytest. `TEST_EXAMPLES=1000 .venv/bin/pytest tests/unit` searches longer.
"""

import gc
import os

import hypothesis

# What imports and collection make stays to the end: looking for garbage in it again
# and again is a tenth of the run.
gc.disable()

hypothesis.settings.register_profile(
    "unit",
    max_examples=int(os.environ.get("TEST_EXAMPLES", "15")),
    # A busy machine is no counterexample.
    deadline=None,
    # Examples that CI would repeat are searched anew in each run too.
    derandomize=False,
)
hypothesis.settings.load_profile("unit")


def pytest_collection_finish() -> None:
    """Leaves everything made so far out of further searches for garbage."""
    gc.freeze()
    gc.enable()

"""How long properties are searched for a counterexample.

Owns how many random examples a property gets, others in each run. Called by pytest.
`TEST_EXAMPLES=1000 .venv/bin/pytest tests/properties` searches longer.
"""

import os

import hypothesis

hypothesis.settings.register_profile(
    "properties",
    max_examples=int(os.environ.get("TEST_EXAMPLES", "60")),
    # A busy machine is no counterexample.
    deadline=None,
    # Examples that CI would repeat are searched anew in each run too.
    derandomize=False,
)
hypothesis.settings.load_profile("properties")

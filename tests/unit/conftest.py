"""What keeps all unit tests together quick.

Owns when garbage is looked for while they are collected. Called by pytest. Never decides
which tests run.
"""

import gc

# What imports and collection make stays to the end: looking for garbage in it again
# and again is a tenth of the run.
gc.disable()


def pytest_collection_finish() -> None:
    """Leaves everything made so far out of further searches for garbage."""
    gc.freeze()
    gc.enable()

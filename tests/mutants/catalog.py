"""Every mutant there is.

Owns the list of modules that define mutants. Called by `serve`, the runner and
the tests. Importing it patches nothing.
"""

import functools
import importlib

from tests.mutants import registry

MODULES = (
    "tls",
    "transport",
    "handshake",
    "configuration",
    "confidence",
    "readiness",
    "registration",
    "books",
    "idempotency",
    "requests",
    "faults",
    "lookup",
    "load",
    "webhooks",
    "mirrored",
)


@functools.cache
def everything() -> dict[str, registry.Mutant]:
    """Returns all mutants by name."""
    for module in MODULES:
        importlib.import_module(f"tests.mutants.{module}")
    return registry.found()

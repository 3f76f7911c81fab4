"""How tests are spread over workers when several run them.

Owns which tests stay together because they share running processes, and what begins first.
Called by tests/conftest.py; does nothing to a run in one process. Never decides which tests
run, and leaves the order within a folder random.
"""

from collections.abc import Sequence
from typing import Literal

import pytest

# Fixtures behind which processes run that many tests of a folder share, per database.
BY_FOLDER = frozenset({"services", "keeper", "gateway", "core", "running_mock"})
# Fixtures that a module makes once.
BY_MODULE = frozenset({"opened", "running", "made"})
DIALECTS = ("sqlite", "postgresql")
# What takes longest begins first, so that no worker is left alone with it in the end.
LEVELS = ("e2e", "integration", "properties", "unit")


def group(item: pytest.Item) -> str | None:
    """Returns the name of those that *item* has to share a worker with; None: any will do."""
    names: Sequence[str] = getattr(item, "fixturenames", ())
    folder = item.path.parent.name
    if not BY_FOLDER.isdisjoint(names):
        parameters = getattr(item, "callspec", None)
        values = parameters.params.values() if parameters else ()
        return "-".join([folder, *(value for value in values if value in DIALECTS)])
    if _level(item) == "unit" or not BY_MODULE.isdisjoint(names):
        return f"{folder}-{item.path.stem}"
    return None


def scope(fixture_name: str, config: pytest.Config) -> Literal["package", "session"]:
    """Returns how long what a fixture in BY_FOLDER runs is kept: a worker meets the tests that
    share it one after the other, and what runs on after them takes time from the rest.
    """
    return "package" if hasattr(config, "workerinput") else "session"


def begins(item: pytest.Item) -> tuple[int, bool]:
    """Returns a key that sorts *item* before those that may begin later."""
    return LEVELS.index(_level(item)), group(item) is None


def _level(item: pytest.Item) -> str:
    return next(name for name in LEVELS if name in item.path.parts)

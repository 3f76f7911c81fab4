"""Files of keys that processes make for themselves."""

import pathlib
import stat
import threading
from collections.abc import Callable

import pytest

from payment_service.usecases import keys
from payment_service.usecases.bindings import secrets

ROUNDS, AT_ONCE = 40, 8


@pytest.mark.parametrize(
    "get", [keys.read_or_make, lambda path: " ".join(secrets.find_keys(None, path))]
)
def test_processes_that_start_together_find_one_key(
    get: Callable[[pathlib.Path], str], tmp_path: pathlib.Path
) -> None:
    """The first makes the file, and nobody ever reads half of it."""
    for number in range(ROUNDS):
        path = tmp_path / f"{number}" / "a.key"
        found = _at_once(get, path)
        assert len(found) == AT_ONCE
        assert set(found) == {get(path)} != {""}
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert [each.name for each in path.parent.iterdir()] == ["a.key"]


def _at_once(get: Callable[[pathlib.Path], str], path: pathlib.Path) -> list[str]:
    found: list[str] = []
    together = threading.Barrier(AT_ONCE)

    def look() -> None:
        together.wait()
        found.append(get(path))

    threads = [threading.Thread(target=look) for _ in range(AT_ONCE)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found

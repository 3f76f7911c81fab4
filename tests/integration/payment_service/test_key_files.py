"""Files of keys that processes make for themselves."""

import pathlib
import stat
import threading
from collections.abc import Callable

import pytest

from payment_service.usecases import keys
from payment_service.usecases.bindings import secrets
from servicekit import encryption_keys

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


def test_keys_are_made_in_a_file_that_is_missing(tmp_path: pathlib.Path) -> None:
    """The file is readable by its owner alone and the same at the next start."""
    path = tmp_path / "var" / "encryption.key"
    made = encryption_keys.read_or_make(path, "A_PATH")
    assert encryption_keys.read_or_make(path, "A_PATH") == made
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    rotated = [encryption_keys.new_key(), *made]
    encryption_keys.write(path, rotated)
    assert encryption_keys.read_or_make(path, "A_PATH") == rotated
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [each.name for each in path.parent.iterdir()] == ["encryption.key"]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "holds no key"),
        (b"canary", "key 1 of 1 is not 32 bytes"),
        (b"\xff\xfe", "can't read or make"),
    ],
)
def test_a_file_that_holds_something_else_is_named(
    tmp_path: pathlib.Path, content: bytes, problem: str
) -> None:
    """With its setting and without what it holds."""
    path = tmp_path / "encryption.key"
    path.write_bytes(content)
    with pytest.raises(encryption_keys.KeyProblem) as caught:
        encryption_keys.read_or_make(path, "A_PATH")
    told = str(caught.value)
    assert told.startswith("A_PATH: ")
    assert str(path) in told
    assert problem in told
    assert "canary" not in told


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

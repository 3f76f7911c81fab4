"""Files that hold a secret a process made for itself.

Owns writing them: whole or not at all, readable by their owner only, there after a power cut.
Called by services at start. Never logs what they hold.
"""

import contextlib
import os
import pathlib
import secrets
from collections.abc import Callable


def read_or_make(path: pathlib.Path, make: Callable[[], str]) -> str:
    """Return the text in `path`; write what `make` returns if there is no such file.

    Of processes that start at the same time one writes, and all return the same.

    Raises:
        OSError: It can't be read or made.
    """
    if not path.exists():
        # Another process was faster.
        with contextlib.suppress(FileExistsError):
            write(path, make(), fresh=True)
    return path.read_text(encoding="utf-8").strip()


def write(path: pathlib.Path, text: str, *, fresh: bool = False) -> None:
    """Write `text` and a line's end to `path`.

    Raises:
        FileExistsError: It is to be `fresh`, and somebody was faster.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        with os.fdopen(os.open(unfinished, flags, 0o600), "w", encoding="utf-8") as file:
            file.write(text + "\n")
            file.flush()
            os.fsync(file.fileno())
        if fresh:
            _link(unfinished, path)
        else:
            unfinished.replace(path)
        _settle(path.parent)
    finally:
        unfinished.unlink(missing_ok=True)


def _link(unfinished: pathlib.Path, path: pathlib.Path) -> None:
    try:
        path.hardlink_to(unfinished)
    except FileExistsError:
        raise
    except OSError:
        # Some shared file systems have no links.
        if path.exists():
            raise FileExistsError(path) from None
        unfinished.replace(path)


def _settle(folder: pathlib.Path) -> None:
    """Make names in a folder outlast a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

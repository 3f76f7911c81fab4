"""The lock that keeps two processes from writing one SQLite file.

Owns the lock file beside the database, and making the database's folder. Called by whoever opens
or migrates such a file. Never reads the database.
"""

import fcntl
import pathlib

from servicekit.storage import errors


class FileLock:
    """An advisory lock beside a file, held until `close` or the end of the process."""

    def __init__(self, path: pathlib.Path) -> None:
        self._file = path.open("a")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._file.close()
            raise errors.DatabaseInUse(
                f"{path.with_suffix('')} is open in another process; stop that one first, "
                "or use PostgreSQL, which several processes can share"
            ) from None

    def close(self) -> None:
        """Gives the lock back."""
        self._file.close()


def lock_file(path: str) -> FileLock:
    """Locks the database file at *path* for this process; makes it and its folder if missing.

    Raises:
        DatabaseInUse: Another process has it open.
        StorageUnavailable: The folder or the lock file beside it can't be made.
    """
    database_file = pathlib.Path(path)
    try:
        database_file.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(database_file.with_name(database_file.name + ".lock"))
        if not database_file.exists():
            database_file.touch(0o600)  # What SQLite makes beside it gets its mode.
    except OSError as error:
        problem = f"can't open {path}: {error.filename}: {error.strerror}"
        raise errors.StorageUnavailable(problem) from error
    return lock

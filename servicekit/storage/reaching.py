"""Why PostgreSQL could not be reached, told without its password.

Owns that one text. Called by whoever connects. Never quotes a URL.
"""

from servicekit.storage import errors

_UNREADABLE = (
    "its URL can't be read; percent-encode what is no letter or digit in user and password"
)


def failed(url: str, error: Exception) -> errors.StorageUnavailable:
    """Returns what stands for *error*, which psycopg raised when it connected to *url*.

    libpq quotes what it can't read, and takes a password's end for a host or a port.
    """
    authority, _, rest = url.partition("://")[2].partition("/")
    readable = authority.count("@") <= 1 and "@" not in rest
    if not readable or type(error).__name__ == "ProgrammingError":
        return errors.StorageUnavailable(f"can't reach PostgreSQL: {_UNREADABLE}")
    return errors.StorageUnavailable(f"can't reach PostgreSQL: {error}")

"""How PostgreSQL is reached, and why it could not be, told without its password.

Owns what bounds every connection and that one text. Called by whoever connects. Never quotes
a URL.
"""

from typing import Any

from servicekit.storage import errors

# A server that vanished without a word answers none of these; the system's own take hours.
_LIVENESS = {"keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3}
_UNREADABLE = (
    "its URL can't be read; percent-encode what is no letter or digit in user and password"
)
# Not among what a connection begins with, which poolers drop or refuse; the URL's own stay.
_LIMIT = (
    "select set_config(name, given, false) from (values {}) as limits (name, given) "
    "join pg_settings using (name) where source <> 'client'"
)


def options(url: str, *, connect_timeout_s: int) -> dict[str, Any]:
    """Returns what to connect to *url* with; what the URL says itself is not among it.

    A standby is passed over, or refused where the URL names no other server: it takes no
    writes, and what it lets read may be old.

    Raises:
        psycopg.Error: The URL can't be read.
    """
    from psycopg import conninfo  # What a process on SQLite does not need.

    ours = {
        **_LIVENESS,
        "connect_timeout": connect_timeout_s,
        "target_session_attrs": "read-write",
    }
    given = conninfo.conninfo_to_dict(url)
    return {name: value for name, value in ours.items() if name not in given}


def limits(timeout_ms: int) -> bytes:
    """Returns the statement that bounds what a connection does, but for what its URL bounds."""
    values = {
        "statement_timeout": timeout_ms,
        "lock_timeout": timeout_ms,
        "idle_in_transaction_session_timeout": 2 * timeout_ms,
        "TimeZone": "UTC",
    }
    return _LIMIT.format(
        ", ".join(f"('{name}', '{each}')" for name, each in values.items())
    ).encode()


def failed(url: str, error: Exception) -> errors.StorageUnavailable:
    """Returns what stands for *error*, which psycopg raised when it connected to *url*.

    libpq quotes what it can't read, and takes a password's end for a host or a port.
    """
    authority, _, rest = url.partition("://")[2].partition("/")
    readable = authority.count("@") <= 1 and "@" not in rest
    if not readable or type(error).__name__ == "ProgrammingError":
        return errors.StorageUnavailable(f"can't reach PostgreSQL: {_UNREADABLE}")
    return errors.StorageUnavailable(f"can't reach PostgreSQL: {error}")

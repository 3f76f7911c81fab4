"""What a pooler before PostgreSQL takes from those behind it, found out by asking.

Owns the refusal of one that hands connections on between transactions. Called before a process
looks at its schema. Never asks more than one question where no pooler is.
"""

import psycopg

from servicekit.storage import errors

SESSION_ONLY = (
    "let each client keep its connection, PgBouncer's `pool_mode = session`, or name PostgreSQL "
    "itself in the URL"
)
_ROUNDS = 3


def check(connection: psycopg.Connection, other: psycopg.Connection) -> None:
    """Checks that *connection* keeps its server's while *other*, of the same URL, is used.

    What a session holds would else be another's: LISTEN, the lock of migrations and limits are
    lost without a word, prepared statements with an error.

    Raises:
        DatabaseUnsuitable: A pooler hands it on.
    """
    own = _server_pid(connection)
    for _ in range(_ROUNDS):
        # Twice: one that gives out its connections in turn would come round to the same.
        asked = [_server_pid(each) for each in (connection, connection, other)]
        if asked[:2] != [own, own] or asked[2] == own:
            raise errors.DatabaseUnsuitable(
                "a pooler before PostgreSQL hands connections on between transactions: notices, "
                f"locks of migrations and limits of statements get lost; {SESSION_ONLY}"
            )


def is_between(connection: psycopg.Connection) -> bool:
    """Whether somebody else than the server answered *connection*'s greeting."""
    return connection.info.backend_pid != _server_pid(connection)


def _server_pid(connection: psycopg.Connection) -> int:
    row = connection.execute("select pg_backend_pid()").fetchone()
    assert row is not None
    return int(row[0])

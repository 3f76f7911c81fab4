"""Alembic, driven by code: one upgrade at a time, under a lock, without an ini file.

Owns how migrations run. Called by `migrations.migrate` when there is one to run;
each process's `migrations/env.py` calls `run_env`. Never decides whether to.
"""

import pathlib
import sqlite3
import time

import alembic.command
import alembic.config
import alembic.context
import sqlalchemy
import sqlalchemy.exc

from servicekit.storage import errors, reaching

# Any number, the same for every Payhub process: migrations of one database run
# one after the other.
ADVISORY_LOCK = 0x7061_7968
# How long callers may be held up behind a migration that waits for a table, and how long they
# have to pass it then: it gives up after about three minutes.
LOCK_WAIT_MS = 2_000
LOCK_PAUSE_S = 4.0
LOCK_TRIES = 30
_MAY_NOT = "42501"
_LOCKED = "55P03"
_POLL_S = 0.1
_TIMEOUT_S = 10


def run(url: str, script_location: pathlib.Path) -> None:
    """Runs every migration that the database at *url* lacks.

    Raises:
        MigrationRefused: It did not take one.
        StorageUnavailable: It went away; nobody knows whether it took the last one.
    """
    config = alembic.config.Config()
    config.set_main_option("script_location", str(script_location))
    engine = _engine(url)
    try:
        with engine.connect() as connection:
            if connection.dialect.name == "postgresql":
                _prepare(connection)
            config.attributes["connection"] = connection
            _upgrade(connection, config)
            connection.commit()
    except sqlalchemy.exc.DBAPIError as error:
        raise _failure(error) from error
    finally:
        engine.dispose()


def _prepare(connection: sqlalchemy.Connection) -> None:
    """Bounds waiting for locks and nothing else, and waits for other migrations."""
    connection.exec_driver_sql("set statement_timeout = 0")
    connection.exec_driver_sql(f"set lock_timeout = {LOCK_WAIT_MS}")
    # Asked for again and again: an index that is being made waits for statements that run, so
    # one that waited for this lock would wait for what waits for it.
    lock = sqlalchemy.text("select pg_try_advisory_lock(:key)")
    while not connection.scalar(lock, {"key": ADVISORY_LOCK}):
        connection.commit()
        time.sleep(_POLL_S)
    connection.commit()


def _upgrade(connection: sqlalchemy.Connection, config: alembic.config.Config) -> None:
    """Makes what is lacking; callers whom it holds up while it waits for a table pass it between
    two tries.
    """
    for tries_left in reversed(range(LOCK_TRIES)):
        try:
            alembic.command.upgrade(config, "head")
            return
        except sqlalchemy.exc.DBAPIError as error:
            if getattr(error.orig, "sqlstate", "") != _LOCKED or not tries_left:
                raise
        connection.rollback()
        time.sleep(LOCK_PAUSE_S)


def _engine(url: str) -> sqlalchemy.Engine:
    if not url.startswith("sqlite:///"):
        import psycopg  # What a process on SQLite does not need.

        # SQLAlchemy can't read all that libpq can, such as the names of several servers.
        return sqlalchemy.create_engine(
            "postgresql+psycopg://",
            poolclass=sqlalchemy.NullPool,
            creator=lambda: psycopg.connect(
                url, **reaching.options(url, connect_timeout_s=_TIMEOUT_S)
            ),
        )
    engine = sqlalchemy.create_engine(url, poolclass=sqlalchemy.NullPool)
    sqlalchemy.event.listen(engine, "connect", _leave_transactions_to_us)
    sqlalchemy.event.listen(engine, "begin", _begin)
    return engine


def _failure(error: sqlalchemy.exc.DBAPIError) -> errors.StorageError:
    text = str(error.orig).partition("\n")[0]
    # None where a connection failed and PostgreSQL did not say why.
    state = getattr(error.orig, "sqlstate", "")
    if error.connection_invalidated or state is None:
        return errors.StorageUnavailable(f"the database went away while it was migrated: {text}")
    if state == _MAY_NOT:
        text += ": make the user owner of the database, `alter database … owner to …`"
    if state == _LOCKED:
        text += (
            ": a back-up or another long transaction has the table; `pg_stat_activity` shows it. "
            "Run it again once that is over"
        )
    return errors.MigrationRefused(
        f"the database refused a migration, which can be run again: {text}"
    )


def run_env() -> None:
    """Runs what Alembic asked for, on the connection of `run`; called by env.py."""
    connection = alembic.context.config.attributes["connection"]
    alembic.context.configure(
        connection=connection,
        transaction_per_migration=True,
        # Of SQLite too: a migration that breaks off must leave nothing, or it never runs again.
        transactional_ddl=True,
    )
    with alembic.context.begin_transaction():
        alembic.context.run_migrations()


def _leave_transactions_to_us(raw: sqlite3.Connection, _: object) -> None:
    # By itself the driver begins one before data is changed, not before tables are made.
    raw.isolation_level = None


def _begin(connection: sqlalchemy.Connection) -> None:
    connection.exec_driver_sql("begin immediate")

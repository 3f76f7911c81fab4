"""Alembic, driven by code: one upgrade at a time, under a lock, without an ini file.

Owns how migrations run. Called by `migrations.migrate` when there is one to run;
each process's `migrations/env.py` calls `run_env`. Never decides whether to.
"""

import pathlib
import sqlite3

import alembic.command
import alembic.config
import alembic.context
import sqlalchemy
import sqlalchemy.exc

from servicekit.storage import errors, reaching

# Any number, the same for every Payhub process: migrations of one database run
# one after the other.
ADVISORY_LOCK = 0x7061_7968
_MAY_NOT = "42501"
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
                connection.execute(
                    sqlalchemy.text("select pg_advisory_lock(:key)"), {"key": ADVISORY_LOCK}
                )
                connection.commit()
            config.attributes["connection"] = connection
            alembic.command.upgrade(config, "head")
            connection.commit()
    except sqlalchemy.exc.DBAPIError as error:
        raise _failure(error) from error
    finally:
        engine.dispose()


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
    return errors.MigrationRefused(
        f"the database refused a migration, of which nothing is left behind: {text}"
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

"""Alembic, driven by code: each process brings its own schema up to date.

Owns how migrations run: one at a time, under a lock, without an ini file.
Called by `<process> migrate` and at start; each process's `migrations/env.py`
calls `run_env`. Never creates a table outside a migration.
"""

import pathlib

import alembic.command
import alembic.config
import alembic.context
import alembic.script
import sqlalchemy

from servicekit.storage import sqlite

# Any number, the same for every Payhub process: migrations of one server run
# one after the other.
_ADVISORY_LOCK = 0x7061_7968


def _config(script_location: pathlib.Path) -> alembic.config.Config:
    config = alembic.config.Config()
    config.set_main_option("script_location", str(script_location))
    return config


def head_revision(script_location: pathlib.Path) -> str:
    """Returns the newest revision in *script_location*."""
    scripts = alembic.script.ScriptDirectory.from_config(_config(script_location))
    head = scripts.get_current_head()
    if head is None:
        raise ValueError(f"{script_location} holds no migration")
    return head


def migrate(url: str, script_location: pathlib.Path) -> None:
    """Brings the database at *url* to the newest revision; does nothing if it is there.

    Raises:
        DatabaseInUse: Another process has the SQLite file open.
        sqlalchemy.exc.SQLAlchemyError: The database refused.
    """
    config = _config(script_location)
    if url.startswith("sqlite:///"):
        lock = sqlite.lock_file(url.removeprefix("sqlite:///"))
        try:
            _upgrade(url, config)
        finally:
            lock.close()
        return
    _upgrade(url.replace("postgres://", "postgresql://").replace("://", "+psycopg://", 1), config)


def _upgrade(url: str, config: alembic.config.Config) -> None:
    engine = sqlalchemy.create_engine(url, poolclass=sqlalchemy.NullPool)
    try:
        with engine.connect() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(
                    sqlalchemy.text("select pg_advisory_lock(:key)"), {"key": _ADVISORY_LOCK}
                )
                connection.commit()
            config.attributes["connection"] = connection
            alembic.command.upgrade(config, "head")
            connection.commit()
    finally:
        engine.dispose()


def run_env() -> None:
    """Runs what Alembic asked for, on the connection of `migrate`; called by env.py."""
    connection = alembic.context.config.attributes["connection"]
    alembic.context.configure(connection=connection, transaction_per_migration=True)
    with alembic.context.begin_transaction():
        alembic.context.run_migrations()

"""Schemas of both services on both databases: brought up to date, and left alone then."""

import concurrent.futures
import contextlib
import pathlib
import sqlite3
import subprocess
import sys
import time
import urllib.parse
from collections.abc import Callable

import alembic.config
import alembic.runtime.migration
import alembic.script
import psycopg
import pytest
import sqlalchemy

from event_gateway import gateway
from payment_service import composition
from servicekit import storage
from servicekit.storage import revisions, upgrade
from tests import postgres

SERVICES = {"payment_service": composition.MIGRATIONS, "event_gateway": gateway.MIGRATIONS}
# Of each service a table that is made late in a migration of many.
LATE = {composition.MIGRATIONS: "kill_switches", gateway.MIGRATIONS: "command_key"}

# Migrates a current database and tells what that took.
AGAIN = """
import pathlib, sys
from servicekit import storage
storage.migrate(sys.argv[1], pathlib.Path(sys.argv[2]))
print(sorted({"alembic", "sqlalchemy"} & set(sys.modules)))
"""


@pytest.fixture(params=SERVICES)
def location(request: pytest.FixtureRequest) -> pathlib.Path:
    """The migrations of one service."""
    return SERVICES[request.param]


def change(url: str, statement: str) -> None:
    """Changes a database from outside."""
    if url.startswith("sqlite:///"):
        path = url.removeprefix("sqlite:///")
        with contextlib.closing(sqlite3.connect(path)) as connection, connection:
            connection.execute(statement)
        return
    with psycopg.connect(url) as server:
        server.execute(statement.encode())


def heads_by_alembic(url: str, location: pathlib.Path) -> tuple[set[str], set[str]]:
    """What Alembic takes for the newest revisions of the files, and of the database."""
    config = alembic.config.Config()
    config.set_main_option("script_location", str(location))
    wanted = set(alembic.script.ScriptDirectory.from_config(config).get_heads())
    if not url.startswith("sqlite"):
        url = url.replace("://", "+psycopg://", 1)
    engine = sqlalchemy.create_engine(url, poolclass=sqlalchemy.NullPool)
    with engine.connect() as connection:
        context = alembic.runtime.migration.MigrationContext.configure(connection)
        return wanted, set(context.get_current_heads())


def test_alembic_agrees_on_the_newest_revision(database_url: str, location: pathlib.Path) -> None:
    """The revision found by reading files and table is the one that Alembic finds in both."""
    assert revisions.applied(database_url) == set()
    storage.migrate(database_url, location)
    newest = {storage.head_revision(location)}
    assert heads_by_alembic(database_url, location) == (newest, newest)
    assert revisions.applied(database_url) == newest


def test_a_current_database_takes_no_alembic(database_url: str, location: pathlib.Path) -> None:
    """A process whose schema is current starts without importing what migrates."""
    storage.migrate(database_url, location)
    ran = subprocess.run(
        [sys.executable, "-c", AGAIN, database_url, str(location)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout.strip() == "[]"


def test_a_newer_schema_is_a_clear_error(database_url: str, location: pathlib.Path) -> None:
    """A database that a newer version has migrated is named as such, and not touched."""
    storage.migrate(database_url, location)
    change(database_url, "update alembic_version set version_num = '9999'")
    with pytest.raises(storage.SchemaUnknown, match="revision 9999, which this version does not"):
        storage.migrate(database_url, location)
    assert revisions.applied(database_url) == {"9999"}


def test_a_start_leaves_a_newer_schema_to_replicas(
    database_url: str, location: pathlib.Path
) -> None:
    """A replica of an older version that migrates at its start comes up again in the middle of an
    upgrade, and on the way back; a file has no replicas.
    """
    storage.migrate_at_start(database_url, location)
    change(database_url, "update alembic_version set version_num = '9999'")
    if database_url.startswith("sqlite:"):
        with pytest.raises(storage.SchemaUnknown):
            storage.migrate_at_start(database_url, location)
    else:
        storage.migrate_at_start(database_url, location)
    assert revisions.applied(database_url) == {"9999"}


def test_a_migration_that_was_lost_halfway_is_made_up_for(
    database_url: str, location: pathlib.Path
) -> None:
    """A database with the table of revisions and none in it is migrated from the start."""
    change(database_url, "create table alembic_version (version_num varchar(32) not null)")
    assert revisions.applied(database_url) == set()
    storage.migrate(database_url, location)
    assert revisions.applied(database_url) == {storage.head_revision(location)}


def test_a_migration_that_breaks_off_leaves_nothing(
    database_url: str, location: pathlib.Path
) -> None:
    """What it had done is undone, so that it can be run again once the cause is gone."""
    change(database_url, f"create table {LATE[location]} (other text)")
    with pytest.raises(storage.MigrationRefused, match=rf"{LATE[location]}.* already exists"):
        storage.migrate(database_url, location)
    change(database_url, f"drop table {LATE[location]}")
    storage.migrate(database_url, location)
    assert revisions.applied(database_url) == {storage.head_revision(location)}


def test_a_user_that_may_not_migrate_is_told_what_is_missing(
    postgres_url: str, new_postgres_database: Callable[[], str], location: pathlib.Path
) -> None:
    """Since PostgreSQL 15 nobody but a database's owner makes tables in it."""
    own = urllib.parse.urlsplit(new_postgres_database())
    guest = own._replace(netloc=f"guest:guest@{own.netloc.rpartition('@')[2]}").geturl()
    with psycopg.connect(postgres_url, autocommit=True) as server:
        server.execute("create role guest login password 'guest'")
    try:
        with pytest.raises(
            storage.MigrationRefused, match=r"permission denied.*make the user owner"
        ):
            storage.migrate(guest, location)
    finally:
        with psycopg.connect(postgres_url, autocommit=True) as server:
            server.execute("drop role guest")


def test_a_url_may_name_several_servers(
    new_postgres_database: Callable[[], str], location: pathlib.Path
) -> None:
    """As operators name a primary and its standby: that one is migrated which answers."""
    url = new_postgres_database()
    several = postgres.with_server_before(url, "127.0.0.1:1")
    storage.migrate(several, location)
    storage.check_migrated(several, location, command="migrate-me")
    assert revisions.applied(url) == {storage.head_revision(location)}


def test_a_database_that_goes_away_meanwhile_is_unavailable(
    new_postgres_database: Callable[[], str], location: pathlib.Path
) -> None:
    """It refused nothing, and nobody knows whether the last migration was taken."""
    url = new_postgres_database()
    ours = "datname = current_database() and query in ('COMMIT', 'ROLLBACK') "
    ours += "or query like 'select pg_try_advisory_lock%'"
    with (
        concurrent.futures.ThreadPoolExecutor(1) as pool,
        psycopg.connect(url, autocommit=True) as server,
    ):
        server.execute("select pg_advisory_lock(%s)", (upgrade.ADVISORY_LOCK,))
        migrating = pool.submit(storage.migrate, url, location)
        ended: list[tuple[bool]] = []
        until_s = time.monotonic() + 60
        while not ended and time.monotonic() < until_s:
            ended = server.execute(
                f"select pg_terminate_backend(pid) from pg_stat_activity where {ours}"
            ).fetchall()
            time.sleep(0.02)
        assert ended
        with pytest.raises(storage.StorageUnavailable):
            migrating.result(60)


def test_a_database_that_cannot_be_read_is_unavailable(
    tmp_path: pathlib.Path, location: pathlib.Path
) -> None:
    """Neither a broken file nor a server that is not there is taken for a new database."""
    broken = tmp_path / "broken.db"
    broken.write_text("no database " * 100)
    with pytest.raises(storage.StorageUnavailable, match=r"broken\.db"):
        storage.migrate(f"sqlite:///{broken}", location)
    with pytest.raises(storage.StorageUnavailable, match="can't reach PostgreSQL"):
        storage.migrate("postgresql://nobody@127.0.0.1:1/none", location)


def test_a_database_of_another_encoding_is_refused(
    postgres_url: str, location: pathlib.Path
) -> None:
    """A server set up without a locale makes SQL_ASCII: what that holds can't be read as text."""
    with psycopg.connect(postgres_url, autocommit=True) as server:
        server.execute("create database ascii encoding 'SQL_ASCII' locale 'C' template template0")
    try:
        url = postgres.with_database(postgres_url, "ascii")
        with pytest.raises(storage.DatabaseUnsuitable, match="encoding 'UTF8'"):
            storage.migrate(url, location)
        with pytest.raises(storage.DatabaseUnsuitable, match="SQL_ASCII"):
            storage.check_migrated(url, location, command="migrate-me")
    finally:
        with psycopg.connect(postgres_url, autocommit=True) as server:
            server.execute("drop database ascii with (force)")


def test_a_schema_that_is_behind_is_named_with_the_way_out(
    database_url: str, location: pathlib.Path
) -> None:
    """A process that does not migrate says what to run, and leaves a newer schema alone."""
    with pytest.raises(storage.SchemaOutdated, match=r"revision none.*: run `migrate-me`"):
        storage.check_migrated(database_url, location, command="migrate-me")
    storage.migrate(database_url, location)
    storage.check_migrated(database_url, location, command="migrate-me")
    change(database_url, "update alembic_version set version_num = '9999'")
    storage.check_migrated(database_url, location, command="migrate-me")

"""Fixtures of the relay's tests: a migrated outbox on each database, and a log.

Owns one migration per run and dialect; tests get a copy of the file, or the
database with its tables emptied.
"""

import pathlib
import shutil
import uuid
from collections.abc import AsyncIterator, Iterator

import psycopg
import pytest

from servicekit import storage
from tests import postgres
from tests.integration.relay import fake_log, rig


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A migrated file that nobody opens."""
    path = tmp_path_factory.mktemp("relay") / "template.db"
    storage.migrate(f"sqlite:///{path}", rig.MIGRATIONS)
    return path


@pytest.fixture(scope="session")
def postgres_outbox(postgres_url: str) -> Iterator[str]:
    """The URL of a migrated database that tests use one after the other."""
    name = f"relay_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f'create database "{name}"')
    url = postgres.with_database(postgres_url, name)
    storage.migrate(url, rig.MIGRATIONS)
    yield url
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f'drop database "{name}" with (force)')


@pytest.fixture(params=["sqlite", "postgresql"])
def outbox_url(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> str:
    """The URL of a migrated database with nothing in it, once per dialect."""
    if request.param == "sqlite":
        path = tmp_path / "payments.db"
        shutil.copy(request.getfixturevalue("sqlite_template"), path)
        return f"sqlite:///{path}"
    url: str = request.getfixturevalue("postgres_outbox")
    # A database of its own would take longer to make than most of these tests to run.
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "truncate outbox, log_known, leases, customers, mirrors, bindings, plugins, api_keys, "
            "retry_policies, default_provider_versions restart identity"
        )
    return url


@pytest.fixture
async def db(outbox_url: str) -> AsyncIterator[storage.Database]:
    """An open database with an empty outbox."""
    opened = await storage.open_database(outbox_url)
    yield opened
    await opened.close()


@pytest.fixture
async def log() -> AsyncIterator[fake_log.FakeLog]:
    """A log that listens."""
    fake = fake_log.FakeLog()
    await fake.start()
    yield fake
    await fake.stop()

"""Fixtures of the relay's tests: a migrated outbox on each database, and a log.

Owns one migration per run and dialect; tests get copies of it.
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
def postgres_template(postgres_url: str) -> str:
    """The name of a migrated database that nobody opens."""
    name = f"relay_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f'create database "{name}"')
    storage.migrate(postgres.with_database(postgres_url, name), rig.MIGRATIONS)
    return name


@pytest.fixture(params=["sqlite", "postgresql"])
def outbox_url(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> Iterator[str]:
    """The URL of a migrated database of the test's own, once per dialect."""
    if request.param == "sqlite":
        path = tmp_path / "payments.db"
        shutil.copy(request.getfixturevalue("sqlite_template"), path)
        yield f"sqlite:///{path}"
        return
    server = request.getfixturevalue("postgres_url")
    template = request.getfixturevalue("postgres_template")
    name = f"relay_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f'create database "{name}" template "{template}"')
        yield postgres.with_database(server, name)
        connection.execute(f'drop database "{name}" with (force)')


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

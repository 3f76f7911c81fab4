"""Gateways that the tests of this folder share, one per database.

Owns their processes. Tests keep apart by using tenants of their own; a test
that needs other settings or an end of the process starts its own gateway.
"""

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterator

import psycopg
import pytest

from event_gateway import gateway as event_gateway
from servicekit import storage
from tests import postgres, spread
from tests.integration.gateway import harness, hooks, one_group, receiving


@pytest.fixture(scope=spread.scope)
def sqlite_gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[harness.Gateway]:
    """A running gateway on SQLite."""
    folder = tmp_path_factory.mktemp("gateway")
    with harness.running(f"sqlite:///{folder}/events.db") as gateway:
        yield gateway


@pytest.fixture(scope=spread.scope)
def postgres_gateway(postgres_url: str) -> Iterator[harness.Gateway]:
    """A running gateway on PostgreSQL."""
    name = f"gateway_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f'create database "{name}"')
    with harness.running(postgres.with_database(postgres_url, name)) as gateway:
        yield gateway


@pytest.fixture(params=["sqlite", "postgresql"])
def gateway(request: pytest.FixtureRequest) -> harness.Gateway:
    """A running gateway that tests share, once per database."""
    which = "sqlite_gateway" if request.param == "sqlite" else "postgres_gateway"
    running: harness.Gateway = request.getfixturevalue(which)
    return running


@pytest.fixture
def tenant() -> str:
    """A tenant that no other test uses."""
    return f"t-{uuid.uuid4().hex[:12]}"


@pytest.fixture
async def on(database_url: str) -> AsyncIterator[one_group.Running]:
    """A consumer's surroundings on a new database."""
    await asyncio.to_thread(storage.migrate, database_url, event_gateway.MIGRATIONS)
    database = await storage.open_database(database_url, pool_size=2)
    try:
        yield await one_group.on(database)
    finally:
        await database.close()


@pytest.fixture(scope="module")
def sending(tmp_path_factory: pytest.TempPathFactory) -> Iterator[harness.Gateway]:
    """A gateway on SQLite that may send to this host."""
    folder = tmp_path_factory.mktemp("webhooks")
    with harness.running(f"sqlite:///{folder}/events.db", **hooks.SETTINGS) as gateway:
        yield gateway


@pytest.fixture
async def hook() -> AsyncIterator[receiving.Receiver]:
    """A running receiver."""
    async with receiving.receiver() as made:
        yield made

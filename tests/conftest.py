"""Fixtures every test level shares: one PostgreSQL per run, one database per test.

Owns the choice of server: a container where a Docker engine answers, the wheel
otherwise. Called by pytest. Never shares a database between two tests.
"""

import pathlib
import uuid
from collections.abc import Callable, Iterator

import pytest

from deploy import stack
from tests import spread, starting


def pytest_itemcollected(item: pytest.Item) -> None:
    """Keeps together what shares running processes."""
    if name := spread.group(item):
        item.add_marker(pytest.mark.xdist_group(name))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Lets a worker begin with what takes longest."""
    if hasattr(config, "workerinput"):
        items.sort(key=spread.begins)


@pytest.fixture(scope="session", autouse=True)
def quick_starts() -> None:
    """Lets installations of several processes start as `tests.starting` does."""
    stack.popen = starting.popen


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """Starts PostgreSQL once per run and yields the URL of its first database."""
    # Here and below: what runs and reaches a server takes 0.3 s to import, and tests
    # without a database should not pay for it.
    from tests import postgres

    with postgres.server(within=postgres.quick_folder()) as url:
        yield url


@pytest.fixture
def new_postgres_database(postgres_url: str) -> Iterator[Callable[[], str]]:
    """Makes empty PostgreSQL databases, each with its URL, and drops them afterwards."""
    import psycopg

    from tests import postgres

    made: list[str] = []

    def make() -> str:
        name = f"test_{uuid.uuid4().hex[:12]}"
        with psycopg.connect(postgres_url, autocommit=True) as connection:
            connection.execute(f'create database "{name}"')
        made.append(name)
        return postgres.with_database(postgres_url, name)

    yield make
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        for name in made:
            connection.execute(f'drop database if exists "{name}" with (force)')


@pytest.fixture(params=["sqlite", "postgresql"])
def new_database_url(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> Callable[[], str]:
    """Makes URLs of empty databases, once per dialect."""
    if request.param == "sqlite":
        return lambda: f"sqlite:///{tmp_path}/{uuid.uuid4().hex[:12]}.db"
    make: Callable[[], str] = request.getfixturevalue("new_postgres_database")
    return make


@pytest.fixture
def database_url(new_database_url: Callable[[], str]) -> str:
    """The URL of one empty database, once per dialect."""
    return new_database_url()

"""Fixtures every test level shares: one PostgreSQL per run, one database per test.

Owns the choice of server, a container where a Docker engine answers, the wheel
otherwise, and where temporary files lie. Called by pytest. Never shares a database between
two tests.
"""

import pathlib
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator

import pytest

from deploy import stack
from tests import in_memory, spread, starting

_PREFIX = "payhub-tests-"
_folder = pytest.StashKey[pathlib.Path]()


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Puts temporary files in memory, unless told where; workers get theirs from this run's."""
    place = in_memory.place()
    if hasattr(config, "workerinput") or config.option.basetemp is not None or place is None:
        return
    for left in in_memory.left(place, _PREFIX):
        shutil.rmtree(left, ignore_errors=True)
    folder = config.stash[_folder] = pathlib.Path(tempfile.mkdtemp(prefix=_PREFIX, dir=place))
    in_memory.own(folder)
    config.option.basetemp = str(folder / "of_pytest")


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Removes them, but for what failed tests have left: that stays until the next run."""
    folder = session.config.stash.get(_folder, None)
    if folder is not None and exitstatus != pytest.ExitCode.TESTS_FAILED:
        shutil.rmtree(folder, ignore_errors=True)


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

    with postgres.server(within=in_memory.place()) as url:
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

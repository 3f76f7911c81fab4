"""Installations: of the crash tests one per database, reused until a test fails; and a town
with shops for each file that looks at both providers.

Owns making their databases and ending their processes. Called by pytest.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from deploy import stack
from tests import postgres, spread
from tests.e2e import databases, installation, shops


@pytest.fixture(scope=spread.scope, params=["sqlite", "postgresql"])
def keeper(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[installation.Keeper]:
    """Keeps one installation per database."""
    server = request.getfixturevalue("postgres_url") if request.param == "postgresql" else ""

    def make() -> installation.Installation:
        folder = tmp_path_factory.mktemp("installation")
        urls = {}
        for name in (stack.PAYMENTS, stack.GATEWAY):
            if server:
                urls[name] = postgres.with_database(server, f"{name}_{installation.new_name()}")
            else:
                urls[name] = databases.sqlite_url(folder, name)
            databases.remake(urls[name])
        return installation.Installation(folder, urls)

    kept = installation.Keeper(make)
    yield kept
    kept.stop()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[shops.Town]:
    """Runs everything once; what it has told and printed must hold in the end."""
    with shops.running(tmp_path_factory.mktemp("rows")) as town:
        asyncio.run(shops.found(town))
        yield town
        town.check()


@pytest_asyncio.fixture(params=shops.PROVIDERS)
async def shop(request: pytest.FixtureRequest, running: shops.Town) -> AsyncIterator[shops.Shop]:
    """The shop of each provider in turn."""
    async with shops.opened(running, request.param) as opened:
        yield opened

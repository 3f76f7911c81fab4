"""Installations of the crash tests: one per database, reused until a test fails.

Owns making their databases and ending their processes. Called by pytest.
"""

from collections.abc import Iterator

import pytest

from deploy import stack
from tests import postgres, spread
from tests.e2e import databases, installation


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

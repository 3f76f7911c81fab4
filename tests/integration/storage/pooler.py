"""Poolers before PostgreSQL: PgBouncer where it is installed, and one that shares a connection.

Owns their processes and sockets. Called by tests of what a pooler takes away. The one of our own
knows of the protocol what handing on takes, and greets each client with a number of its own.
"""

import asyncio
import contextlib
import os
import pathlib
import shutil
import socket
import struct
import subprocess
from collections.abc import AsyncIterator, Iterator

import psycopg
from psycopg import conninfo

from tests import polling

BOUNCER = shutil.which("pgbouncer")
# What a client asks before it greets: whether the connection is to be encrypted.
_ENCRYPTION = (80877103, 80877104)


@contextlib.contextmanager
def bouncer(url: str, folder: pathlib.Path, *, pool_mode: str) -> Iterator[str]:
    """Runs PgBouncer with *pool_mode*, else as it comes; yields its URL."""
    there = conninfo.conninfo_to_dict(url)
    host = pathlib.Path(str(there["host"]))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = folder / "pgbouncer.ini"
    settings.write_text(
        f"[databases]\n* = host={host} port={there.get('port') or 5432} user={there['user']}\n"
        f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n"
        f"auth_type = any\npool_mode = {pool_mode}\n"
    )
    # It refuses to be root, and only the server's own user may reach its socket.
    owner = host.stat().st_uid if os.geteuid() == 0 and host.is_absolute() else None
    with settings.open() as ini:
        running = subprocess.Popen(
            [str(BOUNCER), "-q", f"/proc/self/fd/{ini.fileno()}"],
            user=owner,
            pass_fds=[ini.fileno()],
            stderr=subprocess.DEVNULL,
        )
    try:
        pooled = _pooled(url, port)
        asyncio.run(polling.until(lambda: _answers(pooled)))
        yield pooled
    finally:
        running.kill()
        running.wait()


@contextlib.asynccontextmanager
async def sharing(url: str) -> AsyncIterator[str]:
    """Runs a pooler whose clients share one connection by transactions; yields its URL."""
    pooler = _Sharing(url)
    server = await asyncio.start_server(pooler.connected, "127.0.0.1", 0)
    try:
        yield _pooled(url, server.sockets[0].getsockname()[1])
    finally:
        server.close()
        await pooler.close()


class _Sharing:
    def __init__(self, url: str) -> None:
        self._there = conninfo.conninfo_to_dict(url)
        self._turn = asyncio.Lock()
        self._server: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._greeting: list[bytes] = []
        self._greeted = 0

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            hello = await _hello(reader, writer)
            async with self._turn:
                if self._server is None:
                    await self._connect(hello)
            writer.write(self._greet())
            while (message := await _message(reader))[:1] != b"X":
                async with self._turn:
                    await self._transaction(message, reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def close(self) -> None:
        if self._server is not None:
            self._server[1].close()
            await self._server[1].wait_closed()

    async def _connect(self, hello: bytes) -> None:
        host, port = str(self._there["host"]), int(self._there.get("port") or 5432)
        if host.startswith("/"):
            self._server = await asyncio.open_unix_connection(f"{host}/.s.PGSQL.{port}")
        else:
            self._server = await asyncio.open_connection(host, port)
        self._server[1].write(hello)
        while not self._greeting or self._greeting[-1][:1] != b"Z":
            self._greeting.append(await _message(self._server[0]))

    def _greet(self) -> bytes:
        self._greeted += 1
        key = b"K" + struct.pack("!iii", 12, self._greeted, 0)
        return b"".join(key if each[:1] == b"K" else each for each in self._greeting)

    async def _transaction(
        self, message: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Passes on *message* and what comes until no transaction is open any more."""
        assert self._server is not None
        while True:
            self._server[1].write(message)
            while message[:1] in b"QS" and (answer := await _message(self._server[0])):
                writer.write(answer)
                if answer[:1] == b"Z":
                    if answer[-1:] == b"I":
                        return
                    break
            message = await _message(reader)


async def _hello(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    while True:
        length, code = struct.unpack("!ii", head := await reader.readexactly(8))
        if code not in _ENCRYPTION:
            return head + await reader.readexactly(length - 8)
        writer.write(b"N")


async def _message(reader: asyncio.StreamReader) -> bytes:
    _, length = struct.unpack("!ci", head := await reader.readexactly(5))
    return head + await reader.readexactly(length - 4)


def _pooled(url: str, port: int) -> str:
    there = conninfo.conninfo_to_dict(url)
    return f"postgresql://{there['user']}@127.0.0.1:{port}/{there['dbname']}"


def _answers(url: str) -> bool:
    try:
        psycopg.connect(url).close()
    except psycopg.OperationalError:
        return False
    return True

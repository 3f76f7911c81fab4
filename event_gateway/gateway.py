"""What the gateway's commands do: serve, and what operators do while nothing serves.

Owns opening the log's database and closing it. Called by `__main__`, and by tests that
run a gateway in their own process. Never reads the environment.
"""

import asyncio
import contextlib
import functools
import pathlib
import secrets
import socket

from event_gateway import composition, cursor
from event_gateway import settings as settings_module
from event_gateway.consumers import groups
from event_gateway.db import consumers, epoch, read, webhooks
from event_gateway.webhooks_out import secrets as webhook_secrets
from servicekit import encryption_keys, errors, logs, metrics, server, storage, tls

MIGRATIONS = pathlib.Path(__file__).parent / "db" / "migrations"

_log = logs.get_logger(__name__)


async def open_log(settings: settings_module.Settings, *, pool_size: int) -> storage.Database:
    """Opens the database of the log.

    Raises:
        storage.StorageError: It can't be opened, or lacks migrations.
    """
    url = settings.database_url.get_secret_value()
    await asyncio.to_thread(
        storage.check_migrated, url, MIGRATIONS, command="python -m event_gateway migrate"
    )
    return await storage.open_database(url, pool_size=pool_size)


async def serve(settings: settings_module.Settings) -> int:
    """Serves until SIGTERM; returns the exit status.

    Raises:
        encryption_keys.KeyProblem: The file of keys for the secrets of endpoints is of no use.
        storage.StorageError: The database can't be opened, or lacks migrations.
    """
    vault = composition.vault(settings)
    if settings.migrates:
        url = settings.database_url.get_secret_value()
        await asyncio.to_thread(storage.migrate_at_start, url, MIGRATIONS)
    registry = metrics.Metrics()
    database = await open_log(settings, pool_size=settings.database_pool_size)
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(database.close)
        dialer = tls.dialer(settings.tls_files)
        channel = dialer.dial(settings.keys_endpoint, server.CHANNEL_OPTIONS)
        stack.push_async_callback(channel.close)
        state = await database.read(read.state)
        await _tell_unreadable(database, vault)
        await database.write(consumers.adopt_orphans)
        time, timing = await storage.shared_clock(database)
        log = composition.make_log(settings, database, state, registry, time=time)
        parts = composition.assemble(log, channel, vault, dialer)
        for close in reversed(parts.closing):
            stack.push_async_callback(close)

        async def ready() -> None:
            await database.read(read.state)

        return await server.serve(
            settings=settings,
            service_name=composition.SERVICE,
            servicers=parts.servicers,
            reflection_names=composition.SERVICES,
            interceptors=[parts.pipeline],
            background=[*timing, *parts.background],
            on_drain=parts.on_drain,
            on_serving=functools.partial(_tell_endpoint, settings, log.running),
            registry=registry,
            ready_checks={"event_log": ready},
        )


async def begin_epoch(settings: settings_module.Settings) -> str:
    """Gives the log a new epoch and returns it.

    For a log restored from a backup: without it, cursors of the events that were lost
    would be taken for places of the events appended since.

    Raises:
        storage.StorageError: The database can't be opened, or lacks migrations.
    """
    database = await open_log(settings, pool_size=2)
    try:
        fresh = secrets.randbits(32)
        return cursor.epoch_text(await database.write(lambda conn: epoch.begin(conn, fresh)))
    finally:
        await database.close()


async def rotate_encryption_key(settings: settings_module.Settings) -> int:
    """Encrypts the secrets of every webhook endpoint under the newest key; returns how many.

    Raises:
        encryption_keys.KeyProblem: The file of keys is of no use, or no key opens a secret.
        storage.StorageError: The database can't be opened, or lacks migrations.
    """
    vault = composition.vault(settings)
    database = await open_log(settings, pool_size=2)
    try:
        count, after = 0, ("", "")
        while found := await database.write(
            functools.partial(webhooks.seal_anew, after=after, sealed=vault.renewed)
        ):
            count, after = count + len(found), found[-1]
        return count
    except errors.RpcError as refusal:
        raise encryption_keys.KeyProblem(refusal.message) from None
    finally:
        await database.close()


async def _tell_unreadable(database: storage.Database, vault: webhook_secrets.Vault) -> None:
    """Says which secrets no key opens. The log is served all the same: the way out is a call."""
    unreadable: list[str] = []
    after = ("", "")
    while found := await database.read(functools.partial(webhooks.sealed, after=after)):
        unreadable += [each for _, each, held in found if not vault.opens(each, held)]
        after = found[-1][:2]
    if unreadable:
        _log.error(
            "secrets of webhook endpoints open with none of the keys, and nothing is sent there. "
            f"Add the key they were written with to {webhook_secrets.VARIABLE}, after the newest "
            "one; if it is lost, their tenants make new secrets, without an overlap",
            count=len(unreadable),
            endpoint_ids=unreadable[:3],
        )


def _tell_endpoint(
    settings: settings_module.Settings, running: groups.Groups, address: str
) -> None:
    """Gives consumers the address under which other replicas reach this one."""
    running.endpoint = settings.advertised_endpoint or _reachable(address)


def _reachable(address: str) -> str:
    """Returns where other hosts reach what listens at *address*."""
    host, _, port = address.rpartition(":")
    if host in ("0.0.0.0", "[::]"):
        return f"{socket.gethostname()}:{port}"
    return address

"""The gateway's parts, put together.

Owns which part is given to which. Called by `__main__` and by tests that run a
gateway in their own process. Never reads the environment.
"""

import asyncio
import contextlib
import functools
import os
import pathlib
import secrets
import socket

import grpc
import grpc.aio
from google.protobuf.message import Message
from payhub.events.v1 import event_admin_service_pb2_grpc, event_ingest_service_pb2_grpc
from payhub.events.v1 import event_ingest_service_pb2 as ingest_pb
from payhub.events.v1 import event_stream_service_pb2 as stream_pb

from event_gateway import (
    access,
    appender,
    cursor,
    hub,
    places,
    problems,
    retention,
    revocation,
    tail,
    window,
)
from event_gateway import (
    settings as settings_module,
)
from event_gateway.api import admin, consumer_admin, ingest, queries, stream, webhooks
from event_gateway.api import consumers as consuming
from event_gateway.consumers import forwarding, source
from event_gateway.consumers import groups as consumer_groups
from event_gateway.db import consumers, epoch, read, rows
from event_gateway.db import webhooks as endpoints
from event_gateway.webhooks_out import pool, sender, worker
from event_gateway.webhooks_out import secrets as webhook_secrets
from servicekit import auth, clock, errors, metrics, rpc, server, storage, validation
from servicekit.storage import notices

MIGRATIONS = pathlib.Path(__file__).parent / "db" / "migrations"

INGEST_SERVICE = ingest_pb.DESCRIPTOR.services_by_name["EventIngestService"].full_name
SERVICES = (stream.SERVICE, INGEST_SERVICE, admin.SERVICE, consuming.SERVICE, webhooks.SERVICE)


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
        storage.StorageError: The database can't be opened, or lacks migrations.
    """
    url = settings.database_url.get_secret_value()
    if settings.migrates:
        await asyncio.to_thread(storage.migrate, url, MIGRATIONS)
    time = clock.SystemClock()
    registry = metrics.Metrics()
    database = await open_log(settings, pool_size=settings.database_pool_size)
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(database.close)
        channel = grpc.aio.insecure_channel(
            settings.keys_endpoint, options=list(server.CHANNEL_OPTIONS)
        )
        stack.push_async_callback(channel.close)
        state = await database.read(read.state)
        await database.write(consumers.adopt_orphans)
        log = window.Window(
            bytes_max=settings.window_bytes, head=state.head, head_us=state.head_append_us
        )
        streams = hub.Hub(
            log,
            tick_s=settings.tick_ms / 1000,
            streams_per_tenant_max=settings.streams_per_tenant_max,
            stall_s=settings.stall_timeout_s,
        )
        origin = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
        running = consumer_groups.Groups(
            source.Surroundings(
                database=database,
                log=log,
                time=time,
                reads=asyncio.Semaphore(settings.catch_up_reads_max),
            ),
            owner=origin,
            lease_s=settings.consumer_lease_s,
        )

        def news() -> None:
            streams.news()
            running.news()

        def changed(now: read.State) -> None:
            streams.changed(now)
            running.changed(now)

        follow = tail.Tail(
            database,
            log,
            epoch=state.epoch,
            on_growth=news,
            on_change=changed,
            erasures=state.erasures,
        )
        writer = appender.Appender(
            database,
            log,
            on_growth=news,
            on_hole=follow.kick,
            time=time,
            origin=origin,
        )
        checked = places.Places(
            database,
            log,
            follow,
            epoch=state.epoch,
            ahead_wait_s=settings.cursor_ahead_wait_s,
            time=time,
        )
        keys = access.KeyService(channel)
        rules = access.Rules(SERVICES)
        gate = access.Gate(rules, auth.KeyCache(keys.introspect, ttl_s=settings.key_cache_ttl_s))
        rechecks = [
            revocation.Recheck(holder, keys.introspect, every_s=settings.key_recheck_s)
            for holder in (streams, running)
        ]
        subscribe = stream.Streams(
            checked,
            streams,
            stream.Settings(
                age_max_s=settings.stream_age_max_s,
                reads_max=settings.catch_up_reads_max,
                reconnect_spread_s=settings.reconnect_spread_s,
                retention_s=settings.retention_s,
            ),
            time=time,
            registry=registry,
        )
        pages = queries.Queries(
            checked,
            queries.Keeping(retention_s=settings.retention_s, dedup_s=settings.dedup_s),
        )
        publish = ingest.IngestServicer(writer, validate=validation.validate, registry=registry)
        operate = admin.AdminServicer(
            subscribe, streams, checked, on_erased=follow.refresh_anew, name=origin, time=time
        )
        tidy = retention.Retention(
            database,
            _policy(settings),
            floor=lambda: database.read(consumers.lowest_floor),
            kick=follow.kick,
            every_s=settings.retention_every_s,
            time=time,
        )
        forward = forwarding.Forwarder()
        stack.push_async_callback(forward.close)
        members = consuming.Consuming(
            running, forward, time=time, members_per_tenant_max=settings.streams_per_tenant_max
        )
        manage = consumer_admin.Administration(
            checked,
            running,
            time=time,
            kept_s=settings.retention_s * settings.retention_for_consumers,
        )
        around = worker.Surroundings(
            database=database,
            send=sender.Sender(private=settings.webhook_private_targets, time=time),
            vault=webhook_secrets.Vault(_encryption_keys(settings)),
            time=time,
            disable_after_s=settings.webhook_disable_after_s,
            on_event=follow.kick,
            counter=registry.counter(
                "payhub_gateway_webhook_attempts_total",
                "Webhooks sent, by what came of them.",
                ("outcome",),
            ),
        )
        stack.push_async_callback(around.send.close)
        sending = pool.Pool(around, running, log_s=settings.webhook_log_s)
        hooks = webhooks.Webhooks(
            around,
            checked,
            running,
            sending,
            plain_http=settings.webhook_plain_http,
            private=settings.webhook_private_targets,
        )
        _watch(registry, log, running)
        registry.gauge("payhub_gateway_webhooks", "Endpoints sent to from here.").set_function(
            lambda: sending.count
        )

        async def close_streams(stop: asyncio.Event) -> None:
            await stop.wait()
            streams.close_all(stream_pb.Notice.Closing.REASON_DRAINING)

        async def hear(stop: asyncio.Event) -> None:
            if database.dialect == "postgresql":
                await notices.listen(
                    url,
                    rows.CHANNEL,
                    lambda heard: follow.kick() if heard != origin else None,
                    stop,
                    on_connected=follow.kick,
                )

        def listening(address: str) -> None:
            running.endpoint = settings.advertised_endpoint or _reachable(address)

        async def ready() -> None:
            await database.read(read.state)

        return await server.serve(
            settings=settings,
            service_name="event_gateway",
            servicers=[
                lambda grpc_server: stream.register(grpc_server, subscribe, pages),
                lambda grpc_server: consumer_admin.register(grpc_server, members, manage),
                lambda grpc_server: webhooks.register(grpc_server, hooks),
                lambda grpc_server: (
                    event_ingest_service_pb2_grpc.add_EventIngestServiceServicer_to_server(
                        publish, grpc_server
                    )
                ),
                lambda grpc_server: (
                    event_admin_service_pb2_grpc.add_EventAdminServiceServicer_to_server(
                        operate, grpc_server
                    )
                ),
            ],
            reflection_names=SERVICES,
            interceptors=[
                rpc.Pipeline(
                    service="event_gateway",
                    authenticate=gate.authenticate,
                    validate=_validate,
                    metrics=registry,
                    max_deadline=rules.max_deadline_s,
                    translate=problems.from_exception,
                )
            ],
            background=[
                close_streams,
                follow.run,
                running.run,
                sending.run,
                *(recheck.run for recheck in rechecks),
                tidy.run,
                hear,
            ],
            on_drain=[sending.drain, running.drain, writer.drain],
            on_serving=listening,
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
        webhook_secrets.KeyProblem: A key is malformed, or one does not open with any.
        storage.StorageError: The database can't be opened, or lacks migrations.
    """
    vault = webhook_secrets.Vault(_encryption_keys(settings))
    database = await open_log(settings, pool_size=2)
    try:
        count, after = 0, ("", "")
        while found := await database.write(
            functools.partial(endpoints.seal_anew, after=after, sealed=vault.renewed)
        ):
            count, after = count + len(found), found[-1]
        return count
    except errors.RpcError as refusal:
        raise webhook_secrets.KeyProblem(refusal.message) from None
    finally:
        await database.close()


def _validate(message: Message) -> None:
    """Checks requests; a batch to publish is checked event by event, by its servicer."""
    if not isinstance(message, ingest_pb.PublishEventsRequest):
        validation.validate(message)


def _policy(settings: settings_module.Settings) -> retention.Policy:
    return retention.Policy(
        age_s=settings.retention_s,
        size_bytes=settings.retention_bytes,
        for_consumers=settings.retention_for_consumers,
        dedup_s=settings.dedup_s,
        lead_s=settings.retention_lead_s,
    )


def _encryption_keys(settings: settings_module.Settings) -> list[str]:
    text = settings.encryption_keys
    return webhook_secrets.find_keys(
        text.get_secret_value() if text else None, settings.encryption_key_file
    )


def _reachable(address: str) -> str:
    """Returns where other hosts reach what listens at *address*."""
    host, _, port = address.rpartition(":")
    if host in ("0.0.0.0", "[::]"):
        return f"{socket.gethostname()}:{port}"
    return address


def _watch(registry: metrics.Metrics, log: window.Window, running: consumer_groups.Groups) -> None:
    registry.gauge("payhub_gateway_consumers", "Consumers that run here.").set_function(
        lambda: running.count
    )
    registry.gauge("payhub_gateway_members", "Members of consumers here.").set_function(
        lambda: len(running.streams)
    )
    registry.gauge("payhub_gateway_head_position", "Newest event in the window.").set_function(
        lambda: log.head
    )
    registry.gauge("payhub_gateway_window_bytes", "Memory of the window.").set_function(
        lambda: log.size_bytes
    )

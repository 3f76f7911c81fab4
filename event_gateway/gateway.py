"""The gateway's parts, put together.

Owns which part is given to which. Called by `__main__` and by tests that run a
gateway in their own process. Never reads the environment.
"""

import asyncio
import contextlib
import pathlib
import secrets

import grpc
import grpc.aio
from google.protobuf.message import Message
from payhub.events.v1 import event_ingest_service_pb2 as ingest_pb
from payhub.events.v1 import event_ingest_service_pb2_grpc
from payhub.events.v1 import event_stream_service_pb2 as stream_pb

from event_gateway import (
    access,
    appender,
    cursor,
    hub,
    problems,
    revocation,
    tail,
    window,
)
from event_gateway import (
    settings as settings_module,
)
from event_gateway.api import ingest, queries, stream
from event_gateway.db import epoch, read
from servicekit import auth, clock, metrics, rpc, server, storage, validation

MIGRATIONS = pathlib.Path(__file__).parent / "db" / "migrations"

INGEST_SERVICE = ingest_pb.DESCRIPTOR.services_by_name["EventIngestService"].full_name
SERVICES = (stream.SERVICE, INGEST_SERVICE)


class SchemaOutdated(Exception):
    """The database lacks migrations that this version needs."""


async def check_schema(database: storage.Database) -> None:
    """Checks that the database is migrated far enough; a newer schema is none of ours to judge.

    Raises:
        SchemaOutdated: It is not.
    """
    found = await database.read(read.schema_revision)
    needed = storage.head_revision(MIGRATIONS)
    if found < needed:
        raise SchemaOutdated(
            f"the database is at revision {found or 'none'} and this version needs {needed}: "
            "run `python -m event_gateway migrate`"
        )


async def serve(settings: settings_module.Settings) -> int:
    """Serves until SIGTERM; returns the exit status.

    Raises:
        SchemaOutdated: The database needs a migration first.
        storage.StorageError: The database can't be opened.
    """
    url = settings.database_url.get_secret_value()
    if settings.migrates:
        await asyncio.to_thread(storage.migrate, url, MIGRATIONS)
    time = clock.SystemClock()
    registry = metrics.Metrics()
    database = await storage.open_database(url, pool_size=settings.database_pool_size)
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(database.close)
        channel = grpc.aio.insecure_channel(
            settings.keys_endpoint, options=list(server.CHANNEL_OPTIONS)
        )
        stack.push_async_callback(channel.close)
        await check_schema(database)
        state = await database.read(read.state)
        log = window.Window(bytes_max=settings.window_bytes, head=state.head)
        streams = hub.Hub(
            log,
            tick_s=settings.tick_ms / 1000,
            streams_per_tenant_max=settings.streams_per_tenant_max,
        )
        follow = tail.Tail(database, log, epoch=state.epoch, on_growth=streams.news)
        writer = appender.Appender(
            database, log, on_growth=streams.news, on_hole=follow.kick, time=time
        )
        places = queries.Places(database, log, follow, epoch=state.epoch)
        keys = access.KeyService(channel)
        rules = access.Rules(SERVICES)
        gate = access.Gate(rules, auth.KeyCache(keys.introspect, ttl_s=settings.key_cache_ttl_s))
        recheck = revocation.Recheck(streams, keys.introspect, every_s=settings.key_recheck_s)
        subscribe = stream.Streams(
            places,
            streams,
            age_max_s=settings.stream_age_max_s,
            reads_max=settings.catch_up_reads_max,
            reconnect_spread_s=settings.reconnect_spread_s,
            time=time,
            registry=registry,
        )
        pages = queries.Queries(places)
        publish = ingest.IngestServicer(writer, validate=validation.validate, registry=registry)
        _watch(registry, log)

        async def close_streams(stop: asyncio.Event) -> None:
            await stop.wait()
            streams.close_all(stream_pb.Notice.Closing.REASON_DRAINING)

        async def ready() -> None:
            await database.read(read.state)

        return await server.serve(
            settings=settings,
            service_name="event_gateway",
            servicers=[
                lambda grpc_server: stream.register(grpc_server, subscribe, pages),
                lambda grpc_server: (
                    event_ingest_service_pb2_grpc.add_EventIngestServiceServicer_to_server(
                        publish, grpc_server
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
            background=[close_streams, follow.run, recheck.run],
            on_drain=[writer.drain],
            registry=registry,
            ready_checks={"event_log": ready},
        )


async def begin_epoch(settings: settings_module.Settings) -> str:
    """Gives the log a new epoch and returns it.

    For a log restored from a backup: without it, cursors of the events that were lost
    would be taken for places of the events appended since.

    Raises:
        SchemaOutdated: There is no log.
        storage.StorageError: The database can't be opened.
    """
    database = await storage.open_database(settings.database_url.get_secret_value(), pool_size=2)
    try:
        await check_schema(database)
        fresh = secrets.randbits(32)
        return cursor.epoch_text(await database.write(lambda conn: epoch.begin(conn, fresh)))
    finally:
        await database.close()


def _validate(message: Message) -> None:
    """Checks requests; a batch to publish is checked event by event, by its servicer."""
    if not isinstance(message, ingest_pb.PublishEventsRequest):
        validation.validate(message)


def _watch(registry: metrics.Metrics, log: window.Window) -> None:
    registry.gauge("payhub_gateway_head_position", "Newest event in the window.").set_function(
        lambda: log.head
    )
    registry.gauge("payhub_gateway_window_bytes", "Memory of the window.").set_function(
        lambda: log.size_bytes
    )

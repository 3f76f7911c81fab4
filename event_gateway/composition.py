"""How the parts of the gateway are put together.

Owns the object graph, and nothing that happens later. Called by `gateway` with an open
database. Never reads the environment, connects or writes anything.
"""

import asyncio
import os
import secrets
import socket
from dataclasses import dataclass

import grpc.aio
from google.protobuf.message import Message
from payhub.events.v1 import (
    event_admin_service_pb2_grpc,
    event_ingest_service_pb2,
    event_ingest_service_pb2_grpc,
    event_stream_service_pb2,
)

from event_gateway import (
    access,
    appender,
    hub,
    places,
    problems,
    retention,
    revocation,
    tail,
    watching,
    window,
)
from event_gateway import settings as settings_module
from event_gateway.api import admin, consumer_admin, ingest, queries, stream, webhooks
from event_gateway.api import consumers as consuming
from event_gateway.consumers import forwarding, source
from event_gateway.consumers import groups as consumer_groups
from event_gateway.db import lag, read, rows
from event_gateway.webhooks_out import pool, sender, worker
from event_gateway.webhooks_out import secrets as webhook_secrets
from servicekit import auth, clock, interceptor, metrics, server, storage, tls, validation

SERVICE = "event_gateway"
INGEST_SERVICE = event_ingest_service_pb2.DESCRIPTOR.services_by_name[
    "EventIngestService"
].full_name
SERVICES = (stream.SERVICE, INGEST_SERVICE, admin.SERVICE, consuming.SERVICE, webhooks.SERVICE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """The log as this process serves it, which every API stands on.

    Attributes:
        origin: Names this process to others on the same log.
        window: Its newest events.
        streams: Open Subscribe streams.
        running: Consumers that run in this process.
        tail: Follows what other processes append.
        writer: Appends.
        places: Checks where readers begin.
    """

    settings: settings_module.Settings
    database: storage.Database
    time: clock.Clock
    registry: metrics.Metrics
    origin: str
    window: window.Window
    streams: hub.Hub
    running: consumer_groups.Groups
    tail: tail.Tail
    writer: appender.Appender
    places: places.Places


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What a serving process runs.

    Attributes:
        servicers: Register one API each.
        background: Run from the start to the end.
        on_drain: What has to end well once no call is under way, in order.
        closing: What was opened, in the order to close it.
    """

    pipeline: interceptor.Pipeline
    servicers: tuple[server.Registrar, ...]
    background: tuple[server.Background, ...]
    on_drain: tuple[server.Step, ...]
    closing: tuple[server.Step, ...]


def make_log(
    settings: settings_module.Settings,
    database: storage.Database,
    state: read.State,
    registry: metrics.Metrics,
    *,
    time: clock.Clock,
) -> Log:
    """Returns the log around an open database that was in *state*."""
    seen = window.Window(
        bytes_max=settings.window_bytes, head=state.head, head_us=state.head_append_us
    )
    streams = hub.Hub(
        seen,
        tick_s=settings.tick_ms / 1000,
        streams_per_tenant_max=settings.streams_per_tenant_max,
        stall_s=settings.stall_timeout_s,
    )
    origin = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
    around = source.Surroundings(
        database=database,
        log=seen,
        epoch=state.epoch,
        time=time,
        reads=asyncio.Semaphore(settings.catch_up_reads_max),
    )
    running = consumer_groups.Groups(
        around,
        owner=origin,
        lease_s=settings.consumer_lease_s,
        on_event=lambda: follow.kick(),
    )

    def news() -> None:
        streams.news()
        running.news()

    def changed(now: read.State) -> None:
        streams.changed(now)
        running.changed(now)

    follow = tail.Tail(
        database,
        seen,
        epoch=state.epoch,
        on_growth=news,
        on_change=changed,
        erasures=state.erasures,
    )
    return Log(
        settings=settings,
        database=database,
        time=time,
        registry=registry,
        origin=origin,
        window=seen,
        streams=streams,
        running=running,
        tail=follow,
        writer=appender.Appender(
            database, seen, on_growth=news, on_hole=follow.kick, time=time, origin=origin
        ),
        places=places.Places(
            database,
            seen,
            follow,
            epoch=state.epoch,
            ahead_wait_s=settings.cursor_ahead_wait_s,
            time=time,
        ),
    )


def assemble(
    log: Log, channel: grpc.aio.Channel, vault: webhook_secrets.Vault, dialer: tls.Dialer
) -> Parts:
    """Returns the parts of a serving process.

    Args:
        log: What it serves.
        channel: To the service that knows keys.
        vault: Opens the secrets of webhook endpoints.
        dialer: How other replicas are called.
    """
    settings = log.settings
    keys = access.KeyService(channel)
    forward = forwarding.Forwarder(dialer)
    around = _around_webhooks(log, vault)
    sending = pool.Pool(around, log.running, log_s=settings.webhook_log_s)
    rechecks = [
        revocation.Recheck(holder, keys.introspect, every_s=settings.key_recheck_s)
        for holder in (log.streams, log.running)
    ]
    _watch(log, sending)
    return Parts(
        pipeline=_pipeline(log, keys),
        servicers=(
            *_stream_apis(log),
            _ingest_api(log),
            _consumer_api(log, forward),
            _webhook_api(log, around, sending),
        ),
        background=(
            _closing_streams(log),
            log.tail.run,
            log.running.run,
            forward.run,
            sending.run,
            *(recheck.run for recheck in rechecks),
            _retention(log).run,
            watching.Watch(log.database, lambda: log.window.head, log.registry).run,
            _hearing(log),
        ),
        on_drain=(sending.drain, log.running.drain, log.writer.drain),
        closing=(around.send.close, forward.close),
    )


def vault(settings: settings_module.Settings) -> webhook_secrets.Vault:
    """Returns what encrypts the secrets of webhook endpoints.

    Raises:
        encryption_keys.KeyProblem: The file of its keys is of no use.
    """
    text = settings.encryption_keys
    keys = webhook_secrets.find_keys(
        text.get_secret_value() if text else None, settings.encryption_key_file
    )
    return webhook_secrets.Vault(keys)


def _pipeline(log: Log, keys: access.KeyService) -> interceptor.Pipeline:
    rules = access.Rules(SERVICES)
    cache = auth.KeyCache(keys.introspect, ttl_s=log.settings.key_cache_ttl_s)
    return interceptor.Pipeline(
        authenticate=access.Gate(rules, cache).authenticate,
        validate=_validate,
        metrics=log.registry,
        max_deadline=rules.max_deadline_s,
        translate=problems.from_exception,
    )


def _stream_apis(log: Log) -> tuple[server.Registrar, server.Registrar]:
    """Returns the API of readers, and that of operators, who see open streams."""
    settings = log.settings
    subscribe = stream.Streams(
        log.places,
        log.streams,
        stream.Settings(
            age_max_s=settings.stream_age_max_s,
            reads_max=settings.catch_up_reads_max,
            reconnect_spread_s=settings.reconnect_spread_s,
            retention_s=settings.retention_s,
        ),
        time=log.time,
        registry=log.registry,
    )
    pages = queries.Queries(
        log.places, queries.Keeping(retention_s=settings.retention_s, dedup_s=settings.dedup_s)
    )
    operate = admin.AdminServicer(
        subscribe,
        log.streams,
        log.places,
        on_erased=log.tail.refresh_anew,
        name=log.origin,
        time=log.time,
    )
    add_admin = event_admin_service_pb2_grpc.add_EventAdminServiceServicer_to_server
    return (
        lambda grpc_server: stream.register(grpc_server, subscribe, pages),
        lambda grpc_server: add_admin(operate, grpc_server),
    )


def _ingest_api(log: Log) -> server.Registrar:
    publish = ingest.IngestServicer(log.writer, validate=validation.validate, registry=log.registry)
    add = event_ingest_service_pb2_grpc.add_EventIngestServiceServicer_to_server
    return lambda grpc_server: add(publish, grpc_server)


def _consumer_api(log: Log, forward: forwarding.Forwarder) -> server.Registrar:
    settings = log.settings
    members = consuming.Consuming(
        log.running,
        forward,
        catch_up=log.tail.catch_up,
        time=log.time,
        members_per_tenant_max=settings.streams_per_tenant_max,
    )
    manage = consumer_admin.Administration(
        log.places,
        log.running,
        on_event=log.tail.kick,
        time=log.time,
        kept_s=settings.retention_s * settings.retention_for_consumers,
    )
    return lambda grpc_server: consumer_admin.register(grpc_server, members, manage)


def _webhook_api(log: Log, around: worker.Surroundings, sending: pool.Pool) -> server.Registrar:
    hooks = webhooks.Webhooks(
        around,
        log.places,
        log.running,
        sending,
        plain_http=log.settings.webhook_plain_http,
        private=log.settings.webhook_private_targets,
    )
    return lambda grpc_server: webhooks.register(grpc_server, hooks)


def _around_webhooks(log: Log, vault: webhook_secrets.Vault) -> worker.Surroundings:
    settings = log.settings
    return worker.Surroundings(
        database=log.database,
        send=sender.Sender(private=settings.webhook_private_targets, time=log.time),
        vault=vault,
        time=log.time,
        ageing=storage.Ageing(log.database, log.time, "webhook_log"),
        disable_after_s=settings.webhook_disable_after_s,
        on_event=log.tail.kick,
        counter=log.registry.counter(
            "payhub_gateway_webhook_attempts_total",
            "Webhooks sent, by what came of them.",
            ("outcome",),
        ),
    )


def _retention(log: Log) -> retention.Retention:
    settings = log.settings
    return retention.Retention(
        log.database,
        retention.Policy(
            age_s=settings.retention_s,
            size_bytes=settings.retention_bytes,
            for_consumers=settings.retention_for_consumers,
            dedup_s=settings.dedup_s,
            lead_s=settings.retention_lead_s,
        ),
        floor=lambda: log.database.read(lag.lowest_floor),
        kick=log.tail.kick,
        every_s=settings.retention_every_s,
        time=log.time,
    )


def _closing_streams(log: Log) -> server.Background:
    async def close_streams(stop: asyncio.Event) -> None:
        await stop.wait()
        log.streams.close_all(event_stream_service_pb2.Notice.Closing.REASON_DRAINING)

    return close_streams


def _hearing(log: Log) -> server.Background:
    """Returns what listens for appends of other processes, where the database tells them."""

    async def hear(stop: asyncio.Event) -> None:
        if log.database.dialect == "postgresql":
            from servicekit.storage import notices

            await notices.listen(
                log.settings.database_url.get_secret_value(),
                rows.CHANNEL,
                lambda heard: log.tail.kick() if heard != log.origin else None,
                stop,
                on_connected=log.tail.kick,
            )

    return hear


def _validate(message: Message) -> None:
    """Checks requests; a batch to publish is checked event by event, by its servicer."""
    if not isinstance(message, event_ingest_service_pb2.PublishEventsRequest):
        validation.validate(message)


def _watch(log: Log, sending: pool.Pool) -> None:
    for name, text, value in (
        ("payhub_gateway_consumers", "Consumers that run here.", lambda: log.running.count),
        ("payhub_gateway_members", "Members of consumers here.", lambda: len(log.running.streams)),
        ("payhub_gateway_head_position", "Newest event in the window.", lambda: log.window.head),
        ("payhub_gateway_window_bytes", "Memory of the window.", lambda: log.window.size_bytes),
        ("payhub_gateway_webhooks", "Endpoints sent to from here.", lambda: sending.count),
    ):
        log.registry.gauge(name, text).set_function(value)

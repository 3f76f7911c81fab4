"""ConsumerService: definitions, status, seeking and parked events.

Owns the checks of what operators ask for. Called by gRPC behind the pipeline. The
database decides; whoever runs the consumer takes over what changed.
"""

from collections.abc import Callable
from typing import Any

import grpc
import grpc.aio
from payhub.events.v1 import consumer_pb2
from payhub.events.v1 import consumer_service_pb2 as pb

from event_gateway import cursor, grants, places, problems, telling
from event_gateway.api import consumer_views, pages, queries
from event_gateway.api import consumers as consuming
from event_gateway.consumers import changes, definition, groups, place
from event_gateway.db import commands, consumers, lag, parking
from servicekit import auth, clock, errors, rpc, storage

CONSUMERS_MAX = 1_000
PAGE_SIZE_DEFAULT = 50
# One page of parked events, like one response of a stream.
PAGE_BYTES_MAX = 2 * 1024 * 1024
RESOLVED_MAX = 1_000

_Context = grpc.aio.ServicerContext[Any, Any]
_Resolution = pb.ResolveParkedEventsRequest


class Administration:
    """Serves what operators ask for.

    Args:
        checked: Checks start points.
        running: Told when a row has changed.
        on_event: Called after a transaction that appended to the log.
        time: For creation times.
        kept_s: How long the log keeps what a consumer has not dealt with, seconds; 0: for ever.
    """

    def __init__(
        self,
        checked: places.Places,
        running: groups.Groups,
        *,
        on_event: Callable[[], None],
        time: clock.Clock,
        kept_s: float = 0.0,
    ) -> None:
        self._on_event = on_event
        self._places = checked
        self._database = checked.database
        self._groups = running
        self._time = time
        self._kept_us = round(kept_s * 1e6)

    async def create(
        self, request: pb.CreateConsumerRequest, context: _Context
    ) -> pb.CreateConsumerResponse:
        """Makes a consumer, or finds an equal one."""
        principal: auth.Principal = rpc.current().principal
        made = definition.complete(request.consumer)
        if made.name.startswith(consuming.RESERVED):
            text = f"must not start with {consuming.RESERVED}"
            raise errors.invalid_field("consumer.name", text)
        queries.checked_tenants(principal, made.filter)
        made.filter.CopyFrom(grants.readable(principal, made.filter))
        encoded = definition.encode(made)
        try:
            floor = await self._places.position(made.start, "consumer.start")
        except errors.RpcError:
            # Where it began may be gone by now; it is asked for at every start all the same.
            found = await self._database.read(
                lambda conn: consumers.get(conn, principal.tenant_id, made.name)
            )
            if found is None or found.kind != changes.KIND or found.definition != encoded:
                raise
            return pb.CreateConsumerResponse(consumer=definition.shown(found))
        by = self._by(principal)

        def create(conn: storage.Connection) -> consumers.Stored:
            stored = consumers.get(conn, principal.tenant_id, made.name)
            if stored is None:
                if consumers.count(conn, principal.tenant_id) >= CONSUMERS_MAX:
                    raise errors.overloaded(
                        f"the tenant has {CONSUMERS_MAX} consumers already", retry_after_s=60.0
                    )
                stored = changes.make(conn, principal.tenant_id, made, floor=floor, by=by)
            stored = stored or consumers.get(conn, principal.tenant_id, made.name)
            if stored is None:
                raise errors.unavailable("another call deletes it; repeat this one")
            return stored

        stored = await self._database.write(create)
        self._told(principal, made.name)
        if stored.kind != changes.KIND or stored.definition != encoded:
            raise problems.consumer_exists(made.name)
        return pb.CreateConsumerResponse(consumer=definition.shown(stored))

    async def get(self, request: pb.GetConsumerRequest, context: _Context) -> Any:
        """Returns definition and status."""
        principal: auth.Principal = rpc.current().principal
        return await self._database.read(
            lambda conn: self._described(conn, _found(conn, principal, request.name))
        )

    async def list(
        self, request: pb.ListConsumersRequest, context: _Context
    ) -> pb.ListConsumersResponse:
        """Returns a page by name."""
        principal: auth.Principal = rpc.current().principal
        after = pages.decode_name(request.page_token)
        size = request.page_size or PAGE_SIZE_DEFAULT

        def page(conn: storage.Connection) -> pb.ListConsumersResponse:
            rows = consumers.page(
                conn, principal.tenant_id, changes.KIND, after=after, rows=size + 1
            )
            shown = [self._described(conn, each, lag.ROWS_EACH) for each in rows[:size]]
            token = pages.encode_name(rows[size - 1].name) if len(rows) > size else ""
            return pb.ListConsumersResponse(consumers=shown, next_page_token=token)

        return await self._database.read(page)

    async def update(
        self, request: pb.UpdateConsumerRequest, context: _Context
    ) -> pb.UpdateConsumerResponse:
        """Sets the fields in the mask."""
        principal: auth.Principal = rpc.current().principal
        given, paths = request.consumer, list(request.update_mask.paths)
        if not paths:
            raise errors.invalid_field("update_mask", "must name at least one field")
        if "filter" in paths:
            queries.checked_tenants(principal, given.filter)
            given.filter.CopyFrom(grants.readable(principal, given.filter))
        by = self._by(principal)

        def update(conn: storage.Connection) -> consumers.Stored:
            stored = _locked(conn, principal, given.name)
            definition.check_access(principal, definition.read(stored))
            before = consumer_pb2.Consumer.FromString(stored.definition)
            after = definition.change(before, given, paths)
            if after == before:
                return stored
            _check_etag(given.etag, stored)
            return changes.change(conn, stored, after, by=by)

        stored = await self._database.write(update)
        self._told(principal, given.name)
        return pb.UpdateConsumerResponse(consumer=definition.shown(stored))

    async def delete(
        self, request: pb.DeleteConsumerRequest, context: _Context
    ) -> pb.DeleteConsumerResponse:
        """Deletes a consumer, if there is one."""
        principal: auth.Principal = rpc.current().principal
        by = self._by(principal)

        def delete(conn: storage.Connection) -> None:
            stored = consumers.lock(conn, principal.tenant_id, pages.text(request.name))
            if stored is None or stored.kind != changes.KIND:
                return
            definition.check_access(principal, definition.read(stored))
            _check_etag(request.etag, stored)
            changes.delete(conn, stored, by=by)

        await self._database.write(delete)
        self._told(principal, request.name)
        return pb.DeleteConsumerResponse()

    async def seek(
        self, request: pb.SeekConsumerRequest, context: _Context
    ) -> pb.SeekConsumerResponse:
        """Moves the place, or says what that would do."""
        principal: auth.Principal = rpc.current().principal
        if not request.dry_run and not request.idempotency_key:
            raise errors.invalid_field("idempotency_key", "is needed unless dry_run is set")
        command = None
        if not request.dry_run:
            command = pages.command(principal, "SeekConsumer", request)
        try:
            floor = await self._places.position(request.target, "target")
        except errors.RpcError:
            before = await commands.answered(self._database, command) if command else None
            if before is None:
                raise
            return pb.SeekConsumerResponse.FromString(before)
        by = self._by(principal, request.idempotency_key)

        def seek(conn: storage.Connection) -> pb.SeekConsumerResponse:
            if command is not None:
                done = commands.recall(conn, command)
                if done is not None:
                    return pb.SeekConsumerResponse.FromString(done)
                stored = _locked(conn, principal, request.name)
            else:
                stored = _found(conn, principal, request.name)
            read_as = definition.read(stored)
            definition.check_access(principal, read_as)
            target = place.Place(floor)
            backlog = lag.backlog(conn, read_as.matcher.selection, target, retries=0)
            response = pb.SeekConsumerResponse(
                previous_cursor=cursor.encode(self._places.epoch, stored.floor),
                cursor=cursor.encode(self._places.epoch, floor),
                backlog=backlog.count,
            )
            if command is not None:
                changes.seek(conn, stored, floor, discard_parked=request.discard_parked, by=by)
                commands.keep(conn, command, response.SerializeToString())
            return response

        if request.dry_run:
            return await self._database.read(seek)
        try:
            response = await commands.carry_out(self._database, seek)
        except commands.KeyReused:
            raise problems.key_reused() from None
        self._told(principal, request.name)
        return response

    async def list_parked(
        self, request: pb.ListParkedEventsRequest, context: _Context
    ) -> pb.ListParkedEventsResponse:
        """Returns a page of what was set aside."""
        principal: auth.Principal = rpc.current().principal
        if request.filter.tenant_ids:
            raise errors.invalid_field("filter.tenant_ids", "must be empty")
        fingerprint = cursor.fingerprint(
            request.consumer.encode(), request.filter.SerializeToString(deterministic=True)
        )
        after = pages.position_of(request.page_token, fingerprint, otherwise=-1)
        size = request.page_size or PAGE_SIZE_DEFAULT

        def page(conn: storage.Connection) -> list[parking.Parked]:
            stored = _found(conn, principal, request.consumer)
            definition.check_access(principal, definition.read(stored))
            return parking.page(
                conn, principal.tenant_id, request.consumer, after=after, rows=size + 1
            )

        rows = await self._database.read(page)
        response = pb.ListParkedEventsResponse()
        room, last = PAGE_BYTES_MAX, after
        for each in rows[:size]:
            room -= len(each.event or b"")
            if room < 0 and last > after:
                break
            last = each.position
            shown = consumer_views.parked_event(each)
            if consumer_views.selected(request.filter, shown):
                response.parked_events.append(shown)
        if rows and last < rows[-1].position:
            response.next_page_token = cursor.encode_page(self._places.epoch, last, fingerprint)
        return response

    async def resolve(
        self, request: pb.ResolveParkedEventsRequest, context: _Context
    ) -> pb.ResolveParkedEventsResponse:
        """Puts parked events back or drops them."""
        principal: auth.Principal = rpc.current().principal
        if bool(request.positions) == request.all:
            raise errors.invalid_field("positions", "give positions, or all")
        again = request.resolution == _Resolution.RESOLUTION_RETRY
        by = self._by(principal)

        def resolve(conn: storage.Connection) -> pb.ResolveParkedEventsResponse:
            stored = _locked(conn, principal, request.consumer)
            definition.check_access(principal, definition.read(stored))
            which = (conn, principal.tenant_id, request.consumer)
            if request.all:
                chosen = parking.first(*which, rows=RESOLVED_MAX, again=again)
            else:
                chosen = parking.at(*which, set(request.positions))
            done = changes.resolve(conn, stored, chosen, again=again, by=by)
            left = bool(parking.page(*which, after=-1, rows=1, bare=True))
            return pb.ResolveParkedEventsResponse(
                resolved=len(done.positions),
                released=done.released,
                remaining=left and request.all,
            )

        response = await self._database.write(resolve)
        self._told(principal, request.consumer)
        return response

    def _told(self, principal: auth.Principal, name: str) -> None:
        """Wakes who runs the consumer, and who follows the log."""
        self._groups.poke(principal.tenant_id, name)
        self._on_event()

    def _by(self, principal: auth.Principal, key: str = "") -> telling.By:
        return pages.by(principal, self._time.now_us(), key)

    def _described(
        self,
        conn: storage.Connection,
        stored: consumers.Stored,
        rows_max: int = lag.ROWS_MAX,
    ) -> pb.GetConsumerResponse:
        return consumer_views.described(
            conn,
            stored,
            epoch=self._places.epoch,
            now_us=self._time.now_us(),
            kept_us=self._kept_us,
            rows_max=rows_max,
        )


def register(server: grpc.aio.Server, members: consuming.Consuming, admin: Administration) -> None:
    """Adds ConsumerService to *server*; what carries events is spliced, as in streams."""
    unary, spliced = grpc.unary_unary_rpc_method_handler, None
    handlers: dict[str, grpc.RpcMethodHandler[Any, Any]] = {
        "Consume": grpc.stream_stream_rpc_method_handler(
            members.consume, request_deserializer=pb.ConsumeRequest.FromString
        )
    }
    for name, behavior, serializer in (
        ("Fetch", members.fetch, spliced),
        ("Settle", members.settle, spliced),
        ("CreateConsumer", admin.create, pb.CreateConsumerResponse.SerializeToString),
        ("GetConsumer", admin.get, pb.GetConsumerResponse.SerializeToString),
        ("ListConsumers", admin.list, pb.ListConsumersResponse.SerializeToString),
        ("UpdateConsumer", admin.update, pb.UpdateConsumerResponse.SerializeToString),
        ("DeleteConsumer", admin.delete, pb.DeleteConsumerResponse.SerializeToString),
        ("SeekConsumer", admin.seek, pb.SeekConsumerResponse.SerializeToString),
        ("ListParkedEvents", admin.list_parked, pb.ListParkedEventsResponse.SerializeToString),
        (
            "ResolveParkedEvents",
            admin.resolve,
            pb.ResolveParkedEventsResponse.SerializeToString,
        ),
    ):
        message = pb.DESCRIPTOR.services_by_name["ConsumerService"].methods_by_name[name]
        request = getattr(pb, message.input_type.name)
        handlers[name] = unary(
            behavior, request_deserializer=request.FromString, response_serializer=serializer
        )
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler(consuming.SERVICE, handlers),)
    )


def _found(conn: storage.Connection, principal: auth.Principal, name: str) -> consumers.Stored:
    stored = consumers.get(conn, principal.tenant_id, pages.text(name))
    if stored is None or stored.kind != changes.KIND:
        raise errors.not_found("consumer", name)
    return stored


def _locked(conn: storage.Connection, principal: auth.Principal, name: str) -> consumers.Stored:
    stored = consumers.lock(conn, principal.tenant_id, pages.text(name))
    if stored is None or stored.kind != changes.KIND:
        raise errors.not_found("consumer", name)
    return stored


def _check_etag(given: str, stored: consumers.Stored) -> None:
    if given and given != str(stored.revision):
        raise problems.stale(given, str(stored.revision))

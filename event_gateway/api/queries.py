"""QueryEvents, GetEvent and GetLogInfo: the log as pages.

Owns paging and its tokens, and what is told about the log as a whole. Called by
gRPC behind the pipeline. Never follows the log.
"""

import dataclasses
from typing import Any

import grpc.aio
from payhub.events.v1 import event_pb2
from payhub.events.v1 import event_stream_service_pb2 as pb

from event_gateway import access, cursor, cutting, grants, matching, places, problems, splice
from event_gateway.db import read
from servicekit import auth, errors, rpc, storage

PAGE_SIZE_DEFAULT = 100
# One response, like one of a stream.
PAGE_BYTES_MAX = 2 * 1024 * 1024
# Reads per call: bounds what a filter that selects little may cost.
READS_MAX = 10

_Context = grpc.aio.ServicerContext[Any, Any]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Keeping:
    """How long the log keeps what, seconds; 0 is for ever."""

    retention_s: float = 0.0
    dedup_s: float = 0.0


class Queries:
    """Serves the unary methods of EventStreamService."""

    def __init__(self, checked: places.Places, keeping: Keeping) -> None:
        self._places = checked
        self._database = checked.database
        self._keeping = keeping

    async def query_events(self, request: pb.QueryEventsRequest, context: _Context) -> bytes:
        """Returns one page, spliced from stored bytes."""
        principal: auth.Principal = rpc.current().principal
        tenants = checked_tenants(principal, request.filter)
        spec = grants.readable(principal, request.filter)
        matcher = matching.Matcher(tenants, spec)
        query = _fingerprint(request, spec, tenants)
        after, text = await self._start(request, query)
        is_named = bool(request.page_token or request.after_cursor)
        size = request.page_size or PAGE_SIZE_DEFAULT
        chunks: list[bytes] = []
        count = 0
        room = PAGE_BYTES_MAX
        head = after
        for _ in range(READS_MAX):
            found = await self._read(matcher, after, events=size - count, room=room)
            if is_named:
                await self._places.check_kept(after, found.state, text)
            for part in found.parts:
                chunks.append(part.data)
                count += part.count
                room -= len(part.data)
            after, head = max(found.upto, found.state.oldest), found.state.head
            text, is_named = "", True
            if after >= head or count >= size or room <= PAGE_BYTES_MAX // 4:
                break
        token = cursor.encode_page(self._places.epoch, after, query) if after < head else ""
        trailer = pb.QueryEventsResponse(
            next_page_token=token, cursor=cursor.encode(self._places.epoch, after)
        )
        return splice.join(chunks, trailer.SerializeToString())

    async def get_event(self, request: pb.GetEventRequest, context: _Context) -> bytes:
        """Returns one event of the caller's tenant."""
        principal: auth.Principal = rpc.current().principal
        found = None
        if "\0" not in request.id:
            found = await self._database.read(
                lambda conn: read.event(conn, principal.tenant_id, request.id)
            )
        if found is None or not _may_read(principal, found[1]):
            raise errors.not_found("event", request.id)
        position, chunk = found
        trailer = pb.GetEventResponse(cursor=cursor.encode(self._places.epoch, position))
        return splice.join([chunk], trailer.SerializeToString())

    async def get_log_info(self, request: pb.GetLogInfoRequest, context: _Context) -> bytes:
        """Says what is kept and where the head is."""
        principal: auth.Principal = rpc.current().principal
        state, oldest_us, newest = await self._database.read(_whole)
        info = pb.GetLogInfoResponse(
            log_epoch=cursor.epoch_text(state.epoch),
            oldest_cursor=cursor.encode(state.epoch, state.oldest),
            head_cursor=cursor.encode(state.epoch, state.head),
            head_position=state.head,
            kept_events=state.head - state.oldest,
            kept_bytes=state.size_bytes,
        )
        if state.head_append_us:
            info.head_append_time.CopyFrom(splice.timestamp(state.head_append_us))
        if oldest_us:
            info.oldest_append_time.CopyFrom(splice.timestamp(oldest_us))
        if self._keeping.retention_s:
            info.retention.FromMicroseconds(round(self._keeping.retention_s * 1e6))
        if self._keeping.dedup_s:
            info.dedup_horizon.FromMicroseconds(round(self._keeping.dedup_s * 1e6))
        if access.is_relay(principal):
            info.payments_head.SetInParent()
            if newest is not None:
                info.payments_head.log_epoch = cursor.epoch_text(newest.epoch)
                info.payments_head.position = newest.position
                info.payments_head.event_id = newest.event_id
        return info.SerializeToString()

    async def _start(self, request: pb.QueryEventsRequest, query: bytes) -> tuple[int, str]:
        """Returns where the page starts, and the caller's own text for it if it gave one."""
        if request.page_token:
            try:
                token = cursor.decode_page(request.page_token)
            except cursor.MalformedError:
                raise problems.page_token_invalid() from None
            if token.fingerprint != query:
                raise problems.page_token_invalid()
            await self._places.check(token.cursor, "")
            return token.cursor.position, ""
        if request.after_cursor:
            text = request.after_cursor
            return await self._places.resolve(text, field="after_cursor"), text
        return await self._places.oldest(), ""

    async def _read(
        self, matcher: matching.Matcher, after: int, *, events: int, room: int
    ) -> cutting.Page:
        limits = cutting.Limits(events=events, bytes=max(room, 1))

        def look(conn: storage.Connection) -> cutting.Page:
            found = read.stretch(
                conn,
                matcher.selection,
                after=after,
                upto=2**63 - 1,
                events_max=limits.events,
                bytes_max=limits.bytes,
            )
            return cutting.cut(found, whole=limits, each=limits)

        return await self._database.read(look)


def checked_tenants(principal: auth.Principal, spec: event_pb2.Filter) -> tuple[str, ...]:
    """Returns the tenants that *spec* reads, after checking it.

    Raises:
        errors.RpcError: SCOPE_MISSING or INVALID_FIELD.
    """
    for name in ("tenant_ids", "entity_types", "entity_ids"):
        for index, value in enumerate(getattr(spec, name)):
            if "\0" in value:
                raise errors.invalid_field(
                    f"filter.{name}[{index}]", "must not contain the character NUL"
                )
    return access.tenants(principal, spec.tenant_ids)


def _whole(conn: storage.Connection) -> tuple[read.State, int, read.PaymentsHead | None]:
    current = read.state(conn)
    return current, read.oldest_append_us(conn, current), read.payments_head(conn)


def _may_read(principal: auth.Principal, chunk: bytes) -> bool:
    """Whether the event in a response's *chunk* is of a type the caller may read."""
    if not principal.plugin_id:
        return True
    return grants.covers(
        principal.read_types, event_pb2.Event.FromString(splice.stored_event(chunk)).type
    )


def _fingerprint(
    request: pb.QueryEventsRequest, spec: event_pb2.Filter, tenants: tuple[str, ...]
) -> bytes:
    bare = pb.QueryEventsRequest()
    bare.CopyFrom(request)
    if spec != request.filter:
        bare.filter.CopyFrom(spec)
    bare.page_token = ""
    return cursor.fingerprint(
        bare.SerializeToString(deterministic=True), *(tenant.encode() for tenant in tenants)
    )

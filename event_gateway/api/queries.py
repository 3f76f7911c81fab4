"""QueryEvents, GetEvent and GetLogInfo: the log as pages.

Owns paging and its tokens, and the check of cursors that the streams use too.
Called by gRPC behind the pipeline. Never follows the log.
"""

from typing import Any

import grpc.aio
from payhub.events.v1 import event_pb2
from payhub.events.v1 import event_stream_service_pb2 as pb

from event_gateway import access, cursor, grants, matching, problems, splice, tail, window
from event_gateway.db import read
from servicekit import auth, errors, rpc, storage

PAGE_SIZE_DEFAULT = 100
# One response, like one of a stream.
PAGE_BYTES_MAX = 2 * 1024 * 1024
# Reads per call: bounds what a filter that selects little may cost.
READS_MAX = 10

_Context = grpc.aio.ServicerContext[Any, Any]


class Places:
    """Checks places that callers name against the log.

    Args:
        database: Where the log is.
        log: The newest part of it.
        follow: Asked when a place lies after the window: another process may have
            appended.
        epoch: Which life of the log.
    """

    def __init__(
        self, database: storage.Database, log: window.Window, follow: tail.Tail, *, epoch: int
    ) -> None:
        self.database = database
        self.epoch = epoch
        self._window = log
        self._tail = follow

    async def resolve(self, text: str, *, field: str) -> int:
        """Returns the position of the cursor *text*, which may be read after.

        Raises:
            errors.RpcError: CURSOR_INVALID, LOG_EPOCH_MISMATCH, CURSOR_AHEAD or
                CURSOR_EXPIRED.
        """
        try:
            place = cursor.decode(text)
        except cursor.MalformedError:
            raise problems.cursor_invalid(field) from None
        await self.check(place, text)
        return place.position

    async def check(self, place: cursor.Cursor, text: str) -> None:
        """Checks a decoded place; *text* is what the caller sent."""
        if place.epoch != self.epoch:
            raise problems.epoch_mismatch(place.epoch, self.epoch)
        for _ in range(2):
            # A refresh under way may have read before the cursor was given, so the
            # second one decides.
            if place.position > self._window.head:
                await self._tail.refresh()
        if place.position > self._window.head:
            raise problems.cursor_ahead(place.position, self._window.head)
        if place.position < self._window.start:
            state = await self.database.read(read.state)
            self.check_kept(place.position, state, text)

    def check_kept(self, position: int, state: read.State, text: str = "") -> None:
        """Checks that everything after *position* was kept in the snapshot of *state*."""
        if position < state.oldest:
            raise problems.cursor_expired(
                text or cursor.encode(self.epoch, position),
                epoch=self.epoch,
                oldest=state.oldest,
            )

    async def oldest(self) -> int:
        """Returns the place after which everything is kept."""
        return (await self.database.read(read.state)).oldest


class Queries:
    """Serves the unary methods of EventStreamService."""

    def __init__(self, places: Places) -> None:
        self._places = places
        self._database = places.database

    async def query_events(self, request: pb.QueryEventsRequest, context: _Context) -> bytes:
        """Returns one page, spliced from stored bytes."""
        principal: auth.Principal = rpc.current().principal
        tenants = checked_tenants(principal, request.filter)
        spec = grants.readable(principal, request.filter)
        matcher = matching.Matcher(tenants, spec)
        query = _fingerprint(request, spec, tenants)
        after, text = await self._start(request, query)
        size = request.page_size or PAGE_SIZE_DEFAULT
        chunks: list[bytes] = []
        room = PAGE_BYTES_MAX
        head = after
        for _ in range(READS_MAX):
            page = await self._read(matcher, after, events=size - len(chunks), room=room)
            self._places.check_kept(after, page.state, text)
            chunks += [entry.chunk for entry in page.entries]
            room -= sum(len(entry.chunk) for entry in page.entries)
            after, text, head = page.upto, "", page.state.head
            if after >= head or len(chunks) >= size or room <= PAGE_BYTES_MAX // 4:
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
        state = await self._database.read(read.state)
        info = pb.GetLogInfoResponse(
            log_epoch=cursor.epoch_text(state.epoch),
            oldest_cursor=cursor.encode(state.epoch, state.oldest),
            head_cursor=cursor.encode(state.epoch, state.head),
            head_position=state.head,
        )
        if state.head_append_us:
            info.head_append_time.CopyFrom(splice.timestamp(state.head_append_us))
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
    ) -> read.Page:
        return await self._database.read(
            lambda conn: read.page(
                conn,
                matcher.selection,
                after=after,
                upto=2**63 - 1,
                events_max=events,
                bytes_max=max(room, 1),
            )
        )


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


def _may_read(principal: auth.Principal, chunk: bytes) -> bool:
    """Whether the event in a response's *chunk* is of a type the caller may read."""
    if not principal.plugin_id:
        return True
    event = pb.GetEventResponse.FromString(chunk).event
    return grants.covers(principal.read_types, event.type)


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

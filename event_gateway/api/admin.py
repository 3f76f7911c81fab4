"""EventAdminService: what those who run the gateway see and do.

Owns the listing of open streams and the erasure of an entity's data. Called by gRPC
behind the pipeline. Never shows what an event says.
"""

from collections.abc import Awaitable, Callable
from typing import Any

import grpc.aio
from payhub.events.v1 import event_admin_service_pb2 as pb
from payhub.events.v1 import event_admin_service_pb2_grpc

from event_gateway import cursor, hub, places, problems, splice
from event_gateway.api import stream
from event_gateway.consumers import records
from event_gateway.db import retain
from servicekit import auth, clock, errors, ids, logs, rpc

SERVICE = pb.DESCRIPTOR.services_by_name["EventAdminService"].full_name

PAGE_SIZE_DEFAULT = 100
# Transactions in one call, each of at most `retain.ERASED_MAX` events.
ERASE_STEPS_MAX = 20

_Context = grpc.aio.ServicerContext[Any, Any]

_log = logs.get_logger(__name__)


class AdminServicer(event_admin_service_pb2_grpc.EventAdminServiceServicer):
    """Serves EventAdminService.

    Args:
        streams: Whose streams are listed.
        live: All that is known of when they are written.
        checked: Where the log is, and which life of it.
        on_erased: Called after stored events were changed: copies must go now.
        name: Of this process.
        time: For the ages of events.
    """

    def __init__(
        self,
        streams: stream.Streams,
        live: hub.Hub,
        checked: places.Places,
        *,
        on_erased: Callable[[], Awaitable[None]],
        name: str,
        time: clock.Clock,
    ) -> None:
        self._streams = streams
        self._hub = live
        self._database = checked.database
        self._on_erased = on_erased
        self._name = name
        self._time = time

    async def ListStreams(
        self, request: pb.ListStreamsRequest, context: _Context
    ) -> pb.ListStreamsResponse:
        """Lists open streams of this process, oldest first."""
        after = _after(request)
        wanted = [
            (subscription_id, opened)
            for subscription_id, opened in self._streams.opened.items()
            if request.tenant_id in ("", opened.stream.principal.tenant_id)
        ]
        # Ids rise with time, so a stream that ends in between shifts no page.
        wanted.sort(key=lambda each: each[0])
        rest = [each for each in wanted if each[0] > after]
        size = request.page_size or PAGE_SIZE_DEFAULT
        page = rest[:size]
        return pb.ListStreamsResponse(
            streams=[self._shown(*each) for each in page],
            next_page_token=_query(request) + page[-1][0] if len(rest) > size else "",
            gateway=self._name,
            head_position=self._hub.window.head,
            open_streams=len(wanted),
        )

    async def EraseEntity(
        self, request: pb.EraseEntityRequest, context: _Context
    ) -> pb.EraseEntityResponse:
        """Erases what the log holds about one entity."""
        for name in ("tenant_id", "entity_type", "entity_id", "reason"):
            if "\0" in getattr(request, name):
                raise errors.invalid_field(name, "must not contain the character NUL")
        principal: auth.Principal = rpc.current().principal
        erased = after = 0
        for _ in range(ERASE_STEPS_MAX):
            wanted = retain.Erasure(
                erasure_id=ids.new_id("era"),
                entity_key=records.entity_key(
                    request.tenant_id, request.entity_type, request.entity_id
                ),
                tenant_id=request.tenant_id,
                entity_type=request.entity_type,
                entity_id=request.entity_id,
                reason=request.reason,
                actor=f"key:{principal.key_id}",
            )
            now_us, place = self._time.now_us(), after
            count, after = await self._database.write(
                lambda conn: retain.erase(conn, wanted, now_us, place)  # noqa: B023
            )
            erased += count
            if not after:
                break
        if erased:
            _log.info("data erased", erased_events=erased, key_id=principal.key_id)
        # Also when nothing was: another process may have changed what this one still holds.
        await self._on_erased()
        if not await self._database.forget():
            _log.warning("what was erased stays in the database's -wal file, erase it again")
        unknown = not erased and not await self._database.read(
            lambda conn: retain.heard_of(conn, wanted)
        )
        return pb.EraseEntityResponse(erased_events=erased, done=not after, unknown_entity=unknown)

    def _shown(self, subscription_id: str, opened: stream.Open) -> pb.OpenStream:
        reader, held = opened.reader, opened.stream
        now_s, now_us = self._hub.monotonic_s(), self._time.now_us()
        log = self._hub.window
        shown = pb.OpenStream(
            subscription_id=subscription_id,
            client_name=opened.request.client_name,
            tenant_id=held.principal.tenant_id,
            key_id=held.principal.key_id,
            filter=opened.request.filter,
            phase=reader.phase,
            cursor=reader.cursor,
            entries_behind=max(log.head - reader.sent, 0),
            events_sent=opened.rate.sent,
            events_per_second=round(opened.rate.per_s(now_s), 3),
            open_time=splice.timestamp(opened.opened_us),
            write_time=splice.timestamp(now_us - round((now_s - held.written_s) * 1e6)),
            thin=held.group.thin,
            blocked=bool(held.blocked_s) and now_s - held.blocked_s > 1.0,
        )
        del shown.filter.tenant_ids[:]
        shown.filter.tenant_ids.extend(held.tenants)
        shown.max_batch_delay.FromMicroseconds(round(held.group.pace.delay_s * 1e6))
        missing = log.next(reader.sent)
        if missing is not None:
            lag_us = now_us - splice.append_us(splice.stored_event(missing[5]))
            shown.lag.FromMicroseconds(max(lag_us, 0))
        return shown


def _query(request: pb.ListStreamsRequest) -> str:
    """Returns how the page tokens of such a listing begin."""
    tied = cursor.fingerprint(b"ListStreams", request.tenant_id.encode())
    return f"{tied.hex()}."


def _after(request: pb.ListStreamsRequest) -> str:
    """Returns behind which stream the page begins, '' for the first.

    Raises:
        errors.RpcError: PAGE_TOKEN_INVALID.
    """
    token, query = request.page_token, _query(request)
    if token and not token.startswith(query):
        raise problems.page_token_invalid()
    return token.removeprefix(query)

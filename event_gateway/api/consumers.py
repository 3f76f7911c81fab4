"""ConsumerService: Consume, Fetch and Settle, the calls of members.

Owns the life of a member's stream on the wire. Called by gRPC behind the
pipeline. Who gets what is decided by `event_gateway.consumers`; what
operators ask for is in `event_gateway.api.consumer_admin`.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Any

import grpc
import grpc.aio
from payhub.events.v1 import consumer_pb2
from payhub.events.v1 import consumer_service_pb2 as pb
from payhub.events.v1 import event_stream_service_pb2 as stream_pb

from event_gateway.api import stream
from event_gateway.consumers import definition, forwarding, group, groups, member, policy
from servicekit import auth, clock, errors, rpc

SERVICE = pb.DESCRIPTOR.services_by_name["ConsumerService"].full_name

# Consumers of that name belong to webhook endpoints.
RESERVED = "whe_"
BATCH_EVENTS_DEFAULT = 64
# A stream that says nothing is no member.
_JOIN_WITHIN_S = 10.0
# Even a Fetch that does not wait lets history be read once.
_ASKED_S = 5.0

_Context = grpc.aio.ServicerContext[Any, Any]


class Consuming:
    """Serves the calls of members.

    Args:
        running: The consumers of this process.
        forward: To the processes that run the others.
        catch_up: Returns once the window has what this process knows to be in the log.
        time: For `server_time`.
        members_per_tenant_max: Most members whose keys belong to one tenant.
    """

    def __init__(
        self,
        running: groups.Groups,
        forward: forwarding.Forwarder,
        *,
        catch_up: Callable[[], Awaitable[None]],
        time: clock.Clock,
        members_per_tenant_max: int,
    ) -> None:
        self._catch_up = catch_up
        self._groups = running
        self._forward = forward
        self._time = time
        self._limit = members_per_tenant_max

    async def consume(self, requests: AsyncIterator[pb.ConsumeRequest], context: _Context) -> None:
        """Serves one member until it leaves or the stream is closed."""
        call = rpc.current()
        principal: auth.Principal = call.principal
        try:
            async with asyncio.timeout(_JOIN_WITHIN_S):
                first = await anext(requests, None)
        except TimeoutError:
            first = None
        if first is None or first.WhichOneof("step") != "join":
            raise errors.invalid_field("join", "must be the first message, and come at once")
        join = first.join
        _check_text("join.member", join.member)
        found = await self._find(principal, join.consumer, call.metadata)
        if isinstance(found, groups.Elsewhere):
            method = f"/{SERVICE}/Consume"
            await self._forward.stream(
                found.endpoint,
                method,
                first,
                requests,
                call.metadata,
                context,
                closing=pb.ConsumeResponse(closing=True),
            )
            return
        tenants = definition.check_access(principal, found.message)
        self._check_limit(principal)
        _, full_key = auth.parse_bearer(call.metadata)
        joined = found.join(
            join.member,
            join.credit,
            principal=principal,
            key_digest=auth.digest(full_key),
            tenants=tenants,
        )
        reading = asyncio.create_task(self._listen(requests, found, joined))
        ended_well = False
        try:
            await self._serve(context, join, found, joined)
            if joined.finished:
                await asyncio.sleep(forwarding.BREAK_S)
                ended_well = True
        finally:
            reading.cancel()
            found.leave(joined, give_back=ended_well)

    async def fetch(self, request: pb.FetchRequest, context: _Context) -> bytes:
        """Returns a batch as soon as there is something, or an empty one."""
        call = rpc.current()
        principal: auth.Principal = call.principal
        _check_text("member", request.member)
        found = await self._find(principal, request.consumer, call.metadata)
        if isinstance(found, groups.Elsewhere):
            return await self._elsewhere(found, "Fetch", request)
        tenants = definition.check_access(principal, found.message)
        self._check_limit(principal)
        wait_us = request.wait.ToMicroseconds()
        if not wait_us:
            # What was published here is there, also behind an event that was not read yet.
            await self._catch_up()
        events_max = request.max_events or BATCH_EVENTS_DEFAULT
        joined = found.join(
            request.member,
            events_max,
            principal=principal,
            key_digest=b"",
            tenants=tenants,
            alone=False,
        )
        joined.asked = True
        try:
            ends_s = self._time.monotonic_s() + wait_us / 1e6
            while True:
                left_s = ends_s - self._time.monotonic_s()
                await joined.wait(max(left_s, _ASKED_S) if joined.asked else left_s)
                if joined.error is not None:
                    raise joined.error
                deliveries = joined.take(events_max)
                over = joined.closing or (left_s <= 0 and not joined.asked)
                if deliveries or over:
                    return b"".join(deliveries)
        finally:
            found.leave(joined, grace=False)

    async def settle(self, request: pb.SettleRequest, context: _Context) -> bytes:
        """Settles by lease; durable when it returns."""
        call = rpc.current()
        found = await self._find(call.principal, request.consumer, call.metadata)
        if isinstance(found, groups.Elsewhere):
            return await self._elsewhere(found, "Settle", request)
        definition.check_access(call.principal, found.message)
        for index, settlement in enumerate(request.settlements):
            check_settlement(settlement, f"settlements[{index}]")
        failures = [
            (token, failure)
            for settlement in request.settlements
            for token, failure in apply(found, settlement)
        ]
        await found.durable()
        return pb.SettleResponse(failures=member.failure_messages(failures)).SerializeToString()

    async def _find(
        self, principal: auth.Principal, name: str, metadata: Iterable[tuple[str, Any]]
    ) -> group.Group | groups.Elsewhere:
        _check_text("consumer", name)
        if name.startswith(RESERVED):
            raise errors.not_found("consumer", name)
        found = await self._groups.find(principal.tenant_id, name)
        forwarded = any(key == forwarding.HEADER for key, _ in metadata)
        if isinstance(found, groups.Elsewhere) and (forwarded or not found.endpoint):
            raise errors.unavailable("the consumer is moving between gateways", retry_after_s=1.0)
        return found

    async def _elsewhere(self, found: groups.Elsewhere, method: str, request: Any) -> bytes:
        call = rpc.current()
        return await self._forward.unary(
            found.endpoint,
            f"/{SERVICE}/{method}",
            request,
            call.metadata,
            timeout_s=call.remaining_s(),
            waits=method == "Fetch",
        )

    def _check_limit(self, principal: auth.Principal) -> None:
        tenant_id = principal.tenant_id
        held = sum(1 for each in self._groups.streams if each.principal.tenant_id == tenant_id)
        if held >= self._limit:
            raise errors.overloaded(
                f"the tenant has {self._limit} members already; close some", retry_after_s=5.0
            )

    async def _listen(
        self, requests: AsyncIterator[pb.ConsumeRequest], found: group.Group, joined: member.Member
    ) -> None:
        """Takes what the member says; what is wrong ends its stream."""
        try:
            async for request in requests:
                step = request.WhichOneof("step")
                if step == "credit":
                    found.grant(joined, request.credit.events)
                elif step == "settlement":
                    settlement = request.settlement
                    check_settlement(settlement, "settlement")
                    for token, failure in apply(found, settlement):
                        joined.fail(token, failure)
                    found.settled(joined, settlement.number)
                else:
                    raise errors.invalid_field("join", "must be in the first message only")
        except errors.RpcError as failure:
            joined.end(failure)
        joined.finished = True
        joined.rouse()

    async def _serve(
        self,
        context: _Context,
        join: pb.ConsumeRequest.Join,
        found: group.Group,
        joined: member.Member,
    ) -> None:
        events_max = join.max_batch_events or BATCH_EVENTS_DEFAULT
        wished = stream_pb.SubscribeRequest()
        if join.HasField("heartbeat_interval"):
            wished.heartbeat_interval.CopyFrom(join.heartbeat_interval)
        heartbeat_s = stream.heartbeat_s(wished)
        interval = definition.duration(round(heartbeat_s * 1e6))
        response = joined.response(
            events_max, self._time.now_us(), always=True, heartbeat_interval=interval
        )
        written_s = self._time.monotonic_s()
        closing_s: float | None = None
        while True:
            if response is not None:
                await context.write(response)
                written_s = self._time.monotonic_s()
            if joined.error is not None:
                raise joined.error
            if joined.finished and not joined.settled:
                await found.durable()
                joined.confirm(joined.applied)
            now_s = self._time.monotonic_s()
            announce = joined.closing and closing_s is None
            if announce:
                closing_s = now_s
            due = now_s - written_s >= heartbeat_s
            response = joined.response(events_max, self._time.now_us(), always=due or announce)
            if response is not None:
                continue
            if joined.finished or (
                closing_s is not None and now_s - closing_s > forwarding.CLOSING_S
            ):
                return
            wait_s = written_s + heartbeat_s - now_s
            await joined.wait(min(wait_s, forwarding.CLOSING_S) if joined.closing else wait_s)


def check_settlement(settlement: consumer_pb2.Settlement, path: str) -> None:
    """Checks what the contract can't: text that PostgreSQL takes.

    Raises:
        errors.RpcError: INVALID_FIELD.
    """
    _check_text(f"{path}.reason", settlement.reason)


def apply(to: group.Group, settlement: consumer_pb2.Settlement) -> list[tuple[str, policy.Failure]]:
    """Settles each lease of a settlement; returns those that had no effect."""
    verdict = policy.Verdict(settlement.verdict)
    delay_us = settlement.delay.ToMicroseconds()
    failures = []
    for token in settlement.leases:
        failure = to.settle(token, verdict, delay_us=delay_us, reason=settlement.reason)
        if failure is not None:
            failures.append((token, failure))
    return failures


def _check_text(path: str, text: str) -> None:
    if "\0" in text:
        raise errors.invalid_field(path, "must not contain the character NUL")

"""What a member is to be told: deliveries, failed settlements, what is durable.

Owns the queue between a group and one stream or Fetch, and the bytes of
responses. Called by groups and by the API. Never decides who gets what.
"""

import asyncio
import collections
import dataclasses
from collections.abc import Callable, Sequence

from google.protobuf import duration_pb2
from payhub.events.v1 import consumer_pb2 as pb
from payhub.events.v1 import consumer_service_pb2 as service_pb

from event_gateway import splice
from event_gateway.consumers import members, policy, records
from servicekit import auth, errors

# What waits for a slow stream; more is handed out when it has gone.
WAITING_BYTES_MAX = 4 * 1024 * 1024
RESPONSE_BYTES_MAX = 2 * 1024 * 1024
# More failures than this are not worth keeping for a stream that does not read.
FAILURES_MAX = 10_000


@dataclasses.dataclass(slots=True, kw_only=True, eq=False)
class Member:
    """One stream of a member, or one Fetch.

    Attributes:
        session: What the group knows of it.
        principal: Whose key it is; with `key_digest` and `tenants`, for the recheck of keys.
        alone: It ends others of its name when it joins.
        on_room: Called when `has_room` may be true again, since what waited was taken.
        applied: Number of the last settlement taken.
        durable: Number up to which settlements are on disk.
        finished: The member has ended its side.
        closing: The server ends the stream in good order.
        asked: Wake it as well when there is nothing for it.
        error: Why the stream has to end with an error.
    """

    session: members.Session
    principal: auth.Principal
    key_digest: bytes
    tenants: tuple[str, ...]
    alone: bool
    on_room: Callable[[], None]
    applied: int = 0
    durable: int = 0
    finished: bool = False
    closing: bool = False
    asked: bool = False
    error: errors.RpcError | None = None
    waiting_bytes: int = 0
    _deliveries: collections.deque[tuple[bytes, str]] = dataclasses.field(
        default_factory=collections.deque
    )
    _failures: list[tuple[str, policy.Failure]] = dataclasses.field(default_factory=list)
    _told: int = 0
    _wake: asyncio.Event = dataclasses.field(default_factory=asyncio.Event)

    @property
    def has_room(self) -> bool:
        """Whether more may be handed to it now."""
        return (
            self.waiting_bytes < WAITING_BYTES_MAX
            and not self.finished
            and not self.closing
            and self.error is None
        )

    @property
    def settled(self) -> bool:
        """Whether everything it settled is durable."""
        return self.durable >= self.applied

    def put(self, handout: records.Handout, chunk: bytes, deadline_us: int) -> None:
        """Queues a delivery; *chunk* is the event as field 1, which is `Delivery.event` too, and
        *deadline_us* the end of its lease by the clock.
        """
        trailer = pb.Delivery(
            lease=handout.lease.token,
            attempt=handout.attempt,
            deadline=splice.timestamp(deadline_us),
            last_reason=handout.reason,
        )
        data = splice.chunk(chunk + trailer.SerializeToString())
        self._deliveries.append((data, handout.lease.token))
        self.waiting_bytes += len(data)
        self.rouse()

    def fail(self, token: str, failure: policy.Failure) -> None:
        """Queues a settlement that had no effect."""
        if len(self._failures) < FAILURES_MAX:
            self._failures.append((token, failure))
        self.rouse()

    def confirm(self, number: int) -> None:
        """Says that settlements up to *number* are on disk."""
        if number > self.durable:
            self.durable = number
            self.rouse()

    def drop_waiting(self) -> list[str]:
        """Forgets deliveries that were not sent, and returns their leases."""
        tokens = [token for _, token in self._deliveries]
        self.session.grant(len(tokens))
        self._deliveries.clear()
        self.waiting_bytes = 0
        return tokens

    def end(self, error: errors.RpcError) -> None:
        """Ends the stream; the first error stands."""
        self.error = self.error or error
        self.rouse()

    def rouse(self) -> None:
        """Wakes who waits for it."""
        self._wake.set()

    async def wait(self, timeout_s: float) -> None:
        """Returns when there may be something to send, or after *timeout_s*."""
        try:
            async with asyncio.timeout(max(timeout_s, 0)):
                await self._wake.wait()
        except TimeoutError:
            return
        self._wake.clear()

    def take(self, events_max: int) -> list[bytes]:
        """Returns deliveries for one response, without waiting; at least one if there is any."""
        out: list[bytes] = []
        size = 0
        full = self.waiting_bytes >= WAITING_BYTES_MAX
        while self._deliveries and len(out) < events_max:
            data, _ = self._deliveries[0]
            size += len(data)
            if out and size > RESPONSE_BYTES_MAX:
                break
            out.append(data)
            self._deliveries.popleft()
            self.waiting_bytes -= len(data)
        if full and self.waiting_bytes < WAITING_BYTES_MAX:
            self.on_room()
        return out

    def response(
        self,
        events_max: int,
        now_us: int,
        *,
        always: bool = False,
        heartbeat_interval: duration_pb2.Duration | None = None,
    ) -> bytes | None:
        """Returns the next response; None if there is nothing to say, unless *always*."""
        deliveries = self.take(events_max)
        if not (deliveries or self._failures or self.durable > self._told or always):
            return None
        failures, self._failures = self._failures[:1000], self._failures[1000:]
        self._told = self.durable
        trailer = service_pb.ConsumeResponse(
            failures=failure_messages(failures),
            settled_through=self.durable,
            remaining_credit=self.session.credit,
            closing=self.closing,
            heartbeat_interval=heartbeat_interval,
            server_time=splice.timestamp(now_us),
        )
        return splice.join(deliveries, trailer.SerializeToString())


def failure_messages(
    failures: Sequence[tuple[str, policy.Failure]],
) -> list[pb.SettlementFailure]:
    """Returns failed settlements as the contract spells them."""
    return [
        pb.SettlementFailure(lease=token, reason=f"REASON_{failure.name}")
        for token, failure in failures
    ]

"""Every open stream of this process, and when each has something to do.

Owns the pace of live wake-ups, heartbeat and age timers, the limit of streams
per tenant and the ways they are all told to close. Called by the appender and
the tail (news), the streams (waiting) and the shutdown. Never holds an event.
"""

import asyncio
import collections
import dataclasses
import time
from collections.abc import Callable, Hashable, Sequence

from payhub.events.v1 import event_stream_service_pb2 as pb

from event_gateway import matching, problems, window
from servicekit import auth, errors

Reason = pb.Notice.Closing.Reason

# Passed places after which sleeping readers are woken to say where they are.
_WAKE_EVERY = 10_000
# A prepared response is used by the readers of one wake-up, not later: it
# carries the server's clock.
_READY_FOR_S = 0.1


class Group:
    """Streams with the same filter: judged together, answered with the same bytes."""

    def __init__(self, matcher: matching.Matcher, log: window.Window) -> None:
        self.matcher = matcher
        self.window = log
        self.members = 0
        self.waiting: set[Stream] = set()
        self.woken_at = log.head
        # Nothing in (quiet_from, quiet_to] matches.
        self._quiet_from = self._quiet_to = log.head
        self._ready: dict[Hashable, tuple[bytes, int]] = {}
        self._ready_head = log.head
        self._ready_until_s = 0.0

    def judge(self, after: int, fresh: Sequence[window.Row] | None, head: int) -> bool:
        """Looks at what came in (*after*, *head*]; returns whether some of it matches.

        *fresh* holds it, or is None if it left the window already.
        """
        if fresh is not None and not self.matcher.any(fresh):
            assert self._quiet_to >= after, "every group is judged at every tick"
            self._quiet_to = head
            return False
        self._quiet_from = self._quiet_to = head
        return True

    def skip(self, position: int) -> int:
        """Returns the place up to which nothing matches after *position*, as far as known."""
        return self._quiet_to if self._quiet_from <= position < self._quiet_to else position

    def ready(self, position: int, events_max: int) -> tuple[bytes, int] | None:
        """Returns the response another stream got at *position* just now, and its end."""
        if self._ready_head != self.window.head or time.monotonic() > self._ready_until_s:
            self._ready.clear()
            return None
        return self._ready.get((position, events_max))

    def keep(self, position: int, events_max: int, data: bytes, end: int) -> None:
        """Remembers the response of a live stream at *position* for the others."""
        if self.members < 2:
            return
        if not self._ready:
            self._ready_head = self.window.head
            self._ready_until_s = time.monotonic() + _READY_FOR_S
        self._ready[position, events_max] = (data, end)


@dataclasses.dataclass(slots=True, kw_only=True, eq=False)
class Stream:
    """What the hub knows of one open stream.

    Attributes:
        principal: Whose it is.
        key_digest: Of the key that opened it.
        tenants: Whose events it reads.
        heartbeat_s: Longest silence.
        expires_s: Monotonic time of its greatest age.
        written_s: Monotonic time of its last response.
        close_reason: Why it has to end; unspecified while it need not.
    """

    principal: auth.Principal
    key_digest: bytes
    tenants: tuple[str, ...]
    group: Group
    heartbeat_s: float
    expires_s: float
    written_s: float
    close_reason: Reason = pb.Notice.Closing.REASON_UNSPECIFIED
    wake: asyncio.Future[None] | None = None
    timer: asyncio.TimerHandle | None = None

    def rouse(self) -> None:
        """Ends its waiting, if it waits."""
        if self.wake is not None and not self.wake.done():
            self.wake.set_result(None)


class Hub:
    """All streams of the process.

    Args:
        log: The shared window.
        tick_s: Shortest time between two live wake-ups, seconds.
        streams_per_tenant_max: Most open streams whose keys belong to one tenant.
        monotonic_s: Clock of timers; the event loop's by default.
    """

    def __init__(
        self,
        log: window.Window,
        *,
        tick_s: float,
        streams_per_tenant_max: int,
        monotonic_s: Callable[[], float] | None = None,
    ) -> None:
        self.window = log
        self.streams: set[Stream] = set()
        self.draining = False
        self._loop = asyncio.get_running_loop()
        self.monotonic_s = monotonic_s or self._loop.time
        self._tick_s = tick_s
        self._limit = streams_per_tenant_max
        self._groups: dict[Hashable, Group] = {}
        self._per_tenant: collections.Counter[str] = collections.Counter()
        self._judged = log.head
        self._ticked_s = 0.0
        self._tick: asyncio.Handle | None = None

    def join(
        self,
        *,
        principal: auth.Principal,
        key_digest: bytes,
        tenants: tuple[str, ...],
        matcher: matching.Matcher,
        heartbeat_s: float,
        age_max_s: float,
    ) -> Stream:
        """Takes in a stream; `leave` must follow.

        Raises:
            errors.RpcError: OVERLOADED, its tenant has too many; UNAVAILABLE, the
                process is stopping.
        """
        if self.draining:
            raise errors.unavailable("the gateway is stopping", retry_after_s=1.0)
        if self._per_tenant[principal.tenant_id] >= self._limit:
            raise problems.too_many_streams(self._limit, retry_after_s=5.0)
        group = self._groups.get(matcher.key)
        if group is None:
            group = self._groups[matcher.key] = Group(matcher, self.window)
        now_s = self.monotonic_s()
        stream = Stream(
            principal=principal,
            key_digest=key_digest,
            tenants=tenants,
            group=group,
            heartbeat_s=heartbeat_s,
            expires_s=now_s + age_max_s,
            written_s=now_s,
        )
        self._per_tenant[principal.tenant_id] += 1
        group.members += 1
        self.streams.add(stream)
        self._arm(stream)
        return stream

    def leave(self, stream: Stream) -> None:
        """Forgets a stream that `join` took in."""
        self.streams.discard(stream)
        stream.group.waiting.discard(stream)
        stream.group.members -= 1
        if stream.group.members == 0:
            self._groups.pop(stream.group.matcher.key, None)
        if stream.timer is not None:
            stream.timer.cancel()
        tenant_id = stream.principal.tenant_id
        self._per_tenant[tenant_id] -= 1
        if self._per_tenant[tenant_id] == 0:
            del self._per_tenant[tenant_id]

    async def wait(self, stream: Stream) -> None:
        """Returns when there may be news for *stream*, a heartbeat is due or it must close."""
        if stream.close_reason or self._due(stream):
            return
        stream.wake = self._loop.create_future()
        stream.group.waiting.add(stream)
        try:
            await stream.wake
        finally:
            stream.group.waiting.discard(stream)
            stream.wake = None

    def heartbeat_due(self, stream: Stream) -> bool:
        """Whether the stream has been silent for as long as it may."""
        return self.monotonic_s() - stream.written_s >= stream.heartbeat_s

    def expired(self, stream: Stream) -> bool:
        """Whether the stream has reached its greatest age."""
        return self.monotonic_s() >= stream.expires_s

    def news(self) -> None:
        """Says that the window has grown; wakes who is concerned, at the set pace."""
        if self._tick is not None:
            return
        delay_s = self._ticked_s + self._tick_s - self.monotonic_s()
        if self._tick_s <= 0 or delay_s <= 0:
            self._tick = self._loop.call_soon(self._on_tick)
        else:
            self._tick = self._loop.call_later(delay_s, self._on_tick)

    def close_all(self, reason: Reason) -> None:
        """Tells every stream to end, and those that come later too."""
        self.draining = True
        for stream in list(self.streams):
            self.close(stream, reason)

    def close(self, stream: Stream, reason: Reason) -> None:
        """Tells one stream to end; the first reason stands."""
        stream.close_reason = stream.close_reason or reason
        stream.rouse()

    def _on_tick(self) -> None:
        self._tick = None
        self._ticked_s = self.monotonic_s()
        head = self.window.head
        fresh = self.window.since(self._judged) if self._judged >= self.window.start else None
        for group in self._groups.values():
            matched = group.judge(self._judged, fresh, head)
            if matched or head - group.woken_at >= _WAKE_EVERY:
                group.woken_at = head
                for stream in group.waiting:
                    stream.rouse()
        self._judged = head

    def _due(self, stream: Stream) -> bool:
        return self.heartbeat_due(stream) or self.expired(stream)

    def _arm(self, stream: Stream) -> None:
        """Sets the stream's one timer to the next thing that can be due."""
        due_s = min(stream.written_s + stream.heartbeat_s, stream.expires_s)
        delay_s = max(due_s - self.monotonic_s(), 0.05)
        stream.timer = self._loop.call_later(delay_s, self._on_timer, stream)

    def _on_timer(self, stream: Stream) -> None:
        if self._due(stream):
            stream.rouse()
        self._arm(stream)

"""Every open stream of this process, and when each has something to do.

Owns the live wake-ups at each pace, heartbeat and age timers, the limit of streams
per tenant and the ways they are all told to close. Called by the appender and
the tail (news), the streams (waiting) and the shutdown. Never holds an event.
"""

import asyncio
import collections
import dataclasses

from payhub.events.v1 import event_stream_service_pb2 as pb

from event_gateway import matching, problems, stream_groups, window
from event_gateway.db import read
from servicekit import auth, errors

Reason = pb.Notice.Closing.Reason

# Paces of live wake-ups, seconds. A wished delay is rounded down to one of them, so that
# pacing costs a timer per pace and not per stream.
PACES_S = (0.0, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25)
# Rates are those of the last few seconds.
_RATE_OVER_S = 5.0
# A stream that is told to close has this long to take what it was sent before.
_LAST_WORD_S = 2.0


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
        blocked_s: Since when the client has not taken the last response, monotonic; 0: it has.
        stalled: Whether it was ended because of that.
        task: Serves it.
        checkpoint_upto: It must hear a cursor at or after this place, once it is there.
        close_reason: Why it has to end; unspecified while it need not.
    """

    principal: auth.Principal
    key_digest: bytes
    tenants: tuple[str, ...]
    group: stream_groups.Group
    heartbeat_s: float
    expires_s: float
    written_s: float
    blocked_s: float = 0.0
    stalled: bool = False
    task: "asyncio.Task[None] | None" = None
    checkpoint_upto: int = 0
    close_reason: Reason = pb.Notice.Closing.REASON_UNSPECIFIED
    wake: asyncio.Future[None] | None = None
    timer: asyncio.TimerHandle | None = None

    def rouse(self) -> None:
        """Ends its waiting, if it waits."""
        if self.wake is not None and not self.wake.done():
            self.wake.set_result(None)


class Rate:
    """How many events a second a stream was sent lately."""

    __slots__ = ("_count", "_per_s", "_since_s", "sent")

    def __init__(self, now_s: float) -> None:
        self.sent = 0
        self._count = 0
        self._per_s = 0.0
        self._since_s = now_s

    def add(self, count: int, now_s: float) -> None:
        """Notes *count* events sent at *now_s*, monotonic seconds."""
        if now_s - self._since_s >= _RATE_OVER_S:
            self._per_s = self._count / (now_s - self._since_s)
            self._count, self._since_s = 0, now_s
        self._count += count
        self.sent += count

    def per_s(self, now_s: float) -> float:
        """Returns the rate at *now_s*."""
        elapsed_s = now_s - self._since_s
        if elapsed_s >= _RATE_OVER_S or not self._per_s:
            return self._count / max(elapsed_s, 1.0)
        return self._per_s


class Hub:
    """All streams of the process.

    `erasures` is how often stored events had been changed, as far as is known here.

    Args:
        log: The shared window.
        tick_s: Shortest time between two live wake-ups of a stream that wishes none,
            seconds; no stream has a shorter one.
        streams_per_tenant_max: Most open streams whose keys belong to one tenant.
        stall_s: A stream that takes nothing for so long is ended, seconds.
    """

    def __init__(
        self,
        log: window.Window,
        *,
        tick_s: float,
        streams_per_tenant_max: int,
        stall_s: float = 300.0,
    ) -> None:
        self.window = log
        self.streams: set[Stream] = set()
        self.draining = False
        self.erasures = 0
        self.stall_s = stall_s
        self._loop = asyncio.get_running_loop()
        self.monotonic_s = self._loop.time
        self._tick_s = tick_s
        self._limit = streams_per_tenant_max
        self._paces: dict[float, stream_groups.Pace] = {}
        self._per_tenant: collections.Counter[str] = collections.Counter()
        self._expiring = 0

    def join(
        self,
        *,
        principal: auth.Principal,
        key_digest: bytes,
        tenants: tuple[str, ...],
        matcher: matching.Matcher,
        heartbeat_s: float,
        age_max_s: float,
        delay_s: float | None = None,
        thin: bool = False,
        checkpoint_every: int = stream_groups.CHECKPOINT_EVERY,
    ) -> Stream:
        """Takes in a stream; `leave` must follow.

        Args:
            principal: Whose it is.
            key_digest: Of its key.
            tenants: Whose events it reads.
            matcher: Which of them.
            heartbeat_s: Longest silence, seconds.
            age_max_s: Longest life, seconds.
            delay_s: How long it lets live events be held back, seconds; None: as set.
            thin: Whether its events come without data.
            checkpoint_every: Places that it may pass without hearing of it.

        Raises:
            errors.RpcError: OVERLOADED, its tenant has too many; UNAVAILABLE, the
                process is stopping.
        """
        if self.draining:
            raise errors.unavailable("the gateway is stopping", retry_after_s=1.0)
        if self._per_tenant[principal.tenant_id] >= self._limit:
            raise problems.too_many_streams(self._limit, retry_after_s=5.0)
        pace = self._pace(self._tick_s if delay_s is None else delay_s)
        group = pace.group(matcher, thin=thin)
        pace.look_sooner(group, checkpoint_every)
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
            stream.group.pace.drop(stream.group)
        if stream.timer is not None:
            stream.timer.cancel()
        tenant_id = stream.principal.tenant_id
        self._per_tenant[tenant_id] -= 1
        if self._per_tenant[tenant_id] == 0:
            del self._per_tenant[tenant_id]

    async def wait(self, stream: Stream) -> None:
        """Returns when there may be news for *stream*, a heartbeat is due or it must close."""
        now_s = self.monotonic_s()
        if (
            stream.close_reason
            or now_s - stream.written_s >= stream.heartbeat_s
            or now_s >= stream.expires_s
        ):
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
        """Says that the window has grown; wakes who is concerned, each at its pace."""
        now_s = self.monotonic_s()
        for pace in self._paces.values():
            if pace.tick is not None or not pace.groups:
                continue
            delay_s = pace.ticked_s + pace.delay_s - now_s
            if delay_s <= 0:
                pace.tick = self._loop.call_soon(self._on_tick, pace)
            else:
                pace.tick = self._loop.call_later(delay_s, self._on_tick, pace)

    def changed(self, state: read.State) -> None:
        """Takes note of a state of the log: what goes next, and whether events changed."""
        if state.expiring > self._expiring:
            self._expiring = state.expiring
            for stream in self.streams:
                stream.checkpoint_upto = max(stream.checkpoint_upto, state.expiring)
                stream.rouse()
        if state.erasures != self.erasures:
            self.erasures = state.erasures
            for pace in self._paces.values():
                for group in pace.groups.values():
                    group.forget()

    def close_all(self, reason: Reason) -> None:
        """Tells every stream to end, and those that come later too."""
        self.draining = True
        for stream in list(self.streams):
            self.close(stream, reason)

    def close(self, stream: Stream, reason: Reason) -> None:
        """Tells one stream to end; the first reason stands."""
        stream.close_reason = stream.close_reason or reason
        stream.rouse()
        if stream.blocked_s:
            self._loop.call_later(_LAST_WORD_S, self._give_up, stream)

    def _pace(self, delay_s: float) -> stream_groups.Pace:
        """Returns the pace for a wished delay: rounded down, but never below the set one."""
        floor_s = max((one for one in PACES_S if one <= delay_s), default=0.0)
        delay_s = max(floor_s, self._tick_s)
        pace = self._paces.get(delay_s)
        if pace is None:
            pace = self._paces[delay_s] = stream_groups.Pace(self.window, delay_s)
        return pace

    def _on_tick(self, pace: stream_groups.Pace) -> None:
        pace.tick = None
        pace.ticked_s = self.monotonic_s()
        for group in pace.judge():
            for stream in group.waiting:
                stream.rouse()

    def _due(self, stream: Stream) -> bool:
        return self.heartbeat_due(stream) or self.expired(stream)

    def _arm(self, stream: Stream) -> None:
        """Sets the stream's one timer to the next thing that can be due."""
        now_s = self.monotonic_s()
        if stream.blocked_s:
            due_s = min(now_s + stream.heartbeat_s, stream.blocked_s + self.stall_s)
        else:
            due_s = min(stream.written_s + stream.heartbeat_s, stream.expires_s)
        stream.timer = self._loop.call_later(max(due_s - now_s, 0.05), self._on_timer, stream)

    def _on_timer(self, stream: Stream) -> None:
        if stream.blocked_s and self.monotonic_s() - stream.blocked_s >= self.stall_s:
            self._give_up(stream)
        elif self._due(stream):
            stream.rouse()
        self._arm(stream)

    def _give_up(self, stream: Stream) -> None:
        """Ends a stream whose client takes nothing: no last response would reach it."""
        if stream.blocked_s and stream.task is not None and not stream.stalled:
            stream.stalled = True
            stream.task.cancel()

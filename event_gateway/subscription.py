"""One reader's place in the log and what to send it next.

Owns the state machine of a stream: catching up from storage, live from the
window, fallen behind and back, each response with a cursor that loses nothing.
Driven by `event_gateway.api.stream`. Never waits, reads or writes anything
itself, so it can be tested step by step.
"""

import dataclasses
from collections.abc import Iterable, Iterator, Sequence

from payhub.events.v1 import event_stream_service_pb2 as pb

from event_gateway import cursor, cutting, splice, stream_groups
from servicekit import clock

# One response. A larger event comes alone: with at most 256 KiB of data it stays
# far below the 4 MiB that gRPC accepts by default.
RESPONSE_BYTES_MAX = 256 * 1024
# One page from storage, cut into responses.
PAGE = cutting.Limits(events=1000, bytes=512 * 1024)

CATCHING_UP = pb.SubscribeResponse.PHASE_CATCHING_UP
LIVE = pb.SubscribeResponse.PHASE_LIVE
Reason = pb.Notice.Closing.Reason
# A response that was made ahead is sent as it is for so long: it carries the server's clock.
_TRUE_FOR_US = 100_000
# A reader with less than this part of the time left, before what it has not read is
# no longer kept, is warned.
_HEADROOM_WARNS = 0.25


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ReadStorage:
    """The reader is behind the window: read (after, upto] for it."""

    after: int
    upto: int


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What bounds the responses of a stream, and what it may pass without hearing of it."""

    events_max: int = 256
    bytes_max: int = RESPONSE_BYTES_MAX
    checkpoint_every: int = stream_groups.CHECKPOINT_EVERY


class Subscription:
    """A stream.

    Args:
        subscription_id: For logs and the first response.
        group: Streams with the same filter.
        epoch: Which life of the log.
        position: Where to begin: at or after the log's oldest kept place.
        stop_position: Where to end; None to follow the log.
        limits: Of its responses.
        time: For `server_time`.
        retention_s: How long the log keeps events, to warn a reader that is about to
            be overtaken; 0: never warn.
    """

    def __init__(
        self,
        *,
        subscription_id: str,
        group: stream_groups.Group,
        epoch: int,
        position: int,
        stop_position: int | None,
        limits: Limits,
        time: clock.Clock,
        retention_s: float = 0.0,
    ) -> None:
        self.subscription_id = subscription_id
        self.group = group
        self.position = position
        # The place of the last cursor sent, and the events of the last response.
        self.sent = position
        self.last_count = 0
        self._window = group.window
        self._epoch = epoch
        self._stop = stop_position
        self._limits = limits
        self._time = time
        self._retention_s = retention_s
        self._warned = False
        self._phase = LIVE if position >= self._window.head else CATCHING_UP
        # Live and without an end: what comes is shared with others, at the group's pace.
        self._following = stop_position is None and self._phase == LIVE

    @property
    def phase(self) -> pb.SubscribeResponse.Phase:
        """Whether the reader has reached the head and has been in the window since."""
        return self._phase

    @property
    def ended(self) -> bool:
        """Whether everything up to the place where it was to stop has been sent."""
        return self._stop is not None and self.position >= self._stop

    @property
    def cursor(self) -> str:
        """The last cursor sent."""
        return cursor.encode(self._epoch, self.sent)

    def started(self, *, heartbeat_s: float, age_max_s: float) -> bytes:
        """Returns the first response."""
        notice = pb.Notice.Started(
            subscription_id=self.subscription_id, log_epoch=cursor.epoch_text(self._epoch)
        )
        notice.heartbeat_interval.FromMicroseconds(round(heartbeat_s * 1e6))
        notice.max_stream_age.FromMicroseconds(round(age_max_s * 1e6))
        notice.max_batch_delay.FromMicroseconds(round(self.group.pace.delay_s * 1e6))
        return self._respond([], pb.Notice(started=notice))

    def skipped(self, requested: str) -> bytes:
        """Returns a response that says where reading begins instead of at *requested*."""
        resumed = cursor.encode(self._epoch, self.position)
        notice = pb.Notice.Skipped(requested_cursor=requested, resumed_cursor=resumed)
        return self._respond([], pb.Notice(skipped=notice))

    def pass_over(self, position: int, requested: str) -> bytes:
        """Returns a response that says that reading begins after *position* and no sooner."""
        self._advance(position)
        return self.skipped(requested)

    def heartbeat(self) -> bytes:
        """Returns a response that says only where the reader is."""
        if self._phase == LIVE:
            self._advance(self.group.skip(self.position))
        return self._respond([])

    def closing(self, reason: Reason, *, reconnect_after_s: float) -> bytes:
        """Returns the last response."""
        notice = pb.Notice.Closing(reason=reason)
        notice.reconnect_after.FromMicroseconds(round(reconnect_after_s * 1e6))
        return self._respond([], pb.Notice(closing=notice))

    def owes(self, checkpoint: int) -> bool:
        """Whether the reader is past *checkpoint* and was last sent a cursor before it."""
        return self.sent < checkpoint <= max(self.position, self.group.skip(self.position))

    def step(self) -> bytes | ReadStorage | None:
        """Returns the next response, a read to make first, or None: nothing to do now."""
        limits = self._limits
        while True:
            if self.position >= self.group.pace.judged and self._following:
                return None
            self._advance(self.group.skip(self.position))
            if self.ended:
                return None
            upto = self._window.head if self._stop is None else self._stop
            if self.position < self._window.start:
                if self._phase == LIVE:
                    return self._fell_behind()
                return ReadStorage(after=self.position, upto=min(upto, self._window.head))
            before = self.position
            key = (before, limits.events_max, limits.bytes_max)
            shared = self._following
            if shared:
                upto = self.group.horizon
                if ready := self.group.ready(key):
                    data, self.position, self.last_count = ready
                    self.sent = self.position
                    return data
            batch = self.group.batch(
                before, upto=upto, events_max=limits.events_max, bytes_max=limits.bytes_max
            )
            self._advance(batch.position)
            was = self._phase
            if self.position >= self._window.head:
                self._phase = LIVE
                self._following = self._stop is None
            if batch.chunks:
                data = self._respond(batch.chunks)
                if shared:
                    self.group.keep(key, (data, self.position, self.last_count))
                return data
            if self._phase != was or self.position - self.sent >= limits.checkpoint_every:
                return self._respond([])
            if self.position == before:
                return None

    def reading(self) -> cutting.Reading:
        """Returns how storage is read for this reader.

        Used by the threads that read, while the reader goes on.
        """
        return cutting.Reading(
            self.group.matcher.selection,
            whole=PAGE,
            each=cutting.Limits(events=self._limits.events_max, bytes=self._limits.bytes_max),
            thin=self.group.thin,
            time=self._time,
            trailer=lambda position: self._trailer(position, CATCHING_UP),
        )

    def take(self, page: cutting.Page) -> Iterator[bytes]:
        """Yields the responses of a page, the place advancing with each."""
        if (warning := self._warning(page)) is not None:
            yield warning
        for part in page.parts:
            self._advance(part.position)
            self.last_count, self.sent = part.count, part.position
            if self._time.now_us() - page.made_us < _TRUE_FOR_US:
                yield part.data
            else:
                yield self._join((memoryview(part.data)[: part.size_bytes],), None)
        self._advance(page.upto)
        if self.position - self.sent >= self._limits.checkpoint_every:
            yield self._respond([])

    def _advance(self, position: int) -> None:
        assert position >= self.position, "a reader's place never goes back"
        self.position = position

    def _fell_behind(self) -> bytes:
        self._phase = CATCHING_UP
        self._following = False
        return self._respond([], pb.Notice(fell_behind=self._behind()))

    def _behind(self) -> pb.Notice.FellBehind:
        return pb.Notice.FellBehind(entries_behind=self._window.head - self.position)

    def _warning(self, page: cutting.Page) -> bytes | None:
        """Returns a response that warns of retention, once for each time it comes near."""
        if not self._retention_s or not page.parts:
            return None
        read_from_us = splice.append_us(splice.first(page.parts[0].data))
        left_s = self._retention_s - (self._time.now_us() - read_from_us) / 1e6
        if left_s >= self._retention_s * _HEADROOM_WARNS:
            self._warned = False
            return None
        if self._warned:
            return None
        self._warned = True
        notice = self._behind()
        notice.retention_headroom.FromMicroseconds(max(round(left_s * 1e6), 0))
        return self._respond([], pb.Notice(fell_behind=notice))

    def _respond(self, chunks: Sequence[bytes], notice: pb.Notice | None = None) -> bytes:
        if self.group.thin:
            chunks = [splice.chunk(splice.thin(splice.stored_event(one))) for one in chunks]
        self.last_count = len(chunks)
        return self._join(chunks, notice)

    def _join(self, chunks: Iterable[splice.Buffer], notice: pb.Notice | None) -> bytes:
        self.sent = self.position
        return splice.join(chunks, self._trailer(self.position, self._phase, notice))

    def _trailer(
        self, position: int, phase: pb.SubscribeResponse.Phase, notice: pb.Notice | None = None
    ) -> bytes:
        log = self._window
        trailer = pb.SubscribeResponse(
            cursor=cursor.encode(self._epoch, position),
            phase=phase,
            server_time=splice.timestamp(self._time.now_us()),
            head_position=log.head,
            head_time=splice.timestamp(log.head_us) if log.head_us else None,
            notice=notice,
        )
        return trailer.SerializeToString()

"""One reader's place in the log and what to send it next.

Owns the state machine of a stream: catching up from storage, live from the
window, fallen behind and back, each response with a cursor that loses nothing.
Driven by `event_gateway.api.stream`. Never waits, reads or writes anything
itself, so it can be tested step by step.
"""

import dataclasses
from collections.abc import Iterator

from payhub.events.v1 import event_stream_service_pb2 as pb

from event_gateway import cursor, hub, splice
from event_gateway.db import read
from servicekit import clock

# Places a reader may pass without hearing of it: bounds what a reconnect
# repeats for a filter that selects little.
CHECKPOINT_EVERY = 10_000
# One response. A larger event comes alone: with at most 256 KiB of data it stays
# far below the 4 MiB that gRPC accepts by default.
RESPONSE_BYTES_MAX = 256 * 1024
# One read from storage, cut into responses afterwards. It is all that is held for
# a reader that has stopped reading.
PAGE_EVENTS_MAX = 1000
PAGE_BYTES_MAX = 512 * 1024

CATCHING_UP = pb.SubscribeResponse.PHASE_CATCHING_UP
LIVE = pb.SubscribeResponse.PHASE_LIVE
Reason = pb.Notice.Closing.Reason


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ReadStorage:
    """The reader is behind the window: read (after, upto] for it."""

    after: int
    upto: int


class Subscription:
    """A stream.

    Args:
        subscription_id: For logs and the first response.
        group: Streams with the same filter.
        epoch: Which life of the log.
        position: Where to begin: at or after the log's oldest kept place.
        stop_position: Where to end; None to follow the log.
        events_max: Most events per response.
        time: For `server_time`.
    """

    def __init__(
        self,
        *,
        subscription_id: str,
        group: hub.Group,
        epoch: int,
        position: int,
        stop_position: int | None,
        events_max: int,
        time: clock.Clock,
    ) -> None:
        self.subscription_id = subscription_id
        self.group = group
        self.position = position
        self._window = group.window
        self._epoch = epoch
        self._stop = stop_position
        self._events_max = events_max
        self._time = time
        self._sent = position
        self._phase = LIVE if position >= self._window.head else CATCHING_UP

    @property
    def phase(self) -> pb.SubscribeResponse.Phase:
        """Whether the reader has reached the head and has been in the window since."""
        return self._phase

    @property
    def ended(self) -> bool:
        """Whether everything up to the place where it was to stop has been sent."""
        return self._stop is not None and self.position >= self._stop

    def started(self, *, heartbeat_s: float, age_max_s: float) -> bytes:
        """Returns the first response."""
        notice = pb.Notice.Started(
            subscription_id=self.subscription_id, log_epoch=cursor.epoch_text(self._epoch)
        )
        notice.heartbeat_interval.FromMicroseconds(round(heartbeat_s * 1e6))
        notice.max_stream_age.FromMicroseconds(round(age_max_s * 1e6))
        return self._respond([], pb.Notice(started=notice))

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

    def step(self) -> bytes | ReadStorage | None:
        """Returns the next response, a read to make first, or None: nothing to do now."""
        while True:
            self._advance(self.group.skip(self.position))
            if self.ended:
                return None
            upto = self._window.head if self._stop is None else self._stop
            if self.position < self._window.start:
                if self._phase == LIVE:
                    return self._fell_behind()
                return ReadStorage(after=self.position, upto=min(upto, self._window.head))
            shared = self._stop is None and self._phase == LIVE
            if shared and (ready := self.group.ready(self.position, self._events_max)):
                data, self.position = ready
                self._sent = self.position
                return data
            before = self.position
            batch = self._window.batch(
                before,
                self.group.matcher,
                upto=upto,
                events_max=self._events_max,
                bytes_max=RESPONSE_BYTES_MAX,
            )
            self._advance(batch.position)
            was = self._phase
            if self.position >= self._window.head:
                self._phase = LIVE
            if batch.chunks:
                data = self._respond(batch.chunks)
                if shared:
                    self.group.keep(before, self._events_max, data, self.position)
                return data
            if self._phase != was or self.position - self._sent >= CHECKPOINT_EVERY:
                return self._respond([])
            if self.position == before:
                return None

    def take(self, page: read.Page) -> Iterator[bytes]:
        """Yields the responses for what storage returned, the place advancing with each."""
        chunks: list[bytes] = []
        size = 0
        last = self.position
        for entry in page.entries:
            size += len(entry.chunk)
            if chunks and (len(chunks) == self._events_max or size > RESPONSE_BYTES_MAX):
                self._advance(last)
                yield self._respond(chunks)
                chunks, size = [], len(entry.chunk)
            chunks.append(entry.chunk)
            last = entry.position
        self._advance(page.upto)
        if chunks or self.position - self._sent >= CHECKPOINT_EVERY:
            yield self._respond(chunks)

    def _advance(self, position: int) -> None:
        assert position >= self.position, "a reader's place never goes back"
        self.position = position

    def _fell_behind(self) -> bytes:
        self._phase = CATCHING_UP
        behind = self._window.head - self.position
        return self._respond([], pb.Notice(fell_behind=pb.Notice.FellBehind(entries_behind=behind)))

    def _respond(self, chunks: list[bytes], notice: pb.Notice | None = None) -> bytes:
        self._sent = self.position
        trailer = pb.SubscribeResponse(
            cursor=cursor.encode(self._epoch, self.position),
            phase=self._phase,
            server_time=splice.timestamp(self._time.now_us()),
            head_position=self._window.head,
            notice=notice,
        )
        return splice.join(chunks, trailer.SerializeToString())

"""How far a subscription has come, and how far behind the log it is.

Owns its cursors and what of a response is new to the subscriber. Called by `subscription`
with each response. Pure: never reads a stream, and never stores a cursor.
"""

from dataclasses import dataclass, field

from payhub.events.v1 import event_pb2, event_stream_service_pb2

_Response = event_stream_service_pb2.SubscribeResponse


@dataclass(frozen=True, slots=True, kw_only=True)
class Lag:
    """How far a reader was behind the log when the last response was made."""

    entries: int
    """Places between what it was given and the head; events that its filter leaves out count."""
    seconds: float | None
    """Between the log's newest event and the last one it was given; None before the first
    event, 0 at the head."""
    live: bool
    """Whether the head of the log was reached."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """What one response held: perhaps no event, only a newer cursor."""

    events: tuple[event_pb2.Event, ...]
    cursor: str
    """Store it once every event of the batch is dealt with."""
    live: bool
    """Whether the head of the log was reached."""
    head_position: int


@dataclass(slots=True, kw_only=True)
class Progress:
    """What a reader was given so far, over all its streams."""

    received: str
    """Cursor after everything that was received: where the next stream begins."""
    dealt_with: str
    """Cursor after everything that the reader has come back from."""
    _position: int = field(default=0, init=False)
    _accepted_us: int = field(default=0, init=False)
    _head_position: int = field(default=0, init=False)
    _head_us: int = field(default=0, init=False)
    _live: bool = field(default=False, init=False)
    _quiet: bool = field(default=False, init=False)

    def accept(self, response: _Response) -> Batch:
        """Return what a response brings, without the events that came before."""
        fresh = []
        for event in response.events:
            if event.position > self._position:
                self._position = event.position
                fresh.append(event)
        self._head_position = response.head_position
        self._head_us = response.head_time.ToMicroseconds()
        self._live = response.phase == _Response.PHASE_LIVE
        self._quiet = not response.events
        if response.events:
            self._accepted_us = response.events[-1].append_time.ToMicroseconds()
        self.received = response.cursor or self.received
        return Batch(
            events=tuple(fresh),
            cursor=self.received,
            live=self._live,
            head_position=response.head_position,
        )

    @property
    def lag(self) -> Lag:
        """How far the reader is behind, as of the last response."""
        if self._live and self._quiet:
            # What lies between is nothing that the filter selects.
            return Lag(entries=0, seconds=0.0, live=True)
        behind_s = max(self._head_us - self._accepted_us, 0) / 1e6
        return Lag(
            entries=max(self._head_position - self._position, 0),
            seconds=behind_s if self._accepted_us else None,
            live=self._live,
        )

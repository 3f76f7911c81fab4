"""Places that callers name, checked against the log.

Owns cursors, start points and what becomes of those that are too old, too new or of
another log. Called by the streams and by queries. Never decides what is read there.
"""

import asyncio
import dataclasses

from payhub.events.v1 import event_stream_service_pb2 as pb

from event_gateway import cursor, problems, tail, window
from event_gateway.db import read
from servicekit import clock, errors, storage

# How often a place that lies ahead is looked for again.
_AHEAD_POLL_S = 0.1
# A moment this far ahead is another clock's, not a wish.
_SKEW_US = 5_000_000

_Policy = pb.StartPoint.ExpiredPolicy
_FAIL = (pb.StartPoint.EXPIRED_POLICY_UNSPECIFIED, pb.StartPoint.EXPIRED_POLICY_FAIL)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """Where a stream begins.

    Attributes:
        position: Reading begins after it.
        from_oldest: Whether it is the oldest place, whichever that is when reading begins.
        skipped: Whether history was passed over to get there.
        requested: The cursor the caller had named, if it was one.
    """

    position: int
    from_oldest: bool = False
    skipped: bool = False
    requested: str = ""


class Places:
    """Checks places that callers name against the log.

    Args:
        database: Where the log is.
        log: The newest part of it.
        follow: Asked when a place lies after the window: another process may have
            appended.
        epoch: Which life of the log.
        ahead_wait_s: How long a place ahead of the log is waited for, seconds: the database
            may have to catch up after a failover.
        time: What callers' moments are compared with.
    """

    def __init__(
        self,
        database: storage.Database,
        log: window.Window,
        follow: tail.Tail,
        *,
        epoch: int,
        ahead_wait_s: float,
        time: clock.Clock,
    ) -> None:
        self.database = database
        self.epoch = epoch
        self._window = log
        self._tail = follow
        self._ahead_wait_s = ahead_wait_s
        self._time = time

    async def start(self, point: pb.StartPoint, field: str = "start") -> Start:
        """Returns where a stream with that start point begins; *field* names it in errors.

        Raises:
            errors.RpcError: As `resolve`, or INVALID_FIELD for a moment in the future.
        """
        kind = point.WhichOneof("point")
        if kind == "after_cursor":
            text = point.after_cursor
            try:
                return Start(position=await self.resolve(text, field=f"{field}.after_cursor"))
            except errors.RpcError as refusal:
                if refusal.reason != problems.EXPIRED or point.expired_policy in _FAIL:
                    raise
                return await self._skip(point.expired_policy, text)
        if kind == "from_time":
            return await self._from_time(point, field)
        if point.anchor == pb.StartPoint.ANCHOR_OLDEST:
            return Start(position=await self.oldest(), from_oldest=True)
        return Start(position=self._window.head)

    async def position(self, point: pb.StartPoint, field: str) -> int:
        """Returns the place of a start point for who keeps it: everything that was appended before
        lies at or before the newest one.

        Raises:
            errors.RpcError: As `start`.
        """
        await self.see_all()
        return (await self.start(point, field)).position

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
        if place.position > self._window.head:
            await self._wait_for(place.position)
        if place.position < self._window.start:
            await self.check_kept(place.position, await self.database.read(read.state), text)

    async def check_kept(self, position: int, state: read.State, text: str = "") -> None:
        """Checks that everything after *position* was kept in the snapshot of *state*."""
        if position < state.oldest:
            raise problems.cursor_expired(
                text or cursor.encode(self.epoch, position),
                epoch=self.epoch,
                oldest=state.oldest,
                oldest_us=await self._oldest_us(state),
            )

    async def see_all(self) -> None:
        """Returns once the window has everything that was appended before, wherever that was."""
        await self._tail.refresh_anew()

    async def oldest(self) -> int:
        """Returns the place after which everything is kept."""
        return (await self.database.read(read.state)).oldest

    async def _wait_for(self, position: int) -> None:
        """Returns once the log has come to *position*; CURSOR_AHEAD if it does not."""
        loop = asyncio.get_running_loop()
        until_s = loop.time() + self._ahead_wait_s
        while True:
            await self._tail.refresh_anew()
            if position <= self._window.head:
                return
            if loop.time() >= until_s:
                raise problems.cursor_ahead(position, self._window.head)
            await asyncio.sleep(_AHEAD_POLL_S)

    async def _from_time(self, point: pb.StartPoint, field: str) -> Start:
        try:
            moment_us = point.from_time.ToMicroseconds()
        except ValueError:
            raise errors.invalid_field(f"{field}.from_time", "is not a time") from None
        if moment_us > self._time.now_us() + _SKEW_US:
            raise errors.invalid_field(f"{field}.from_time", "must not lie in the future")
        await self._tail.refresh()
        state, position, oldest_us = await self.database.read(lambda conn: _at(conn, moment_us))
        # Of a log in which nothing is kept, the newest event is among those that are missing.
        is_missed = (oldest_us or state.head_append_us + 1) > moment_us
        if not state.oldest or not is_missed:
            return Start(position=position)
        if point.expired_policy in _FAIL:
            raise problems.time_expired(epoch=self.epoch, oldest=state.oldest, oldest_us=oldest_us)
        return await self._skip(point.expired_policy, "")

    async def _skip(self, policy: _Policy, requested: str) -> Start:
        from_oldest = policy == pb.StartPoint.EXPIRED_POLICY_OLDEST
        position = await self.oldest() if from_oldest else self._window.head
        return Start(position=position, from_oldest=from_oldest, skipped=True, requested=requested)

    async def _oldest_us(self, state: read.State) -> int:
        return await self.database.read(lambda conn: read.oldest_append_us(conn, state))


def _at(conn: storage.Connection, moment_us: int) -> tuple[read.State, int, int]:
    current = read.state(conn)
    position = read.accepted_before(conn, moment_us, current)
    return current, position, read.oldest_append_us(conn, current)

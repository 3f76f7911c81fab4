"""What the outbox believes of the log, held against what the log says.

Owns the epoch and the highest position this process knows of, the un-marking of
rows that the log no longer holds, and the deletion of rows that nobody will
need. Called by the relay. Never marks a row.
"""

import functools

from payment_service.db import known, outbox
from payment_service.relay import batches, gateway, guarding
from servicekit import clock as clocks
from servicekit import logs, storage

# Rows per transaction: a few milliseconds, so that payments go on between them.
CHUNK = 1000
# Deleting keeps up with twice the rate at which events can be written.
PRUNE_CHUNKS = 40
PRUNE_EVERY_S = 60.0

_AT_ONCE = float("-inf")

_log = logs.get_logger(__name__)


class Repair:
    """Keeps marks true; see the module.

    Args:
        db: The payment database.
        clock: For the age of rows.
        guard: Says whether the log has what this database never had.
        check_s: A check is due this long after the one before.
        keep_s: Marked rows older than this are deleted; 0 keeps them.
    """

    def __init__(
        self,
        db: storage.Database,
        clock: clocks.Clock,
        guard: guarding.Guard,
        *,
        check_s: float,
        keep_s: float,
    ) -> None:
        self._db = db
        self._clock = clock
        self._guard = guard
        self.is_behind = False
        self._check_s = check_s
        self._check_at_s = _AT_ONCE
        self._keep_s = keep_s
        self._ageing = storage.Ageing(db, clock, "outbox")
        self._epoch = ""
        self._highest = 0
        self._lost_after: int | None = None
        self._prune_after_id = 0
        self._prune_at_s = _AT_ONCE

    @property
    def due(self) -> bool:
        """Whether marks must be checked before anything else is published."""
        return self._clock.monotonic_s() >= self._check_at_s

    def doubt(self) -> None:
        """Makes a check due now."""
        self._check_at_s = _AT_ONCE

    async def check(self, target: gateway.Gateway) -> int:
        """Makes rows wait again that the log does not hold; returns how many.

        All of them before anything else is published: entities then go in order. None in a
        database that lacks what the log has: whatever it published would hide that.
        """
        place = await target.place()
        self.is_behind = not await self._guard.passes(place.newest)
        if self.is_behind:
            self._check_at_s = self._clock.monotonic_s() + self._check_s
            return 0
        if self._epoch and place.epoch != self._epoch:
            _log.warning("the event log has a new epoch", before=self._epoch, now=place.epoch)
        head = place.head
        if self._lost_after is not None and place.epoch == self._epoch:
            head = min(head, self._lost_after)
        found = await self._unmark(place.epoch, head)
        if found:
            _log.warning(
                "the event log lost events; they are published again",
                events=found,
                epoch=place.epoch,
                head=head,
            )
        self._highest = await self._db.read(lambda conn: outbox.highest_position(conn, place.epoch))
        self._epoch, self._lost_after = place.epoch, None
        self._check_at_s = self._clock.monotonic_s() + self._check_s
        await self._prune(place)
        return found

    def fits(self, place: gateway.Place, answers: batches.Answers) -> bool:
        """Returns whether an answer fits what was known of the log; else a check is due."""
        if place.epoch != self._epoch:
            self.doubt()
            return False
        if answers.lowest and answers.lowest <= self._highest:
            # Positions only rise, so the log had lost what was there before.
            self._lost_after = answers.lowest - 1
            self.doubt()
            return False
        self._highest = max(self._highest, answers.highest)
        if place.head < self._highest:
            self.doubt()
            return False
        return True

    @property
    def doubts_marks(self) -> bool:
        """Whether positions were given twice, so that no new mark can be told from an old."""
        return self._lost_after is not None

    async def _unmark(self, epoch: str, head: int) -> int:
        found = 0
        while True:
            ids = await self._db.read(
                lambda conn: outbox.not_in_log(conn, epoch=epoch, head=head, most=CHUNK)
            )
            if not ids:
                return found
            unmark = functools.partial(outbox.unmark, ids=ids)
            found += await self._db.write(unmark)

    async def _prune(self, place: gateway.Place) -> None:
        now_s = self._clock.monotonic_s()
        if not self._keep_s or now_s < self._prune_at_s:
            return
        before_us = await self._ageing.now_us() - round(self._keep_s * 1_000_000)
        deleted = 0
        for _ in range(PRUNE_CHUNKS):
            after_id = self._prune_after_id
            count, last_id, last_us = await self._db.read(
                functools.partial(outbox.next_by_age, after_id=after_id, most=CHUNK)
            )
            if count:
                prune = functools.partial(
                    _prune,
                    after_id=after_id,
                    upto_id=last_id,
                    epoch=place.epoch,
                    head=place.head,
                    before_us=before_us,
                )
                deleted += await self._db.write(prune)
            if count < CHUNK or last_us >= before_us:
                self._prune_after_id = 0
                self._prune_at_s = now_s + PRUNE_EVERY_S
                break
            self._prune_after_id = last_id
        if deleted:
            _log.info("old events left the outbox", events=deleted)


def _prune(conn: storage.Connection, *, epoch: str, **bounds: int) -> int:
    """Deletes rows, and notes up to where the log was known before."""
    highest = outbox.highest_position(conn, epoch)
    deleted = outbox.prune(conn, epoch=epoch, **bounds)
    if deleted:
        known.note(conn, epoch, highest)
    return deleted

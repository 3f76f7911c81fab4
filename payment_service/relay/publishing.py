"""Batches on their way: taken, published, marked.

Owns the order of these steps, what is refused, and the search for an event
that spoils a whole batch. Called by the relay's loop. Never holds a transaction
while it waits for the gateway.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import NamedTuple

import grpc
import grpc.aio
from payhub.events.v1 import event_pb2

from payment_service.db import outbox
from payment_service.relay import batches, beginnings, gateway, holding, repair
from servicekit import clock as clocks
from servicekit import failpoints, logs, metrics, storage

# Any other failure says nothing about what was sent.
_MAY_BE_ONE_EVENT = (
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.INTERNAL,
    grpc.StatusCode.UNKNOWN,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
)
_TEXT_MAX = 500
_CONFLICT = "ENTITY_VERSION_CONFLICT"
_RESTORED_HINT = (
    "the log has other events of this entity, so this database was restored or lost commits: stop "
    "payment_service and run `python -m payment_service recover`"
)
_DISCREPANCY = "reconciliation.discrepancy"
# As it stands in an envelope: to parse each of them would cost more than to publish it.
_AS_BYTES = event_pb2.Event(type=_DISCREPANCY).SerializeToString()

_log = logs.get_logger(__name__)


class _Settlement(NamedTuple):
    """What is to be written about one batch; a row in neither list is taken again."""

    epoch: str
    marks: list[tuple[int, int]]
    postponed: list[outbox.Postponed]

    @property
    def ids(self) -> list[int]:
        """Rows that must not be taken until this is written."""
        return [row_id for row_id, _ in self.marks] + [one.id for one in self.postponed]


class Publisher:
    """Publishes what waits; see the module.

    Args:
        db: The payment database.
        clock: For pauses of refused events.
        marks: Judges every answer.
        registry: For the counts of events.
        wake: Set by whoever wrote to the outbox in this process.
        mark_s: How long published rows may stay unmarked.
    """

    def __init__(
        self,
        *,
        db: storage.Database,
        clock: clocks.Clock,
        marks: repair.Repair,
        registry: metrics.Metrics,
        wake: asyncio.Event,
        mark_s: float,
    ) -> None:
        self._db = db
        self._clock = clock
        self._repair = marks
        self._wake = wake
        self._mark_s = mark_s
        self._held: list[_Settlement] = []
        self._held_rows = 0
        self._mark_at_s = clock.monotonic_s()
        self._writing: asyncio.Task[None] | None = None
        self._in_writing: list[int] = []
        self._holding = holding.Holding()
        self._beginnings = beginnings.Beginnings(db, clock)
        self._rows_max = gateway.BATCH_ROWS_MAX
        self._published = registry.counter(
            "payhub_relay_published_total", "Events the gateway answered as being in its log."
        )
        self._refused = registry.counter(
            "payhub_relay_refused_total", "Refusals of single events by the gateway."
        )
        self._discrepancies = registry.counter(
            "payhub_relay_discrepancies_total",
            "Published events that tell of a discrepancy; one is counted again if published again.",
        )
        self.more = False

    async def load(self) -> None:
        """Learns from the outbox which entities wait for a refused event."""
        self._beginnings.clear()
        self._holding.load(
            await self._db.read(lambda conn: outbox.refused(conn, holding.ENTITIES_MAX))
        )

    async def drain(self, target: gateway.Gateway, go_on: Callable[[], bool]) -> int:
        """Publishes batch after batch while *go_on*; returns how many rows are in the log.

        While batches are marked, the next is taken and published. Afterwards `more`
        says whether rows were left that could have been published.
        """
        published = 0
        if self._marks_due():
            await self._start_writing()
        while True:
            self.more = True
            if not go_on():
                break
            self._wake.clear()
            await self._beginnings.look()
            rows_max = self._rows_max
            taken = await self._take(self._unwritten(), rows_max)
            if not taken:
                self.more = False
                break
            settled = await self._publish(target, taken)
            published += len(settled.marks)
            self._held.append(settled)
            self._held_rows += len(settled.marks)
            if settled.postponed or self._marks_due():
                await self._start_writing()
            if _is_all(taken, rows_max) and len(settled.ids) == len(taken):
                self.more = False
                break
        if not self._mark_s:
            await self.flush()
        return published

    async def flush(self) -> None:
        """Marks every row that was published."""
        await self._start_writing()
        await self._finish_writing()

    def _unwritten(self) -> list[int]:
        held = [row_id for settled in self._held for row_id in settled.ids]
        return self._in_writing + held

    def _marks_due(self) -> bool:
        if self._held_rows >= gateway.BATCH_ROWS_MAX:
            return True
        return bool(self._held) and self._clock.monotonic_s() >= self._mark_at_s

    async def _start_writing(self) -> None:
        await self._finish_writing()
        held, self._held, self._held_rows = self._held, [], 0
        self._mark_at_s = self._clock.monotonic_s() + self._mark_s
        if held:
            self._in_writing = [row_id for settled in held for row_id in settled.ids]
            self._writing = asyncio.create_task(self._write(held))

    async def _finish_writing(self) -> None:
        writing, self._writing = self._writing, None
        if writing is not None:
            try:
                await writing
            finally:
                self._in_writing = []

    async def _take(self, skipped: Sequence[int], rows_max: int) -> list[outbox.Waiting]:
        now_us = self._clock.now_us()
        return await self._db.read(
            lambda conn: outbox.take(
                conn,
                now_us=now_us,
                skipped=skipped,
                rows_max=rows_max,
                bytes_max=gateway.BATCH_BYTES_MAX,
            )
        )

    async def _publish(
        self, target: gateway.Gateway, taken: Sequence[outbox.Waiting]
    ) -> _Settlement:
        now_us = self._clock.now_us()
        rows, postponed = batches.divide(batches.in_order(taken), self._holding, now_us)
        if not rows:
            return _Settlement("", [], postponed)
        failpoints.hit("payment_service.relay_before_publish")
        first = self._beginnings.among(rows)
        try:
            response = await target.publish([row.envelope for row in rows], first)
        except grpc.aio.AioRpcError as failure:
            if failure.code() is grpc.StatusCode.PERMISSION_DENIED:
                # With the key of a tenant, what needs no right of the relay's goes on.
                self._beginnings.clear()
            refused = await self._after_failure(rows, failure)
            return _Settlement("", [], postponed + refused)
        failpoints.hit("payment_service.relay_after_publish")
        self._beginnings.forget([rows[index] for index in first])
        self._rows_max = min(self._rows_max * 2, gateway.BATCH_ROWS_MAX)
        answers = batches.read(rows, response)
        place = gateway.Place(response.log_epoch, response.head_position)
        fits = self._repair.fits(place, answers)
        if fits and answers.gap:
            # Versions are missing that had been published: has the log lost them?
            await self.flush()
            fits = not await self._repair.check(target)
        if self._repair.doubts_marks:
            return _Settlement("", [], postponed)
        self._published.inc(len(answers.marks))
        self._discrepancies.inc(_discrepancies(rows, answers))
        if fits:
            self._accept(rows, answers)
            self._beginnings.ask(answers.unknown)
            postponed += self._refuse(answers.rejected)
        return _Settlement(place.epoch, answers.marks, postponed)

    async def _after_failure(
        self, rows: Sequence[outbox.Waiting], failure: grpc.aio.AioRpcError
    ) -> list[outbox.Postponed]:
        """Finds the event that no batch may hold: by looking, else by halving the batch.

        Raises:
            grpc.aio.AioRpcError: It need not be about one event.
        """
        code = failure.code()
        if code not in _MAY_BE_ONE_EVENT:
            raise failure
        bad = [(row, text) for row in rows if (text := gateway.problem(row.envelope))]
        if bad:
            return self._refuse(bad)
        if code is grpc.StatusCode.RESOURCE_EXHAUSTED:
            raise failure
        sure = code is grpc.StatusCode.INVALID_ARGUMENT
        refused: list[outbox.Postponed] = []
        if len(rows) > 1:
            self._rows_max = len(rows) // 2
        else:
            text = f"{code.name}: {failure.details()}".replace("\0", "")
            refused = self._refuse([(rows[0], text[:_TEXT_MAX])])
        if not sure:
            # It may as well be the gateway's own trouble, so the next batch waits a while.
            await self._write([_Settlement("", [], refused)])
            raise failure
        return refused

    def _accept(self, rows: Sequence[outbox.Waiting], answers: batches.Answers) -> None:
        if self._holding:
            rejected = {row.id for row, _ in answers.rejected}
            for row in rows:
                if row.id not in rejected:
                    self._holding.accept(row.entity, row.entity_version)

    def _refuse(self, rejected: Sequence[tuple[outbox.Waiting, str]]) -> list[outbox.Postponed]:
        if not rejected:
            return []
        postponed = batches.refuse(rejected, self._holding, self._clock.now_us())
        for (row, _), one in zip(rejected, postponed, strict=True):
            if one.refused:
                self._refused.inc()
                _log.warning(
                    "the event gateway refused an event; later ones of its entity wait",
                    event_id=row.event_id,
                    entity_id=row.entity_id,
                    entity_version=row.entity_version,
                    problem=one.refused,
                    hint=_RESTORED_HINT if one.refused.startswith(_CONFLICT) else "",
                )
        return postponed

    async def _write(self, held: Sequence[_Settlement]) -> None:
        """Writes what became of some batches, in one transaction."""
        marks: dict[str, list[tuple[int, int]]] = {}
        for settled in held:
            if settled.marks:
                marks.setdefault(settled.epoch, []).extend(settled.marks)
        postponed = [one for settled in held for one in settled.postponed]
        if not marks and not postponed:
            return

        def write(conn: storage.Connection) -> None:
            for epoch, own in marks.items():
                outbox.mark(conn, epoch, own)
            if postponed:
                outbox.postpone(conn, postponed)

        await self._db.write(write)
        failpoints.hit("payment_service.relay_after_mark")


def _is_all(taken: Sequence[outbox.Waiting], rows_max: int) -> bool:
    """Returns whether a batch was limited by neither rows nor bytes."""
    size = sum(len(row.envelope) for row in taken)
    return len(taken) < rows_max and size < gateway.BATCH_BYTES_MAX // 2


def _discrepancies(rows: Sequence[outbox.Waiting], answers: batches.Answers) -> int:
    """Returns how many of the rows that are in the log tell of a discrepancy."""
    # What a caller wrote may have the same bytes.
    may = {row.id: row.envelope for row in rows if _AS_BYTES in row.envelope}
    return sum(
        event_pb2.Event.FromString(may[row_id]).type == _DISCREPANCY
        for row_id, _ in answers.marks
        if row_id in may
    )

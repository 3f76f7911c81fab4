"""Entities whose first events have left the outbox, and which a new log does not know.

A log has to be told which event is the first there is, or it waits for those before it. Owns the
proof that none is left before: a walk through the whole outbox, marked rows included, a little
at a time. A proof holds for ever, because rows of an entity are written by version. Called by the
publisher, once the gateway has said that it knows nothing of an entity. Never publishes.
"""

from collections.abc import Sequence

from payment_service.db import outbox
from servicekit import clock as clocks
from servicekit import logs, storage

# Rows per read, and reads between two batches: 30 ms together, so that events go on.
CHUNK = 1000
CHUNKS = 10
# No index leads from an entity to its rows: every payment would have to pay for it. So
# that looks take no more than a share of a large outbox, they rest in between.
REST_FACTOR = 4.0
ENTITIES_MAX = 20_000

_AT_ONCE = float("-inf")

_log = logs.get_logger(__name__)


class Beginnings:
    """Finds the rows that are the first left of their entity; see the module."""

    def __init__(self, db: storage.Database, clock: clocks.Clock) -> None:
        self._db = db
        self._clock = clock
        self._asked: dict[outbox.Entity, outbox.Version] = {}
        self._looked_for: dict[outbox.Entity, outbox.Version] = {}
        self._proven: set[int] = set()
        self._after_id = 0
        self._took_s = 0.0
        self._begin_at_s = _AT_ONCE

    def ask(self, rows: Sequence[outbox.Waiting]) -> None:
        """Notes rows of entities that the log does not know, to be looked for.

        Forgets what is too much: it is refused again, and asked for again.
        """
        for row in rows:
            asked = self._asked.get(row.entity) or self._looked_for.get(row.entity)
            if asked is not None and asked.entity_version <= row.entity_version:
                continue
            if len(self._asked) + len(self._proven) < ENTITIES_MAX:
                self._asked[row.entity] = outbox.Version(row.id, *row.entity, row.entity_version)

    def among(self, rows: Sequence[outbox.Waiting]) -> list[int]:
        """Returns the indices of the rows that are proven to be the first of their entity."""
        if not self._proven:
            return []
        return [index for index, row in enumerate(rows) if row.id in self._proven]

    def forget(self, rows: Sequence[outbox.Waiting]) -> None:
        """Drops what is proven of rows, once the gateway was told."""
        self._proven.difference_update(row.id for row in rows)

    def clear(self) -> None:
        """Drops everything."""
        self._asked, self._looked_for = {}, {}
        self._proven.clear()

    async def look(self) -> None:
        """Looks through the next rows of the outbox, if somebody asked.

        Raises:
            storage.StorageError: The database is away; the next call goes on there.
        """
        if not (self._looked_for or self._asked):
            return
        began_s = self._clock.monotonic_s()
        if not self._looked_for:
            if began_s < self._begin_at_s:
                return
            self._looked_for, self._asked = self._asked, {}
            self._after_id, self._took_s = 0, 0.0
        for _ in range(CHUNKS):
            found = await self._next()
            for row in found:
                wanted = self._looked_for.get(row.entity)
                if wanted is not None and row.entity_version < wanted.entity_version:
                    del self._looked_for[row.entity]
            if len(found) < CHUNK or not self._looked_for:
                self._end(self._took_s + self._clock.monotonic_s() - began_s)
                return
            self._after_id = found[-1].id
        self._took_s += self._clock.monotonic_s() - began_s

    async def _next(self) -> list[outbox.Version]:
        after_id = self._after_id
        return await self._db.read(
            lambda conn: outbox.versions(conn, after_id=after_id, most=CHUNK)
        )

    def _end(self, took_s: float) -> None:
        self._begin_at_s = self._clock.monotonic_s() + REST_FACTOR * took_s
        proven, self._looked_for = list(self._looked_for.values()), {}
        if proven:
            self._proven.update(row.id for row in proven)
            _log.warning(
                "the event log does not know entities whose earlier events have left the outbox; "
                "it goes on without these",
                entities=len(proven),
                one_entity_id=proven[0].entity_id,
                from_version=proven[0].entity_version,
            )

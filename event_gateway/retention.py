"""Keeps the log within its age and size.

Owns when events go: what has to is announced first, readers get a cursor past it, and
only later it is deleted. What durable consumers have not dealt with stays longer. Runs
in the background of every gateway; several on one log do no harm. Never deletes anything
that was not announced.
"""

import asyncio
import dataclasses
import functools
from collections.abc import Awaitable, Callable

from event_gateway.db import read, retain
from servicekit import clock, logs, storage

# Transactions in one round of each kind; where that was not all, the next round begins at once.
_STEPS_MAX = 500

_log = logs.get_logger(__name__)

# Returns the smallest place that durable consumers have dealt with; None without any.
Floor = Callable[[], Awaitable[int | None]]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What is kept.

    Attributes:
        age_s: How long events are kept, seconds; 0: for ever.
        size_bytes: How many bytes of events are kept; 0: no limit.
        for_consumers: Times both, while a consumer has not dealt with an event.
        dedup_s: How long ids are remembered, seconds; 0: for ever.
        lead_s: Between announcing and deleting, seconds.
    """

    age_s: float
    size_bytes: int
    for_consumers: float
    dedup_s: float
    lead_s: float

    def bounds(self, now_us: int, times: float = 1.0) -> retain.Bounds:
        """Returns what has to be kept at *now_us*, or *times* as much."""
        return retain.Bounds(
            before_us=max(now_us - round(self.age_s * times * 1e6), 0) if self.age_s else 0,
            size_bytes=round(self.size_bytes * times),
        )


class Retention:
    """Announces and deletes, round after round.

    Args:
        database: Where the log is.
        policy: What is kept.
        floor: Asked in each round.
        kick: Called after an announcement, so that readers hear of it now.
        every_s: Time between two rounds, seconds.
        time: Compared with append times, as far as it is believed.
    """

    def __init__(
        self,
        database: storage.Database,
        policy: Policy,
        *,
        floor: Floor,
        kick: Callable[[], None],
        every_s: float,
        time: clock.Clock,
    ) -> None:
        self._database = database
        self._policy = policy
        self._floor = floor
        self._kick = kick
        self._every_s = every_s
        self._ageing = storage.Ageing(database, time, "event_log")

    async def run(self, stop: asyncio.Event) -> None:
        """Runs a round every `every_s`, or at once after one that did not do all there was to do,
        until *stop* is set.
        """
        behind = False
        while not stop.is_set():
            try:
                await asyncio.wait_for(stop.wait(), 0 if behind else self._every_s)
            except TimeoutError:
                behind = False
                try:
                    behind = await self.run_once(stop)
                except storage.StorageError as failure:
                    _log.warning("can't tidy the event log", problem=str(failure))

    async def run_once(self, stop: asyncio.Event | None = None) -> bool:
        """Deletes what was announced long enough ago, announces what goes next, forgets ids.

        Returns whether that was not all there is to do now.
        """
        behind = await self._delete(stop)
        await self._announce()
        return await self._forget_keys(stop) or behind

    async def _delete(self, stop: asyncio.Event | None) -> bool:
        state = await self._database.read(read.state)
        if state.expiring <= state.oldest:
            return False
        waited_s = (await self._ageing.now_us() - state.expiring_us) / 1e6
        if waited_s < self._policy.lead_s:
            return False
        deleted, behind = await self._repeat(
            functools.partial(retain.delete, upto=state.expiring), retain.DELETED_MAX, stop
        )
        if deleted:
            _log.info("events deleted", count=deleted, upto=state.expiring)
        return behind

    async def _announce(self) -> None:
        policy = self._policy
        if not policy.age_s and not policy.size_bytes:
            return
        floor = await self._floor()
        now_us = await self._ageing.now_us()

        def find(conn: storage.Connection) -> int:
            current = read.state(conn)
            if current.expiring > current.oldest:
                return 0
            upto = retain.bound(conn, policy.bounds(now_us), current)
            if floor is not None and floor < upto:
                hard = retain.bound(conn, policy.bounds(now_us, policy.for_consumers), current)
                upto = max(floor, hard)
            return upto if upto > current.oldest else 0

        upto = await self._database.read(find)
        if upto:
            await self._database.write(lambda conn: retain.plan(conn, upto, now_us))
            self._kick()

    async def _forget_keys(self, stop: asyncio.Event | None) -> bool:
        if not self._policy.dedup_s or not (await self._database.read(read.state)).oldest:
            return False
        before_us = await self._ageing.now_us() - round(self._policy.dedup_s * 1e6)
        forget = functools.partial(retain.drop_keys, before_us=before_us)
        _, behind = await self._repeat(forget, retain.KEYS_MAX, stop)
        return behind

    async def _repeat(
        self,
        step: Callable[[storage.Connection], int],
        most: int,
        stop: asyncio.Event | None,
    ) -> tuple[int, bool]:
        """Runs transactions that do *most* each until one does less; returns how much they did,
        and whether there is more.
        """
        done = 0
        for _ in range(_STEPS_MAX):
            count = await self._database.write(step)
            done += count
            if count < most:
                return done, False
            if stop is not None and stop.is_set():
                break
        return done, True

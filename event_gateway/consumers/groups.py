"""Every consumer that this process runs, and the leases that say so.

Owns acquiring, renewing and giving back; what the members' streams of all
consumers are, for the recheck of keys; and the deletion of consumers that nobody
uses. Called by the API and the background of the gateway.
"""

import asyncio
import contextlib
import dataclasses
from collections.abc import Callable

from event_gateway import problems, telling
from event_gateway.consumers import changes, group, member, source
from event_gateway.db import commands, consumers, lag, progress, read
from servicekit import clock, errors, logs, storage

TIDY_EVERY_S = 60.0
# Transactions of one tidying.
TIDIED_MAX = 20
# Consumers that are given back at a time.
LEAVING_MAX = 32
# Who deletes a consumer that nobody uses, in its event.
ACTOR = "gateway"
# With many consumers a burst of news wakes them once.
_NEWS_EVERY_S = 0.002

_log = logs.get_logger(__name__)
_Key = tuple[str, str]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Elsewhere:
    """Another process runs the consumer."""

    owner: str
    endpoint: str


class Groups:
    """The consumers of this process.

    Args:
        around: What groups use.
        owner: This process, in the rows of its consumers.
        lease_s: How long others wait for a process that died, seconds.
        on_event: Called after a transaction that appended to the log.
    """

    def __init__(
        self,
        around: source.Surroundings,
        *,
        owner: str,
        lease_s: float,
        on_event: Callable[[], None],
    ) -> None:
        self.owner = owner
        self._on_event = on_event
        self._lease_s = lease_s
        # Where the other replicas reach this one; known once it listens.
        self.endpoint = ""
        self._around = around
        self._time: clock.Clock = around.time
        self._ageing = storage.Ageing(around.database, around.time, "consumers")
        self._groups: dict[_Key, group.Group] = {}
        self._acquiring: dict[_Key, asyncio.Task[group.Group | Elsewhere]] = {}
        self._news: asyncio.Handle | None = None
        self._draining = False
        self._erasures = -1

    @property
    def streams(self) -> list[member.Member]:
        """Every member with a stream: those that a key opened, and stays open."""
        return [each for one in self._groups.values() for each in one.members if each.key_digest]

    @property
    def count(self) -> int:
        """How many consumers run here."""
        return len(self._groups)

    def close(self, stream: member.Member, reason: object) -> None:
        """Ends a member's stream whose key lost its rights."""
        del reason
        stream.end(problems.key_lost())

    def news(self) -> None:
        """Says that the log has grown."""
        if self._news is None and self._groups:
            loop = asyncio.get_running_loop()
            self._news = loop.call_later(_NEWS_EVERY_S, self._on_news)

    def changed(self, now: read.State) -> None:
        """Takes note of a state of the log: whether stored events were changed."""
        if now.erasures != self._erasures:
            self._erasures = now.erasures
            for running in self._groups.values():
                running.forget_events()

    def poke(self, tenant_id: str, name: str) -> None:
        """Says that a consumer's row has changed."""
        running = self._groups.get((tenant_id, name))
        if running is not None:
            running.changed(-1, -1)

    async def find(self, tenant_id: str, name: str) -> group.Group | Elsewhere:
        """Returns the running consumer, starting it here if nobody else runs it.

        Raises:
            errors.RpcError: There is none, or this process is stopping.
        """
        key = (tenant_id, name)
        running = self._groups.get(key)
        if running is not None and running.error is None and not running.draining:
            return running
        if running is not None and running.draining:
            raise errors.unavailable("the consumer is being given back", retry_after_s=0.2)
        if self._draining:
            raise errors.unavailable("the gateway is stopping", retry_after_s=1.0)
        acquiring = self._acquiring.get(key)
        if acquiring is None:
            acquiring = self._acquiring[key] = asyncio.create_task(self._acquire(key))
            acquiring.add_done_callback(lambda _: self._acquiring.pop(key, None))
        return await asyncio.shield(acquiring)

    async def run(self, stop: asyncio.Event) -> None:
        """Renews leases and tidies up until *stop* is set; then asks members to leave."""
        tidied_s = self._time.monotonic_s()
        leaving: asyncio.Task[None] | None = None
        with contextlib.suppress(storage.StorageError):
            # The first look into a new database believes the clock: the sooner, the better.
            await self._ageing.now_us()
        while not stop.is_set():
            try:
                await asyncio.wait_for(stop.wait(), self._lease_s / 5)
                break
            except TimeoutError:
                pass
            try:
                await self._renew()
                if leaving is None or leaving.done():
                    leaving = asyncio.create_task(self._let_go())
                if self._time.monotonic_s() - tidied_s > TIDY_EVERY_S:
                    tidied_s = self._time.monotonic_s()
                    await self._tidy()
            except storage.StorageError as failure:
                # No member could come meanwhile: they have as long as after a start.
                tidied_s = self._time.monotonic_s()
                _log.warning("can't renew the leases of consumers", problem=str(failure))
        self._draining = True
        for running in self._groups.values():
            running.drain()
        if leaving is not None:
            await leaving

    async def drain(self) -> None:
        """Writes what is left of every consumer and gives it back."""
        self._draining = True
        running = list(self._groups.values())
        await asyncio.gather(*(self.give_back(each) for each in running))

    async def _acquire(self, key: _Key) -> group.Group | Elsewhere:
        tenant_id, name = key
        began_s = self._time.monotonic_s()

        stored = await self._around.database.write(
            lambda conn: consumers.acquire(
                conn,
                tenant_id,
                name,
                owner=self.owner,
                endpoint=self.endpoint,
                lease_us=round(self._lease_s * 1e6),
            )
        )
        if stored is None:
            raise errors.not_found("consumer", name)
        if stored.owner != self.owner:
            return Elsewhere(owner=stored.owner, endpoint=stored.owner_endpoint)
        known = await self._around.database.read(lambda conn: progress.known(conn, tenant_id, name))
        running = group.Group(
            self._around, stored, known, lease_until_s=began_s + 0.9 * self._lease_s
        )
        self._groups[key] = running
        _log.info("running a consumer", consumer=name, tenant_id=tenant_id, term=stored.term)
        return running

    async def _renew(self) -> None:
        running = sorted(item for item in self._groups.items() if item[1].error is None)
        if not running:
            return
        began_s = self._time.monotonic_s()

        def renew(conn: storage.Connection) -> list[tuple[int, int] | None]:
            return [
                consumers.renew(
                    conn,
                    each.stored,
                    members=len(each.members),
                    outstanding=each.outstanding,
                    active=bool(each.members) or began_s - each.used_s < self._lease_s,
                    lease_us=round(self._lease_s * 1e6),
                )
                for _, each in running
            ]

        answers = await self._around.database.write(renew)
        for (_, each), answer in zip(running, answers, strict=True):
            if answer is None:
                # Deleted, or another process took it over.
                each.changed(-1, -1)
            else:
                each.lease_until_s = began_s + 0.9 * self._lease_s
                each.changed(*answer)

    async def _tidy(self) -> None:
        by = telling.By(actor=ACTOR, now_us=self._time.now_us())
        aged_us = await self._ageing.now_us()
        for _ in range(TIDIED_MAX):
            gone = await self._around.database.write(
                lambda conn: changes.delete_idle(conn, aged_us=aged_us, by=by)
            )
            for tenant_id, name in gone:
                _log.info("deleted a consumer that nobody used", consumer=name, tenant_id=tenant_id)
            if gone:
                self._on_event()
            if len(gone) < consumers.IDLE_MAX:
                break
        await self._around.database.write(lambda conn: commands.forget_old(conn, aged_us))
        for tenant_id, name in await self._around.database.read(lag.nearly_overtaken):
            _log.warning(
                "a consumer is about to miss events: retention comes near its place",
                consumer=name,
                tenant_id=tenant_id,
            )

    async def _let_go(self) -> None:
        """Gives back what ended or idles, beside the renewals: each takes its time."""
        running = list(self._groups.values())
        leaving = [each for each in running if each.error is not None or each.idle]
        for start in range(0, len(leaving), LEAVING_MAX):
            some = leaving[start : start + LEAVING_MAX]
            # Somebody may have come meanwhile.
            still = [each for each in some if each.error is not None or each.idle]
            await asyncio.gather(*(self.give_back(each) for each in still))

    async def give_back(self, running: group.Group) -> None:
        """Ends a consumer here, its changes written; others may run it at once."""
        await running.close()
        key = (running.stored.tenant_id, running.stored.name)
        try:
            await self._around.database.write(lambda conn: consumers.release(conn, running.stored))
        except storage.StorageError as failure:
            _log.warning("can't give a consumer back; its lease ends", problem=str(failure))
        if self._groups.get(key) is running:
            del self._groups[key]

    def _on_news(self) -> None:
        self._news = None
        for running in self._groups.values():
            running.wake()

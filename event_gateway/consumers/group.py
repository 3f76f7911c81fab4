"""A consumer that this process runs: reads on, hands out, writes down.

Owns the loop of one consumer and its members. Called by the API through
`event_gateway.consumers.groups`. What is handed out and when is decided by the
machine; nothing is promised to a member before it is on disk.
"""

import asyncio
from collections.abc import Collection

from event_gateway import problems
from event_gateway.consumers import definition, machine, member, members, policy, records, source
from event_gateway.db import consumers, progress
from servicekit import auth, errors, failpoints, ids, logs, storage

# Settlements are written after this, or when there are so many.
WRITE_EVERY_S = 0.1
WRITE_EVERY_COUNT = 1_000
# A floor that moved past what does not match is written this often.
WRITE_FLOOR_EVERY_S = 5.0
# Leases of a member whose stream broke end after this, so that one that comes back under
# its name can still settle.
GRACE_US = 5_000_000
# Nobody came for this long, and nothing is in flight: others may run it.
IDLE_S = 10.0
MEMBERS_MAX = 1_000
_HANDED_OUT_MAX = 256
_RETRY_S = 0.5

_log = logs.get_logger(__name__)


class Group:
    """One consumer.

    Args:
        around: What it uses.
        stored: The consumer, acquired by this process.
        known: What else is stored about it.
        lease_until_s: Monotonic time until which it is surely ours.
    """

    def __init__(
        self,
        around: source.Surroundings,
        stored: consumers.Stored,
        known: records.Known,
        *,
        lease_until_s: float,
    ) -> None:
        self.stored = stored
        self.lease_until_s = lease_until_s
        self.draining = False
        self.error: errors.RpcError | None = None
        self._around = around
        self._time = around.time
        self._definition = definition.read(stored)
        self._machine = self._start(stored, known, members.Members())
        self.members: set[member.Member] = set()
        self._stale = False
        self._writing = False
        self._wake = asyncio.Event()
        self._waiters: list[asyncio.Future[None]] = []
        self._unsaved_since_s: float | None = None
        self._looked_us = 0
        # How often copies of events were dropped; what was read meanwhile may be older.
        self._forgotten = 0
        self._erasures = known.erasures
        self._written_s = self.used_s = around.time.monotonic_s()
        self._task = asyncio.create_task(self._run())

    @property
    def message(self) -> definition.Definition:
        """Its definition."""
        return self._definition

    @property
    def idle(self) -> bool:
        """Whether nobody needs it here."""
        if self.members or self._machine.outstanding or self._machine.unsaved or self._waiters:
            return False
        return self._time.monotonic_s() - self.used_s > IDLE_S

    @property
    def outstanding(self) -> int:
        """Deliveries under a lease."""
        return self._machine.outstanding

    @property
    def parked(self) -> int:
        """Events set aside."""
        return self._machine.parked

    def wake(self) -> None:
        """Says that there may be something to do."""
        self._wake.set()

    def forget_events(self) -> None:
        """Drops copies of events in memory: the stored ones were changed. What waits to be sent is
        handed out anew.
        """
        self._forgotten += 1
        for each in self.members:
            self._take_back(each)
        self._machine.forget_events()
        self._stale = True
        self.wake()

    def changed(self, change_count: int, generation: int) -> None:
        """Compares with what is stored now; takes over what somebody else changed."""
        if (change_count, generation) != (self.stored.change_count, self.stored.generation):
            self._stale = True
            self.wake()

    def join(
        self,
        name: str,
        credit: int,
        *,
        principal: auth.Principal,
        key_digest: bytes,
        tenants: tuple[str, ...],
        alone: bool = True,
    ) -> member.Member:
        """Takes in a member; `leave` must follow. If *alone*, it ends others of its name.

        Raises:
            errors.RpcError: OVERLOADED, or the group has ended.
        """
        self._check_running()
        if len(self.members) >= MEMBERS_MAX:
            raise errors.overloaded(f"the consumer has {MEMBERS_MAX} members", retry_after_s=5.0)
        if alone:
            for each in self.members:
                if each.alone and each.session.name == name:
                    each.end(problems.member_replaced(name))
        joined = member.Member(
            alone=alone,
            session=self._machine.members.join(name, credit),
            principal=principal,
            key_digest=key_digest,
            tenants=tenants,
        )
        self.members.add(joined)
        self._used()
        return joined

    def leave(self, left: member.Member, *, grace: bool = True, give_back: bool = False) -> None:
        """Takes a member out, which may *give back* what it holds; without *grace* its leases go
        on as they are.
        """
        self.members.discard(left)
        now_us = self._time.now_us()
        self._take_back(left)
        if give_back:
            self._machine.give_back(left.session, now_us)
        elif grace:
            self._machine.leave(left.session, now_us, GRACE_US)
        else:
            self._machine.members.leave(left.session)
        self._used()

    def settle(
        self,
        token: str,
        verdict: policy.Verdict,
        *,
        delay_us: int = 0,
        reason: str = "",
    ) -> policy.Failure | None:
        """Takes a decision; returns why it has no effect, or None. Durable after `durable`."""
        self._check_running()
        failure = self._machine.settle(
            token,
            verdict,
            self._time.now_us(),
            delay_us=delay_us,
            reason=reason,
            chance=self._around.chance(),
        )
        self._used()
        return failure

    def settled(self, by: member.Member, number: int) -> None:
        """Says that a member's settlement of that number was taken; it is told when it is
        durable.
        """
        by.applied = max(by.applied, number)
        if not self._machine.unsaved and not self._writing:
            by.confirm(by.applied)

    def grant(self, to: member.Member, events: int) -> None:
        """Adds to a member's credit."""
        to.session.grant(events)
        self._used()

    def stop_credit(self, of: member.Member) -> None:
        """Takes back what a member was handed and has not taken, and all of its credit."""
        self._take_back(of)
        of.session.credit = 0
        self._used()

    async def durable(self) -> None:
        """Returns when everything settled so far is on disk.

        Raises:
            errors.RpcError: The group ended before that.
        """
        self._check_running()
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        self.wake()
        await waiter

    def drain(self) -> None:
        """Hands out no more, and asks the members to settle and leave."""
        self.draining = True
        for each in self.members:
            each.closing = True
            each.rouse()

    async def close(self) -> None:
        """Writes what is left, and ends."""
        self.draining = True
        if self.error is None:
            try:
                await asyncio.wait_for(self.durable(), 5.0)
            except (TimeoutError, errors.RpcError, storage.StorageError) as failure:
                _log.warning("a consumer's last changes were not written", problem=str(failure))
        self.end(errors.unavailable("the gateway is stopping", retry_after_s=1.0))
        await asyncio.wait({self._task})

    def end(self, error: errors.RpcError) -> None:
        """Ends the group: nothing more is taken or handed out."""
        if self.error is not None:
            return
        self.error = error
        for each in list(self.members):
            each.end(error)
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_exception(error)
        self._waiters.clear()
        self.wake()

    def _dismiss(self) -> None:
        """Ends the members that may not read what the consumer selects now."""
        for each in self.members:
            try:
                each.tenants = definition.check_access(each.principal, self._definition)
            except errors.RpcError as refusal:
                each.end(refusal)

    def _take_back(self, of: member.Member) -> None:
        """Takes back what a member was handed and has not taken."""
        for token in of.drop_waiting():
            self._machine.settle(token, policy.Verdict.RELEASE, self._time.now_us())

    def _used(self) -> None:
        self.used_s = self._time.monotonic_s()
        if self._machine.unsaved and self._unsaved_since_s is None:
            self._unsaved_since_s = self.used_s
        self.wake()

    def _check_running(self) -> None:
        if self.error is not None:
            raise self.error

    def _start(
        self, stored: consumers.Stored, known: records.Known, who: members.Members
    ) -> machine.Machine:
        return machine.Machine(
            self._definition.rules,
            stored.place,
            known,
            incarnation=ids.new_id("d")[-12:],
            who=who,
        )

    async def _run(self) -> None:
        while self.error is None:
            self._wake.clear()
            try:
                worked = await self._step()
            except storage.StorageError as failure:
                _log.warning(
                    "a consumer can't use the database",
                    consumer=self.stored.name,
                    problem=str(failure),
                )
                await asyncio.sleep(_RETRY_S)
                continue
            except Exception:
                _log.exception("a consumer failed", consumer=self.stored.name)
                self.end(errors.unavailable("the consumer failed here", retry_after_s=1.0))
                return
            if worked:
                await asyncio.sleep(0)
            else:
                await self._pause()

    async def _step(self) -> bool:
        """Does what there is to do; returns whether there may be more at once."""
        if self._time.monotonic_s() >= self.lease_until_s:
            self.end(errors.unavailable("the consumer moves to another gateway", retry_after_s=1.0))
            return False
        if self._stale:
            await self._take_over()
        self._machine.expire(self._time.now_us())
        if self._machine.unsaved and self._unsaved_since_s is None:
            self._unsaved_since_s = self._time.monotonic_s()
        worked = await self._read_on() if self._machine.wants_more else False
        worked = await self._hand_out() or worked
        if self._write_due() <= 0:
            await self._write()
        return worked

    async def _pause(self) -> None:
        for each in self.members:
            if each.asked:
                each.asked = False
                each.rouse()
        waits = [self._write_due(), self.lease_until_s - self._time.monotonic_s()]
        # What has come due since the last look is still to be handed out.
        next_us = self._machine.next_us(self._looked_us)
        if next_us is not None:
            waits.append((next_us - self._time.now_us()) / 1e6)
        try:
            async with asyncio.timeout(max(min(waits), 0.001)):
                await self._wake.wait()
        except TimeoutError:
            pass

    async def _read_on(self) -> bool:
        at = self._machine.read_upto
        if at >= self._around.log.head or not (self.members or self._machine.outstanding):
            return False
        forgotten = self._forgotten
        found = await source.read_on(self._around, self._definition.matcher, at)
        if found.oldest > at:
            self._machine.skip_lost(found.oldest, self._time.now_us())
            _log.warning("a consumer missed deleted history", consumer=self.stored.name)
            return True
        self._machine.feed(
            ((row[0], records.entity_key(row[1], row[3], row[4]), row[5]) for row in found.rows),
            found.upto,
            self._time.now_us(),
        )
        if forgotten != self._forgotten:
            # It may have been read before it was changed.
            self._machine.forget_events()
        return True

    async def _hand_out(self) -> bool:
        now_us = self._looked_us = self._time.now_us()
        ready = {each.session: each for each in self.members if each.has_room}
        if not ready or self.draining:
            return False
        out = self._machine.deliver(now_us, ready.keys(), _HANDED_OUT_MAX)
        chunks = await self._chunks(out)
        for handout in out:
            position = handout.entry.position
            chunk = chunks.get(position)
            if chunk is None:
                self._machine.lose(position, self._time.now_us())
            else:
                ready[handout.session].put(handout, chunk)
        return bool(out)

    async def _chunks(self, out: Collection[records.Handout]) -> dict[int, bytes]:
        """Returns the events of *out*; those that are kept nowhere are missing."""
        tenant_id, name = self.stored.tenant_id, self.stored.name
        while True:
            forgotten = self._forgotten
            found = {each.entry.position: each.entry.chunk for each in out if each.entry.chunk}
            wanted = [each.entry.position for each in out if each.entry.chunk is None]
            try:
                found |= await source.fetch(self._around, tenant_id, name, wanted)
            except storage.StorageError:
                now_us = self._time.now_us()
                for each in out:
                    self._machine.settle(each.lease.token, policy.Verdict.RELEASE, now_us)
                    each.session.grant(1)
                raise
            if forgotten == self._forgotten:
                return found

    def _write_due(self) -> float:
        """Returns in how many seconds something has to be written."""
        if self._waiters or self._machine.unsaved >= WRITE_EVERY_COUNT:
            return 0.0
        now_s = self._time.monotonic_s()
        if self._unsaved_since_s is not None:
            return self._unsaved_since_s + WRITE_EVERY_S - now_s
        if self._machine.place_moved:
            return self._written_s + WRITE_FLOOR_EVERY_S - now_s
        return 3600.0

    async def _write(self) -> None:
        waiters, self._waiters = self._waiters, []
        applied = [(each, each.applied) for each in self.members]
        since_s, self._unsaved_since_s = self._unsaved_since_s, None
        made = self._machine.changes()
        self._writing = True
        mine, erasures = self.stored, self._erasures
        try:
            outcome = await self._around.database.write(
                lambda conn: progress.write(conn, mine, made, erasures=erasures)
            )
        except BaseException:
            outcome = None
            raise
        finally:
            self._writing = False
            if outcome is not progress.Written.DONE:
                self._machine.restore(made)
                self._unsaved_since_s = since_s or self._time.monotonic_s()
                self._waiters = waiters + self._waiters
        if outcome is not progress.Written.DONE:
            await self._take_over()
            return
        failpoints.hit("event_gateway.after_progress_commit")
        self._written_s = self._time.monotonic_s()
        self._machine.saved(made)
        for each, number in applied:
            each.confirm(each.applied if not self._machine.unsaved else number)
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    async def _take_over(self) -> None:
        """Reads what is stored now and goes on with it."""
        tenant_id, name = self.stored.tenant_id, self.stored.name
        stored, known = await self._around.database.read(
            lambda conn: (
                consumers.get(conn, tenant_id, name),
                progress.known(conn, tenant_id, name),
            )
        )
        if known.erasures != self._erasures:
            self._erasures = known.erasures
            self.forget_events()
            self._machine.forget_reasons()
        self._stale = False
        if stored is None:
            self.end(errors.not_found("consumer", name))
            return
        if (stored.owner, stored.term) != (self.stored.owner, self.stored.term):
            self.end(errors.unavailable("the consumer moved to another gateway", retry_after_s=1.0))
            return
        before, self.stored = self.stored, stored
        was, self._definition = self._definition, definition.read(stored)
        self._dismiss()
        if stored.generation != before.generation:
            self._machine = self._start(stored, known, self._machine.members)
            for each in self.members:
                each.drop_waiting()
                each.confirm(each.applied)
            return
        self._machine.refresh(
            self._definition.rules,
            known,
            self._time.now_us(),
            rescan=was.matcher.key != self._definition.matcher.key,
        )

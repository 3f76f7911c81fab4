"""A consumer that this process runs: who its members are, what they decide, and its loop.

Owns the members and what is known of the consumer. Called by the API through
`event_gateway.consumers.groups`. What is handed out and when is decided by the machine; `supplying`
brings events in and out, `saving` puts decisions on disk.
"""

import asyncio

from event_gateway import problems
from event_gateway.consumers import (
    definition,
    machine,
    member,
    members,
    policy,
    records,
    saving,
    source,
    supplying,
)
from event_gateway.db import consumers, progress
from servicekit import auth, clock, errors, ids, logs, storage, tasks

# Leases of a member whose stream broke end after this, so that one that comes back under
# its name can still settle.
GRACE_US = 5_000_000
# Nobody came for this long, and nothing is in flight: others may run it.
IDLE_S = 10.0
MEMBERS_MAX = 1_000
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
        self._time = clock.SteadyClock(around.time)
        self._definition = definition.read(stored)
        self._machine = self._start(stored, known, members.Members())
        self.members: set[member.Member] = set()
        # Who asked before the last look at what there is; those who came during it wait for
        # the next one.
        self._asked: list[member.Member] = []
        self._stale = False
        self._saver = saving.Saver(around)
        self._wake = asyncio.Event()
        self._supply = supplying.Supply(around, self._time)
        self._erasures = known.erasures
        self.used_s = around.time.monotonic_s()
        self._check_epoch(known)
        self._task = tasks.detached(self._run())

    @property
    def message(self) -> definition.Definition:
        """Its definition."""
        return self._definition

    @property
    def idle(self) -> bool:
        """Whether nobody needs it here."""
        if self.members or self._machine.outstanding or self._machine.unsaved:
            return False
        if self._saver.waited_for:
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
        self._drop_copies()
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
            on_room=self.wake,
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

    def stands(self, token: str) -> bool:
        """Whether settling a delivery would have an effect: it went to nobody else since."""
        ours = self.error is None and self._time.monotonic_s() < self.lease_until_s
        return ours and self._machine.stands(token)

    def settled(self, by: member.Member, number: int) -> None:
        """Says that a member's settlement of that number was taken; it is told when it is
        durable.
        """
        by.applied = max(by.applied, number)
        if not self._machine.unsaved and not self._saver.writing:
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
        waiter = self._saver.wait()
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
        self._machine.close()
        for each in list(self.members):
            each.end(error)
        self._saver.fail(error)
        self.wake()

    def _check_epoch(self, known: records.Known) -> None:
        """Ends the group if the log in memory is not the stored one: this process is about to
        end, and places of lost events would pass what takes their positions.
        """
        if known.epoch != self._around.epoch:
            text = "the event log was restored; this gateway starts again"
            self.end(errors.unavailable(text, retry_after_s=1.0))

    def _dismiss(self) -> None:
        """Ends the members that may not read what the consumer selects now."""
        for each in self.members:
            try:
                each.tenants = definition.check_access(each.principal, self._definition)
            except errors.RpcError as refusal:
                each.end(refusal)

    def _drop_copies(self) -> None:
        self._supply.forget_events()
        for each in self.members:
            self._take_back(each)
        self._machine.forget_events()

    def _take_back(self, of: member.Member) -> None:
        """Takes back what a member was handed and has not taken."""
        for token in of.drop_waiting():
            self._machine.settle(token, policy.Verdict.RELEASE, self._time.now_us())

    def _used(self) -> None:
        self.used_s = self._time.monotonic_s()
        self._saver.notice(self._machine)
        self.wake()

    def _check_running(self) -> None:
        if self.error is not None:
            raise self.error

    def _start(
        self, stored: consumers.Stored, known: records.Known, who: members.Members
    ) -> machine.Machine:
        rules, everybody = self._definition.rules, self._around.everybody
        starts = ids.new_id("d")[-12:]
        return machine.Machine(
            rules, stored.place, known, incarnation=starts, who=who, everybody=everybody
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
        self._saver.notice(self._machine)
        self._asked = [each for each in self.members if each.asked]
        worked = False
        if self._machine.wants_more and (self.members or self._machine.outstanding):
            worked = await self._supply.read_on(
                self._machine, self._definition.matcher, self.stored
            )
        takers = [each for each in self.members if each.has_room and not self.draining]
        worked = await self._supply.hand_out(self._machine, takers, self.stored) or worked
        if self._saver.due_in_s(self._machine) <= 0 and not await self._saver.write(
            self._machine, self.stored, self.members, erasures=self._erasures
        ):
            await self._take_over()
        return worked

    async def _pause(self) -> None:
        for each in self._asked:
            each.asked = False
            each.rouse()
        self._asked.clear()
        waits = [self._saver.due_in_s(self._machine), self.lease_until_s - self._time.monotonic_s()]
        # What has come due since the last look is still to be handed out.
        next_us = self._machine.next_us(self._supply.looked_us)
        if next_us is not None:
            waits.append((next_us - self._time.now_us()) / 1e6)
        try:
            async with asyncio.timeout(max(min(waits), 0.001)):
                await self._wake.wait()
        except TimeoutError:
            pass

    async def _take_over(self) -> None:
        """Reads what is stored now and goes on with it."""
        tenant_id, name = self.stored.tenant_id, self.stored.name
        # What changes while it reads is taken over next.
        self._stale = False
        try:
            stored, known = await self._around.database.read(
                lambda conn: (
                    consumers.get(conn, tenant_id, name),
                    progress.known(conn, tenant_id, name),
                )
            )
        except storage.StorageError:
            self._stale = True
            raise
        self._check_epoch(known)
        if self.error is not None:
            return
        if known.erasures != self._erasures:
            self._erasures = known.erasures
            self._drop_copies()
            self._machine.forget_reasons()
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
            self._machine.close()
            self._machine = self._start(stored, known, self._machine.members)
            for each in self.members:
                each.drop_waiting()
                each.confirm(each.applied)
            return
        self._machine.refresh(
            self._definition.rules,
            known,
            rescan=was.matcher.key != self._definition.matcher.key,
        )

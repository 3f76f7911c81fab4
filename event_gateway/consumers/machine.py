"""One consumer: which event goes to whom next, and what was decided about each.

Owns the rules of order and redelivery; `aside` sets events aside, and `journal` holds what
has to be written down. Pure: time and chance are passed in, events come from `feed`. Called
by `event_gateway.consumers.group` on one event loop.
"""

from collections.abc import Collection, Iterable

from event_gateway.consumers import aside, journal, members, place, policy, records, unsettled

# Events that are known and not settled, those that wait for their entity included.
AHEAD_MAX = 20_000
# Enough that may go out next; more is read when these are gone.
READY_MAX = 1_024
NOT_IN_TIME = "not settled in time"


class Machine:
    """A consumer in this process.

    Args:
        rules: Its policy.
        at: Its place.
        known: What else is stored.
        incarnation: Starts its lease tokens.
        who: Its members; kept over a seek.
        everybody: Of the process, to which `close` must give back what it takes.
    """

    def __init__(
        self,
        rules: policy.Policy,
        at: place.Place,
        known: records.Known,
        *,
        incarnation: str,
        who: members.Members,
        everybody: unsettled.Everybody | None = None,
    ) -> None:
        self.rules = rules
        self.members = who
        self.read_upto = self._last = at.floor
        self._journal = journal.Journal(at, known.parked)
        self._events = unsettled.Unsettled(rules.ordering, incarnation, everybody)
        self._line, self._leases = self._events.line, self._events.leases
        self._retries: dict[int, records.Retry] = {}
        self._aside = aside.Aside(rules, known.blocked_keys, self._events, self._journal)
        self._take_known(known.retries)

    @property
    def place(self) -> place.Place:
        """What is settled."""
        return self._journal.place

    @property
    def parked(self) -> int:
        """Events set aside."""
        return self._journal.parked

    @property
    def unsaved(self) -> int:
        """Decisions that are not written down yet."""
        return self._journal.count

    @property
    def outstanding(self) -> int:
        """Deliveries under a lease."""
        return self._leases.held

    @property
    def retrying(self) -> int:
        """Events with a rejected or lost delivery behind them."""
        return self._events.retrying

    @property
    def wants_more(self) -> bool:
        """Whether it could do with further events."""
        most = READY_MAX if self._events.are_too_many else AHEAD_MAX
        return (
            self._events.read < most
            and self._line.ready_count < READY_MAX
            and not self._aside.is_full
            and not self._aside.halts
        )

    @property
    def place_moved(self) -> bool:
        """Whether the floor lies above the stored one."""
        self._settle_tail()
        return self._journal.place_moved

    def feed(self, events: Iterable[tuple[int, str, bytes]], upto: int, now_us: int) -> None:
        """Takes in what matches in (`read_upto`, *upto*]: positions, entity keys and chunks."""
        for position, key, chunk in events:
            if position <= self.read_upto:
                continue
            after, self._last = self._last, position
            if self.place.covers(position):
                # What lies between does not match and is settled with it.
                self.place.cover(after, position)
                continue
            held = self._events.by_position.get(position)
            if held is not None:
                # Known before the scan came here: what lies between is settled with it.
                held.after = after
                if held.extra:
                    self.place.cover(after, position)
                continue
            entry = records.Entry(position=position, after=after, key=key)
            retry = self._retries.pop(position, None)
            if retry is not None:
                entry.attempts, entry.due_us = retry.attempts, retry.due_us
                entry.reason, entry.stored = retry.reason, True
            self._events.add(entry, chunk)
            if self._aside.holds_up(key):
                self._aside.park(entry, "", now_us, blocked=True)
        self._come_to(upto)

    def skip_lost(self, oldest: int, now_us: int) -> None:
        """Says that the log begins after *oldest* now, and that some was not read in time.

        Never silent: a marker among the parked events says how much.
        """
        if oldest <= self.read_upto:
            return
        lost = oldest - self.read_upto
        self.place.cover(self._last, oldest)
        self._last = oldest
        self._come_to(oldest)
        self._aside.mark_lost(
            oldest,
            lost,
            f"SKIPPED: {lost} places of the log were deleted before they were read",
            now_us,
        )

    def deliver(
        self, now_us: int, ready: Collection[members.Session], most: int
    ) -> list[records.Handout]:
        """Hands out up to *most* events to sessions that can take some now."""
        out: list[records.Handout] = []
        if self.rules.paused or self._aside.halts:
            return out
        takers = [session for session in ready if session.credit > 0]
        if self.rules.ordering is policy.Ordering.TOTAL:
            active = self.members.first()
            takers = [session for session in takers if session is active]
        while takers and len(out) < most and self._leases.held < self.rules.max_outstanding:
            entry = self._line.take(now_us)
            if entry is None:
                break
            session = self.members.choose(entry.key, takers)
            out.append(self._hand_out(entry, session, now_us))
            if session.credit <= 0:
                takers.remove(session)
        return out

    def settle(
        self,
        token: str,
        verdict: policy.Verdict,
        now_us: int,
        *,
        delay_us: int = 0,
        reason: str = "",
        chance: float = 0.5,
    ) -> policy.Failure | None:
        """Takes a member's decision; returns why it has no effect, or None."""
        lease = self._leases.find(token)
        if lease is None:
            return self._leases.verdict_on_ended(token, verdict)
        entry = self._events.by_position[lease.position]
        reason = "" if lease.erased else reason
        if verdict is policy.Verdict.EXTEND:
            if not lease.held and not self._line.hold(entry):
                return policy.Failure.LEASE_EXPIRED
            self._leases.move(lease, now_us + self.rules.ack_timeout_us)
            return None
        self._journal.count += 1
        if verdict is policy.Verdict.ACK:
            self._events.remove(entry, verdict)
            self._journal.settle(entry)
        elif verdict is policy.Verdict.PARK:
            self._aside.park(entry, reason, now_us, verdict=verdict)
        elif verdict is policy.Verdict.RELEASE:
            entry.attempts -= 1
            self._events.let_go(entry, verdict)
            self._journal.retry(entry)
        else:
            entry.reason = reason
            if not self._aside.park_if_used_up(entry, now_us, verdict):
                entry.due_us = now_us + self.rules.wait_us(entry.attempts, delay_us, chance)
                self._events.let_go(entry, verdict)
                self._journal.retry(entry)
        return None

    def stands(self, token: str) -> bool:
        """Whether a delivery can still be settled."""
        return self._leases.find(token) is not None

    def expire(self, now_us: int) -> int:
        """Ends the leases whose time is over; returns how many."""
        count = 0
        while (lease := self._leases.due(now_us)) is not None:
            count += 1
            self._journal.count += 1
            entry = self._events.by_position[lease.position]
            entry.reason = entry.reason or NOT_IN_TIME
            if self._aside.park_if_used_up(entry, now_us, None):
                continue
            entry.due_us = now_us
            self._events.run_out(entry, lease)
            self._journal.retry(entry)
        return count

    def lose(self, position: int, now_us: int) -> None:
        """Says that an event is no longer kept anywhere; it is set aside, never dropped."""
        entry = self._events.by_position.get(position)
        if entry is None:
            return
        self._events.remove(entry, None)
        self._journal.settle(entry)
        # Nothing waits for it: nobody can deliver it any more.
        reason = "SKIPPED: deleted from the log before it was delivered"
        self._aside.mark_lost(position, 1, reason, now_us)

    def leave(self, session: members.Session, now_us: int, grace_us: int) -> None:
        """Takes a session out; its leases end after *grace_us* unless they end before."""
        self.members.leave(session)
        for lease in self._leases.of_session(session.number):
            if lease.until_us > now_us + grace_us:
                self._leases.move(lease, now_us + grace_us)

    def give_back(self, session: members.Session, now_us: int) -> None:
        """Takes a session out that ends in good order; what it holds counts as not delivered."""
        self.members.leave(session)
        for lease in self._leases.of_session(session.number):
            self.settle(lease.token, policy.Verdict.RELEASE, now_us)

    def forget_events(self) -> None:
        """Drops the events themselves, which are read again when they are handed out, and what
        members will say of those that they have: some were erased.
        """
        self._events.forget_events()

    def close(self) -> None:
        """Says that it is used no more."""
        self._events.leave()

    def forget_reasons(self) -> None:
        """Drops what members said and is not written yet; `refresh` does so with the rest."""
        self._journal.forget_reasons(self._events.by_position)

    def next_us(self, now_us: int) -> int | None:
        """Returns when something is due, if nothing else happens before. What was at *now_us*, when
        `deliver` was called or nobody was there for it, waits for a taker and not for a time.
        """
        times = [self._leases.next_us()]
        if not self.rules.paused and not self._aside.halts:
            times.append(self._line.due_us(now_us))
        return min((time for time in times if time is not None), default=None)

    def changes(self) -> records.Changes:
        """Returns what is to be written; `saved` or `restore` must follow."""
        self._settle_tail()
        return self._journal.take(self._events.by_position)

    def saved(self, made: records.Changes) -> None:
        """Says that *made* is durable."""
        self._journal.saved(made)

    def restore(self, made: records.Changes) -> None:
        """Says that *made* was not written; it will be part of the next changes."""
        self._journal.restore(made)

    def refresh(self, rules: policy.Policy, known: records.Known, *, rescan: bool) -> None:
        """Takes over what somebody else changed in storage.

        Args:
            rules: The policy now.
            known: What else is stored now.
            rescan: The filter changed: everything not in flight is read again.
        """
        self.rules = rules
        self._journal.stored(known.parked)
        self._aside.refresh(rules, known.blocked_keys)
        if rescan:
            self._forget_waiting()
        self._take_known(known.retries)
        for entry in self._events:
            self._line.offer(entry)

    def _take_known(self, retries: Iterable[records.Retry]) -> None:
        for retry in retries:
            position = retry.position
            held = self._events.by_position.get(position)
            if held is not None:
                held.stored = True
                if not self._journal.pending(position):
                    held.reason = retry.reason
            if held is not None or self._journal.decides(position):
                continue
            if not retry.extra:
                if position > self.read_upto and not self.place.covers(position):
                    self._retries[position] = retry
                continue
            entry = records.Entry(
                position=position,
                after=position,
                key=retry.key,
                attempts=retry.attempts,
                due_us=retry.due_us,
                reason=retry.reason,
                extra=True,
                stored=True,
                ahead=self._lies_ahead(position),
            )
            self._events.add(entry, None)

    def _lies_ahead(self, position: int) -> bool:
        """Whether what lies before it and is not read yet goes first."""
        if position <= self.read_upto:
            return False
        return self.rules.ordering is not policy.Ordering.NONE or not self.place.covers(position)

    def _come_to(self, upto: int) -> None:
        """Says that reading on has come to *upto*."""
        self.read_upto = max(self.read_upto, upto)
        self._events.come_to(self.read_upto)

    def _hand_out(
        self, entry: records.Entry, session: members.Session, now_us: int
    ) -> records.Handout:
        lease = self._events.lease(entry, session.number, now_us + self.rules.ack_timeout_us)
        entry.attempts += 1
        entry.due_us = 0
        session.credit -= 1
        return records.Handout(
            session=session,
            entry=entry,
            lease=lease,
            attempt=entry.attempts,
            reason=entry.reason,
        )

    def _forget_waiting(self) -> None:
        """Forgets what reading on from the floor finds again."""
        self.read_upto = self._last = self.place.floor
        for entry in self._events:
            if entry.extra:
                under_way = entry.lease is not None and entry.lease.held
                if not under_way and not entry.ahead and self._lies_ahead(entry.position):
                    self._events.hold_back(entry)
                continue
            if entry.lease is not None:
                # What lies between is to be judged by the new filter.
                entry.after = entry.position - 1
                continue
            if entry.attempts:
                self._retries[entry.position] = records.retry(entry)
            self._events.remove(entry, None)

    def _settle_tail(self) -> None:
        """Lets the floor pass what does not match, up to where everything is settled."""
        if not self._events.plain:
            self.place.raise_to(self.read_upto)

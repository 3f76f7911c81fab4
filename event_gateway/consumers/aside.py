"""What is set aside of one consumer, and what that holds up.

Owns the rules of parking. Called by the machine, which decides when. Pure: writes to the
`journal` what is to be stored.
"""

from collections.abc import Iterable

from event_gateway.consumers import journal, policy, records, unsettled

# Parked events of one consumer; then it parks no more and reads no further.
PARKED_MAX = 100_000


class Aside:
    """Parks events; see the module.

    Args:
        rules: The consumer's policy.
        blocked_keys: Entities with a parked event that holds up their others.
        events: What is not settled; what is parked leaves it.
        decided: What has to be written down.
    """

    def __init__(
        self,
        rules: policy.Policy,
        blocked_keys: Iterable[str],
        events: unsettled.Unsettled,
        decided: journal.Journal,
    ) -> None:
        self._rules = rules
        self._blocked = set(blocked_keys)
        self._events = events
        self._journal = decided

    @property
    def is_full(self) -> bool:
        """Whether nothing more may be parked."""
        return self._journal.parked >= PARKED_MAX

    @property
    def halts(self) -> bool:
        """Whether what is parked stops the whole consumer."""
        return self._rules.park_scope is policy.ParkScope.CONSUMER and self._journal.parked > 0

    def holds_up(self, key: str) -> bool:
        """Whether an entity's events have to wait for one that is parked."""
        return key in self._blocked and self._rules.blocks_entities

    def park_if_used_up(
        self, entry: records.Entry, now_us: int, verdict: policy.Verdict | None
    ) -> bool:
        """Parks an event that was delivered as often as it may be; says whether it was."""
        if entry.attempts < self._rules.max_deliveries or self.is_full:
            return False
        reason = entry.reason or "rejected"
        times = f"{entry.attempts} deliveries" if entry.attempts > 1 else "1 delivery"
        self.park(entry, f"{reason} (after {times})", now_us, verdict=verdict)
        return True

    def park(
        self,
        entry: records.Entry,
        reason: str,
        now_us: int,
        *,
        verdict: policy.Verdict | None = None,
        blocked: bool = False,
    ) -> None:
        """Sets an event aside, *blocked* because of an earlier one of its entity, and with it
        what it holds up.
        """
        self._events.remove(entry, verdict)
        self._journal.settle(entry)
        self._journal.park(
            records.Park(
                position=entry.position,
                key=entry.key,
                attempts=entry.attempts,
                reason=reason,
                parked_us=now_us,
                blocked=blocked,
            )
        )
        if blocked or not self._rules.blocks_entities:
            return
        self._blocked.add(entry.key)
        for later in self._events.line.behind(entry):
            self.park(later, "", now_us, blocked=True)

    def mark_lost(self, position: int, count: int, reason: str, now_us: int) -> None:
        """Puts a marker among the parked events, so that no loss is silent."""
        self._journal.park(
            records.Park(
                position=position,
                key="",
                attempts=0,
                reason=reason,
                parked_us=now_us,
                blocked=False,
                skipped=count,
            )
        )

    def refresh(self, rules: policy.Policy, blocked_keys: Iterable[str]) -> None:
        """Takes over what somebody else changed in storage; what holds up nothing any more and
        is not written yet is parked no longer.
        """
        self._rules = rules
        parks = list(self._journal.parks())
        roots = {park.key for park in parks if not park.blocked and not park.skipped}
        self._blocked = set(blocked_keys) | roots
        for park in parks:
            if park.blocked and not self.holds_up(park.key):
                self._unpark(park)

    def _unpark(self, park: records.Park) -> None:
        """Takes a park back that is not written yet."""
        self._journal.unpark(park)
        at = park.position
        self._events.add(records.Entry(position=at, after=at, key=park.key, extra=True), None)

"""What a recovery has found, for the operator.

Owns the tally. Filled by `writing`, a transaction at a time; shown by `taking`.
"""

from dataclasses import dataclass, field


@dataclass(slots=True, kw_only=True)
class Tally:
    """What was found, for the operator. Ids are kept in the order of the log.

    Attributes:
        oldest_us: When the oldest event of core that was read was made; 0 for none.
        newest_us: Likewise, the newest.
        events: Of core, that were not known here.
        payments: Taken back.
        customers: Likewise.
        mirrors: Likewise: what providers keep and bill.
        both: Payments that went on in the log and here, with their tenant.
        apart: Payments that can't be what the log and this database say of them together.
        twice: Idempotency keys that made something in the log, and something else here.
        older: Entities, with their kind, that were changed since and are as in the back-up.
        missing: Entities, with their kind, that are in the log alone.
        revoked: API keys that were revoked since, and are again.
        dead: API keys that were made since: the log does not hold what they are checked by.
        tenants: That keys of the log belong to.
    """

    oldest_us: int = 0
    newest_us: int = 0
    events: int = 0
    payments: dict[str, None] = field(default_factory=dict)
    customers: dict[str, None] = field(default_factory=dict)
    mirrors: dict[str, None] = field(default_factory=dict)
    both: dict[str, str] = field(default_factory=dict)
    apart: dict[str, None] = field(default_factory=dict)
    twice: dict[str, None] = field(default_factory=dict)
    older: dict[str, None] = field(default_factory=dict)
    missing: dict[str, None] = field(default_factory=dict)
    revoked: dict[str, None] = field(default_factory=dict)
    dead: dict[str, None] = field(default_factory=dict)
    tenants: dict[str, None] = field(default_factory=dict)

    def add(self, other: "Tally") -> None:
        """Adds what another transaction found."""
        self.see(other.oldest_us)
        self.see(other.newest_us)
        self.events += other.events
        for name in self.__slots__:
            if name not in ("oldest_us", "newest_us", "events"):
                getattr(self, name).update(getattr(other, name))

    def see(self, made_us: int) -> None:
        """Notes when an event was made; 0 for none."""
        if made_us:
            self.oldest_us = min(self.oldest_us or made_us, made_us)
            self.newest_us = max(self.newest_us, made_us)

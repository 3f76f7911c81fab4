"""What a database would hold of one consumer, in memory.

Owns what tests of the consumer's machine start from. Called by those tests and properties.
Never decides: the machine says what is written down.
"""

import dataclasses

from event_gateway.consumers import machine, members, place, policy, records

RULES = policy.Policy(
    ordering=policy.Ordering.PER_ENTITY,
    park_scope=policy.ParkScope.ENTITY,
    ack_timeout_us=30_000_000,
    max_deliveries=3,
    backoff_us=(1_000_000, 5_000_000),
    max_outstanding=1000,
    paused=False,
)


class Store:
    """What a database would hold of one consumer; a log of events beside it."""

    def __init__(self, log: list[tuple[int, str]]) -> None:
        self.log = log
        self.floor = 0
        self.runs = b""
        self.retries: dict[int, records.Retry] = {}
        self.parked: dict[int, records.Park] = {}
        # Keys that the filter does not want.
        self.unwanted: set[str] = set()
        self.loads = 0

    def load(self, rules: policy.Policy, who: members.Members) -> machine.Machine:
        """Starts a machine on what is stored."""
        self.loads += 1
        return machine.Machine(
            rules,
            place.decode(self.floor, self.runs),
            self.known(),
            incarnation=f"i{self.loads}",
            who=who,
        )

    def known(self) -> records.Known:
        """What is stored besides the place."""
        return records.Known(
            retries=list(self.retries.values()),
            blocked_keys={park.key for park in self.parked.values() if not park.blocked},
            parked=len(self.parked),
        )

    def flush(self, on: machine.Machine) -> None:
        """Writes down what changed."""
        made = on.changes()
        before = self.floor
        assert made.floor >= before
        self.floor, self.runs = made.floor, made.runs
        for park in made.parks:
            # After a seek what is parked already may be parked again.
            self.parked.setdefault(park.position, park)
        for position in made.settled:
            self.retries.pop(position, None)
        if made.floor > before:
            self.retries = {
                at: retry for at, retry in self.retries.items() if retry.extra or at > made.floor
            }
        for retry in made.retries:
            self.retries[retry.position] = retry
        on.saved(made)

    def feed(self, on: machine.Machine, upto: int, now_us: int = 0) -> None:
        """Reads on."""
        events = [
            (at, key, b"x")
            for at, key in self.log
            if on.read_upto < at <= upto and key not in self.unwanted
        ]
        on.feed(events, upto, now_us)

    def seek(self, target: int) -> None:
        """Moves the place; what was put back and lies behind it stays so."""
        self.floor, self.runs = target, b""
        self.retries = {
            at: retry for at, retry in self.retries.items() if retry.extra and at <= target
        }

    def redrive(self, position: int) -> list[int]:
        """Puts a parked event back, and what it held up; returns their places."""
        moved = [self.parked.pop(position)]
        key = moved[0].key
        if not any(park.key == key and not park.blocked for park in self.parked.values()):
            moved += [
                self.parked.pop(at) for at, park in sorted(self.parked.items()) if park.key == key
            ]
        for park in moved:
            self.retries[park.position] = records.Retry(
                position=park.position, key=park.key, attempts=0, due_us=0, reason="", extra=True
            )
        return [park.position for park in moved]


def started(
    log: list[tuple[int, str]], credit: int = 100, **over: object
) -> tuple[Store, machine.Machine, members.Session]:
    """A machine that has read all of *log*, with one member."""
    store, who = Store(log), members.Members()
    session = who.join("one", credit)
    on = store.load(dataclasses.replace(RULES, **over), who)  # type: ignore[arg-type]
    store.feed(on, log[-1][0] if log else 0)
    return store, on, session


def positions(handed: list[records.Handout]) -> list[int]:
    """Which events were handed out."""
    return [one.entry.position for one in handed]


def member() -> members.Session:
    """A member that takes up to 50 events."""
    return members.Session(number=99, name="m", credit=50)


def reloaded(store: Store) -> machine.Machine:
    """A machine of another process that has read all of the log."""
    on = store.load(RULES, members.Members())
    store.feed(on, store.log[-1][0])
    return on

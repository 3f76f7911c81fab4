"""A log in memory, one reader of it, and a record of what the reader was sent.

Owns what tests of subscriptions start from. Called by those tests and properties. Checks
the cursor rule with every response.
"""

from payhub.events.v1 import event_pb2
from payhub.events.v1 import event_stream_service_pb2 as pb

from event_gateway import cursor, matching, splice, stream_groups, subscription, window
from event_gateway.db import read
from tests import fake_clock

EPOCH = 7
# Of every event that no reader selects; if it were sent, its place would give it away.
UNSELECTED = splice.chunk(event_pb2.Event(id="evt-0", position=2**40).SerializeToString())


class Log:
    """A log in memory with a small window, and one reader of it that keeps a record."""

    def __init__(self, *, window_bytes: int = 2**20, types: list[str] | None = None) -> None:
        self.entries: list[read.Entry] = []
        self.window = window.Window(bytes_max=window_bytes, head=0)
        self.matcher = matching.Matcher(["one"], event_pb2.Filter(types=types or []))
        self.pace = stream_groups.Pace(self.window, 0.0)
        self.group = self.pace.group(self.matcher, thin=False)
        self.group.members = 2
        self.time = fake_clock.FakeClock()

    @property
    def head(self) -> int:
        """Position of the newest entry."""
        return len(self.entries)

    def append(self, *tenants: str, type_name: str = "payment.created") -> None:
        """Appends one event for each of *tenants*."""
        before = self.head
        for tenant_id in tenants:
            position = self.head + 1
            chunk = UNSELECTED
            if self.matcher.matches(tenant_id, type_name, "payment", "pay_1"):
                event = event_pb2.Event(id=f"evt-{position}", position=position)
                event.append_time.FromMicroseconds(self.time.now_us())
                chunk = splice.chunk(event.SerializeToString())
            self.entries.append(
                read.Entry(position, tenant_id, type_name, "payment", "pay_1", chunk)
            )
        self.window.extend(before, self.entries[before:], self.head)

    def tick(self) -> bool:
        """What the hub does when there is news; returns whether the reader is woken."""
        return self.group in self.pace.judge()

    def selected(self, after: int, upto: int) -> list[int]:
        """Positions the filter selects in (after, upto]."""
        return [one.position for one in self.entries[after:upto] if self.matcher.matches(*one[1:5])]

    def read(self, wanted: subscription.ReadStorage, limit: int) -> read.Stretch:
        """Reads at most *limit* events from storage."""
        found = [
            one
            for one in self.entries[wanted.after : wanted.upto]
            if self.matcher.matches(*one[1:5])
        ]
        upto = found[limit - 1].position if len(found) > limit else wanted.upto
        state = read.State(epoch=EPOCH, head=self.head, oldest=0, head_append_us=0)
        return read.Stretch(
            state=state,
            events=[(one.position, splice.stored_event(one.chunk)) for one in found[:limit]],
            upto=upto,
        )

    def subscribe(
        self,
        position: int,
        *,
        stop: int | None = None,
        retention_s: float = 0.0,
        **limits: int,
    ) -> subscription.Subscription:
        """A reader that starts after *position*."""
        return subscription.Subscription(
            subscription_id="sub_1",
            group=self.group,
            epoch=EPOCH,
            position=position,
            stop_position=stop,
            limits=subscription.Limits(**limits),
            time=self.time,
            retention_s=retention_s,
        )


class Record:
    """What a client saw, checked against the cursor rule with every response."""

    def __init__(self, log: Log, start: int) -> None:
        self.log = log
        self.start = self.cursor = start
        self.seen: list[int] = []
        self.phases: list[int] = []
        self.notices: list[str | None] = []

    def take(self, data: bytes) -> None:
        """Notes one response and checks the rule."""
        response = pb.SubscribeResponse.FromString(data)
        place = cursor.decode(response.cursor)
        assert place.epoch == EPOCH
        assert self.cursor <= place.position <= self.log.head
        self.seen += [event.position for event in response.events]
        self.cursor = place.position
        self.phases.append(response.phase)
        self.notices.append(response.notice.WhichOneof("kind"))
        assert self.seen == self.log.selected(self.start, self.cursor)


def run(
    log: Log,
    reader: subscription.Subscription,
    record: Record,
    *,
    limit: int = 1000,
    told: bool = True,
) -> None:
    """Steps until there is nothing to do, once the reader was *told* of what there is."""
    if told:
        log.tick()
    while (action := reader.step()) is not None:
        if isinstance(action, bytes):
            record.take(action)
        else:
            for data in reader.take(reader.reading().cut(log.read(action, limit))):
                record.take(data)

"""A database that compares what every transaction changes with the events that it writes.

Owns what a Get would have shown right before and right after, and the rule that a subscriber's
copy is the same: what differs was told, in versions that are dense, and the last event shows what
stands. Wrapped around a service's database by rigs of this folder, whose tests fail when it is
closed. What may change untold is what `docs/event-types.md` says.
"""

import asyncio
import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from payhub.events.v1 import event_pb2
from payhub.options.v1 import options_pb2
from payhub.payments.v1 import billing_events_pb2, payment_events_pb2

from payment_service.db import customers, mirrors, operations, payments, refunds
from payment_service.domain import model
from payment_service.domain.mirrors import kinds, objects
from payment_service.usecases import snapshots
from payment_service.usecases.mirrors import telling
from servicekit import sanitizer, storage
from tests.integration.payment_service import wrapped

T = TypeVar("T")
# What may begin without an event: the answer follows, and is told.
BEGINS_UNTOLD = frozenset({model.Kind.CAPTURE, model.Kind.VOID, model.Kind.INCREMENT})
# What differs in every event, or follows from the rest.
_DERIVED = ("version", "update_time", "operations", "available_actions")


@dataclass(frozen=True, slots=True, kw_only=True)
class _View:
    """Every entity as Get shows it, by id; payments also as values. What only a newer version
    can read is left out.
    """

    values: dict[str, model.Payment]
    shown: dict[str, Any]
    refunds: dict[str, Any]
    unreadable: frozenset[str]


class Witness(wrapped.Wrapped):
    """A database whose writes are watched one after the other.

    Args:
        db: What it stands for.
    """

    def __init__(self, db: storage.Database) -> None:
        super().__init__(db)
        # On PostgreSQL others' commits would be seen in between.
        self._alone = asyncio.Lock() if db.dialect == "postgresql" else contextlib.nullcontext()
        self._untold: list[str] = []

    async def write(
        self, fn: Callable[[storage.Connection], T], *, one_statement: bool = False
    ) -> T:
        """Runs *fn* between two looks at everything, and notes what it changed untold."""

        def watched(conn: storage.Connection) -> T:
            before, last = _look(conn), _last(conn)
            result = fn(conn)
            after = _look(conn)
            events = [
                event_pb2.Event.FromString(bytes(row[0]))
                for row in conn.query(
                    "select envelope from outbox where id > :last order by id", {"last": last}
                )
            ]
            self._untold += _compare(before, after, events)
            return result

        async with self._alone:
            return await self._db.write(watched)

    async def close(self) -> None:
        """Closes the database.

        Raises:
            AssertionError: Something changed untold.
        """
        await super().close()
        assert not self._untold, "\n\n".join(self._untold)


def _last(conn: storage.Connection) -> int:
    (row,) = conn.query("select coalesce(max(id), 0) from outbox")
    return int(row[0])


def _look(conn: storage.Connection) -> _View:
    own: dict[str, list[model.Operation]] = {}
    unreadable = set()
    for row in conn.query(f"select {', '.join(operations.COLUMNS)} from operations"):
        try:
            operation = operations.from_row(row)
        except ValueError:
            unreadable.add(row[2])
            continue
        own.setdefault(operation.entity_id, []).append(operation)
    values = {}
    for row in conn.query(f"select {', '.join(payments.COLUMNS)} from payments"):
        made = sorted(own.get(row[0], ()), key=model.turn)
        try:
            value = payments.from_row(row, tuple(made))
        except ValueError:
            unreadable.add(row[0])
        if row[0] not in unreadable:
            values[row[0]] = value
    shown: dict[str, Any] = {one: _payment(value) for one, value in values.items()}
    for tenant_id, one in conn.query("select tenant_id, id from customers"):
        customer = customers.load(conn, tenant_id, one)
        assert customer is not None
        shown[one] = snapshots.customer(customer)
    for tenant_id, kind, one in conn.query("select tenant_id, kind, id from mirrors"):
        rules = kinds.RULES[objects.ObjectKind(kind)]
        entity = mirrors.load(conn, rules, tenant_id, one)
        shown[one] = _bare(getattr(telling, rules.name)(entity))
    returned = {}
    for tenant_id, one in conn.query("select tenant_id, id from refunds"):
        refund = refunds.load(conn, tenant_id, one)
        assert refund is not None
        returned[one] = snapshots.refund(refund)
    return _View(values=values, shown=shown, refunds=returned, unreadable=frozenset(unreadable))


def _payment(value: model.Payment) -> Any:
    message = type(snapshots.payment(value))()
    message.CopyFrom(snapshots.payment(value))
    return _bare(message)


def _begun(value: model.Payment) -> Any:
    """Returns a payment without what may begin untold, and what it reserves."""
    flying = [
        one
        for one in value.operations
        if one.kind in BEGINS_UNTOLD and one.state is model.OperationState.IN_FLIGHT
    ]
    held_minor = sum(one.reserved_minor for one in flying)
    left = tuple(one for one in value.operations if one not in flying)
    return _payment(
        replace(
            value,
            operations=left,
            capture_reserved_minor=value.capture_reserved_minor - held_minor,
            updated_us=0,
        )
    )


def _bare(message: Any) -> Any:
    """Returns a message without what events leave out, or may tell late."""
    sanitizer.strip_sensitive(message, options_pb2.sensitive)
    for place in getattr(message, "prices", [getattr(message, "mirror", None)]):
        if place is not None:
            place.ClearField("operations")
            place.ClearField("provider_time")
    for operation in getattr(message, "operations", ()):
        operation.ClearField("attempts")
    return message


def _compare(before: _View, after: _View, events: Sequence[event_pb2.Event]) -> Iterator[str]:
    told: dict[str, list[event_pb2.Event]] = {}
    for event in events:
        told.setdefault(event.entity_id, []).append(event)
    for one, stands in after.shown.items():
        if one in before.unreadable:
            continue
        was = before.shown.get(one)
        if one in told:
            yield from _follows(was, stands, told[one])
        elif was != stands and (
            one not in after.values
            or one not in before.values
            or _begun(before.values[one]) != _begun(after.values[one])
        ):
            yield f"{one} changed untold from\n{was}to\n{stands}"
    payloads = [
        payment_events_pb2.PaymentEvent.FromString(event.data)
        for event in events
        if event.entity_type == "payment"
    ]
    for one, refund in after.refunds.items():
        shown = [payload.refund for payload in payloads if payload.refund.id == one]
        if refund != before.refunds.get(one) and shown[-1:] != [refund]:
            yield f"{one} changed untold to\n{refund}"


def _follows(was: Any, stands: Any, events: Sequence[event_pb2.Event]) -> Iterator[str]:
    """Events lead from one to the other, each from where the one before has left it."""
    version = was.version if was is not None else 0
    last = was
    for event in events:
        version += 1
        if event.entity_version != version:
            yield f"{event.entity_id}: {event.type} is v{event.entity_version}, not {version}"
        payload = _payload(event)
        shown = _bare(getattr(payload, event.entity_type))
        if last is not None:
            yield from _differs(event, payload, last, shown)
        last = shown
    if last != stands:
        yield f"{stands.id} stands as\n{stands}but {events[-1].type} tells\n{last}"


def _differs(event: event_pb2.Event, payload: Any, was: Any, shown: Any) -> Iterator[str]:
    """What an event says that changed is what differs from before, with the values of then."""
    back = type(shown)()
    back.CopyFrom(shown)
    for path in payload.changed.paths:
        head, _, tail = path.partition(".")
        source, target = payload.previous, back
        if tail:
            source, target, head = getattr(source, head), getattr(target, head), tail
        target.ClearField(head)
        field = target.DESCRIPTOR.fields_by_name[head]
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            getattr(target, head).update(getattr(source, head))
        elif field.is_repeated:
            getattr(target, head).extend(getattr(source, head))
        elif field.message_type is None:
            setattr(target, head, getattr(source, head))
        elif source.HasField(head):
            getattr(target, head).CopyFrom(getattr(source, head))
    old = type(was)()
    old.CopyFrom(was)
    for message in (_bare(back), old):
        for name in _DERIVED:
            if name in message.DESCRIPTOR.fields_by_name:
                message.ClearField(name)
    if back != old:
        paths = ", ".join(payload.changed.paths)
        text = f"{event.type} tells of {paths}, not of all between\n{old}and\n{back}"
        yield f"{event.entity_id}: {text}"


def _payload(event: event_pb2.Event) -> Any:
    name = event.data_schema.rpartition(".")[2]
    module = billing_events_pb2 if hasattr(billing_events_pb2, name) else payment_events_pb2
    return getattr(module, name).FromString(event.data)

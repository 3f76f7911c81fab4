"""Compares what happened with what was expected; three pure checks.

Owns the rules: every payment as its order says, the provider's own ledger equal to
Payhub's totals, one event per transition without gaps. Called by the demo at the end,
and by tests with planted mistakes. Never talks to a process.
"""

import collections
import dataclasses
from collections.abc import Iterable, Mapping, Sequence

from payhub.events.v1 import event_pb2
from payhub.payments.v1 import customer_service_pb2, payment_events_pb2, payment_pb2
from payhub.payments.v1 import refund_service_pb2 as refund_pb2

from examples.demo import pay

Payment = payment_pb2.Payment
Operation = payment_pb2.Operation
Refund = refund_pb2.Refund
# Says what the event before it amounts to; the payment is as that event left it.
MARKS = frozenset({"payment.refunded"})


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class LedgerEntry:
    """One effect at the provider, as the provider itself booked it."""

    operation_id: str
    kind: str
    amount_minor: int
    currency: str
    provider_payment_id: str = ""


@dataclasses.dataclass(slots=True, kw_only=True)
class Totals:
    """Sums of one currency in minor units, ours and the provider's."""

    payments: int = 0
    authorized: int = 0
    captured: int = 0
    refunded: int = 0
    ledger_authorized: int = 0
    ledger_captured: int = 0
    ledger_refunded: int = 0
    # Booked by the provider, but in doubt here: it contradicts what was asked for.
    doubt_authorized: int = 0
    doubt_captured: int = 0
    doubt_refunded: int = 0

    @property
    def equal(self) -> bool:
        """Whether the ledger holds what Payhub counts plus what is openly in doubt."""
        return (self.ledger_authorized, self.ledger_captured, self.ledger_refunded) == (
            self.authorized + self.doubt_authorized,
            self.captured + self.doubt_captured,
            self.refunded + self.doubt_refunded,
        )


def check_payment(paid: pay.Paid) -> list[str]:
    """Returns how an order's payment differs from what the order expects."""
    if paid.error:
        return [paid.error]
    expect, payment = paid.order.expect, paid.payment
    failed = payment.state == Payment.STATE_FAILED
    facts: list[tuple[str, object, object]] = [
        ("state", expect.state, Payment.State.Name(payment.state).removeprefix("STATE_")),
        ("authorized_minor", expect.authorized_minor, payment.amounts.authorized_minor),
        ("captured_minor", expect.captured_minor, payment.amounts.captured_minor),
        ("refunded_minor", expect.refunded_minor, payment.amounts.refunded_minor),
        ("amount_minor", paid.order.amount_minor, payment.amount.amount_minor),
        ("currency", paid.order.currency, payment.amount.currency_code),
        ("order_id", paid.order.id, payment.references.order_id),
        ("failure_reason", expect.failure_reason, payment.failure.reason if failed else ""),
        (
            "refunds",
            list(expect.refunds),
            [Refund.State.Name(r.state).removeprefix("STATE_") for r in paid.refunds],
        ),
        ("disputes", list(expect.disputes), pay.dispute_states(paid)),
        ("disputed_minor", expect.disputed_minor, payment.amounts.disputed_minor),
        (
            "operations_in_doubt",
            sorted(expect.operations_in_doubt),
            sorted(pay.open_operations(payment)),
        ),
    ]
    return [
        f"{name} is {actual}, expected {wanted}"
        for name, wanted, actual in facts
        if wanted != actual
    ]


def check_ledger(
    payments: Iterable[Payment], entries: Iterable[LedgerEntry]
) -> tuple[dict[str, Totals], list[str]]:
    """Compares every effect at the provider with its operation here, then the sums.

    Returns the totals per currency, and every difference. An effect whose operation is in
    doubt is not a difference: Payhub says that it does not know. It is summed apart.
    """
    totals: dict[str, Totals] = collections.defaultdict(Totals)
    operations: dict[str, tuple[Payment, Operation]] = {}
    for payment in payments:
        ours = totals[payment.amount.currency_code]
        ours.payments += 1
        ours.authorized += payment.amounts.authorized_minor
        ours.captured += payment.amounts.captured_minor
        ours.refunded += payment.amounts.refunded_minor
        operations |= {
            _booked_as(payment, operation): (payment, operation) for operation in payment.operations
        }
    problems = []
    booked: set[str] = set()
    for entry in entries:
        name = entry.operation_id
        alone = _by_itself(entry.provider_payment_id)
        if name not in operations and alone in operations:
            name = alone
        if name in booked:
            problems.append(f"{name}: took effect twice at the provider")
        booked.add(name)
        problems += _check_entry(entry, name, operations, totals)
    problems += [
        f"{payment.id}: {Operation.Kind.Name(operation.kind)} {operation_id} succeeded here, "
        "but the provider has not booked it"
        for operation_id, (payment, operation) in operations.items()
        if operation.state == Operation.STATE_SUCCEEDED and operation_id not in booked
    ]
    problems += [
        f"{code}: the sums differ: {theirs}"
        for code, theirs in sorted(totals.items())
        if not theirs.equal
    ]
    return dict(sorted(totals.items())), problems


def _booked_as(payment: Payment, operation: Operation) -> str:
    """Returns the id that the provider's books have an operation under."""
    adopted = payment.invoice_id or payment.checkout_id
    if adopted and operation.kind == Operation.KIND_SALE:
        return _by_itself(payment.provider_payment_id)
    return operation.id


def _by_itself(provider_payment_id: str) -> str:
    return f"{provider_payment_id}, which the provider took by itself"


def _check_entry(
    entry: LedgerEntry,
    name: str,
    operations: Mapping[str, tuple[Payment, Operation]],
    totals: Mapping[str, Totals],
) -> list[str]:
    """Adds one effect to the provider's sums; returns how it differs from its operation."""
    theirs = totals[entry.currency]
    doubt = 0
    problems = []
    if name not in operations:
        return [f"{name}: the provider booked it, Payhub does not know it"]
    payment, operation = operations[name]
    state = Operation.State.Name(operation.state)
    if operation.state == Operation.STATE_IN_DOUBT:
        doubt = entry.amount_minor
    elif operation.state != Operation.STATE_SUCCEEDED:
        problems.append(f"{payment.id}: {entry.kind} is {state} here, but took effect")
    elif operation.kind != Operation.KIND_VOID and (
        operation.amount.amount_minor != entry.amount_minor
        or operation.amount.currency_code != entry.currency
    ):
        problems.append(f"{payment.id}: {entry.kind} took effect for another amount: {entry}")
    if operation.kind in (Operation.KIND_AUTHORIZE, Operation.KIND_SALE):
        theirs.ledger_authorized += entry.amount_minor
        theirs.doubt_authorized += doubt
    if operation.kind in (Operation.KIND_CAPTURE, Operation.KIND_SALE):
        theirs.ledger_captured += entry.amount_minor
        theirs.doubt_captured += doubt
    if operation.kind == Operation.KIND_REFUND:
        theirs.ledger_refunded += entry.amount_minor
        theirs.doubt_refunded += doubt
    return problems


def check_events(
    *,
    seen: Sequence[event_pb2.Event],
    stored: Sequence[event_pb2.Event],
    paid: Iterable[pay.Paid],
    customers: Iterable[customer_service_pb2.Customer],
    others: Mapping[str, int] | None = None,
) -> list[str]:
    """Compares the stream with the log, and both with the changes that happened.

    `others` is the version of everything else that was made, by id.
    """
    problems = _check_same(seen, stored)
    by_entity: dict[str, list[event_pb2.Event]] = collections.defaultdict(list)
    for event in stored:
        by_entity[event.entity_id].append(event)
    for entity_id, events in by_entity.items():
        versions = [event.entity_version for event in events]
        if versions != list(range(1, len(versions) + 1)):
            problems.append(f"{entity_id}: versions have gaps or repeats: {versions}")
    known = set()
    for one in paid:
        known.add(one.payment.id)
        problems += _check_payment_events(one, by_entity[one.payment.id])
    made = {customer.id: customer.version for customer in customers} | dict(others or {})
    for entity_id, version in made.items():
        known.add(entity_id)
        if len(by_entity[entity_id]) != version:
            problems.append(f"{entity_id}: {version} changes, {len(by_entity[entity_id])} events")
    # What arrived by webhook is told too, once each; nothing else knows of those.
    known |= {event.entity_id for event in stored if event.entity_type == "webhook"}
    problems += [
        f"{entity_id}: events of something unknown"
        for entity_id in sorted(by_entity.keys() - known)
    ]
    return problems


def _check_same(seen: Sequence[event_pb2.Event], stored: Sequence[event_pb2.Event]) -> list[str]:
    problems = []
    counts = collections.Counter(event.id for event in seen)
    problems += [
        f"event {name}: the subscriber saw it {n} times" for name, n in counts.items() if n > 1
    ]
    missed = {event.id for event in stored} - counts.keys()
    problems += [
        f"event {name}: in the log, but the subscriber never saw it" for name in sorted(missed)
    ]
    if not problems and list(seen) != list(stored):
        problems.append("the subscriber saw other events, or in another order, than the log holds")
    return problems


def expected_counts(paid: pay.Paid) -> dict[str, int]:
    """Returns how many events of each type an order's payment must have, by its end.

    Only types whose number follows from the payment as it stands are named; how often it
    was pending or in doubt on the way does not show in it any more.
    """
    payment = paid.payment

    def operations(kinds: Iterable[int], *states: int) -> int:
        return sum(o.kind in set(kinds) and o.state in states for o in payment.operations)

    ended_badly = (Operation.STATE_DECLINED, Operation.STATE_NOT_SENT)
    first = (Operation.KIND_AUTHORIZE, Operation.KIND_SALE)
    amounts = payment.amounts
    return {
        "payment.created": 1,
        "payment.authorized": operations([Operation.KIND_AUTHORIZE], Operation.STATE_SUCCEEDED),
        "payment.failed": operations(first, *ended_badly),
        "payment.captured": operations([Operation.KIND_CAPTURE], Operation.STATE_SUCCEEDED),
        "payment.capture_failed": operations([Operation.KIND_CAPTURE], *ended_badly),
        "payment.incremented": operations([Operation.KIND_INCREMENT], Operation.STATE_SUCCEEDED),
        "payment.increment_failed": operations([Operation.KIND_INCREMENT], *ended_badly),
        "payment.void_failed": operations([Operation.KIND_VOID], *ended_badly),
        "payment.succeeded": int(payment.state == Payment.STATE_SUCCEEDED),
        "payment.canceled": int(payment.state == Payment.STATE_CANCELED),
        "payment.refunded": int(0 < amounts.captured_minor == amounts.refunded_minor),
        "refund.created": len(paid.refunds),
        "refund.succeeded": sum(r.state == Refund.STATE_SUCCEEDED for r in paid.refunds),
        "refund.failed": sum(r.state == Refund.STATE_FAILED for r in paid.refunds),
    }


def _check_payment_events(paid: pay.Paid, events: Sequence[event_pb2.Event]) -> list[str]:
    payment, name = paid.payment, f"{paid.order.id} ({paid.payment.id})"
    if not payment.id:
        return []
    if len(events) != payment.version:
        return [f"{name}: {payment.version} changes, {len(events)} events"]
    counts = collections.Counter(event.type for event in events)
    problems = [
        f"{name}: {counts[kind]} {kind} events, expected {wanted}"
        for kind, wanted in expected_counts(paid).items()
        if counts[kind] != wanted
    ]
    before = payment_events_pb2.PaymentEvent()
    for event in events:
        after = payment_events_pb2.PaymentEvent.FromString(event.data)
        if after.payment.version != event.entity_version:
            problems.append(f"{name}: {event.type} holds version {after.payment.version}")
        shows_a_change = _facts(after.payment) != _facts(before.payment)
        if not shows_a_change and not after.HasField("refund") and event.type not in MARKS:
            problems.append(f"{name}: {event.type} v{event.entity_version} changed nothing")
        if after.payment.action.redirect_url or after.payment.action.client_secret:
            problems.append(f"{name}: {event.type} shows a secret")
        before = after
    if events and _facts(before.payment) != _facts(payment):
        problems.append(f"{name}: the newest event is not how the payment stands")
    return problems


def _facts(payment: Payment) -> tuple[object, ...]:
    """Returns what a change of a payment has to show in."""
    return (
        payment.state,
        payment.amounts.SerializeToString(deterministic=True),
        payment.cancel_requested,
        tuple((operation.id, operation.state) for operation in payment.operations),
    )

"""Whether events tell exactly what happened to payments, customers and all that is set up.

Owns the rules that tie the outbox to the rows it speaks of: one event per
transition, in order, of the type that fits. Called by `invariants`. Never
reads a database itself.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from payhub.events.v1 import event_pb2
from payhub.payments.v1 import customer_service_pb2, payment_events_pb2, payment_pb2

from tests import stored

# Whose events those of the installation are, and of the binding that tenants share.
SYSTEM = "system"
SHARED = "*"
INSTALLATION = "installation"
# Entity types of mirrored entities by their kind, as stored.
MIRRORS = {
    2: "payment_method",
    3: "plan",
    4: "subscription",
    5: "invoice",
    6: "checkout",
    7: "dispute",
}

_P = payment_pb2.Payment
_O = payment_pb2.Operation
_C = customer_service_pb2.Customer

# The state that a payment enters with each event; all others leave it where it is.
# `payment.created` and `payment.in_doubt` may do either.
ENTERS: dict[str, int] = {
    "payment.processing": _P.STATE_PROCESSING,
    "payment.requires_action": _P.STATE_REQUIRES_ACTION,
    "payment.authorized": _P.STATE_AUTHORIZED,
    "payment.succeeded": _P.STATE_SUCCEEDED,
    "payment.failed": _P.STATE_FAILED,
    "payment.canceled": _P.STATE_CANCELED,
}
_CREATED = (_P.STATE_CREATED, _P.STATE_PROCESSING)
_DOUBTS = ("payment.in_doubt", "refund.in_doubt")

_FAILED = (_O.STATE_DECLINED, _O.STATE_NOT_SENT)
_VOIDED = (*_FAILED, _O.STATE_SUPERSEDED)
_RELEASED = ("payment.canceled", "payment.succeeded", "payment.resolved")
_MOVED = "payment.updated"
# How an operation's end is told: exactly one event of one of these types.
ENDS: dict[tuple[int, int], tuple[str, ...]] = {
    (_O.KIND_SALE, _O.STATE_SUCCEEDED): ("payment.succeeded",),
    (_O.KIND_AUTHORIZE, _O.STATE_SUCCEEDED): ("payment.authorized",),
    (_O.KIND_INCREMENT, _O.STATE_SUCCEEDED): ("payment.incremented",),
    (_O.KIND_CAPTURE, _O.STATE_SUCCEEDED): ("payment.captured",),
    (_O.KIND_REFUND, _O.STATE_SUCCEEDED): ("refund.succeeded",),
    (_O.KIND_VOID, _O.STATE_SUCCEEDED): _RELEASED,
}
for _ending in _FAILED:
    ENDS[_O.KIND_SALE, _ending] = ("payment.failed", "payment.canceled")
    ENDS[_O.KIND_AUTHORIZE, _ending] = ("payment.failed", "payment.canceled")
for _ending in _VOIDED:
    ENDS[_O.KIND_CAPTURE, _ending] = ("payment.capture_failed", "payment.resolved")
    ENDS[_O.KIND_INCREMENT, _ending] = ("payment.increment_failed", "payment.resolved")
    ENDS[_O.KIND_VOID, _ending] = ("payment.void_failed", "payment.resolved")
    ENDS[_O.KIND_REFUND, _ending] = ("refund.failed",)
# Only doubts about these have events.
_OF_PAYMENTS = frozenset(kind for kind, _ in ENDS)
# Events that claim a settled amount: their operation must have ended so.
_CLAIMS = {
    "payment.authorized": _O.KIND_AUTHORIZE,
    "payment.incremented": _O.KIND_INCREMENT,
    "payment.captured": _O.KIND_CAPTURE,
    "refund.succeeded": _O.KIND_REFUND,
}
# The resolver found that it never reached the provider.
_NEVER_ARRIVED = "NEVER_ARRIVED"


class _Told(NamedTuple):
    row: stored.Outboxed
    event: event_pb2.Event


def check(book: stored.Payments) -> list[str]:
    """Returns every event that is missing, too much, out of order or untrue."""
    found: list[str] = []
    by_entity: dict[tuple[str, str, str], list[_Told]] = defaultdict(list)
    ids = Counter(row.event_id for row in book.outbox)
    found += [f"event {name}: written {count} times" for name, count in ids.items() if count > 1]
    for row in book.outbox:
        told = _Told(row, event_pb2.Event.FromString(bytes(row.envelope)))
        event = told.event
        envelope = (event.id, event.tenant_id, event.entity_type, event.entity_id)
        if (*envelope, event.entity_version) != row[1:6]:
            found.append(f"event {row.event_id}: its envelope is of another event: {envelope}")
        by_entity[row.tenant_id, row.entity_type, row.entity_id].append(told)
    operations = {operation.id: operation for operation in book.operations}
    for payment in book.payments:
        events = by_entity.pop((payment.tenant_id, "payment", payment.id), [])
        found += _dense(payment.id, payment.version, events)
        found += _payment(payment, events, operations)
    for customer in book.customers:
        events = by_entity.pop((customer.tenant_id, "customer", customer.id), [])
        found += _dense(customer.id, customer.version, events)
        found += _customer(customer, events)
    for mirror in book.mirrors:
        events = by_entity.pop((mirror.tenant_id, MIRRORS[mirror.kind], mirror.id), [])
        found += _dense(mirror.id, mirror.version, events)
    for webhook in book.webhooks:
        # Told once, when it is done with; one that came twice is told by the first.
        events = by_entity.pop((webhook.tenant_id, "webhook", webhook.id), [])
        found += _dense(webhook.id, min(len(events), 1), events)
    for plugin in book.plugins:
        events = by_entity.pop((SYSTEM, "plugin", plugin.plugin_id), [])
        found += _dense(plugin.plugin_id, plugin.revision, events)
    for binding in book.bindings:
        tenant_id = SYSTEM if binding.tenant_id == SHARED else binding.tenant_id
        events = by_entity.pop((tenant_id, "binding", binding.binding_id), [])
        found += _dense(binding.binding_id, binding.revision, events)
    for key in book.api_keys:
        events = by_entity.pop((SYSTEM, "api_key", key.id), [])
        found += _dense(key.id, key.version, events)
    for policy in book.retry_policies:
        events = by_entity.pop((policy.tenant_id, "retry_policy", policy.tenant_id), [])
        found += _dense(f"policy of {policy.tenant_id}", policy.version, events)
    for default in book.default_providers:
        tenant_id, entity_id = default.tenant_id or SYSTEM, default.tenant_id or INSTALLATION
        events = by_entity.pop((tenant_id, "default_provider", entity_id), [])
        found += _dense(f"default of {entity_id}", default.version, events)
    found += [f"{entity_id}: has events, but is not there" for _, _, entity_id in by_entity]
    found += _ends(book)
    return found


def _dense(entity_id: str, version: int, events: Sequence[_Told]) -> Iterator[str]:
    versions = [told.row.entity_version for told in events]
    if versions != list(range(1, version + 1)):
        yield f"{entity_id} has version {version}, its events {versions}"


def _payment(
    payment: stored.Payment, events: Sequence[_Told], operations: dict[str, stored.Operation]
) -> Iterator[str]:
    """Each event's type fits the step between its snapshot and the one before."""
    state = 0
    snapshot = _P()
    for told in events:
        payload = payment_events_pb2.PaymentEvent.FromString(told.event.data)
        snapshot = payload.payment
        name = f"{payment.id} v{told.row.entity_version}: {told.event.type}"
        operation = operations.get(payload.operation_id)
        if payload.operation_id and (operation is None or operation.entity_id != payment.id):
            yield f"{name} is about {payload.operation_id}, which is not its operation"
        initial = operation is not None and operation.kind in (_O.KIND_AUTHORIZE, _O.KIND_SALE)
        if told.event.type == "payment.created":
            fits = state == 0 and snapshot.state in _CREATED
        elif told.event.type == "payment.processing" and _is_pending(snapshot, operation):
            fits = snapshot.state == _P.STATE_PROCESSING
        elif told.event.type in ENTERS:
            fits = snapshot.state == ENTERS[told.event.type] != state
        elif told.event.type == "payment.in_doubt" and initial:
            fits = snapshot.state == _P.STATE_IN_DOUBT != state
        else:
            fits = snapshot.state == state != 0
        if not fits:
            yield f"{name} leads from {_P.State.Name(state)} to {_P.State.Name(snapshot.state)}"
        if snapshot.version != told.row.entity_version:
            yield f"{name} shows version {snapshot.version}"
        state = snapshot.state
    amounts = snapshot.amounts
    told_last = (
        state,
        snapshot.cancel_requested,
        amounts.authorized_minor,
        amounts.captured_minor,
        amounts.refunded_minor,
    )
    stands = (
        payment.state,
        bool(payment.cancel_requested),
        payment.authorized_minor,
        payment.captured_minor,
        payment.refunded_minor,
    )
    if told_last != stands:
        yield f"{payment.id} is {stands}, its newest event tells {told_last}"


def _is_pending(snapshot: _P, operation: stored.Operation | None) -> bool:
    """Whether an event tells that the provider has the operation, and has not decided."""
    told = [one for one in snapshot.operations if operation is not None and one.id == operation.id]
    return any(one.state == _O.STATE_PENDING for one in told)


def _customer(customer: stored.Customer, events: Sequence[_Told]) -> Iterator[str]:
    for told in events:
        wanted = "customer.created" if told.row.entity_version == 1 else "customer.updated"
        if told.event.type != wanted:
            yield f"{customer.id} v{told.row.entity_version}: {told.event.type}, not {wanted}"
    if events:
        newest = payment_events_pb2.CustomerEvent.FromString(events[-1].event.data).customer
        if newest.sync_state != customer.sync_state:
            name = _C.SyncState.Name(newest.sync_state)
            yield f"{customer.id}: its newest event tells {name}, not {customer.sync_state}"


def _ends(book: stored.Payments) -> Iterator[str]:
    """Each operation's end is told once, and nothing that did not happen is told."""
    told: dict[str, Counter[str]] = defaultdict(Counter)
    for row in book.outbox:
        event = event_pb2.Event.FromString(bytes(row.envelope))
        told[event.cause.causation_id][event.type] += 1
    for operation in book.operations:
        kind = _O.Kind.Name(operation.kind).removeprefix("KIND_")
        name = f"{operation.entity_id}: {kind} {operation.id}"
        types = told[operation.id]
        ends = ENDS.get((operation.kind, operation.state), ())
        count = sum(types[one] for one in ends)
        # What a void has ended may tell it before the void does.
        late = ends is _RELEASED and not count and types[_MOVED] > 0
        if ends and count != 1 and not late:
            state = _O.State.Name(operation.state).removeprefix("STATE_")
            yield f"{name} is {state}, told {dict(types)}: not exactly one of {', '.join(ends)}"
        for one, claimed in _CLAIMS.items():
            if types[one] and (operation.kind, operation.state) != (claimed, _O.STATE_SUCCEEDED):
                yield f"{name}: {one} was told, but that is not how it ended"
        if operation.kind == _O.KIND_REFUND and types["refund.created"] != 1:
            yield f"{name}: {types['refund.created']} events tell that it began"
        unknown = operation.kind in _OF_PAYMENTS and _NEVER_ARRIVED in operation.failure
        if unknown and not any(types[doubt] for doubt in _DOUBTS):
            yield f"{name}: its outcome was unknown, but it never was in doubt"

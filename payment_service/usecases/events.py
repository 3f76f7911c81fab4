"""Events: what the outbox says of a change.

Owns the envelope and the payloads, with every sensitive field stripped. Called
by use cases right before they write a change, or with it. One step of a change becomes one
event; nothing else becomes one.
"""

from collections.abc import Callable
from typing import NamedTuple

from google.protobuf import field_mask_pb2
from google.protobuf.message import Message
from payhub.events.v1 import event_pb2
from payhub.options.v1 import options_pb2
from payhub.payments.v1 import payment_events_pb2

from payment_service.db import outbox
from payment_service.domain import changes, customers, model
from payment_service.usecases import snapshots
from servicekit import sanitizer, storage

SOURCE = "payments"

# Paths of a snapshot that can differ between two steps, and the payment's own
# names for them; beside `version` and `update_time`, which always differ, and
# `operations` and `available_actions`, which follow from the others. Compared
# by their own names: to make a second snapshot for it costs a third of an event.
_PAYMENT_PATHS = (
    ("state", "state"),
    ("provider_payment_id", "provider_payment_id"),
    ("action", "action"),
    ("failure", "failure"),
    ("cancel_requested", "cancel_requested"),
    ("amount", "amount_minor"),
    ("amounts.authorized_minor", "authorized_minor"),
    ("amounts.captured_minor", "captured_minor"),
    ("amounts.capture_pending_minor", "capture_reserved_minor"),
    ("amounts.refunded_minor", "refunded_minor"),
    ("amounts.refund_pending_minor", "refund_reserved_minor"),
    ("amounts.foreign_refunded_minor", "foreign_refunded_minor"),
    ("amounts.disputed_minor", "disputed_minor"),
    ("payment_method_id", "payment_method_id"),
    ("next_retry_time", "next_retry_us"),
)
_CUSTOMER_PATHS = (
    "profile.name",
    "profile.email",
    "profile.phone",
    "profile.user_id",
    "profile.metadata",
    "provider_customer_id",
    "sync_state",
)


class Entity(NamedTuple):
    """What an event is about, and as of when."""

    kind: str
    id: str
    version: int
    tenant_id: str
    user_id: str
    changed_us: int


def of_change(
    change: changes.Change, cause: model.Cause, new_id: Callable[[str], str]
) -> list[outbox.Entry]:
    """Returns one outbox entry per step of *change*."""
    return [_of_step(step, cause, new_id) for step in change.steps]


def _of_step(step: changes.Step, cause: model.Cause, new_id: Callable[[str], str]) -> outbox.Entry:
    payload = payment_events_pb2.PaymentEvent(
        payment=snapshots.payment(step.after), operation_id=step.operation_id
    )
    if step.refund is not None:
        payload.refund.CopyFrom(snapshots.refund(step.refund))
    if step.before is not None:
        _note_step(step.before, step.after, payload)
    after = step.after
    entity = Entity(
        "payment",
        after.id,
        after.version,
        after.tenant_id,
        after.references.user_id,
        after.updated_us,
    )
    return entry(
        step.event_type,
        entity,
        payload,
        cause=cause,
        causation_id=step.operation_id,
        new_id=new_id,
    )


def _note_step(
    before: model.Payment, after: model.Payment, payload: payment_events_pb2.PaymentEvent
) -> None:
    """Adds every path that differs to `changed` and its old value to `previous`."""
    previous = payload.previous
    previous.SetInParent()
    for path, name in _PAYMENT_PATHS:
        old = getattr(before, name)
        if old == getattr(after, name):
            continue
        payload.changed.paths.append(path)
        if name == "failure" or name == "action":
            snapshots.explain(previous, before, name)
        elif name == "next_retry_us":
            if before.next_retry_us:
                previous.next_retry_time.CopyFrom(snapshots.timestamp(before.next_retry_us))
        elif name == "amount_minor":
            previous.amount.CopyFrom(snapshots.money(before.amount_minor, before.currency))
        elif path == name:
            setattr(previous, name, old)
        else:
            setattr(previous.amounts, path.partition(".")[2], old)


def of_customer(change: customers.Change, new_id: Callable[[str], str]) -> list[outbox.Entry]:
    """Returns the outbox entry of a customer's change, if it is one."""
    if not change.event_type:
        return []
    after = change.customer
    payload = payment_events_pb2.CustomerEvent(customer=snapshots.customer(after))
    if change.before is not None:
        before = snapshots.customer(change.before)
        note_changes(_CUSTOMER_PATHS, payload.customer, before, payload.changed, payload.previous)
        payload.previous.SetInParent()
    entity = Entity(
        "customer",
        after.id,
        after.version,
        after.tenant_id,
        after.profile.user_id,
        after.updated_us,
    )
    return [
        entry(
            change.event_type,
            entity,
            payload,
            cause=change.operation.cause,
            causation_id=change.operation.id,
            new_id=new_id,
        )
    ]


def note_changes(
    paths: tuple[str, ...],
    after: Message,
    before: Message,
    changed: field_mask_pb2.FieldMask,
    previous: Message,
) -> None:
    """Adds every path whose value differs to *changed* and its old value to *previous*."""
    for path in paths:
        head, _, tail = path.partition(".")
        old, new, target = ((getattr(m, head) if tail else m) for m in (before, after, previous))
        name = tail or head
        old_value, new_value = getattr(old, name), getattr(new, name)
        if old_value == new_value:
            continue
        changed.paths.append(path)
        field = target.DESCRIPTOR.fields_by_name[name]
        if field.message_type is None:
            setattr(target, name, old_value)
        elif field.message_type.GetOptions().map_entry:
            getattr(target, name).update(old_value)
        elif old.HasField(name):
            getattr(target, name).CopyFrom(old_value)


def entry(
    event_type: str,
    entity: Entity,
    payload: Message,
    *,
    cause: model.Cause,
    causation_id: str,
    new_id: Callable[[str], str],
) -> outbox.Entry:
    """Returns an event ready to be written; *payload* loses its sensitive fields."""
    sanitizer.strip_sensitive(payload, options_pb2.sensitive)
    event_id = new_id("evt")
    event = event_pb2.Event(
        id=event_id,
        type=event_type,
        type_version=1,
        source=SOURCE,
        tenant_id=entity.tenant_id,
        entity_type=entity.kind,
        entity_id=entity.id,
        entity_version=entity.version,
        occur_time=snapshots.timestamp(entity.changed_us),
        content_type="application/protobuf",
        data_schema=payload.DESCRIPTOR.full_name,
        data=payload.SerializeToString(deterministic=True),
        user_id=entity.user_id,
        cause=event_pb2.Cause(
            correlation_id=cause.correlation_id,
            causation_id=causation_id,
            idempotency_key=cause.idempotency_key,
            actor=cause.actor,
        ),
    )
    return outbox.Entry(
        event_id=event_id,
        tenant_id=entity.tenant_id,
        entity_type=entity.kind,
        entity_id=entity.id,
        entity_version=entity.version,
        envelope=event.SerializeToString(),
        created_us=entity.changed_us,
    )


def write(
    conn: storage.Connection,
    event_type: str,
    entity: Entity,
    payload: Message,
    *,
    cause: model.Cause,
    event_id: str,
) -> None:
    """Writes the event of a change that no operation brought about, in its transaction."""
    told = entry(
        event_type, entity, payload, cause=cause, causation_id="", new_id=lambda _: event_id
    )
    statement, values = outbox.append([told])
    conn.run(statement, values)

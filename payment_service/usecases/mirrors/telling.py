"""Mirrored entities as messages, and the events of their changes.

Owns the messages of responses and events and what an event says of a step. Called by the
API and right before a change is written. Never reads a database.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import Message
from payhub.payments.v1 import (
    billing_events_pb2,
    checkout_service_pb2,
    dispute_service_pb2,
    invoice_service_pb2,
    mirror_pb2,
    payment_method_service_pb2,
    plan_service_pb2,
    subscription_service_pb2,
)

from payment_service.db import outbox
from payment_service.domain import model
from payment_service.domain.mirrors import (
    base,
    checkouts,
    disputes,
    invoices,
    kinds,
    objects,
    payment_methods,
    plans,
    subscriptions,
)
from payment_service.usecases import events, snapshots
from payment_service.usecases.mirrors import scopes

# Always different, or following from the rest.
_UNTOLD = frozenset({"version", "update_time", "available_actions"})
_UNTOLD_OF_MIRROR = frozenset({"operations", "provider_time"})


def place(value: base.Place, operations: Sequence[model.Operation] = ()) -> mirror_pb2.Mirror:
    """Returns where an entity is, with the operations there."""
    message = mirror_pb2.Mirror(
        provider=value.provider,
        binding_id=value.binding_id,
        provider_object_id=value.provider_object_id,
        sync_state=snapshots.number(value.sync_state),
        operations=[
            snapshots.operation(one) for one in operations if one.provider == value.provider
        ],
    )
    if value.failure is not None:
        message.failure.CopyFrom(snapshots.failure(value.failure))
    if value.provider_time_us:
        message.provider_time.CopyFrom(snapshots.timestamp(value.provider_time_us))
    return message


def payment_method(
    value: payment_methods.PaymentMethod, operations: Sequence[model.Operation] = ()
) -> payment_method_service_pb2.PaymentMethod:
    """Returns a payment method as a message."""
    message = payment_method_service_pb2.PaymentMethod(
        id=value.id,
        customer_id=value.customer_id,
        state=snapshots.number(value.state),
        type=value.type,
        is_default=value.is_default,
        mirror=place(value.place, operations),
        version=value.version,
        create_time=snapshots.timestamp(value.created_us),
        update_time=snapshots.timestamp(value.updated_us),
    )
    if value.card is not None:
        message.card.brand = value.card.brand
        message.card.last4 = value.card.last4
        message.card.expire_month = value.card.expire_month
        message.card.expire_year = value.card.expire_year
    return message


def plan(value: plans.Plan, operations: Sequence[model.Operation] = ()) -> plan_service_pb2.Plan:
    """Returns a plan as a message."""
    return plan_service_pb2.Plan(
        id=value.id,
        name=value.name,
        description=value.description,
        amount=snapshots.money(value.amount_minor, value.currency),
        interval=snapshots.number(value.interval),
        interval_count=value.interval_count,
        trial_days=value.trial_days,
        state=snapshots.number(value.state),
        prices=[place(price, operations) for price in value.prices],
        metadata=value.metadata,
        version=value.version,
        create_time=snapshots.timestamp(value.created_us),
        update_time=snapshots.timestamp(value.updated_us),
    )


def subscription(
    value: subscriptions.Subscription, operations: Sequence[model.Operation] = ()
) -> subscription_service_pb2.Subscription:
    """Returns a subscription as a message, with what a caller may do now."""
    message = subscription_service_pb2.Subscription(
        id=value.id,
        customer_id=value.customer_id,
        user_id=value.user_id,
        plan_id=value.plan_id,
        quantity=value.quantity,
        state=snapshots.number(value.state),
        cancel_at_period_end=value.cancel_at_period_end,
        latest_invoice_id=value.latest_invoice_id,
        payment_method_id=value.payment_method_id,
        metadata=value.metadata,
        available_actions=subscriptions.available(value),
        mirror=place(value.place, operations),
        version=value.version,
        create_time=snapshots.timestamp(value.created_us),
        update_time=snapshots.timestamp(value.updated_us),
    )
    _times(
        message,
        current_period_start=value.period_start_us,
        current_period_end=value.period_end_us,
        trial_end=value.trial_end_us,
        end_time=value.end_us,
    )
    if value.action is not None:
        message.action.CopyFrom(snapshots.action(value.action))
    if value.failure is not None:
        message.failure.CopyFrom(snapshots.failure(value.failure))
    return message


def invoice(
    value: invoices.Invoice, operations: Sequence[model.Operation] = ()
) -> invoice_service_pb2.Invoice:
    """Returns an invoice as a message."""
    message = invoice_service_pb2.Invoice(
        id=value.id,
        customer_id=value.customer_id,
        subscription_id=value.subscription_id,
        payment_id=value.payment_id,
        user_id=value.user_id,
        number=value.number,
        state=snapshots.number(value.state),
        amount_paid_minor=value.amount_paid_minor,
        overdue=value.overdue,
        attempt_count=value.attempt_count,
        pdf_url=value.pdf_url,
        hosted_url=value.hosted_url,
        mirror=place(value.place, operations),
        version=value.version,
        create_time=snapshots.timestamp(value.created_us),
        update_time=snapshots.timestamp(value.updated_us),
    )
    if value.currency:
        message.amount_due.CopyFrom(snapshots.money(value.amount_due_minor, value.currency))
    _times(
        message,
        period_start=value.period_start_us,
        period_end=value.period_end_us,
        due_time=value.due_us,
        next_attempt_time=value.next_attempt_us,
    )
    if value.failure is not None:
        message.failure.CopyFrom(snapshots.failure(value.failure))
    return message


def _times(message: Any, **times_us: int) -> None:
    """Sets the times that there are."""
    for name, moment_us in times_us.items():
        if moment_us:
            getattr(message, name).CopyFrom(snapshots.timestamp(moment_us))


def checkout(
    value: checkouts.Checkout, operations: Sequence[model.Operation] = ()
) -> checkout_service_pb2.Checkout:
    """Returns a checkout as a message."""
    message = checkout_service_pb2.Checkout(
        id=value.id,
        state=snapshots.number(value.state),
        customer_id=value.customer_id,
        user_id=value.user_id,
        plan_id=value.plan_id,
        quantity=value.quantity,
        redirect_url=value.redirect_url,
        client_secret=value.client_secret,
        publishable_key=value.publishable_key,
        expire_time=snapshots.timestamp(value.expire_us),
        payment_id=value.payment_id,
        subscription_id=value.subscription_id,
        order_id=value.order_id,
        description=value.description,
        metadata=value.metadata,
        mirror=place(value.place, operations),
        version=value.version,
        create_time=snapshots.timestamp(value.created_us),
        update_time=snapshots.timestamp(value.updated_us),
    )
    if value.amount_minor:
        message.amount.CopyFrom(snapshots.money(value.amount_minor, value.currency))
    return message


def dispute(
    value: disputes.Dispute, operations: Sequence[model.Operation] = ()
) -> dispute_service_pb2.Dispute:
    """Returns a dispute as a message, with what a caller may do now."""
    message = dispute_service_pb2.Dispute(
        id=value.id,
        payment_id=value.payment_id,
        state=snapshots.number(value.state),
        amount=snapshots.money(value.amount_minor, value.currency),
        reason=value.reason,
        has_evidence=value.has_evidence,
        user_id=value.user_id,
        available_actions=[each.value for each in disputes.available(value)],
        mirror=place(value.place, operations),
        version=value.version,
        create_time=snapshots.timestamp(value.created_us),
        update_time=snapshots.timestamp(value.updated_us),
    )
    if value.evidence_due_us:
        message.evidence_due_time.CopyFrom(snapshots.timestamp(value.evidence_due_us))
    if value.open_us:
        message.open_time.CopyFrom(snapshots.timestamp(value.open_us))
    return message


@dataclass(frozen=True, slots=True, kw_only=True)
class _Form:
    """How a kind is told: its message, and the payload with the field that holds it."""

    message: Callable[[Any], Any]
    payload: Callable[[], Any]
    field: str


_FORMS: dict[objects.ObjectKind, _Form] = {
    objects.ObjectKind.PAYMENT_METHOD: _Form(
        message=payment_method,
        payload=billing_events_pb2.PaymentMethodEvent,
        field="payment_method",
    ),
    objects.ObjectKind.PLAN: _Form(
        message=plan, payload=billing_events_pb2.PlanEvent, field="plan"
    ),
    objects.ObjectKind.SUBSCRIPTION: _Form(
        message=subscription,
        payload=billing_events_pb2.SubscriptionEvent,
        field="subscription",
    ),
    objects.ObjectKind.INVOICE: _Form(
        message=invoice, payload=billing_events_pb2.InvoiceEvent, field="invoice"
    ),
    objects.ObjectKind.CHECKOUT: _Form(
        message=checkout, payload=billing_events_pb2.CheckoutEvent, field="checkout"
    ),
    objects.ObjectKind.DISPUTE: _Form(
        message=dispute, payload=billing_events_pb2.DisputeEvent, field="dispute"
    ),
}


def entries(change: base.Change, scope: scopes.Scope) -> list[outbox.Entry]:
    """Returns one outbox entry per step of *change*."""
    return [_entry(step, scope) for step in change.steps]


def _entry(step: base.Step, scope: scopes.Scope) -> outbox.Entry:
    after: Any = step.after
    rules = kinds.BY_PREFIX[after.id.partition("_")[0]]
    form = _FORMS[rules.kind]
    payload = form.payload()
    told = getattr(payload, form.field)
    told.CopyFrom(form.message(after))
    if step.before is not None:
        payload.previous.SetInParent()
        payload.changed.SetInParent()
        paths = _note(form.message(step.before), told, payload.previous)
        payload.changed.paths.extend(paths)
    payload.operation_id = scope.operation_id
    entity = events.Entity(
        rules.name,
        after.id,
        after.version,
        after.tenant_id,
        rules.columns(after).user_id,
        after.updated_us,
    )
    return events.entry(
        step.event_type,
        entity,
        payload,
        cause=scope.cause,
        causation_id=scope.operation_id,
        new_id=scope.new_id,
    )


def _note(
    before: Any, after: Any, previous: Any, prefix: str = "", skip: frozenset[str] = _UNTOLD
) -> list[str]:
    """Returns the paths whose values differ, and sets their old values in *previous*."""
    paths: list[str] = []
    for field in after.DESCRIPTOR.fields:
        name = field.name
        old = getattr(before, name)
        if name in skip or old == getattr(after, name):
            continue
        if name == "mirror":
            paths += _note(old, after.mirror, previous.mirror, "mirror.", _UNTOLD_OF_MIRROR)
            continue
        paths.append(f"{prefix}{name}")
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            getattr(previous, name).update(old)
        elif field.is_repeated:
            getattr(previous, name).extend(old)
        elif isinstance(old, Message):
            if before.HasField(name):
                getattr(previous, name).CopyFrom(old)
        else:
            setattr(previous, name, old)
    return paths

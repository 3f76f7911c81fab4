"""What providers keep and bill, as the event log tells it, as values of the domain.

Owns reading a snapshot of any kind, field by field by its name, and the operation that made
it. Called by `writing`. Pure. Secrets are in no event; the provider is asked for them again.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pydantic
from google.protobuf.message import Message
from payhub.payments.v1 import billing_events_pb2, mirror_pb2

from payment_service.domain import model
from payment_service.domain.mirrors import base, kinds, plans
from payment_service.recovery import rebuilding

# Payloads by their names, with the field that holds the entity.
PAYLOADS: dict[str, tuple[Any, str]] = {
    kind.DESCRIPTOR.full_name: (kind, field)
    for kind, field in (
        (billing_events_pb2.PaymentMethodEvent, "payment_method"),
        (billing_events_pb2.PlanEvent, "plan"),
        (billing_events_pb2.SubscriptionEvent, "subscription"),
        (billing_events_pb2.InvoiceEvent, "invoice"),
        (billing_events_pb2.CheckoutEvent, "checkout"),
        (billing_events_pb2.DisputeEvent, "dispute"),
    )
}
MADE_BY = {
    "payment_method.created": model.Kind.ATTACH_PAYMENT_METHOD,
    "plan.created": model.Kind.CREATE_PLAN,
    "subscription.created": model.Kind.CREATE_SUBSCRIPTION,
    "checkout.created": model.Kind.CREATE_CHECKOUT,
}
# Where the names of a message and of the domain differ.
_TIMES = {
    "created_us": ("create_time",),
    "updated_us": ("update_time",),
    "period_start_us": ("current_period_start", "period_start"),
    "period_end_us": ("current_period_end", "period_end"),
    "trial_end_us": ("trial_end",),
    "end_us": ("end_time",),
    "due_us": ("due_time",),
    "next_attempt_us": ("next_attempt_time",),
    "expire_us": ("expire_time",),
    "evidence_due_us": ("evidence_due_time",),
    "open_us": ("open_time",),
}
_AMOUNTS = {"amount_minor": "amount", "amount_due_minor": "amount_due"}
_CARD = ("brand", "last4", "expire_month", "expire_year")
# In no snapshot: whose a method is and since when the default, ids at the provider beside its own.
_UNTOLD = ("user_id", "provider_payment_id", "provider_invoice_id", "default_us")
# Marked sensitive: what is here stays.
_SECRETS = ("redirect_url", "client_secret", "pdf_url", "hosted_url", "publishable_key")


def entity(told: Any, tenant_id: str, here: Any, *, user_id: str) -> Any:
    """Returns the entity of a snapshot; what no event tells stays as it is *here*, or is empty.

    *user_id* is that of the event, which a snapshot need not hold.
    """
    rules = kinds.BY_PREFIX[told.id.partition("_")[0]]
    values = {"tenant_id": tenant_id, **_fields(told, rules.entity), **_parts(told)}
    made = pydantic.TypeAdapter(rules.entity).validate_python(values)
    if here is not None:
        kept = {name: getattr(here, name) for name in _SECRETS if getattr(here, name, "")}
        made = replace(made, revision=here.revision, **kept)
    return _untold(made, values, here, user_id)


def _fields(told: Any, kind: type) -> dict[str, Any]:
    """Returns the fields of a kind that a snapshot tells as numbers, texts, times and amounts."""
    known = told.DESCRIPTOR.fields_by_name
    values: dict[str, Any] = {}
    for each in dataclasses.fields(kind):
        name = each.name
        if name in _TIMES:
            values[name] = next((_us(told, one) for one in _TIMES[name] if one in known), 0)
        elif name in _AMOUNTS and _AMOUNTS[name] in known:
            amount = getattr(told, _AMOUNTS[name])
            values[name] = amount.amount_minor
            values["currency"] = amount.currency_code
        elif name in known and known[name].message_type is None:
            values[name] = getattr(told, name)
    return values


def _parts(told: Any) -> dict[str, Any]:
    """Returns the fields that a snapshot tells as messages of their own."""
    known = told.DESCRIPTOR.fields_by_name
    values: dict[str, Any] = {}
    if "metadata" in known:
        values["metadata"] = dict(told.metadata)
    if "card" in known and told.HasField("card"):
        values["card"] = {name: getattr(told.card, name) for name in _CARD}
    if "failure" in known and told.HasField("failure"):
        values["failure"] = rebuilding.failure(told.failure)
    if "mirror" in known:
        values["place"] = _place(told.mirror)
    else:
        values["prices"] = [plans.Price(**_place(each)) for each in told.prices]
        values["withdrawn"] = told.state == plans.State.ARCHIVED
    return values


def _untold(made: Any, told: Mapping[str, Any], here: Any, user_id: str) -> Any:
    """Fills in what snapshots leave out of an entity."""
    names = [name for name in _UNTOLD if hasattr(made, name) and name not in told]
    values = {name: getattr(here, name) for name in names} if here is not None else {}
    if "user_id" in names:
        values["user_id"] = user_id
    if "default_us" in names:
        # Who is told the default without a time would lose that with the next change of another.
        since_us = values.get("default_us") or made.updated_us
        values["default_us"] = since_us if made.is_default else 0
    return replace(made, **values)


def _us(told: Message, name: str) -> int:
    return rebuilding.us(getattr(told, name)) if told.HasField(name) else 0


def _place(told: mirror_pb2.Mirror) -> dict[str, Any]:
    has_time = told.HasField("provider_time")
    return {
        "provider": told.provider,
        "binding_id": told.binding_id,
        "provider_object_id": told.provider_object_id,
        "sync_state": model.SyncState(told.sync_state),
        "failure": rebuilding.failure(told.failure) if told.HasField("failure") else None,
        "provider_time_us": rebuilding.us(told.provider_time) if has_time else 0,
    }


def operation(
    owner: base.Entity,
    operation_id: str,
    here: model.Operation | None,
    *,
    event_type: str,
    timeout_us: int,
) -> model.Operation | None:
    """Returns the operation that made an entity, as far as that tells; None for all others."""
    kind = here.kind if here is not None else MADE_BY.get(event_type)
    if kind is None or kind not in MADE_BY.values() or not owner.places():
        return None
    place = owner.places()[0]
    return rebuilding.following(
        rebuilding.Followed(
            id=owner.id,
            tenant_id=owner.tenant_id,
            provider=place.provider,
            binding_id=place.binding_id,
            sync_state=place.sync_state,
            updated_us=owner.updated_us,
        ),
        operation_id,
        here,
        kind=kind,
        timeout_us=timeout_us,
    )

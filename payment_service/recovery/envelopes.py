"""Events of the log, read and rewritten for a recovery.

Owns finding their entity and payload, and making them rows of the outbox again. Called by
`following` and `writing`. Pure: looks nothing up, and never decides what becomes of an event.
"""

from google.protobuf.message import Message
from payhub.events.v1 import event_pb2
from payhub.payments.v1 import payment_events_pb2

from payment_service.db import outbox, recovering
from payment_service.recovery import mirrors, rebuilding
from payment_service.usecases import events as events_
from payment_service.usecases.bindings import default_providers

_EVENTS = {
    kind.DESCRIPTOR.full_name: (kind, entity_type)
    for kind, entity_type in (
        (payment_events_pb2.PaymentEvent, "payment"),
        (payment_events_pb2.CustomerEvent, "customer"),
    )
}


def is_of_core(event: event_pb2.Event) -> bool:
    """Whether an event is one of this service's own, of something that can be taken back.

    Keys of tenants' services may name any source and schema; what they can't is number the events
    of core's entities, which the gateway refuses.
    """
    return (
        event.source == events_.SOURCE
        and event.entity_version > 0
        and recovering.counts(event.entity_type)
    )


def entity(event: event_pb2.Event) -> recovering.Entity:
    """Returns what an event is about."""
    entity_id = event.entity_id
    if event.entity_type == default_providers.ENTITY:
        entity_id = "" if entity_id == default_providers.INSTALLATION else entity_id
    return recovering.Entity(event.entity_type, event.tenant_id, entity_id)


def payload(event: event_pb2.Event) -> Message | None:
    """Returns what an event tells, if it is one that is taken in whole and is not erased."""
    kind, entity_type = _EVENTS.get(event.data_schema, (None, ""))
    if event.data_schema in mirrors.PAYLOADS:
        kind, entity_type = mirrors.PAYLOADS[event.data_schema]
    if kind is None or event.entity_type != entity_type or event.redacted:
        return None
    return kind.FromString(event.data)


def entry(event: event_pb2.Event) -> outbox.Entry:
    """Returns an event as its outbox had it: without what the log has set."""
    plain = event_pb2.Event()
    plain.CopyFrom(event)
    plain.ClearField("position")
    plain.ClearField("append_time")
    return outbox.Entry(
        event_id=event.id,
        tenant_id=event.tenant_id,
        entity_type=event.entity_type,
        entity_id=event.entity_id,
        entity_version=event.entity_version,
        envelope=plain.SerializeToString(),
        created_us=rebuilding.us(event.occur_time),
    )


def tell_the_same(one: event_pb2.Event, other: event_pb2.Event) -> bool:
    """Whether two events tell the same end of the same operation."""
    operation_id = one.cause.causation_id
    return bool(operation_id) and (one.type, operation_id) == (
        other.type,
        other.cause.causation_id,
    )


def as_version(event: event_pb2.Event, version: int) -> event_pb2.Event:
    """Returns an event that the log has not taken as another version of its entity."""
    event.entity_version = version
    told = payload(event)
    if isinstance(told, payment_events_pb2.PaymentEvent):
        told.payment.version = version
    elif isinstance(told, payment_events_pb2.CustomerEvent):
        told.customer.version = version
    elif told is not None:
        getattr(told, mirrors.PAYLOADS[event.data_schema][1]).version = version
    if told is not None:
        event.data = told.SerializeToString(deterministic=True)
    return event

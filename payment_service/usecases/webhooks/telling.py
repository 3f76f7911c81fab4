"""Webhooks as events.

Owns the envelopes of `webhook.received` and `webhook.rejected`. Called right before a
webhook's row is written. A body never becomes part of an event.
"""

from collections.abc import Callable

from payhub.payments.v1 import billing_events_pb2

from payment_service.db import outbox
from payment_service.domain import model, webhooks
from payment_service.usecases import events, snapshots

ACTOR = "webhook"
ENTITY = "webhook"


def cause(webhook: webhooks.Webhook) -> model.Cause:
    """Returns what events say that a webhook brought about."""
    return model.Cause(correlation_id=webhook.id, actor=ACTOR)


def entry(webhook: webhooks.Webhook, event_type: str, new_id: Callable[[str], str]) -> outbox.Entry:
    """Returns the one event of a webhook, in its tenant's log."""
    payload = billing_events_pb2.WebhookEvent(
        webhook_id=webhook.id,
        provider=webhook.provider,
        binding_id=webhook.binding_id,
        event_type=webhook.event_type,
        provider_event_id=webhook.provider_event_id,
        detail=webhook.detail,
        receive_time=snapshots.timestamp(webhook.received_us),
    )
    entity = events.Entity(ENTITY, webhook.id, 1, webhook.tenant_id, "", webhook.updated_us)
    return events.entry(
        event_type, entity, payload, cause=cause(webhook), causation_id="", new_id=new_id
    )

"""How endpoints, deliveries and attempts are shown.

Owns the contract's messages about what is stored. Called by WebhookService. Never
shows a secret.
"""

from payhub.events.v1 import webhook_pb2 as messages
from payhub.events.v1 import webhook_service_pb2 as pb

from event_gateway import splice
from event_gateway.consumers import definition as consumer_definition
from event_gateway.db import consumers, lag, progress, webhook_log, webhooks
from event_gateway.webhooks_out import definition
from servicekit import storage


def described(
    conn: storage.Connection,
    stored: webhooks.Endpoint,
    rows_max: int = lag.ROWS_MAX,
) -> pb.GetWebhookEndpointResponse:
    """Returns an endpoint and how it does; looks at *rows_max* events of the log."""
    status = messages.WebhookEndpointStatus()
    behind = consumers.get(conn, stored.tenant_id, stored.endpoint_id)
    if behind is not None:
        counts = progress.counts(conn, stored.tenant_id, stored.endpoint_id)
        selection = consumer_definition.read(behind).matcher.selection
        status.failed = counts.parked
        if definition.read(stored).state != messages.WebhookEndpoint.STATE_DISABLED:
            status.queued = lag.backlog(
                conn, selection, behind.place, retries=counts.passed, rows_max=rows_max
            ).count
    if stored.failing_since_us:
        status.failing_since.CopyFrom(splice.timestamp(stored.failing_since_us))
    if stored.success_us:
        status.last_success_time.CopyFrom(splice.timestamp(stored.success_us))
    return pb.GetWebhookEndpointResponse(endpoint=definition.shown(stored), status=status)


def delivery(endpoint_id: str, row: webhook_log.Delivery) -> messages.WebhookDelivery:
    """Returns an entry of the delivery log."""
    shown = messages.WebhookDelivery(
        endpoint_id=endpoint_id,
        event_id=row.event_id,
        event_type=row.event_type,
        position=row.position,
        state=messages.WebhookDelivery.State.Name(row.state),
        attempts=[attempt(each) for each in row.attempts],
    )
    if row.next_us:
        shown.next_attempt_time.CopyFrom(splice.timestamp(row.next_us))
    return shown


def attempt(row: webhook_log.Attempt) -> messages.WebhookAttempt:
    """Returns an attempt."""
    return messages.WebhookAttempt(
        number=row.number,
        send_time=splice.timestamp(row.sent_us),
        elapsed=consumer_definition.duration(row.elapsed_us),
        status_code=row.status,
        transport_error=row.problem,
        response_excerpt=row.excerpt,
    )

"""Endpoints of webhooks, as their owners see them.

Owns making one and reading what its log and its events say. Called by the tests of
webhooks, with `receiving` at the other end.
"""

from typing import Any

from cryptography import fernet

from tests.integration.gateway import harness

FAST = [{"nanos": 100_000_000}]
SETTINGS = {
    "EVENT_GATEWAY_WEBHOOK_PLAIN_HTTP": "true",
    "EVENT_GATEWAY_WEBHOOK_PRIVATE_TARGETS": "true",
    "EVENT_GATEWAY_ENCRYPTION_KEYS": fernet.Fernet.generate_key().decode(),
}
# For gateways that are killed: what they sent is soon sent by others.
SOON_MOVED = {"EVENT_GATEWAY_CONSUMER_LEASE_S": "2"}
ALL = (*harness.ALL, "webhooks:manage")


async def make(client: harness.Client, url: str, **over: Any) -> Any:
    """Makes an endpoint; returns the answer, with its secret."""
    fields = {"url": url, "types": ["payment.*"], "retry_schedule": FAST, **over}
    return await client.hook("CreateWebhookEndpoint", endpoint=fields, idempotency_key=url)


async def logged(client: harness.Client, made: Any, **where: Any) -> list[Any]:
    """Returns the delivery log of an endpoint."""
    answer = await client.hook("ListWebhookDeliveries", endpoint_id=made.endpoint.id, **where)
    return list(answer.deliveries)


async def events_about(client: harness.Client) -> list[str]:
    """Returns the types of the events about endpoints."""
    # The consumer behind an endpoint tells nothing of its own.
    page = await client.query(filter={"types": ["webhook_endpoint.*", "consumer.*"]})
    assert [each.entity_version for each in page.events] == list(range(1, len(page.events) + 1))
    asked = [each for each in page.events if each.cause.actor != "webhooks"]
    assert all(each.cause.correlation_id for each in asked)
    return [each.type.partition(".")[2] for each in page.events]

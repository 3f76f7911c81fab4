"""Changes of endpoints: the row, its consumer and its event, in one transaction.

Owns what belongs together when an endpoint is made, changed, disabled or deleted.
Called by the API and by workers with a connection. Never decides whether to.
"""

from event_gateway import telling
from event_gateway.db import consumers, copies, read, webhooks
from event_gateway.webhooks_out import definition
from servicekit import storage


def make(
    conn: storage.Connection,
    tenant_id: str,
    endpoint_id: str,
    endpoint: definition.Endpoint,
    *,
    secrets: bytes,
    floor: int,
    by: telling.By,
) -> None:
    """Makes an endpoint that begins after position *floor*."""
    webhooks.add(
        conn,
        tenant_id,
        endpoint_id,
        definition=definition.encode(endpoint),
        secrets=secrets,
        now_us=by.now_us,
    )
    consumers.create(
        conn,
        tenant_id,
        endpoint_id,
        kind=definition.kind(endpoint),
        definition=definition.consumer(endpoint_id, endpoint),
        floor=floor,
        idle_expiry_us=0,
        now_us=by.now_us,
    )
    _tell(conn, tenant_id, endpoint_id, endpoint, verb="created", version=1, by=by)


def change(
    conn: storage.Connection,
    stored: webhooks.Endpoint,
    endpoint: definition.Endpoint,
    *,
    verb: str,
    by: telling.By,
    secrets: bytes | None = None,
) -> None:
    """Replaces what an endpoint says; *verb* names its event. Enabling one that was disabled
    begins with what comes from now on.
    """
    was = definition.read(stored)
    enabled = was.state == endpoint.STATE_DISABLED and endpoint.state != endpoint.STATE_DISABLED
    webhooks.change(
        conn,
        stored,
        definition=definition.encode(endpoint),
        secrets=stored.secrets if secrets is None else secrets,
        failing_since_us=0 if enabled else stored.failing_since_us,
    )
    behind = consumers.lock(conn, stored.tenant_id, stored.endpoint_id)
    if behind is not None:
        consumers.update(
            conn, behind, definition.consumer(stored.endpoint_id, endpoint), idle_expiry_us=0
        )
        consumers.set_kind(conn, behind, definition.kind(endpoint))
        if enabled:
            consumers.seek(conn, behind, read.state(conn).head, discard_parked=False)
    _tell(
        conn,
        stored.tenant_id,
        stored.endpoint_id,
        endpoint,
        verb=verb,
        version=stored.revision + 1,
        by=by,
    )


def delete(conn: storage.Connection, stored: webhooks.Endpoint, *, by: telling.By) -> None:
    """Deletes an endpoint, its secrets, its log and its consumer."""
    # What it answered is erased, too.
    copies.keep_erasure_out(conn)
    webhooks.delete(conn, stored)
    consumers.delete(conn, stored.tenant_id, stored.endpoint_id)
    _tell(
        conn,
        stored.tenant_id,
        stored.endpoint_id,
        definition.read(stored),
        verb="deleted",
        version=stored.revision + 1,
        by=by,
    )


def _tell(
    conn: storage.Connection,
    tenant_id: str,
    endpoint_id: str,
    endpoint: definition.Endpoint,
    *,
    verb: str,
    version: int,
    by: telling.By,
) -> None:
    entity = telling.Entity(
        tenant_id=tenant_id, kind="webhook_endpoint", id=endpoint_id, version=version
    )
    content = definition.told(endpoint_id, endpoint)
    telling.tell(conn, f"webhook_endpoint.{verb}", entity, content, by=by)

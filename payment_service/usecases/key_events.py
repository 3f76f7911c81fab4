"""API keys as the contract shows them, and the events that tell of them.

Owns the message of a key and its events, which belong to the tenant `system`: who may not list
keys does not hear of them. Called by the use cases of keys in the transaction of the change,
and by the API. Never sees a secret.
"""

from dataclasses import replace

from payhub.admin.v1 import key_events_pb2, key_service_pb2

from payment_service.db import keys
from payment_service.domain import model
from payment_service.usecases import events, snapshots
from servicekit import storage

TENANT = "system"
ENTITY = "api_key"


def snapshot(key: keys.Key) -> key_service_pb2.Key:
    """Returns a key as callers see it."""
    message = key_service_pb2.Key(
        id=key.id,
        tenant_id=key.tenant_id,
        scopes=key.scopes,
        name=key.name,
        create_time=snapshots.timestamp(key.created_us),
        plugin_id=key.plugin_id,
        publish_types=key.publish_types,
    )
    if key.revoked_us:
        message.revoke_time.CopyFrom(snapshots.timestamp(key.revoked_us))
    return message


def tell_created(
    conn: storage.Connection, key: keys.Key, *, cause: model.Cause, event_id: str
) -> None:
    """Writes the event of a key that was made."""
    payload = key_events_pb2.KeyEvent(key=snapshot(key))
    _write(conn, "api_key.created", key, key.created_us, payload, cause, event_id)


def tell_revoked(
    conn: storage.Connection, key: keys.Key, *, cause: model.Cause, event_id: str
) -> None:
    """Writes the event of a key that was revoked; *key* is the key after it."""
    before = snapshot(replace(key, revoked_us=0))
    payload = key_events_pb2.KeyEvent(key=snapshot(key))
    events.note_changes(("revoke_time",), payload.key, before, payload.changed, payload.previous)
    payload.previous.SetInParent()
    _write(conn, "api_key.revoked", key, key.revoked_us, payload, cause, event_id)


def _write(
    conn: storage.Connection,
    event_type: str,
    key: keys.Key,
    changed_us: int,
    payload: key_events_pb2.KeyEvent,
    cause: model.Cause,
    event_id: str,
) -> None:
    entity = events.Entity(ENTITY, key.id, key.version, TENANT, "", changed_us)
    events.write(conn, event_type, entity, payload, cause=cause, event_id=event_id)

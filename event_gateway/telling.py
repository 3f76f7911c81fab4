"""What the gateway itself tells: events about its endpoints and consumers.

Owns their envelope, and their place among the events of their entity. Called by whoever changes
one, in the transaction of the change. Never decides what is told, and wakes nobody: that is for
after the commit.
"""

import dataclasses
import hashlib

from google.protobuf.message import Message
from payhub.events.v1 import event_pb2

from event_gateway import splice
from event_gateway.db import append, rows
from servicekit import ids, storage

SOURCE = "event_gateway"
# What the contract allows an event to carry.
DATA_BYTES_MAX = 256 * 1024


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class By:
    """Who changes something, when, in which request and under which idempotency key."""

    actor: str
    now_us: int
    key: str = ""
    request_id: str = ""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Entity:
    """What an event is about; `version` is that of this event."""

    tenant_id: str
    kind: str
    id: str
    version: int


def tell(
    conn: storage.Connection, type_name: str, entity: Entity, payload: Message | bytes, *, by: By
) -> None:
    """Appends the event of a change; *payload* is a message of the contract, or JSON."""
    made = event_pb2.Event(
        id=ids.new_id("evt"),
        type=type_name,
        type_version=1,
        source=SOURCE,
        tenant_id=entity.tenant_id,
        entity_type=entity.kind,
        entity_id=entity.id,
        entity_version=entity.version,
        occur_time=splice.timestamp(by.now_us),
        cause=event_pb2.Cause(actor=by.actor, idempotency_key=by.key, correlation_id=by.request_id),
    )
    if isinstance(payload, bytes):
        made.content_type, made.data = "application/json", payload
    else:
        made.content_type = "application/protobuf"
        made.data_schema = payload.DESCRIPTOR.full_name
        made.data = payload.SerializeToString(deterministic=True)
    body = splice.content(made)
    candidate = rows.Candidate(
        event_id=made.id,
        tenant_id=made.tenant_id,
        type_name=made.type,
        entity_type=made.entity_type,
        entity_id=made.entity_id,
        entity_version=made.entity_version,
        body=body,
        content_hash=hashlib.sha256(body).digest(),
    )
    outcome = append.append(conn, [candidate], by.now_us).verdicts[0].outcome
    assert outcome is append.Outcome.APPENDED, "who changes an entity numbers its events"

"""Idempotency keys of the gateway: which requests are the same, however they are written."""

from typing import Any

import pytest
from google.protobuf import message_factory
from payhub.events.v1 import consumer_service_pb2, webhook_service_pb2

from event_gateway import cursor
from event_gateway.api import normal, pages
from event_gateway.db import commands
from event_gateway.webhooks_out import definition
from servicekit import auth

Fields = dict[str, Any]
WAITS = [{"seconds": each} for each in definition.SCHEDULE_S]
AFTER = {"after_cursor": "c"}

# One request in several spellings, the normal one first, and other requests.
SAME: dict[str, tuple[list[Fields], list[Fields]]] = {
    "CreateWebhookEndpoint": (
        [
            {"endpoint": {"url": "u", "types": ["a.*", "b.*"]}},
            {"endpoint": {"url": "u", "types": ["b.*", "a.*", "b.*"]}},
            {"endpoint": {"url": "u", "types": ["a.*", "b.*"], "state": 1, "max_in_flight": 8}},
            {"endpoint": {"url": "u", "types": ["a.*", "b.*"], "timeout": {"seconds": 15}}},
            {"endpoint": {"url": "u", "types": ["a.*", "b.*"], "retry_schedule": WAITS}},
            {"endpoint": {"url": "u", "types": ["a.*", "b.*"]}, "start": {}},
            {"endpoint": {"url": "u", "types": ["a.*", "b.*"]}, "start": {"anchor": 0}},
            {
                "endpoint": {"url": "u", "types": ["a.*", "b.*"]},
                "start": {"anchor": 1, "expired_policy": 2},
            },
        ],
        [
            {"endpoint": {"url": "u", "types": ["a.*"]}},
            {"endpoint": {"url": "u", "types": ["a.*", "b.*"], "state": 2}},
            {"endpoint": {"url": "u", "types": ["a.*", "b.*"], "timeout": {"seconds": 14}}},
            {"endpoint": {"url": "u", "types": ["a.*", "b.*"], "retry_schedule": WAITS[:8]}},
            {"endpoint": {"url": "u", "types": ["a.*", "b.*"], "ordered": True}},
            {"endpoint": {"url": "u", "types": ["a.*", "b.*"]}, "start": {"anchor": 2}},
        ],
    ),
    "RotateWebhookSecret": (
        [{"id": "w"}, {"id": "w", "overlap": {"seconds": 86400}}],
        [{"id": "w", "overlap": {}}, {"id": "w", "overlap": {"seconds": 86399}}, {"id": "v"}],
    ),
    "RetryWebhookDeliveries": (
        [{"replay_from": AFTER}, {"replay_from": AFTER | {"expired_policy": 1}}],
        [
            {"replay_from": AFTER | {"expired_policy": 2}},
            {"replay_from": {"from_time": {"seconds": 1}}},
            {"replay_from": {}},
            {"event_id": "e"},
            {"failed_since": {"seconds": 1}},
        ],
    ),
    "SeekConsumer": (
        [
            {"name": "n", "target": {"anchor": 2}},
            {"name": "n", "target": {"anchor": 2, "expired_policy": 3}},
        ],
        [
            {"name": "n", "target": {"anchor": 2}, "discard_parked": True},
            {"name": "n", "target": {"anchor": 1}},
        ],
    ),
}

REQUESTS: dict[str, Any] = {
    method.name: message_factory.GetMessageClass(method.input_type)
    for file in (consumer_service_pb2, webhook_service_pb2)
    for service in file.DESCRIPTOR.services_by_name.values()
    for method in service.methods
    if "idempotency_key" in method.input_type.fields_by_name
}


def command(name: str, fields: Fields) -> commands.Command:
    """Returns what a request is told by, which itself stays as it was."""
    caller = auth.Principal(tenant_id="t", scopes=frozenset(), key_id="k")
    request = REQUESTS[name](idempotency_key="k", **fields)
    found = pages.command(caller, name, request)
    assert request == REQUESTS[name](idempotency_key="k", **fields)
    return found


def test_every_rpc_with_a_key_is_looked_at() -> None:
    """A new command is noticed."""
    assert set(SAME) == set(normal.FORMS) == set(REQUESTS)


@pytest.mark.parametrize("name", SAME)
def test_the_same_request_in_other_words_has_the_same_fingerprint(name: str) -> None:
    """Defaults that are written out and the order of types make no difference; all else does.

    What is sent is kept beside, for keys that older versions have stored.
    """
    ways, others = SAME[name]
    prints = {command(name, fields).fingerprint for fields in ways}
    assert len(prints) == 1
    apart = {command(name, fields).fingerprint for fields in others}
    assert len(apart) == len(others)
    assert not prints & apart
    for fields in (*ways, *others):
        sent = REQUESTS[name](**fields).SerializeToString(deterministic=True)
        assert command(name, fields).given == cursor.fingerprint(sent)
    first = command(name, ways[0])
    assert first.given == first.fingerprint

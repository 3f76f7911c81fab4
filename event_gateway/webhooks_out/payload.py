"""The body of a webhook: an event as JSON.

Owns the form `{type, timestamp, data}` and the decoding of payloads that are
protobuf. Called by workers. Never adds anything to what the event says.
"""

import base64
import functools
import importlib
import json
import pathlib
from typing import Any

import payhub
from google.protobuf import descriptor_pool, json_format, message, message_factory
from payhub.events.v1 import event_pb2


def body(event: event_pb2.Event, *, thin: bool) -> bytes:
    """Returns the bytes to send; the same for every attempt."""
    data: dict[str, Any] = {
        "id": event.id,
        "tenant_id": event.tenant_id,
        "entity_type": event.entity_type,
        "entity_id": event.entity_id,
        "entity_version": event.entity_version,
        "position": event.position,
    }
    if event.user_id:
        data["user_id"] = event.user_id
    if event.labels:
        data["labels"] = dict(sorted(event.labels.items()))
    if event.redacted:
        data["redacted"] = True
    if not thin:
        data["payload"] = payload(event)
    content = {
        "type": event.type,
        "timestamp": event.occur_time.ToJsonString(),
        "data": data,
    }
    try:
        return _encoded(content)
    except (ValueError, RecursionError):
        # Half a character, NaN or a number beyond all bounds: what Python reads as JSON and no
        # receiver should have to.
        data["payload"] = _opaque(event)
        return _encoded(content)


def payload(event: event_pb2.Event) -> Any:
    """Returns an event's payload: decoded if that is possible, else `{"base64": ...}`."""
    if not event.data:
        return None
    try:
        if event.content_type == "application/json":
            return json.loads(event.data)
        if event.content_type == "application/protobuf":
            kind = _kind(event.data_schema)
            if kind is not None:
                decoded = kind.FromString(event.data)
                return json_format.MessageToDict(decoded, preserving_proto_field_name=True)
    except (ValueError, RecursionError, message.DecodeError, json_format.Error):
        pass
    return _opaque(event)


def _opaque(event: event_pb2.Event) -> dict[str, str]:
    return {"base64": base64.b64encode(event.data).decode()}


def _encoded(content: dict[str, Any]) -> bytes:
    text = json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.encode()


@functools.lru_cache(maxsize=256)
def _kind(schema: str) -> type[message.Message] | None:
    _load_payloads()
    try:
        return message_factory.GetMessageClass(
            descriptor_pool.Default().FindMessageTypeByName(schema)
        )
    except KeyError:
        return None


@functools.cache
def _load_payloads() -> None:
    """Makes every payload of the contract known: the files `*_events.proto`."""
    for folder in payhub.__path__:
        for path in sorted(pathlib.Path(folder).glob("*/v1/*_events_pb2.py")):
            area = path.parent.parent.name
            importlib.import_module(f"payhub.{area}.v1.{path.stem}")

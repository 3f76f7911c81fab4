"""An endpoint's definition: its defaults, the consumer behind it, what events say of it.

Owns what an endpoint may say beyond the rules in the contract. Called by the API and
by workers. Never reads a database.
"""

import json
from collections.abc import Sequence

from google.protobuf import json_format
from payhub.events.v1 import consumer_pb2, event_pb2
from payhub.events.v1 import webhook_pb2 as pb

from event_gateway import splice
from event_gateway.consumers import definition as consumer_definition
from event_gateway.db import lag, webhooks
from event_gateway.webhooks_out import guard
from servicekit import errors

# Of the consumer: sent while enabled, looked at by nobody otherwise. Events wait for a paused
# endpoint and pass a disabled one by.
KIND = "webhook"
KIND_OFF = "webhook_off"
KIND_DISABLED = lag.PASSED_BY
ID_PREFIX = "whe"

SCHEDULE_S = (5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400)
TIMEOUT_S = 15.0
MAX_IN_FLIGHT = 8
# A worker settles within this after the time for an answer.
SETTLE_WITHIN_S = 15.0

CHANGEABLE = (
    "url",
    "types",
    "description",
    "state",
    "thin",
    "max_in_flight",
    "timeout",
    "retry_schedule",
)
_SET_BY_US = ("id", "etag", "create_time", "disabled_reason")
Endpoint = pb.WebhookEndpoint


def complete(given: Endpoint, *, plain_http: bool, private: bool) -> Endpoint:
    """Returns what is stored of an endpoint: defaults filled in, nothing the gateway sets.

    Raises:
        errors.RpcError: INVALID_FIELD, also for a URL that must not be called.
    """
    wrong = guard.problem(given.url, plain_http=plain_http, private=private)
    if wrong is not None:
        raise errors.invalid_field("endpoint.url", wrong)
    if "\0" in given.description:
        raise errors.invalid_field("endpoint.description", "must not contain the character NUL")
    consumer_definition.check_durations("endpoint.timeout", given.timeout)
    consumer_definition.check_durations("endpoint.retry_schedule", *given.retry_schedule)
    made = Endpoint()
    made.CopyFrom(given)
    for name in _SET_BY_US:
        made.ClearField(name)
    made.state = given.state or Endpoint.STATE_ENABLED
    made.max_in_flight = given.max_in_flight or MAX_IN_FLIGHT
    if not given.HasField("timeout"):
        made.timeout.CopyFrom(consumer_definition.duration(round(TIMEOUT_S * 1e6)))
    if not given.retry_schedule:
        made.retry_schedule.extend(
            consumer_definition.duration(each * 1_000_000) for each in SCHEDULE_S
        )
    return made


def check_new(given: Endpoint) -> None:
    """Checks that a caller sets nothing that is the gateway's.

    Raises:
        errors.RpcError: INVALID_FIELD.
    """
    for name in _SET_BY_US:
        if given.HasField(name) if name == "create_time" else getattr(given, name):
            raise errors.invalid_field(f"endpoint.{name}", "is set by the gateway")


def change(
    stored: Endpoint, given: Endpoint, paths: Sequence[str], *, plain_http: bool, private: bool
) -> Endpoint:
    """Returns *stored* with the fields *paths* of *given*.

    Raises:
        errors.RpcError: INVALID_FIELD, for a field that can't be changed or is wrong.
    """
    made, picked = Endpoint(), Endpoint()
    made.CopyFrom(stored)
    picked.CopyFrom(given)
    for path in paths:
        if path not in CHANGEABLE:
            allowed = ", ".join(CHANGEABLE)
            raise errors.invalid_field("update_mask", f"{path!r} is not one of {allowed}")
        made.ClearField(path)
    for field in Endpoint.DESCRIPTOR.fields:
        if field.name not in paths:
            picked.ClearField(field.name)
    made.MergeFrom(picked)
    reason = stored.disabled_reason
    made = complete(made, plain_http=plain_http, private=private)
    if made.state == Endpoint.STATE_DISABLED and "state" not in paths:
        made.disabled_reason = reason
    return made


def disabled(stored: Endpoint, reason: str) -> Endpoint:
    """Returns *stored* as the gateway disables it."""
    made = Endpoint()
    made.CopyFrom(stored)
    made.state = Endpoint.STATE_DISABLED
    made.disabled_reason = reason
    return made


def read(stored: webhooks.Endpoint) -> Endpoint:
    """Returns a stored definition."""
    return Endpoint.FromString(stored.definition)


def shown(stored: webhooks.Endpoint) -> Endpoint:
    """Returns an endpoint as callers see it."""
    message = read(stored)
    message.id = stored.endpoint_id
    message.etag = str(stored.revision)
    message.create_time.CopyFrom(splice.timestamp(stored.create_us))
    return message


def encode(message: Endpoint) -> bytes:
    """Returns a completed definition as it is stored."""
    return message.SerializeToString(deterministic=True)


def kind(endpoint: Endpoint) -> str:
    """Returns the kind of the consumer behind an endpoint."""
    if endpoint.state == Endpoint.STATE_DISABLED:
        return KIND_DISABLED
    return KIND if endpoint.state == Endpoint.STATE_ENABLED else KIND_OFF


def consumer(endpoint_id: str, endpoint: Endpoint) -> bytes:
    """Returns the definition of the consumer behind an endpoint, as it is stored."""
    ordering = consumer_pb2.Consumer.ORDERING_NONE
    if endpoint.ordered:
        ordering = consumer_pb2.Consumer.ORDERING_PER_ENTITY
    lease_us = endpoint.timeout.ToMicroseconds() + round(SETTLE_WITHIN_S * 1e6)
    return consumer_definition.encode(
        consumer_pb2.Consumer(
            name=endpoint_id,
            filter=event_pb2.Filter(types=endpoint.types),
            ordering=ordering,
            # What is given up must not hold up its entity for ever.
            park_scope=consumer_pb2.Consumer.PARK_SCOPE_EVENT,
            ack_timeout=consumer_definition.duration(lease_us),
            max_deliveries=len(endpoint.retry_schedule) + 1,
            retry_backoff=endpoint.retry_schedule,
            max_outstanding=endpoint.max_in_flight,
            paused=endpoint.state != Endpoint.STATE_ENABLED,
        )
    )


def told(endpoint_id: str, endpoint: Endpoint) -> bytes:
    """Returns what an event says of an endpoint, as JSON: its snapshot, without secrets."""
    snapshot = json_format.MessageToDict(endpoint, preserving_proto_field_name=True)
    content = {"endpoint": {**snapshot, "id": endpoint_id}}
    return json.dumps(content, separators=(",", ":"), sort_keys=True).encode()

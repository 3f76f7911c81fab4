"""A consumer's definition: the contract's message, its defaults and its policy.

Owns what a definition may say beyond the rules in the contract. Called by the API
and by groups. Never reads a database.
"""

import dataclasses

from google.protobuf import duration_pb2
from payhub.events.v1 import consumer_pb2 as pb

from event_gateway import access, grants, matching, splice
from event_gateway.consumers import policy
from event_gateway.db import consumers
from servicekit import auth, errors

ACK_TIMEOUT_US = 30_000_000
MAX_DELIVERIES = 10
BACKOFF_US = (1_000_000, 5_000_000, 30_000_000, 120_000_000, 600_000_000)
MAX_OUTSTANDING = 1000

# What UpdateConsumer may set.
CHANGEABLE = (
    "filter",
    "ack_timeout",
    "max_deliveries",
    "retry_backoff",
    "max_outstanding",
    "park_scope",
    "paused",
    "idle_expiry",
)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """A definition, read."""

    message: pb.Consumer
    rules: policy.Policy
    matcher: matching.Matcher


def complete(given: pb.Consumer) -> pb.Consumer:
    """Returns what is stored of a definition: defaults filled in, nothing the gateway sets.

    Raises:
        errors.RpcError: INVALID_FIELD.
    """
    for name in ("etag", "create_time"):
        if given.HasField(name) if name == "create_time" else getattr(given, name):
            raise errors.invalid_field(f"consumer.{name}", "is set by the gateway")
    check_durations("consumer.ack_timeout", given.ack_timeout)
    check_durations("consumer.idle_expiry", given.idle_expiry)
    check_durations("consumer.retry_backoff", *given.retry_backoff)
    made = pb.Consumer()
    made.CopyFrom(given)
    made.ordering = given.ordering or pb.Consumer.ORDERING_PER_ENTITY
    made.park_scope = given.park_scope or pb.Consumer.PARK_SCOPE_ENTITY
    made.max_deliveries = given.max_deliveries or MAX_DELIVERIES
    made.max_outstanding = given.max_outstanding or MAX_OUTSTANDING
    if not given.HasField("ack_timeout"):
        made.ack_timeout.CopyFrom(duration(ACK_TIMEOUT_US))
    if not given.retry_backoff:
        made.retry_backoff.extend(duration(each) for each in BACKOFF_US)
    if not given.HasField("idle_expiry"):
        made.idle_expiry.CopyFrom(duration(0))
    return made


def check_durations(path: str, *given: duration_pb2.Duration) -> None:
    """Checks what the contract's bounds let pass: seconds and nanos that together are no duration,
    which readers' libraries refuse.

    Raises:
        errors.RpcError: INVALID_FIELD.
    """
    for each in given:
        try:
            each.ToJsonString()
        except ValueError:
            text = "is not a duration: its nanos must be below a second and of its sign"
            raise errors.invalid_field(path, text) from None


def change(stored: pb.Consumer, given: pb.Consumer, paths: list[str]) -> pb.Consumer:
    """Returns *stored* with the fields *paths* of *given*.

    Raises:
        errors.RpcError: INVALID_FIELD, for a field that can't be changed.
    """
    made = pb.Consumer()
    made.CopyFrom(stored)
    for path in paths:
        if path not in CHANGEABLE:
            allowed = ", ".join(CHANGEABLE)
            raise errors.invalid_field("update_mask", f"{path!r} is not one of {allowed}")
        made.ClearField(path)
    picked = pb.Consumer()
    picked.CopyFrom(given)
    for field in pb.Consumer.DESCRIPTOR.fields:
        if field.name not in paths:
            picked.ClearField(field.name)
    made.MergeFrom(picked)
    return complete(made)


def read(stored: consumers.Stored) -> Definition:
    """Returns a stored definition."""
    message = pb.Consumer.FromString(stored.definition)
    return Definition(
        message=message,
        rules=_rules(message),
        matcher=matching.Matcher(
            tuple(message.filter.tenant_ids) or (stored.tenant_id,), message.filter
        ),
    )


def check_access(principal: auth.Principal, of: Definition) -> tuple[str, ...]:
    """Checks that a caller may read what a consumer selects; returns whose events these are.

    Raises:
        errors.RpcError: SCOPE_MISSING or PERMISSION_NOT_GRANTED.
    """
    spec = of.message.filter
    tenants = access.tenants(principal, spec.tenant_ids)
    if grants.readable(principal, spec) != spec:
        raise grants.refusal(principal, "read", "*", principal.read_types)
    return tenants


def shown(stored: consumers.Stored) -> pb.Consumer:
    """Returns the definition as callers see it."""
    message = pb.Consumer.FromString(stored.definition)
    message.etag = str(stored.revision)
    message.create_time.CopyFrom(splice.timestamp(stored.create_us))
    return message


def encode(message: pb.Consumer) -> bytes:
    """Returns a completed definition as it is stored; equal ones give equal bytes."""
    return message.SerializeToString(deterministic=True)


def duration(micros: int) -> duration_pb2.Duration:
    """Returns microseconds as the contract's duration."""
    made = duration_pb2.Duration()
    made.FromMicroseconds(micros)
    return made


def _rules(message: pb.Consumer) -> policy.Policy:
    return policy.Policy(
        ordering=policy.Ordering(message.ordering),
        park_scope=policy.ParkScope(message.park_scope),
        ack_timeout_us=message.ack_timeout.ToMicroseconds(),
        max_deliveries=message.max_deliveries,
        backoff_us=tuple(each.ToMicroseconds() for each in message.retry_backoff),
        max_outstanding=message.max_outstanding,
        paused=message.paused,
    )

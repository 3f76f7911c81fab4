"""What keys may publish, and what those of plugins may read.

Owns the meaning of granted event types, and whose versions nobody else may count. Called by
ingest, streams and queries before anything is read or written. What keys of no plugin read is
not its business: their scopes decide alone.
"""

from collections.abc import Iterable

import grpc
from payhub.events.v1 import event_pb2

from event_gateway import access
from servicekit import auth, errors

# Entities whose events are numbered by Payhub alone: under a number that somebody else has taken,
# its own event is refused, and every later one of that entity waits for it.
COUNTED = frozenset(
    {
        "payment",
        "customer",
        "payment_method",
        "plan",
        "subscription",
        "invoice",
        "checkout",
        "dispute",
        "retry_policy",
        "webhook",
        "plugin",
        "binding",
        "default_provider",
        "api_key",
        "webhook_endpoint",
        "consumer",
    }
)


def covers(granted: Iterable[str], wanted: str) -> bool:
    """Whether *wanted*, a type or a prefix that ends in `.*`, is among what is granted."""
    return any(
        each == wanted or (each.endswith(".*") and wanted.startswith(each[:-1])) for each in granted
    )


def publishes_anything(principal: auth.Principal) -> bool:
    """Whether a key publishes what it likes, as administrators and the relay do. A plugin
    publishes what it is granted, a service what its key names.
    """
    if principal.plugin_id:
        return False
    return principal.tenant_id == access.RELAY_TENANT or access.ADMIN in principal.scopes


def publish_problem(principal: auth.Principal, type_name: str) -> str:
    """Returns why a key that does not publish anything may not publish that type, or ''."""
    if covers(principal.publish_types, type_name):
        return ""
    listed = ", ".join(principal.publish_types) or "none"
    whose = f"plugin {principal.plugin_id}" if principal.plugin_id else "this key"
    return f"{whose} may not publish {type_name}; what it may: {listed}"


def counting_problem(event: event_pb2.Event) -> str:
    """Returns why such a key may not give an event of that entity a version, or ''."""
    if not event.entity_version or event.entity_type not in COUNTED:
        return ""
    return (
        f"entity_version: must be 0 for the entity type {event.entity_type}, whose versions Payhub "
        "counts; to number events yourself, give them an entity type of your own"
    )


def readable(principal: auth.Principal, spec: event_pb2.Filter) -> event_pb2.Filter:
    """Returns the filter in force: *spec*, or all that a plugin may read if it names no type.

    Raises:
        errors.RpcError: PERMISSION_NOT_GRANTED, for a type that it may not read.
    """
    if not principal.plugin_id:
        return spec
    granted = principal.read_types
    for wanted in spec.types:
        if not covers(granted, wanted):
            raise refusal(principal, "read", wanted, granted)
    if spec.types:
        return spec
    if not granted:
        raise refusal(principal, "read", "*", granted)
    narrowed = event_pb2.Filter()
    narrowed.CopyFrom(spec)
    narrowed.types.extend(granted)
    return narrowed


def still_reads(before: auth.Principal, now: auth.Principal) -> bool:
    """Whether a key may read everything that it could read before."""
    if not now.plugin_id:
        return True
    return before.plugin_id == now.plugin_id and all(
        covers(now.read_types, each) for each in before.read_types
    )


def refusal(
    principal: auth.Principal, verb: str, wanted: str, granted: Iterable[str]
) -> errors.RpcError:
    """The caller is a plugin that may not *verb* (`read`, `publish`) events of type *wanted*."""
    listed = ", ".join(granted) or "none"
    return errors.RpcError(
        grpc.StatusCode.PERMISSION_DENIED,
        "PERMISSION_NOT_GRANTED",
        f"plugin {principal.plugin_id} may not {verb} {wanted}; what it asks for and is granted: "
        f"{listed}",
        metadata={
            "plugin_id": principal.plugin_id,
            "permission": f"events:{verb}:{wanted}",
            "granted": listed,
        },
    )

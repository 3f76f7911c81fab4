"""What the keys of plugins may publish and read.

Owns the meaning of granted event types. Called by ingest, streams and queries before
anything is read or written. Keys that belong to no plugin are not its business: their
scopes decide alone.
"""

from collections.abc import Iterable

import grpc
from payhub.events.v1 import event_pb2

from servicekit import auth, errors


def covers(granted: Iterable[str], wanted: str) -> bool:
    """Whether *wanted*, a type or a prefix that ends in `.*`, is among what is granted."""
    return any(
        each == wanted or (each.endswith(".*") and wanted.startswith(each[:-1])) for each in granted
    )


def check_publish(principal: auth.Principal, events: Iterable[event_pb2.Event]) -> None:
    """Checks that a plugin publishes only what it may; else nothing of a batch is kept.

    Raises:
        errors.RpcError: PERMISSION_NOT_GRANTED.
    """
    if not principal.plugin_id:
        return
    for event in events:
        if not covers(principal.publish_types, event.type):
            raise refusal(principal, "publish", event.type, principal.publish_types)


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

"""Whether a version may take the place of another, and how a refusal reads.

Owns what counts as a capability in use, and UPGRADE_REFUSED. Called by the use case of
upgrades inside its reads. Never changes anything.
"""

from collections.abc import Mapping

import grpc
from payhub.plugin.v1 import capability_pb2, plugin_service_pb2

from payment_service.db import uses
from payment_service.domain import model, plugins
from payment_service.provider_client import introduction
from servicekit import errors, storage

_CAP = capability_pb2
_MONEY_IN = frozenset({model.Kind.AUTHORIZE, model.Kind.SALE})
# Which operations show that a capability is in use. What is not named here is in use as soon
# as anything is.
_SHOWN_BY: Mapping[int, frozenset[model.Kind]] = {
    _CAP.CAPABILITY_MANUAL_CAPTURE: frozenset({model.Kind.AUTHORIZE}),
    _CAP.CAPABILITY_SALE: frozenset({model.Kind.SALE}),
    _CAP.CAPABILITY_PARTIAL_CAPTURE: frozenset({model.Kind.AUTHORIZE}),
    _CAP.CAPABILITY_MULTIPLE_CAPTURE: frozenset({model.Kind.AUTHORIZE}),
    _CAP.CAPABILITY_VOID: frozenset({model.Kind.AUTHORIZE}),
    _CAP.CAPABILITY_REFUND: _MONEY_IN,
    _CAP.CAPABILITY_PARTIAL_REFUND: _MONEY_IN,
    _CAP.CAPABILITY_CUSTOMER_ACTION: _MONEY_IN,
    _CAP.CAPABILITY_CUSTOMERS: frozenset({model.Kind.CREATE_CUSTOMER}),
    _CAP.CAPABILITY_PAYMENT_METHODS: frozenset({model.Kind.ATTACH_PAYMENT_METHOD}),
    _CAP.CAPABILITY_PLANS: frozenset({model.Kind.CREATE_PLAN}),
    _CAP.CAPABILITY_SUBSCRIPTIONS: frozenset({model.Kind.CREATE_SUBSCRIPTION}),
    _CAP.CAPABILITY_CHECKOUT: frozenset({model.Kind.CREATE_CHECKOUT}),
    _CAP.CAPABILITY_DISPUTES: _MONEY_IN,
    _CAP.CAPABILITY_OBJECT_FETCH: frozenset(
        {model.Kind.CREATE_PLAN, model.Kind.CREATE_SUBSCRIPTION, model.Kind.CREATE_CHECKOUT}
    ),
}
# Conveniences of configuring; no payment rests on them.
_FREE_TO_GO = frozenset({_CAP.CAPABILITY_CREDENTIAL_CHECK, _CAP.CAPABILITY_OVERLAPPING_SECRETS})


def missing(
    conn: storage.Connection, current: plugins.Version, candidate: plugins.Version
) -> list[str]:
    """Returns what *candidate* lacks of what *current* has and operations were made of."""
    old, new = _known(current), _known(candidate)
    found = [
        _name(capability)
        for capability in sorted(old.capabilities - new.capabilities - _FREE_TO_GO)
        if uses.made(conn, current.plugin_id, _SHOWN_BY.get(capability, frozenset(model.Kind)))
    ]
    # An empty set stands for every currency.
    if new.currencies and not (old.currencies and old.currencies <= new.currencies):
        used = uses.currencies(conn, current.plugin_id)
        found += [f"CURRENCY_{code}" for code in sorted(used - new.currencies)]
    return found


def _known(version: plugins.Version) -> introduction.Known:
    handshake = plugin_service_pb2.HandshakeResponse.FromString(version.handshake)
    return introduction.known_of(handshake)


def _name(capability: int) -> str:
    try:
        return _CAP.Capability.Name(_CAP.Capability.ValueType(capability))
    except ValueError:
        return f"CAPABILITY_{capability}"


def refused(
    plugin_id: str,
    version: str,
    problem: str,
    text: str,
    *,
    missing: str = "",
    violations: list[tuple[str, str]] | None = None,
) -> errors.RpcError:
    """The upgrade can't go ahead, and nothing changed."""
    metadata = {"plugin_id": plugin_id, "version": version, "problem": problem}
    if missing:
        metadata["missing"] = missing
    return errors.RpcError(
        grpc.StatusCode.FAILED_PRECONDITION,
        "UPGRADE_REFUSED",
        f"{plugin_id}: {text}",
        metadata=metadata,
        violations=violations or (),
    )

"""Intents: what is committed before a provider is called.

Owns making operations, choosing and checking their provider, and the rule of
idempotency keys. Called by the use cases of payments, refunds and customers.
Never calls a provider.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from payhub.plugin.v1 import capability_pb2

from payment_service.db import idempotency
from payment_service.domain import model
from payment_service.provider_client import client, registry
from payment_service.usecases import context, refusals

# Beyond the provider's own time, a first call needs two commits and a connection.
_LEASE_EXTRA_S = 5.0

_NEEDS: Mapping[model.Kind, tuple[int, ...]] = {
    model.Kind.AUTHORIZE: (capability_pb2.CAPABILITY_MANUAL_CAPTURE,),
    model.Kind.SALE: (capability_pb2.CAPABILITY_SALE,),
    model.Kind.CAPTURE: (),
    model.Kind.VOID: (capability_pb2.CAPABILITY_VOID,),
    model.Kind.REFUND: (capability_pb2.CAPABILITY_REFUND,),
    model.Kind.CREATE_CUSTOMER: (capability_pb2.CAPABILITY_CUSTOMERS,),
    model.Kind.UPDATE_CUSTOMER: (capability_pb2.CAPABILITY_CUSTOMERS,),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What makes two calls the same: RPC, key and the fingerprint of the rest."""

    rpc: str
    key: str
    fingerprint: bytes


def fingerprint(content: bytes) -> bytes:
    """Returns the fingerprint of a request without its key, serialised deterministically."""
    return hashlib.sha256(content).digest()


def provider(ctx: context.Context, name: str) -> client.ProviderClient:
    """Returns the provider of that name, or the default one.

    Raises:
        errors.RpcError: PROVIDER_UNKNOWN.
    """
    found = ctx.providers.find(name)
    if found is None:
        raise refusals.provider_unknown(name, ctx.providers.names())
    return found


def check(provider_: client.ProviderClient, kind: model.Kind, currency: str, *more: int) -> None:
    """Refuses what the provider is known not to do, before anything is written.

    Raises:
        errors.RpcError: CAPABILITY_MISSING.
    """
    if missing := provider_.lacks(*_NEEDS[kind], *more):
        raise refusals.capability_missing(provider_.name, missing)
    if currency and not provider_.takes(currency):
        raise refusals.capability_missing(provider_.name, f"CURRENCY_{currency}")


def operation(
    ctx: context.Context,
    caller: context.Caller,
    *,
    kind: model.Kind,
    entity_id: str,
    provider_name: str,
    key: str,
    now_us: int,
    amount_minor: int = 0,
    currency: str = "",
    body: bytes = b"",
) -> model.Operation:
    """Returns a new operation in flight; *body* is its request to the provider."""
    not_after_us = now_us + round(ctx.provider_timeout_s * 1_000_000)
    return model.Operation(
        id=ctx.new_id("op"),
        tenant_id=caller.tenant_id,
        entity_id=entity_id,
        kind=kind,
        state=model.OperationState.IN_FLIGHT,
        amount_minor=amount_minor,
        currency=currency,
        request=body,
        provider=provider_name,
        binding_id=registry.binding_id(caller.tenant_id, provider_name),
        cause=caller.cause(key),
        not_after_us=not_after_us,
        next_check_us=not_after_us + round(ctx.schedule.grace_s * 1_000_000),
        created_us=now_us,
        updated_us=now_us,
    )


def claim(
    ctx: context.Context,
    caller: context.Caller,
    request: Request,
    *,
    resource_id: str,
    operation_id: str,
    now_us: int,
) -> idempotency.Claim:
    """Returns the row that ties *request* to what it makes."""
    return idempotency.Claim(
        tenant_id=caller.tenant_id,
        rpc=request.rpc,
        key=request.key,
        fingerprint=request.fingerprint,
        resource_id=resource_id,
        operation_id=operation_id,
        lease_us=round((ctx.provider_timeout_s + _LEASE_EXTRA_S) * 1_000_000),
        created_us=now_us,
    )


def check_repeat(
    request: Request, found: idempotency.Found, operation_: model.Operation | None
) -> bool:
    """Judges a call whose key was used before.

    Returns:
        Whether the first call was abandoned and its operation must be looked up.

    Raises:
        errors.RpcError: IDEMPOTENCY_KEY_REUSED or IDEMPOTENCY_KEY_IN_FLIGHT.
    """
    if found.fingerprint != request.fingerprint:
        raise refusals.key_reused(found.resource_id)
    if operation_ is None or operation_.state is not model.OperationState.IN_FLIGHT:
        return False
    if found.leased:
        raise refusals.key_in_flight(found.resource_id)
    return True

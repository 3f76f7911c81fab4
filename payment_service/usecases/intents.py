"""Intents: what is committed before a provider is called.

Owns making operations, the way to their provider and whether it is open, and the
rule of idempotency keys. Called by the use cases of payments, refunds and customers.
Never calls a provider.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from payhub.plugin.v1 import capability_pb2

from payment_service.db import idempotency
from payment_service.domain import bindings, model, routing
from payment_service.usecases import context, refusals
from servicekit import errors

# Beyond the provider's own time, a first call needs two commits and a connection.
_LEASE_EXTRA_S = 5.0

_NEEDS: Mapping[model.Kind, tuple[int, ...]] = {
    model.Kind.AUTHORIZE: (capability_pb2.CAPABILITY_MANUAL_CAPTURE,),
    model.Kind.SALE: (capability_pb2.CAPABILITY_SALE,),
    model.Kind.CAPTURE: (),
    model.Kind.INCREMENT: (capability_pb2.CAPABILITY_INCREMENTAL_AUTHORIZATION,),
    model.Kind.VOID: (capability_pb2.CAPABILITY_VOID,),
    model.Kind.REFUND: (capability_pb2.CAPABILITY_REFUND,),
    model.Kind.CREATE_CUSTOMER: (capability_pb2.CAPABILITY_CUSTOMERS,),
    model.Kind.UPDATE_CUSTOMER: (capability_pb2.CAPABILITY_CUSTOMERS,),
    model.Kind.ATTACH_PAYMENT_METHOD: (capability_pb2.CAPABILITY_PAYMENT_METHODS,),
    model.Kind.DETACH_PAYMENT_METHOD: (capability_pb2.CAPABILITY_PAYMENT_METHODS,),
    model.Kind.SET_DEFAULT_PAYMENT_METHOD: (capability_pb2.CAPABILITY_PAYMENT_METHODS,),
    model.Kind.CREATE_PLAN: (capability_pb2.CAPABILITY_PLANS,),
    model.Kind.ARCHIVE_PLAN: (capability_pb2.CAPABILITY_PLANS,),
    model.Kind.CREATE_SUBSCRIPTION: (capability_pb2.CAPABILITY_SUBSCRIPTIONS,),
    model.Kind.CHANGE_SUBSCRIPTION: (capability_pb2.CAPABILITY_SUBSCRIPTIONS,),
    model.Kind.CANCEL_SUBSCRIPTION: (capability_pb2.CAPABILITY_SUBSCRIPTIONS,),
    model.Kind.REACTIVATE_SUBSCRIPTION: (capability_pb2.CAPABILITY_SUBSCRIPTIONS,),
    model.Kind.CREATE_CHECKOUT: (capability_pb2.CAPABILITY_CHECKOUT,),
    model.Kind.EXPIRE_CHECKOUT: (capability_pb2.CAPABILITY_CHECKOUT,),
    model.Kind.SUBMIT_EVIDENCE: (capability_pb2.CAPABILITY_DISPUTES,),
    model.Kind.ACCEPT_DISPUTE: (capability_pb2.CAPABILITY_DISPUTES,),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What makes two calls the same: RPC, key and the fingerprint of the rest.

    `given` is the rest as it was given, None if that is its normal form.
    """

    rpc: str
    key: str
    fingerprint: bytes
    given: bytes | None = None

    def is_of(self, found: idempotency.Found) -> bool:
        """Whether a key was used for this request, as far as that is known.

        Versions without normal forms stored the fingerprint of what was given.
        """
        if found.is_of(self.fingerprint):
            return True
        return self.given is not None and found.is_of(fingerprint(self.given))


def fingerprint(content: bytes) -> bytes:
    """Returns the fingerprint of a request without its key, serialised deterministically."""
    return hashlib.sha256(content).digest()


async def way(
    ctx: context.Context,
    caller: context.Caller,
    request: Request,
    kind: model.Kind,
    plugin_id: str,
    *,
    follows: bool = False,
    amount_minor: int = 0,
    currency: str = "",
    more: tuple[int, ...] = (),
) -> routing.Route | None:
    """Returns where an operation goes, if provider and binding do it; None for a repeat.

    A repeat of a key that was used gets what the first call made, whatever is refused by
    now.

    Args:
        ctx: What lies outside.
        caller: Who asks.
        request: RPC, key and fingerprint.
        kind: What is asked for.
        plugin_id: The provider: named by the caller or '', or that of what it follows.
        follows: A later operation goes to the provider of the first one.
        amount_minor: Of a payment, minor units; all of it, if an operation adds to it.
        currency: '' where the payment has been taken in it already.
        more: Capabilities beside those that every operation of that kind needs.

    Raises:
        errors.RpcError: PROVIDER_UNKNOWN, PROVIDER_DISABLED, BINDING_UNKNOWN,
            CAPABILITY_MISSING, KILL_SWITCH_ACTIVE, FEATURE_DISABLED, LIMIT_EXCEEDED.
    """
    try:
        route = find(ctx, caller.tenant_id, plugin_id, follows=follows)
        check(ctx, caller.tenant_id, route, kind, amount_minor, currency, more)
    except errors.RpcError:
        if await is_used(ctx, caller, request):
            return None
        raise
    return route


async def is_used(ctx: context.Context, caller: context.Caller, request: Request) -> bool:
    """Whether the key was used before: what would be refused by now is a repeat, then."""
    found = await ctx.db.read(
        lambda conn: idempotency.find(conn, caller.tenant_id, request.rpc, request.key)
    )
    return found is not None


def find(ctx: context.Context, tenant_id: str, plugin_id: str, *, follows: bool) -> routing.Route:
    """Returns where an operation of a tenant goes.

    Raises:
        errors.RpcError: PROVIDER_UNKNOWN, PROVIDER_DISABLED, BINDING_UNKNOWN.
    """
    choose = routing.follow if follows else routing.choose
    found = choose(ctx.catalog.view, tenant_id, plugin_id)
    if isinstance(found, bindings.Refusal):
        raise refusals.refused(found)
    return found


def check(
    ctx: context.Context,
    tenant_id: str,
    route: routing.Route,
    kind: model.Kind,
    amount_minor: int = 0,
    currency: str = "",
    more: tuple[int, ...] = (),
) -> None:
    """Refuses what provider or binding don't do: capabilities, switches, limits.

    Raises:
        errors.RpcError: CAPABILITY_MISSING, KILL_SWITCH_ACTIVE, FEATURE_DISABLED,
            LIMIT_EXCEEDED.
    """
    provider = ctx.providers.find(route.plugin_id)
    if provider is not None:
        if missing := provider.lacks(*_NEEDS[kind], *more):
            raise refusals.capability_missing(route.plugin_id, missing)
        if currency and not provider.takes(currency):
            raise refusals.capability_missing(route.plugin_id, f"CURRENCY_{currency}")
    view = ctx.catalog.view
    refused = routing.admit(view, tenant_id, route, kind, amount_minor, currency)
    if refused is not None:
        raise refusals.refused(refused)


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
    """Returns a new operation in flight; *body* is its request to the provider.

    It names the version of the plugin that gets it as things stand; `pool` stores another one
    before that is called.
    """
    not_after_us = now_us + round(ctx.provider_timeout_s * 1_000_000)
    operation_id = ctx.new_id("op")
    provider = ctx.providers.find(provider_name)
    return model.Operation(
        id=operation_id,
        tenant_id=caller.tenant_id,
        entity_id=entity_id,
        kind=kind,
        state=model.OperationState.IN_FLIGHT,
        amount_minor=amount_minor,
        currency=currency,
        request=body,
        provider=provider_name,
        binding_id=bindings.binding_id(caller.tenant_id, provider_name),
        cause=caller.cause(key),
        not_after_us=not_after_us,
        next_check_us=not_after_us + round(ctx.schedule.grace_s * 1_000_000),
        plugin_version=provider.version_for(operation_id, kind) if provider else "",
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
    if not request.is_of(found):
        raise refusals.key_reused(found.resource_id)
    if operation_ is None or operation_.state is not model.OperationState.IN_FLIGHT:
        return False
    if found.leased:
        raise refusals.key_in_flight(found.resource_id)
    return True

"""Refusals as callers see them.

Owns the mapping of the domain's refusals and of idempotency conflicts to error
reasons of the contract. Called by use cases. Never decides.
"""

import grpc

from payment_service.domain import actions, bindings, changes, model
from servicekit import errors

# What ends by itself or by an operator; nothing was written, so a new request is safe.
_PASSING = frozenset({"KILL_SWITCH_ACTIVE", "PROVIDER_DISABLED"})

# Long enough for most first calls to end, short enough for a payer to wait.
_IN_FLIGHT_RETRY_S = 0.5


def of_payment(refusal: changes.Refusal) -> errors.RpcError:
    """Returns the error that a refusal of a payment's command stands for."""
    payment = refusal.payment
    allowed = [action.name.lower() for action, _ in actions.available(payment)]
    metadata = {"state": f"STATE_{payment.state.name}", "allowed_actions": ",".join(allowed)}
    retry: errors.Retry = "never"
    if refusal.reason == "STATE_CONFLICT" and actions.in_the_way(payment):
        # That ends by itself, and nothing was written.
        retry = "new_key"
    if refusal.reason == "AMOUNT_EXCEEDED":
        metadata["max_amount_minor"] = str(refusal.max_amount_minor)
        metadata["currency_code"] = payment.currency
    return errors.RpcError(
        grpc.StatusCode.FAILED_PRECONDITION,
        refusal.reason,
        refusal.message,
        retry=retry,
        metadata=metadata,
    )


def key_reused(resource_id: str) -> errors.RpcError:
    """The idempotency key was used for another request."""
    return errors.RpcError(
        grpc.StatusCode.ALREADY_EXISTS,
        "IDEMPOTENCY_KEY_REUSED",
        f"this idempotency key was used for another request, which made {resource_id}; "
        "use a new key for a new intent",
        metadata={"resource_id": resource_id},
    )


def key_in_flight(resource_id: str) -> errors.RpcError:
    """The first call with this idempotency key is still under way."""
    return errors.RpcError(
        grpc.StatusCode.ABORTED,
        "IDEMPOTENCY_KEY_IN_FLIGHT",
        f"the first call with this idempotency key is under way ({resource_id}); "
        "repeat it with the same key",
        retry="same_key",
        metadata={"resource_id": resource_id},
        retry_after_s=_IN_FLIGHT_RETRY_S,
    )


def customer_being_made(customer: model.Customer) -> errors.RpcError:
    """Nobody knows yet whether the provider has the customer."""
    return errors.RpcError(
        grpc.StatusCode.FAILED_PRECONDITION,
        "STATE_CONFLICT",
        f"{customer.id} is still being made at {customer.provider}; update it once its "
        "sync_state is SYNCED or FAILED",
        metadata={"state": f"SYNC_STATE_{customer.sync_state.name}", "allowed_actions": ""},
    )


def refused(refusal: bindings.Refusal) -> errors.RpcError:
    """There is no way to a provider, or its binding does not let the operation through."""
    return errors.RpcError(
        grpc.StatusCode.FAILED_PRECONDITION,
        refusal.reason,
        refusal.message,
        retry="new_key" if refusal.reason in _PASSING else "never",
        metadata=refusal.metadata,
    )


def capability_missing(provider: str, capability: str) -> errors.RpcError:
    """The provider can't do it; nothing was sent."""
    return errors.RpcError(
        grpc.StatusCode.FAILED_PRECONDITION,
        "CAPABILITY_MISSING",
        f"provider {provider} can't do this: it lacks {capability}",
        metadata={"capability": capability},
    )

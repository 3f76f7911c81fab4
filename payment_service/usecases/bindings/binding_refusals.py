"""Refusals of what operators ask of bindings, as callers see them.

Owns the mapping to error reasons of the contract; each names the way out. Called by the
use cases of bindings. Never decides.
"""

from collections.abc import Sequence

import grpc

from payment_service.domain import bindings
from servicekit import errors

_PRECONDITION = grpc.StatusCode.FAILED_PRECONDITION


def exists(binding: bindings.Binding) -> errors.RpcError:
    """The tenant has a binding to that plugin already."""
    return errors.RpcError(
        grpc.StatusCode.ALREADY_EXISTS,
        "BINDING_EXISTS",
        f"tenant {binding.tenant_id} has a binding to {binding.plugin_id} already, "
        f"{binding.id} at generation {binding.generation}; update that one",
        metadata={"binding_id": binding.id},
    )


def stale(binding: bindings.Binding, expected: int) -> errors.RpcError:
    """Somebody else changed the binding meanwhile."""
    return errors.RpcError(
        _PRECONDITION,
        "STALE_GENERATION",
        f"binding {binding.id} is at generation {binding.generation}: somebody changed it; "
        "read it again, then decide",
        metadata={"expected": str(expected), "current": str(binding.generation)},
    )


def in_use(binding: bindings.Binding, open_operations: int) -> errors.RpcError:
    """Operations of the binding are not final, so it can't go."""
    return errors.RpcError(
        _PRECONDITION,
        "BINDING_IN_USE",
        f"{open_operations} operations of binding {binding.id} are not final and need its "
        "secrets; wait until they are, or disable it so that it takes no new ones",
        retry="same_key",
        metadata={"open_operations": str(open_operations)},
    )


def unknown(tenant_id: str, plugin_id: str, usable: Sequence[str]) -> errors.RpcError:
    """The tenant has no binding to the provider, nor is there a shared one."""
    return errors.RpcError(
        _PRECONDITION,
        "BINDING_UNKNOWN",
        f"tenant {tenant_id} has no binding to provider {plugin_id}, and there is no shared "
        f"one; it has: {', '.join(usable) or 'none'}",
        metadata={"provider": plugin_id, "providers": ",".join(usable)},
    )

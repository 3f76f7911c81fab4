"""Who may call what, as the contract says beside each RPC.

Owns reading the `access` and `limits` options, authenticating a call by its API key, and
keeping out what would change something while nothing may be. Called by the pipeline. A method
without an access rule refuses everybody.
"""

import functools
from typing import Any

import grpc
from google.protobuf import descriptor_pool
from payhub.admin.v1 import (
    binding_admin_service_pb2,
    doubt_service_pb2,
    inbound_webhook_service_pb2,
    key_service_pb2,
    plugin_admin_service_pb2,
    status_service_pb2,
)
from payhub.options.v1 import options_pb2
from payhub.payments.v1 import (
    checkout_service_pb2,
    customer_service_pb2,
    dispute_service_pb2,
    invoice_service_pb2,
    payment_method_service_pb2,
    payment_service_pb2,
    plan_service_pb2,
    refund_service_pb2,
    retry_policy_service_pb2,
    subscription_service_pb2,
)
from payhub.registry.v1 import registry_service_pb2

from payment_service.usecases import standing
from servicekit import auth, errors, rpc

SERVICES = tuple(
    file.DESCRIPTOR.services_by_name[name].full_name
    for file, name in (
        (payment_service_pb2, "PaymentService"),
        (refund_service_pb2, "RefundService"),
        (customer_service_pb2, "CustomerService"),
        (payment_method_service_pb2, "PaymentMethodService"),
        (checkout_service_pb2, "CheckoutService"),
        (dispute_service_pb2, "DisputeService"),
        (retry_policy_service_pb2, "RetryPolicyService"),
        (plan_service_pb2, "PlanService"),
        (subscription_service_pb2, "SubscriptionService"),
        (invoice_service_pb2, "InvoiceService"),
        (key_service_pb2, "KeyService"),
        (status_service_pb2, "StatusService"),
        (doubt_service_pb2, "DoubtService"),
        (binding_admin_service_pb2, "BindingAdminService"),
        (plugin_admin_service_pb2, "PluginAdminService"),
        (inbound_webhook_service_pb2, "InboundWebhookService"),
        (registry_service_pb2, "RegistryService"),
    )
)


@functools.cache
def _access(method: str) -> options_pb2.Access:
    descriptor = descriptor_pool.Default().FindMethodByName(method)
    options: Any = descriptor.GetOptions()
    access: options_pb2.Access = options.Extensions[options_pb2.access]
    return access


@functools.cache
def _acts(method: str) -> bool:
    """Whether a method changes more than who is there: plugins go on saying that they are."""
    descriptor = descriptor_pool.Default().FindMethodByName(method)
    if descriptor.containing_service.name == "RegistryService":
        return False
    options: Any = descriptor.GetOptions()
    return bool(options.idempotency_level != options.NO_SIDE_EFFECTS)


def max_deadline_s(method: str) -> float | None:
    """Returns the longest deadline of an RPC in seconds, None if the contract sets none."""
    descriptor = descriptor_pool.Default().FindMethodByName(method)
    options: Any = descriptor.GetOptions()
    limits: options_pb2.CallLimits = options.Extensions[options_pb2.limits]
    return limits.max_deadline.ToTimedelta().total_seconds() or None


class Authenticator:
    """Turns the key of a call into its principal.

    Args:
        keys: What is known of keys.
        standing_: Says whether anything may be changed.
    """

    def __init__(self, keys: auth.KeyCache, standing_: standing.Standing) -> None:
        self._keys = keys
        self._standing = standing_

    async def __call__(self, method: str, metadata: rpc.Metadata) -> auth.Principal | None:
        """Returns who calls; None for an RPC that is open to everybody.

        Raises:
            errors.RpcError: KEY_INVALID, SCOPE_MISSING or DATABASE_BEHIND.
        """
        access = _access(method)
        rule = access.WhichOneof("rule")
        if rule == "open" and access.open:
            return None
        if rule != "scope":
            raise errors.RpcError(
                grpc.StatusCode.PERMISSION_DENIED,
                "SCOPE_MISSING",
                f"{method} is open to nobody; its contract names no scope",
            )
        key_id, full = auth.parse_bearer(metadata)
        principal = await self._keys.get(key_id, full)
        if principal is None:
            raise errors.key_invalid("the API key is unknown or revoked")
        principal.require(access.scope)
        if not self._standing.is_open and _acts(method):
            await self._standing.admit()
        return principal

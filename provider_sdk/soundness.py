"""Whether a provider is what it says it is, and which services that makes.

Owns the table of capabilities, the methods and further capabilities each needs,
and the gRPC services that follow. Called before anything is served. Never
calls a method of the provider.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from google.protobuf import descriptor
from payhub.plugin.v1 import capability_pb2, plugin_service_pb2
from payhub.provider.v1 import (
    billing_provider_service_pb2,
    checkout_provider_service_pb2,
    dispute_provider_service_pb2,
    notice_provider_service_pb2,
    payment_method_provider_service_pb2,
    payment_provider_service_pb2,
)

from provider_sdk import provider

Capability = capability_pb2.Capability

_C = capability_pb2

# Methods that must be written where the capability is usable. One that no declared capability
# asks for is a mistake too: core would never call it.
_METHODS: Mapping[Capability, Sequence[str]] = {
    _C.CAPABILITY_MANUAL_CAPTURE: ("capture",),
    _C.CAPABILITY_VOID: ("void",),
    _C.CAPABILITY_INCREMENTAL_AUTHORIZATION: ("increment",),
    _C.CAPABILITY_REFUND: ("refund",),
    _C.CAPABILITY_CUSTOMERS: ("create_customer", "update_customer"),
    _C.CAPABILITY_CREDENTIAL_CHECK: ("check_credentials",),
    _C.CAPABILITY_PAYMENT_METHODS: (
        "attach_payment_method",
        "detach_payment_method",
        "set_default_payment_method",
    ),
    _C.CAPABILITY_PLANS: ("create_plan", "archive_plan"),
    _C.CAPABILITY_SUBSCRIPTIONS: (
        "create_subscription",
        "change_subscription",
        "cancel_subscription",
        "reactivate_subscription",
    ),
    _C.CAPABILITY_CHECKOUT: ("create_checkout", "expire_checkout"),
    _C.CAPABILITY_DISPUTES: ("submit_evidence", "accept_dispute"),
    _C.CAPABILITY_WEBHOOKS: ("parse_webhook", "verify_webhook"),
    _C.CAPABILITY_OBJECT_FETCH: ("fetch_object",),
}

# Capabilities that are worth nothing without others.
_REQUIRES: Mapping[Capability, Sequence[Capability]] = {
    _C.CAPABILITY_PARTIAL_CAPTURE: (_C.CAPABILITY_MANUAL_CAPTURE,),
    _C.CAPABILITY_MULTIPLE_CAPTURE: (_C.CAPABILITY_PARTIAL_CAPTURE,),
    _C.CAPABILITY_PARTIAL_REFUND: (_C.CAPABILITY_REFUND,),
    _C.CAPABILITY_PAYMENT_METHODS: (_C.CAPABILITY_CUSTOMERS,),
    _C.CAPABILITY_SAVE_PAYMENT_METHOD: (_C.CAPABILITY_CUSTOMERS,),
    _C.CAPABILITY_INCREMENTAL_AUTHORIZATION: (_C.CAPABILITY_MANUAL_CAPTURE,),
    _C.CAPABILITY_SUBSCRIPTIONS: (
        _C.CAPABILITY_CUSTOMERS,
        _C.CAPABILITY_PLANS,
        _C.CAPABILITY_OBJECT_FETCH,
    ),
    _C.CAPABILITY_CHECKOUT: (_C.CAPABILITY_OBJECT_FETCH,),
    _C.CAPABILITY_DISPUTES: (_C.CAPABILITY_OBJECT_FETCH,),
}

# Services every provider serves, and those that come with any of some capabilities.
_ALWAYS: Sequence[descriptor.ServiceDescriptor] = (
    plugin_service_pb2.DESCRIPTOR.services_by_name["PluginService"],
    payment_provider_service_pb2.DESCRIPTOR.services_by_name["PaymentProviderService"],
)
_SERVICES: Mapping[str, tuple[descriptor.FileDescriptor, frozenset[Capability]]] = {
    "PaymentMethodProviderService": (
        payment_method_provider_service_pb2.DESCRIPTOR,
        frozenset({_C.CAPABILITY_PAYMENT_METHODS}),
    ),
    "BillingProviderService": (
        billing_provider_service_pb2.DESCRIPTOR,
        frozenset({_C.CAPABILITY_PLANS, _C.CAPABILITY_SUBSCRIPTIONS}),
    ),
    "CheckoutProviderService": (
        checkout_provider_service_pb2.DESCRIPTOR,
        frozenset({_C.CAPABILITY_CHECKOUT}),
    ),
    "DisputeProviderService": (
        dispute_provider_service_pb2.DESCRIPTOR,
        frozenset({_C.CAPABILITY_DISPUTES}),
    ),
    "NoticeProviderService": (
        notice_provider_service_pb2.DESCRIPTOR,
        frozenset({_C.CAPABILITY_WEBHOOKS, _C.CAPABILITY_OBJECT_FETCH}),
    ),
}


def services(capabilities: Collection[Capability]) -> tuple[str, ...]:
    """Returns the full names of the gRPC services that *capabilities* make, in a fixed order."""
    further = [
        file.services_by_name[name].full_name
        for name, (file, any_of) in _SERVICES.items()
        if not any_of.isdisjoint(capabilities)
    ]
    return (*(service.full_name for service in _ALWAYS), *further)


def require_sound(plugin: provider.Provider[Any]) -> None:
    """Fails before anything is served if *plugin* promises what it does not have.

    Raises:
        ValueError: Says everything that is wrong with it.
    """
    usable = plugin.capabilities - plugin.disabled.keys()
    problems = [
        f"{_name(capability)} needs the method {method}"
        for capability in sorted(usable)
        for method in _METHODS.get(capability, ())
        if not _is_written(plugin, method)
    ]
    if _C.CAPABILITY_OPERATION_LOOKUP in usable and not (
        _is_written(plugin, "get_operation") or _is_written(plugin, "look_up")
    ):
        problems.append("CAPABILITY_OPERATION_LOOKUP needs the method get_operation or look_up")
    problems += [
        f"{_name(capability)} needs {_name(needed)}"
        for capability in sorted(usable)
        for needed in _REQUIRES.get(capability, ())
        if needed not in usable
    ]
    problems += [
        f"the method {method} needs {_name(capability)}"
        for capability, methods in _METHODS.items()
        if capability not in plugin.capabilities
        for method in methods
        if _is_written(plugin, method)
    ]
    problems += [
        f"{_name(capability)} is disabled but not declared"
        for capability in sorted(plugin.disabled.keys() - plugin.capabilities)
    ]
    if plugin.max_concurrent_calls < 1:
        problems.append("max_concurrent_calls must be at least 1")
    if problems:
        raise ValueError(f"{plugin.plugin_id}: {'; '.join(problems)}")


def _name(capability: Capability) -> str:
    return capability_pb2.Capability.Name(capability)


def _is_written(plugin: provider.Provider[Any], method: str) -> bool:
    return getattr(type(plugin), method) is not getattr(provider.Provider, method)

"""The domain's enums have the names and numbers of the contract."""

import enum
import inspect
from typing import Any

import pytest
from payhub.payments.v1 import (
    customer_service_pb2,
    invoice_service_pb2,
    payment_method_service_pb2,
    payment_pb2,
    plan_service_pb2,
    refund_service_pb2,
    subscription_service_pb2,
)
from payhub.plugin.v1 import plugin_pb2
from payhub.provider.v1 import billing_provider_service_pb2, provider_object_pb2
from payhub.registry.v1 import registry_service_pb2

from payment_service.domain import model, plugins
from payment_service.domain.mirrors import objects, payment_methods, plans, subscriptions

_PAYMENT = payment_pb2.Payment.DESCRIPTOR
_OPERATION = payment_pb2.Operation.DESCRIPTOR
_REFUND = refund_service_pb2.Refund.DESCRIPTOR
_CUSTOMER = customer_service_pb2.Customer.DESCRIPTOR
_PLUGIN = plugin_pb2.Plugin.DESCRIPTOR

CONTRACT: dict[type[enum.IntEnum], Any] = {
    model.PaymentState: _PAYMENT.enum_types_by_name["State"],
    model.CaptureMethod: payment_pb2.CaptureMethod.DESCRIPTOR,
    model.Kind: _OPERATION.enum_types_by_name["Kind"],
    model.OperationState: _OPERATION.enum_types_by_name["State"],
    model.RefundState: _REFUND.enum_types_by_name["State"],
    model.RefundReason: _REFUND.enum_types_by_name["Reason"],
    model.FailureKind: payment_pb2.PaymentFailure.DESCRIPTOR.enum_types_by_name["Kind"],
    model.SyncState: _CUSTOMER.enum_types_by_name["SyncState"],
    plugins.PluginState: _PLUGIN.enum_types_by_name["State"],
    plugins.Condition: plugin_pb2.PluginCondition.DESCRIPTOR.enum_types_by_name["Type"],
    plugins.Directive: registry_service_pb2.Directive.DESCRIPTOR,
    model.Action: payment_pb2.AvailableAction.DESCRIPTOR.enum_types_by_name["Action"],
}
_P = provider_object_pb2
# Enums of mirrored entities, which are the same here, for callers and for providers.
MIRRORED: list[tuple[type[enum.IntEnum], Any]] = [
    (objects.ObjectKind, _P.ObjectKind.DESCRIPTOR),
    (objects.Interval, _P.BillingInterval.DESCRIPTOR),
    (objects.Interval, plan_service_pb2.Plan.DESCRIPTOR.enum_types_by_name["Interval"]),
    (objects.SubscriptionState, _P.SubscriptionObject.DESCRIPTOR.enum_types_by_name["State"]),
    (objects.InvoiceState, _P.InvoiceObject.DESCRIPTOR.enum_types_by_name["State"]),
    (objects.InvoiceState, invoice_service_pb2.Invoice.DESCRIPTOR.enum_types_by_name["State"]),
    (objects.CheckoutState, _P.CheckoutObject.DESCRIPTOR.enum_types_by_name["State"]),
    (objects.DisputeState, _P.DisputeObject.DESCRIPTOR.enum_types_by_name["State"]),
    (
        payment_methods.State,
        payment_method_service_pb2.PaymentMethod.DESCRIPTOR.enum_types_by_name["State"],
    ),
    (plans.State, plan_service_pb2.Plan.DESCRIPTOR.enum_types_by_name["State"]),
    (
        subscriptions.State,
        subscription_service_pb2.Subscription.DESCRIPTOR.enum_types_by_name["State"],
    ),
    (subscriptions.Proration, subscription_service_pb2.Proration.DESCRIPTOR),
    (subscriptions.Proration, billing_provider_service_pb2.Proration.DESCRIPTOR),
]


def _screaming(name: str) -> str:
    return "".join(f"_{c}" if c.isupper() and i else c for i, c in enumerate(name)).upper()


@pytest.mark.parametrize(
    ("own", "theirs"),
    [*CONTRACT.items(), *MIRRORED],
    ids=lambda one: getattr(one, "full_name", getattr(one, "__name__", "")),
)
def test_an_enum_is_the_one_of_the_contract(own: type[enum.IntEnum], theirs: Any) -> None:
    """Values are sent and stored as numbers, so each must mean the same on both sides."""
    prefix = f"{_screaming(theirs.name)}_"
    wanted = {value.name.removeprefix(prefix): value.number for value in theirs.values}
    found = {value.name: value.value for value in own}
    # Where the domain always has a value, it has no name for none.
    assert found in (wanted, {k: v for k, v in wanted.items() if k != "UNSPECIFIED"})


def test_every_enum_of_the_domain_is_compared() -> None:
    """A new enum can't be forgotten here."""
    enums = {
        value
        for module in (model, plugins)
        for _, value in inspect.getmembers(module, inspect.isclass)
        if issubclass(value, enum.Enum) and value.__module__ == module.__name__
    }
    assert enums - {plugins.Transition} == set(CONTRACT)


def test_what_can_fail_of_a_plugin_has_a_name_in_the_contract() -> None:
    """Stopping is disabling and draining, and neither of them fails."""
    names = {f"TRANSITION_{each.name}" for each in plugins.Transition}
    theirs = {value.name for value in _PLUGIN.enum_types_by_name["Transition"].values}
    assert names - theirs == {"TRANSITION_STOP"}
    assert theirs - names == {"TRANSITION_UNSPECIFIED"}

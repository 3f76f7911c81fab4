"""Which services payment_service serves, and which use cases answer each.

Owns giving servicers to a gRPC server. Called by `composition`, with the use cases that more
than one of its parts has. Never begins anything.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from payhub.admin.v1 import (
    binding_admin_service_pb2_grpc,
    doubt_service_pb2_grpc,
    inbound_webhook_service_pb2_grpc,
    key_service_pb2_grpc,
    plugin_admin_service_pb2_grpc,
    status_service_pb2_grpc,
)
from payhub.payments.v1 import (
    checkout_service_pb2_grpc,
    customer_service_pb2_grpc,
    dispute_service_pb2_grpc,
    invoice_service_pb2_grpc,
    payment_method_service_pb2_grpc,
    payment_service_pb2_grpc,
    plan_service_pb2_grpc,
    refund_service_pb2_grpc,
    retry_policy_service_pb2_grpc,
    subscription_service_pb2_grpc,
)
from payhub.registry.v1 import registry_service_pb2_grpc

from payment_service import plugging
from payment_service.api import (
    admin,
    bindings,
    checkouts,
    customers,
    disputes,
    doubts,
    invoices,
    payment_methods,
    payments,
    plans,
    plugins,
    refunds,
    registry,
    retry_policies,
    subscriptions,
    webhooks,
)
from payment_service.usecases import context, driving, increments, keys, settling, status
from payment_service.usecases import customers as customer_cases
from payment_service.usecases import doubts as doubt_cases
from payment_service.usecases import payments as payment_cases
from payment_service.usecases import refunds as refund_cases
from payment_service.usecases import retry_policies as retry_policy_cases
from payment_service.usecases.mirrors import checkouts as checkout_cases
from payment_service.usecases.mirrors import disputes as dispute_cases
from payment_service.usecases.mirrors import invoices as invoice_cases
from payment_service.usecases.mirrors import payment_methods as payment_method_cases
from payment_service.usecases.mirrors import plans as plan_cases
from payment_service.usecases.mirrors import subscriptions as subscription_cases
from payment_service.usecases.webhooks import replaying
from servicekit import auth, server

_Served = tuple[Callable[..., None], object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cases:
    """The use cases that are made already."""

    ctx: context.Context
    settler: settling.Settler
    driver: driving.Driver
    payments: payment_cases.Payments
    refunds: refund_cases.Refunds
    customers: customer_cases.Customers
    keys: keys.Keys
    key_cache: auth.KeyCache
    webhooks: replaying.Webhooks
    plugins: plugging.Plugins


def registrars(cases: Cases) -> tuple[server.Registrar, ...]:
    """Returns what adds each servicer to a server."""
    served = (*_of_payments(cases), *_of_mirrors(cases), *_of_plugins(cases), *_of_operators(cases))
    return tuple(_registrar(add, servicer) for add, servicer in served)


def _registrar(add: Callable[..., None], servicer: object) -> server.Registrar:
    return lambda grpc_server: add(servicer, grpc_server)


def _of_payments(cases: Cases) -> Iterable[_Served]:
    ctx = cases.ctx
    return (
        (
            payment_service_pb2_grpc.add_PaymentServiceServicer_to_server,
            payments.PaymentServicer(cases.payments, increments.Increments(ctx, cases.driver)),
        ),
        (
            refund_service_pb2_grpc.add_RefundServiceServicer_to_server,
            refunds.RefundServicer(cases.refunds),
        ),
        (
            retry_policy_service_pb2_grpc.add_RetryPolicyServiceServicer_to_server,
            retry_policies.RetryPolicyServicer(retry_policy_cases.RetryPolicies(ctx)),
        ),
        (
            customer_service_pb2_grpc.add_CustomerServiceServicer_to_server,
            customers.CustomerServicer(cases.customers),
        ),
    )


def _of_mirrors(cases: Cases) -> Iterable[_Served]:
    ctx, settler = cases.ctx, cases.settler
    return (
        (
            checkout_service_pb2_grpc.add_CheckoutServiceServicer_to_server,
            checkouts.CheckoutServicer(checkout_cases.Checkouts(ctx, settler, cases.customers)),
        ),
        (
            dispute_service_pb2_grpc.add_DisputeServiceServicer_to_server,
            disputes.DisputeServicer(dispute_cases.Disputes(ctx, settler)),
        ),
        (
            payment_method_service_pb2_grpc.add_PaymentMethodServiceServicer_to_server,
            payment_methods.PaymentMethodServicer(
                payment_method_cases.PaymentMethods(ctx, settler)
            ),
        ),
        (
            plan_service_pb2_grpc.add_PlanServiceServicer_to_server,
            plans.PlanServicer(plan_cases.Plans(ctx, settler)),
        ),
        (
            subscription_service_pb2_grpc.add_SubscriptionServiceServicer_to_server,
            subscriptions.SubscriptionServicer(subscription_cases.Subscriptions(ctx, settler)),
        ),
        (
            invoice_service_pb2_grpc.add_InvoiceServiceServicer_to_server,
            invoices.InvoiceServicer(invoice_cases.Invoices(ctx)),
        ),
    )


def _of_plugins(cases: Cases) -> Iterable[_Served]:
    made = cases.plugins
    return (
        (
            binding_admin_service_pb2_grpc.add_BindingAdminServiceServicer_to_server,
            bindings.BindingAdminServicer(
                bindings.Cases(
                    bindings=made.bindings,
                    defaults=made.defaults,
                    exports=made.exports,
                    gates=made.gates,
                    rotation=made.rotation,
                )
            ),
        ),
        (
            plugin_admin_service_pb2_grpc.add_PluginAdminServiceServicer_to_server,
            plugins.PluginAdminServicer(
                plugins.Cases(
                    lifecycle=made.life,
                    lists=made.lists,
                    upgrades=made.upgrades,
                    health=made.health,
                    reports=made.reports,
                    kills=made.kills,
                )
            ),
        ),
        (
            registry_service_pb2_grpc.add_RegistryServiceServicer_to_server,
            registry.RegistryServicer(made.leases),
        ),
    )


def _of_operators(cases: Cases) -> Iterable[_Served]:
    ctx = cases.ctx
    return (
        (
            key_service_pb2_grpc.add_KeyServiceServicer_to_server,
            admin.KeyServicer(cases.keys, cases.key_cache),
        ),
        (
            status_service_pb2_grpc.add_StatusServiceServicer_to_server,
            admin.StatusServicer(status.Status(ctx, cases.plugins.health)),
        ),
        (
            doubt_service_pb2_grpc.add_DoubtServiceServicer_to_server,
            doubts.DoubtServicer(doubt_cases.Doubts(ctx, cases.settler)),
        ),
        (
            inbound_webhook_service_pb2_grpc.add_InboundWebhookServiceServicer_to_server,
            webhooks.InboundWebhookServicer(cases.webhooks),
        ),
    )

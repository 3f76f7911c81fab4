"""How the parts of payment_service are put together.

Owns the object graph, and nothing that happens later. Called by `__main__`;
tests build the same graph with other seams. Never reads the environment.
"""

import asyncio
import pathlib
from collections.abc import Callable
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

from payment_service import db as db_package
from payment_service import plugging, resolver, retrier, watching
from payment_service import relay as relay_package
from payment_service.api import (
    access,
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
    reading,
    refunds,
    registry,
    retry_policies,
    subscriptions,
    webhooks,
)
from payment_service.settings import Settings
from payment_service.usecases import (
    cancellations,
    catalog,
    context,
    driving,
    forgetting,
    increments,
    keys,
    retrying,
    settling,
    status,
)
from payment_service.usecases import customers as customer_cases
from payment_service.usecases import doubts as doubt_cases
from payment_service.usecases import payments as payment_cases
from payment_service.usecases import refunds as refund_cases
from payment_service.usecases import retry_policies as retry_policy_cases
from payment_service.usecases import witness as witnesses
from payment_service.usecases.bindings import secrets
from payment_service.usecases.mirrors import checkouts as checkout_cases
from payment_service.usecases.mirrors import disputes as dispute_cases
from payment_service.usecases.mirrors import invoices as invoice_cases
from payment_service.usecases.mirrors import payment_methods as payment_method_cases
from payment_service.usecases.mirrors import plans as plan_cases
from payment_service.usecases.mirrors import subscriptions as subscription_cases
from payment_service.usecases.webhooks import applying, receiving, replaying
from payment_service.webhooks import applier as webhook_applier
from payment_service.webhooks import endpoint
from servicekit import auth, errors, ids, interceptor, metrics, server, storage, tasks, tls
from servicekit import clock as clocks

MIGRATIONS = pathlib.Path(db_package.__file__).parent / "migrations"
SERVICE = "payment_service"
DAY_S = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """Everything that runs in one process."""

    ctx: context.Context
    plugins: plugging.Plugins
    keys: keys.Keys
    resolver: resolver.Resolver
    retrier: retrier.Retrier
    watch: watching.Watch
    forgetting: forgetting.Forgetting
    pipeline: interceptor.Pipeline
    webhooks: endpoint.Endpoint
    webhook_cases: replaying.Webhooks
    webhook_daemon: webhook_applier.Daemon
    key_servicer: server.Registrar
    servicers: tuple[server.Registrar, ...]


def make_context(
    settings: Settings,
    db: storage.Database,
    metrics_: metrics.Metrics,
    hooks: plugging.Hooks,
    clock: clocks.Clock,
    new_id: Callable[[str], str] = ids.new_id,
    witness: witnesses.Witness | None = None,
) -> context.Context:
    """Returns what use cases need, around an open database; nothing is connected."""
    dialer = tls.dialer(settings.tls_files)
    return context.Context(
        db=db,
        providers=plugging.make_fleet(settings, clock, dialer, metrics_, hooks),
        catalog=catalog.Catalog(db, settings.providers),
        clock=clock,
        new_id=new_id,
        tracker=tasks.Tracker(translate=translate),
        provider_timeout_s=settings.provider_timeout_s,
        schedule=context.Schedule(
            doubt_first_s=settings.resolver_doubt_first_s,
            pending_first_s=settings.resolver_pending_first_s,
            longest_s=settings.resolver_longest_s,
            grace_s=settings.resolver_grace_s,
            lease_s=settings.resolver_lease_s,
        ),
        witness=witness or witnesses.Witness(),
        dialer=dialer,
    )


def assemble(
    settings: Settings,
    db: storage.Database,
    metrics_: metrics.Metrics,
    *,
    clock: clocks.Clock | None = None,
    new_id: Callable[[str], str] = ids.new_id,
    witness: witnesses.Witness | None = None,
) -> Parts:
    """Returns the parts of a serving process around an open database.

    Raises:
        encryption_keys.KeyProblem: There is no key for the secrets of bindings.
    """
    clock = clock or clocks.SystemClock()
    hooks = plugging.Hooks()
    ctx = make_context(settings, db, metrics_, hooks, clock, new_id, witness)
    plugins_ = plugging.make(settings, ctx, vault(settings), hooks, metrics_)
    settler = settling.Settler(ctx)
    driver = driving.Driver(ctx, settler)
    payments_ = payment_cases.Payments(ctx, settler, driver)
    refunds_ = refund_cases.Refunds(ctx, settler, driver)
    customers_ = customer_cases.Customers(ctx, settler)
    applier = applying.Applier(ctx, settler)
    webhooks_ = _webhooks(settings, ctx, applier)
    keys_ = keys.Keys(ctx)
    cache = auth.KeyCache(keys_.look_up, ttl_s=settings.key_cache_s, clock=clock)
    pipeline = interceptor.Pipeline(
        authenticate=access.Authenticator(cache, ctx.standing),
        validate=reading.check,
        metrics=metrics_,
        max_deadline=access.max_deadline_s,
        translate=translate,
    )
    key_servicer = _registrar(
        key_service_pb2_grpc.add_KeyServiceServicer_to_server, admin.KeyServicer(keys_, cache)
    )
    return Parts(
        ctx=ctx,
        plugins=plugins_,
        keys=keys_,
        resolver=resolver.Resolver(
            ctx,
            settler,
            cancellations.Cancellations(ctx, settler, payments_, refunds_),
            metrics_.registry,
        ),
        retrier=retrier.Retrier(retrying.Retrying(ctx, settler), ctx.standing),
        watch=watching.Watch(ctx, plugins_.health, metrics_),
        forgetting=forgetting.Forgetting(
            ctx, plugging.owner(settings), settings.idempotency_keep_days * DAY_S
        ),
        pipeline=pipeline,
        webhooks=_endpoint(settings, ctx, applier),
        webhook_cases=webhooks_,
        webhook_daemon=webhook_applier.Daemon(webhooks_, applier, ctx.standing, metrics_.registry),
        key_servicer=key_servicer,
        servicers=(
            *_of_payments(ctx, driver, payments_, refunds_, customers_),
            *_of_mirrors(ctx, settler, customers_),
            *_of_plugins(plugins_),
            key_servicer,
            _registrar(
                status_service_pb2_grpc.add_StatusServiceServicer_to_server,
                admin.StatusServicer(status.Status(ctx, plugins_.health)),
            ),
            _registrar(
                doubt_service_pb2_grpc.add_DoubtServiceServicer_to_server,
                doubts.DoubtServicer(doubt_cases.Doubts(ctx, settler)),
            ),
            _registrar(
                inbound_webhook_service_pb2_grpc.add_InboundWebhookServiceServicer_to_server,
                webhooks.InboundWebhookServicer(webhooks_),
            ),
        ),
    )


def _webhooks(
    settings: Settings, ctx: context.Context, applier: applying.Applier
) -> replaying.Webhooks:
    keeping = replaying.Keeping(
        days=settings.webhook_keep_days, rejected_max=settings.webhook_rejected_max
    )
    return replaying.Webhooks(
        ctx, applier, tolerance_s=settings.webhook_tolerance_s, keeping=keeping
    )


def _endpoint(
    settings: Settings, ctx: context.Context, applier: applying.Applier
) -> endpoint.Endpoint:
    return endpoint.Endpoint(
        receiving.Receiver(ctx, applier, tolerance_s=settings.webhook_tolerance_s),
        ctx.standing,
        body_bytes_max=settings.webhook_body_bytes_max,
        concurrency_max=settings.webhook_concurrency_max,
    )


def _of_payments(
    ctx: context.Context,
    driver: driving.Driver,
    payments_: payment_cases.Payments,
    refunds_: refund_cases.Refunds,
    customers_: customer_cases.Customers,
) -> tuple[server.Registrar, ...]:
    return (
        _registrar(
            payment_service_pb2_grpc.add_PaymentServiceServicer_to_server,
            payments.PaymentServicer(payments_, increments.Increments(ctx, driver)),
        ),
        _registrar(
            refund_service_pb2_grpc.add_RefundServiceServicer_to_server,
            refunds.RefundServicer(refunds_),
        ),
        _registrar(
            retry_policy_service_pb2_grpc.add_RetryPolicyServiceServicer_to_server,
            retry_policies.RetryPolicyServicer(retry_policy_cases.RetryPolicies(ctx)),
        ),
        _registrar(
            customer_service_pb2_grpc.add_CustomerServiceServicer_to_server,
            customers.CustomerServicer(customers_),
        ),
    )


def _of_mirrors(
    ctx: context.Context, settler: settling.Settler, customers_: customer_cases.Customers
) -> tuple[server.Registrar, ...]:
    return (
        _registrar(
            checkout_service_pb2_grpc.add_CheckoutServiceServicer_to_server,
            checkouts.CheckoutServicer(checkout_cases.Checkouts(ctx, settler, customers_)),
        ),
        _registrar(
            dispute_service_pb2_grpc.add_DisputeServiceServicer_to_server,
            disputes.DisputeServicer(dispute_cases.Disputes(ctx, settler)),
        ),
        _registrar(
            payment_method_service_pb2_grpc.add_PaymentMethodServiceServicer_to_server,
            payment_methods.PaymentMethodServicer(
                payment_method_cases.PaymentMethods(ctx, settler)
            ),
        ),
        _registrar(
            plan_service_pb2_grpc.add_PlanServiceServicer_to_server,
            plans.PlanServicer(plan_cases.Plans(ctx, settler)),
        ),
        _registrar(
            subscription_service_pb2_grpc.add_SubscriptionServiceServicer_to_server,
            subscriptions.SubscriptionServicer(subscription_cases.Subscriptions(ctx, settler)),
        ),
        _registrar(
            invoice_service_pb2_grpc.add_InvoiceServiceServicer_to_server,
            invoices.InvoiceServicer(invoice_cases.Invoices(ctx)),
        ),
    )


def _of_plugins(parts: plugging.Plugins) -> tuple[server.Registrar, ...]:
    return (
        _registrar(
            binding_admin_service_pb2_grpc.add_BindingAdminServiceServicer_to_server,
            bindings.BindingAdminServicer(
                bindings.Cases(
                    bindings=parts.bindings,
                    defaults=parts.defaults,
                    exports=parts.exports,
                    gates=parts.gates,
                    rotation=parts.rotation,
                )
            ),
        ),
        _registrar(
            plugin_admin_service_pb2_grpc.add_PluginAdminServiceServicer_to_server,
            plugins.PluginAdminServicer(
                plugins.Cases(
                    lifecycle=parts.life,
                    lists=parts.lists,
                    upgrades=parts.upgrades,
                    health=parts.health,
                    reports=parts.reports,
                    kills=parts.kills,
                )
            ),
        ),
        _registrar(
            registry_service_pb2_grpc.add_RegistryServiceServicer_to_server,
            registry.RegistryServicer(parts.leases),
        ),
    )


def vault(settings: Settings) -> secrets.Vault:
    """Returns what encrypts the secrets of bindings.

    Raises:
        encryption_keys.KeyProblem: There is no key for it.
    """
    text = settings.encryption_keys
    path = settings.encryption_key_file
    return secrets.Vault(secrets.find_keys(text.get_secret_value() if text else None, path))


def _registrar(add: Callable[..., None], servicer: object) -> server.Registrar:
    return lambda grpc_server: add(servicer, grpc_server)


def translate(error: Exception) -> errors.RpcError | None:
    """Turns what storage raises into what callers may know."""
    if isinstance(error, storage.StorageOverloaded):
        return errors.overloaded("too many calls wait for the database", retry_after_s=1.0)
    if isinstance(error, storage.CommitUnknown):
        return errors.unavailable("it is not known whether this was stored; repeat the call")
    if isinstance(error, storage.StorageUnavailable):
        return errors.unavailable("the database can't be used now; repeat the call")
    return None


def relay_key(settings: Settings) -> str:
    """Returns the key the relay publishes with; makes one in the embedded default.

    Raises:
        keys.KeyProblem: There is something else in its file.
    """
    if settings.relay_key is not None:
        return settings.relay_key.get_secret_value()
    return keys.read_or_make(settings.relay_key_path)


def relay(
    settings: Settings,
    db: storage.Database,
    metrics_: metrics.Metrics,
    guard: relay_package.Guard,
    wake: asyncio.Event | None,
    clock: clocks.Clock,
    dialer: tls.Dialer,
) -> relay_package.Relay:
    """Returns the relay; *wake* is set when this process wrote to the outbox."""
    return relay_package.Relay(
        db=db,
        endpoint=settings.gateway_endpoint,
        key=relay_key(settings),
        owner=plugging.owner(settings),
        clock=clock,
        registry=metrics_,
        guard=guard,
        wake=wake,
        dialer=dialer,
        options=relay_package.Options(
            idle_s=settings.relay_idle_s,
            check_s=settings.relay_check_s,
            keep_s=settings.relay_keep_days * DAY_S,
        ),
    )

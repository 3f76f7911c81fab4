"""How the parts of payment_service are put together.

Owns the object graph, and nothing that happens later. Called by `__main__`;
tests build the same graph with other seams. Never reads the environment.
"""

import asyncio
import pathlib
from collections.abc import Callable
from dataclasses import dataclass

from payment_service import db as db_package
from payment_service import plugging, resolver, retrier, servicers, watching
from payment_service import relay as relay_package
from payment_service.api import access, reading
from payment_service.settings import Settings
from payment_service.usecases import (
    cancellations,
    catalog,
    context,
    driving,
    forgetting,
    keys,
    retrying,
    settling,
)
from payment_service.usecases import customers as customer_cases
from payment_service.usecases import payments as payment_cases
from payment_service.usecases import refunds as refund_cases
from payment_service.usecases import witness as witnesses
from payment_service.usecases.bindings import secrets
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
        servicers=servicers.registrars(
            servicers.Cases(
                ctx=ctx,
                settler=settler,
                driver=driver,
                payments=payments_,
                refunds=refunds_,
                customers=customers_,
                keys=keys_,
                key_cache=cache,
                webhooks=webhooks_,
                plugins=plugins_,
            )
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


def vault(settings: Settings) -> secrets.Vault:
    """Returns what encrypts the secrets of bindings.

    Raises:
        encryption_keys.KeyProblem: There is no key for it.
    """
    text = settings.encryption_keys
    path = settings.encryption_key_file
    return secrets.Vault(secrets.find_keys(text.get_secret_value() if text else None, path))


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

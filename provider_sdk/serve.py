"""The whole main of a provider.

Owns the wiring of a Provider to a server: its servicers, the pipeline, health,
reflection, metrics, logs, registration with core, and SIGTERM as Drain. Called
by each provider's `__main__`. Reads PLUGIN_* alone from the environment; other
settings come from the caller.
"""

import asyncio
import functools
import os
from collections.abc import Sequence
from typing import Any

import grpc
from google.protobuf import descriptor_pool
from payhub.options.v1 import options_pb2
from payhub.plugin.v1 import plugin_service_pb2_grpc
from payhub.provider.v1 import (
    billing_provider_service_pb2_grpc,
    checkout_provider_service_pb2_grpc,
    dispute_provider_service_pb2_grpc,
    notice_provider_service_pb2_grpc,
    payment_method_provider_service_pb2_grpc,
    payment_provider_service_pb2_grpc,
)
from starlette import routing

from provider_sdk import (
    errors,
    host,
    mirror_servicers,
    notice_servicer,
    operations,
    payment_servicer,
    plugin_servicer,
    provider,
    registration,
    registration_settings,
    soundness,
)
from servicekit import clock as clocks
from servicekit import errors as kit_errors
from servicekit import interceptor, logs, metrics, server, tls, validation
from servicekit import settings as settings_module


def serve(
    plugin: provider.Provider[Any],
    settings: settings_module.ServiceSettings,
    *,
    service_name: str,
    clock: clocks.Clock | None = None,
    routes: Sequence[routing.BaseRoute] = (),
    background: Sequence[server.Background] = (),
    interceptors: Sequence[grpc.aio.ServerInterceptor] = (),
    registering: registration_settings.Settings | None = None,
) -> int:
    """Serves *plugin* until SIGTERM and returns the exit status.

    Args:
        plugin: What to serve.
        settings: Where to listen and how to log.
        service_name: Name in logs and in the ready line.
        clock: Where the fence reads the time; the machine's by default.
        routes: Further HTTP routes beside health and metrics.
        background: Coroutines that run until the event they are given is set.
        interceptors: Put between the pipeline and the servicers.
        registering: How to register with core; by default what PLUGIN_* says.

    Raises:
        ValueError: The provider promises what it does not have.
        SystemExit: 2, the environment can't be used; every problem was printed.
    """
    if registering is None:
        registering = registration_settings.load(os.environ, host=settings.host)
    logs.configure(
        service=service_name,
        level=settings.log_level,
        fmt=settings.log_format,
        sensitive=options_pb2.sensitive,
    )
    return server.run(
        _serve(
            plugin,
            settings,
            service_name=service_name,
            clock=clock or clocks.SystemClock(),
            routes=routes,
            background=background,
            interceptors=interceptors,
            registering=registering,
        )
    )


async def _serve(
    plugin: provider.Provider[Any],
    settings: settings_module.ServiceSettings,
    *,
    service_name: str,
    clock: clocks.Clock,
    routes: Sequence[routing.BaseRoute],
    background: Sequence[server.Background],
    interceptors: Sequence[grpc.aio.ServerInterceptor],
    registering: registration_settings.Settings,
) -> int:
    state = host.Host(plugin, clock=clock)
    registry = metrics.Metrics()

    asked = asyncio.Event()

    async def refuse_when_stopping(stop: asyncio.Event) -> None:
        # Before the drain delay, so that core goes elsewhere while this process still answers.
        await asked.wait()
        state.draining = True

    lease = registration.Registration(
        state, registering, retire=asked.set, dialer=tls.dialer(settings.tls_files)
    )
    # Before anything is opened: a provider that is wrong in itself never starts.
    servicers = registrars(state)
    await plugin.start()
    state.ready = True
    return await server.serve(
        settings=settings,
        service_name=service_name,
        servicers=servicers,
        reflection_names=soundness.services(plugin.capabilities),
        interceptors=[pipeline(state, registry=registry), *interceptors],
        background=[
            refuse_when_stopping,
            *([lease.run] if registering.core_endpoint else []),
            *background,
        ],
        # The lease outlives the drain: until then core has to find what runs here.
        on_drain=[functools.partial(state.drain, settings.drain_grace_s), lease.leave],
        on_serving=lease.serving,
        asked=asked,
        closing=[plugin.close],
        registry=registry,
        routes=routes,
    )


def registrars(state: host.Host) -> Sequence[server.Registrar]:
    """Returns what adds every service of *state* to a server.

    Those the provider does not offer are added too: they refuse and say that nothing was done,
    which an unknown service can't.
    """
    running = operations.Operations(state)
    return (
        functools.partial(
            plugin_service_pb2_grpc.add_PluginServiceServicer_to_server,
            plugin_servicer.PluginServicer(state),
        ),
        functools.partial(
            payment_provider_service_pb2_grpc.add_PaymentProviderServiceServicer_to_server,
            payment_servicer.PaymentProviderServicer(state, running),
        ),
        functools.partial(
            payment_method_provider_service_pb2_grpc.add_PaymentMethodProviderServiceServicer_to_server,
            mirror_servicers.PaymentMethodProviderServicer(state, running),
        ),
        functools.partial(
            billing_provider_service_pb2_grpc.add_BillingProviderServiceServicer_to_server,
            mirror_servicers.BillingProviderServicer(state, running),
        ),
        functools.partial(
            checkout_provider_service_pb2_grpc.add_CheckoutProviderServiceServicer_to_server,
            mirror_servicers.CheckoutProviderServicer(state, running),
        ),
        functools.partial(
            dispute_provider_service_pb2_grpc.add_DisputeProviderServiceServicer_to_server,
            mirror_servicers.DisputeProviderServicer(state, running),
        ),
        functools.partial(
            notice_provider_service_pb2_grpc.add_NoticeProviderServiceServicer_to_server,
            notice_servicer.NoticeProviderServicer(state),
        ),
    )


def pipeline(state: host.Host, *, registry: metrics.Metrics) -> interceptor.Pipeline:
    """Returns the interceptor every provider is served behind."""
    return interceptor.Pipeline(
        validate=validation.validate,
        metrics=registry,
        max_deadline=max_deadline_s,
        translate=functools.partial(translate, domain=state.domain),
    )


def translate(failure: Exception, *, domain: str) -> kit_errors.RpcError | None:
    """Returns the status of *failure* with one ErrorInfo and one Failure.

    None for what has its final form already. What is not known here is a bug of the
    plugin, whose effect nobody knows.
    """
    if isinstance(failure, errors.ProviderError):
        return errors.to_rpc(failure, domain=domain)
    if isinstance(failure, NotImplementedError):
        # What generated code raises for a method that nobody wrote.
        return errors.to_rpc(errors.NotSupported("the plugin does not offer this"), domain=domain)
    if isinstance(failure, kit_errors.RpcError):
        if failure.domain == domain:
            return None
        if failure.code is grpc.StatusCode.INVALID_ARGUMENT:
            invalid = errors.InvalidRequest(failure.message, failure.violations)
            return errors.to_rpc(invalid, domain=domain)
        if failure.code is grpc.StatusCode.DEADLINE_EXCEEDED:
            return errors.to_rpc(errors.NoAnswer(failure.message), domain=domain)
    return errors.to_rpc(errors.PluginBug("internal error of the plugin"), domain=domain)


@functools.cache
def max_deadline_s(method: str) -> float | None:
    """Returns the longest deadline the contract gives `package.Service.Method`, seconds."""
    try:
        options = descriptor_pool.Default().FindMethodByName(method).GetOptions()
    except KeyError:
        return None
    limits: Any = options_pb2.limits
    if not options.HasExtension(limits):
        return None
    return float(options.Extensions[limits].max_deadline.ToMicroseconds() / 1e6)

"""One provider: its channel, its handshake, and the calls of operations.

Owns the connection to one sidecar. Called by the use cases and the resolver.
Never repeats a call, but for one: after BINDING_NOT_CONFIGURED, which states
that nothing happened, the binding is configured and the call sent once more.
"""

import asyncio
import contextlib
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import grpc
import grpc.aio
import prometheus_client
from payhub.plugin.v1 import capability_pb2, plugin_service_pb2, plugin_service_pb2_grpc
from payhub.provider.v1 import failure_pb2, payment_provider_service_pb2_grpc
from payhub.provider.v1 import payment_provider_service_pb2 as provider_pb2

from payment_service.domain import model, outcomes
from payment_service.provider_client import reading, requests
from servicekit import clock as clocks
from servicekit import failpoints, logs, server

_log = logs.get_logger(__name__)

_SERVICES = ("payhub.provider.v1.PaymentProviderService",)
_CORE_CAPABILITIES = (
    plugin_service_pb2.CORE_CAPABILITY_CUSTOMER_ACTION,
    plugin_service_pb2.CORE_CAPABILITY_PENDING_OPERATIONS,
)
HANDSHAKE_TIMEOUT_S = 2.0
CONFIGURE_TIMEOUT_S = 15.0
LOOKUP_TIMEOUT_S = 10.0
RETRY_HANDSHAKE_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How long to wait, seconds.

    `connect_s` is the longest wait for a connection before an operation counts as not
    sent; `skew_s` is added to `not_after` before NOT_FOUND counts.
    """

    connect_s: float = 1.0
    skew_s: float = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What the provider said of itself in its last handshake."""

    plugin_version: str
    instance_id: str
    capabilities: frozenset[int]
    currencies: frozenset[str]


class ProviderMetrics:
    """Counts and durations of provider calls."""

    def __init__(self, registry: prometheus_client.CollectorRegistry) -> None:
        self._known: dict[tuple[str, str, str], tuple[Any, Any]] = {}
        self._calls = prometheus_client.Counter(
            "payhub_provider_calls_total",
            "Calls of operations and look-ups by what they told.",
            ("provider", "call", "outcome"),
            registry=registry,
        )
        self._seconds = prometheus_client.Histogram(
            "payhub_provider_call_seconds",
            "Duration of provider calls in seconds.",
            ("provider", "call"),
            registry=registry,
        )

    def count(self, provider: str, call: str, outcome: str, seconds: float) -> None:
        """Counts one call that took *seconds*."""
        labels = (provider, call, outcome)
        found = self._known.get(labels)
        if found is None:
            found = (self._calls.labels(*labels), self._seconds.labels(provider, call))
            self._known[labels] = found
        found[0].inc()
        found[1].observe(seconds)


class ProviderClient:
    """A connection to one sidecar; see the module.

    Args:
        name: Plugin id it must state in its handshake.
        endpoint: `host:port`.
        config: Configuration for every binding, as a JSON object.
        limits: How long to wait.
        metrics: Where calls are counted.
        clock: Where time comes from.
        generation: Configuration generation; rises with every start of the process.
    """

    def __init__(
        self,
        *,
        name: str,
        endpoint: str,
        config: Mapping[str, Any],
        limits: Limits,
        metrics: ProviderMetrics,
        clock: clocks.Clock,
        generation: int,
    ) -> None:
        self.name = name
        self.endpoint = endpoint
        self.known: Known | None = None
        self.detail = "no connection yet"
        self._config_json = json.dumps(config)
        self._limits = limits
        self._metrics = metrics
        self._clock = clock
        self._generation = generation
        self._configured: set[tuple[str, str]] = set()
        self._channel = grpc.aio.insecure_channel(
            endpoint, options=list(server.MONEY_CHANNEL_OPTIONS)
        )
        self._plugin = plugin_service_pb2_grpc.PluginServiceStub(self._channel)
        self._stub: Any = payment_provider_service_pb2_grpc.PaymentProviderServiceStub(
            self._channel
        )
        self._watching: asyncio.Task[None] | None = None

    @property
    def ready(self) -> bool:
        """Whether the sidecar is connected and has introduced itself."""
        state = self._channel.get_state(try_to_connect=True)
        return state is grpc.ChannelConnectivity.READY and not self.detail

    def start(self) -> None:
        """Connects, and introduces itself on every new connection."""
        self._watching = asyncio.create_task(self._watch())

    async def close(self) -> None:
        """Ends the connection."""
        if self._watching is not None:
            self._watching.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watching
        await self._channel.close()

    def lacks(self, *needed: int) -> str:
        """Returns the first capability of *needed* the provider is known not to have."""
        if self.known is None:
            return ""
        for capability in needed:
            if capability not in self.known.capabilities:
                name = capability_pb2.Capability.Name(capability)
                return name.removeprefix("CAPABILITY_")
        return ""

    def takes(self, currency: str) -> bool:
        """Whether the provider takes a currency, as far as is known."""
        return self.known is None or not self.known.currencies or currency in self.known.currencies

    async def execute(self, operation: model.Operation) -> outcomes.Report:
        """Sends *operation* and returns what is known afterwards. Never raises."""
        started_s = time.perf_counter()
        report = await self._guarded(self._execute(operation), operation)
        self._count(operation.kind.name.lower(), report, started_s)
        return report

    async def look_up(self, operation: model.Operation) -> outcomes.Report:
        """Asks what became of *operation* and returns what is known. Never raises."""
        started_s = time.perf_counter()
        report = await self._guarded(self._look_up(operation), operation)
        self._count("get_operation", report, started_s)
        return report

    async def _guarded(self, work: Any, operation: model.Operation) -> outcomes.Report:
        try:
            report: outcomes.Report = await work
        except Exception:
            _log.exception("a provider call failed in core", operation_id=operation.id)
            return reading.unknown(operation.version, "a fault in core")
        return report

    def _count(self, call: str, report: outcomes.Report, started_s: float) -> None:
        seconds = time.perf_counter() - started_s
        self._metrics.count(self.name, call, report.outcome.value, seconds)

    async def _execute(self, operation: model.Operation) -> outcomes.Report:
        if not await self._connected(self._limits.connect_s):
            detail = self.detail or "no connection"
            return reading.not_sent(operation.version, "PROVIDER_UNREACHABLE", detail)
        if (failed := await self._ensure_configured(operation)) is not None:
            return failed
        try:
            return await self._send(operation)
        except grpc.aio.AioRpcError as error:
            failure = reading.failure_of(error)
            if failure is None or failure.effect != failure_pb2.Failure.EFFECT_NONE:
                return reading.failed_call(operation, error)
            if failure.reason != failure_pb2.FAILURE_REASON_BINDING_NOT_CONFIGURED:
                return reading.failed_call(operation, error)
        self._configured.discard((self._instance(), operation.binding_id))
        if (failed := await self._ensure_configured(operation)) is not None:
            return failed
        try:
            return await self._send(operation)
        except grpc.aio.AioRpcError as error:
            return reading.failed_call(operation, error)

    async def _send(self, operation: model.Operation) -> outcomes.Report:
        left_s = (operation.not_after_us - self._clock.now_us()) / 1_000_000
        if left_s <= 0:
            return reading.not_sent(operation.version, "TOO_LATE", "not sent: its time was over")
        method, _ = requests.METHODS[operation.kind]
        request = requests.with_context(operation, generation=self._generation)
        failpoints.hit("payment_service.before_provider_call")
        answer = await getattr(self._stub, method)(request, timeout=left_s)
        failpoints.hit("payment_service.after_provider_call")
        return reading.result(operation, answer.operation)

    async def _look_up(self, operation: model.Operation) -> outcomes.Report:
        if not await self._connected(self._limits.connect_s):
            return reading.unknown(operation.version, self.detail or "no connection")
        if (failed := await self._ensure_configured(operation)) is not None:
            return reading.unknown(operation.version, failed.detail)
        request = provider_pb2.GetOperationRequest(
            binding_id=operation.binding_id, operation_id=operation.id
        )
        try:
            answer = await self._stub.GetOperation(request, timeout=LOOKUP_TIMEOUT_S)
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.NOT_FOUND:
                return self._absent(operation, error)
            failure = reading.failure_of(error)
            if (
                failure is not None
                and failure.reason == failure_pb2.FAILURE_REASON_BINDING_NOT_CONFIGURED
            ):
                self._configured.discard((self._instance(), operation.binding_id))
            return reading.unknown(operation.version, reading.failed_call(operation, error).detail)
        return reading.result(operation, answer.operation)

    def _absent(self, operation: model.Operation, error: grpc.aio.AioRpcError) -> outcomes.Report:
        """NOT_FOUND is a fact only where look-up is conclusive and nothing can still arrive."""
        failure = reading.failure_of(error)
        promised = failure is not None and failure.reason == failure_pb2.FAILURE_REASON_NOT_FOUND
        if not promised or self.lacks(capability_pb2.CAPABILITY_OPERATION_LOOKUP):
            return reading.unknown(operation.version, "NOT_FOUND, which is not conclusive here")
        fence_us = operation.not_after_us + round(self._limits.skew_s * 1_000_000)
        if self._clock.now_us() <= fence_us:
            return reading.unknown(operation.version, "NOT_FOUND, but it may still arrive")
        return reading.not_sent(operation.version, "NEVER_ARRIVED", "looked up after its fence")

    def _instance(self) -> str:
        return self.known.instance_id if self.known else ""

    async def _ensure_configured(self, operation: model.Operation) -> outcomes.Report | None:
        key = (self._instance(), operation.binding_id)
        if key in self._configured:
            return None
        request = plugin_service_pb2.ConfigureRequest(
            binding_id=operation.binding_id,
            generation=self._generation,
            config=plugin_service_pb2.BindingConfig(config_json=self._config_json),
        )
        try:
            await self._plugin.Configure(request, timeout=CONFIGURE_TIMEOUT_S)
        except grpc.aio.AioRpcError as error:
            # Another replica with a newer configuration was here first.
            if reading.error_info_reason(error) != "STALE_GENERATION":
                detail = f"configure failed: {error.code().name}"
                _log.error("configure failed", provider=self.name, code=error.code().name)
                return reading.not_sent(operation.version, "BINDING_NOT_CONFIGURED", detail)
        self._configured.add(key)
        return None

    async def _connected(self, longest_s: float) -> bool:
        if self.ready:
            return True
        deadline_s = self._clock.monotonic_s() + longest_s
        while not self.ready:
            if self._clock.monotonic_s() >= deadline_s:
                return False
            await asyncio.sleep(0.01)
        return True

    async def _watch(self) -> None:
        while True:
            state = self._channel.get_state(try_to_connect=True)
            if state is grpc.ChannelConnectivity.READY:
                await self._handshake()
                if self.detail:
                    await asyncio.sleep(RETRY_HANDSHAKE_S)
                    continue
            else:
                self.detail = f"channel is {state.name}"
            await self._channel.wait_for_state_change(state)

    async def _handshake(self) -> None:
        request = plugin_service_pb2.HandshakeRequest(
            core_version="0.1.0", services=_SERVICES, core_capabilities=_CORE_CAPABILITIES
        )
        try:
            answer = await self._plugin.Handshake(request, timeout=HANDSHAKE_TIMEOUT_S)
        except grpc.aio.AioRpcError as error:
            self.detail = f"handshake failed: {error.code().name}"
            _log.warning("handshake failed", provider=self.name, code=error.code().name)
            return
        if answer.identity.plugin_id != self.name:
            self.detail = f"{self.endpoint} says it is {answer.identity.plugin_id!r}"
            _log.error("another plugin answers", provider=self.name, detail=self.detail)
            return
        if not set(_SERVICES) <= set(answer.services):
            self.detail = "it serves no service that core can call"
            _log.error("no common service", provider=self.name, served=list(answer.services))
            return
        self.known = Known(
            plugin_version=answer.identity.plugin_version,
            instance_id=answer.identity.instance_id,
            capabilities=frozenset(c.capability for c in answer.capabilities if c.enabled),
            currencies=frozenset(answer.currency_codes),
        )
        self.detail = ""
        _log.info("provider connected", provider=self.name, version=self.known.plugin_version)

"""Mutants of Probe and health, and of orderly and disorderly ends (rules 28 to 32)."""

import asyncio
import os
import time
from typing import Any

from grpc_health.v1 import health_pb2
from payhub.plugin.v1 import plugin_service_pb2 as ps

from provider_mock import upstream
from provider_sdk import errors, host, plugin_servicer
from provider_sdk import serve as sdk
from servicekit import health
from tests.mutants import registry

_Probe = ps.ProbeResponse
# Long enough for the first probe of a starting process to meet it, on any machine.
BLIND_S = 20.0


def _readiness(change: Any) -> None:
    """Lets *change* replace the readiness of each Probe."""

    def make(probe: Any) -> Any:
        async def changed(self: Any, request: Any, context: Any) -> Any:
            answer = await probe(self, request, context)
            answer.readiness = change(answer.readiness)
            return answer

        return changed

    registry.replace(plugin_servicer.PluginServicer, "Probe", make)


@registry.mutant("28a")
def never_gets_ready() -> None:
    """Probe says INITIALIZING for ever."""
    _readiness(lambda _: _Probe.READINESS_INITIALIZING)


@registry.mutant("28b")
def says_nothing_while_it_starts() -> None:
    """Probe has no readiness at first."""
    begun_s = time.monotonic()

    def change(readiness: Any) -> Any:
        blind = time.monotonic() - begun_s < BLIND_S
        return _Probe.READINESS_UNSPECIFIED if blind else readiness

    _readiness(change)


@registry.mutant("28c")
def drains_in_secret() -> None:
    """Probe says READY after Drain."""
    draining, ready = _Probe.READINESS_DRAINING, _Probe.READINESS_READY
    _readiness(lambda readiness: ready if readiness == draining else readiness)


def _impaired(react: Any) -> None:
    """Lets *react* run before each Probe that says DEGRADED is answered."""

    def make(probe: Any) -> Any:
        async def reacted(self: Any, request: Any, context: Any) -> Any:
            answer = await probe(self, request, context)
            if answer.readiness == _Probe.READINESS_DEGRADED:
                await react()
            return answer

        return reacted

    registry.replace(plugin_servicer.PluginServicer, "Probe", make)


@registry.mutant("28d")
def hangs_with_upstream() -> None:
    """Probe waits for upstream longer than two seconds."""
    _impaired(lambda: asyncio.sleep(2.5))


@registry.mutant("28e")
def is_of_another_time() -> None:
    """Probe tells local time as if it were UTC."""

    def make(probe: Any) -> Any:
        async def elsewhere(self: Any, request: Any, context: Any) -> Any:
            answer = await probe(self, request, context)
            answer.time.seconds -= 3600
            return answer

        return elsewhere

    registry.replace(plugin_servicer.PluginServicer, "Probe", make)


@registry.mutant("29")
def fails_with_upstream() -> None:
    """Probe fails while upstream is down."""

    async def fail() -> None:
        raise errors.Unreachable("upstream is down")

    _impaired(fail)


@registry.mutant("29")
def hides_an_outage() -> None:
    """Probe says READY while upstream is down."""
    degraded, ready = _Probe.READINESS_DEGRADED, _Probe.READINESS_READY
    _readiness(lambda readiness: ready if readiness == degraded else readiness)


@registry.mutant("30a")
def works_on_after_drain() -> None:
    """New calls are taken after Drain."""

    def make(_: Any) -> Any:
        async def drained(self: Any, grace_s: float) -> int:
            left: int = await self.tracker.drain(grace_s)
            return left

        return drained

    registry.replace(host.Host, "drain", make)


@registry.mutant("30b")
def drains_without_waiting() -> None:
    """Drain returns while calls are running."""

    def make(_: Any) -> Any:
        async def drained(self: Any, grace_s: float) -> int:
            self.draining = True
            return 0

        return drained

    registry.replace(host.Host, "drain", make)


@registry.mutant("31a")
def ends_with_a_status() -> None:
    """SIGTERM ends the process with the status of a failure."""
    registry.replace(sdk, "serve", lambda serve: lambda *given, **rest: serve(*given, **rest) or 3)


@registry.mutant("31b")
def drops_calls_when_stopped() -> None:
    """SIGTERM ends running calls at once."""
    os.environ["PROVIDER_MOCK_DRAIN_GRACE_S"] = "0"


@registry.mutant("32", control=("54",))
def forgets_its_keys_with_the_process() -> None:
    """The key sent upstream is made of the operation id and of the process."""
    registry.replace(
        upstream,
        "_key",
        lambda key: lambda operation_id: f"{key(operation_id)}.{os.getpid()}",
    )


@registry.mutant("29")
def tells_the_orchestrator_of_an_outage() -> None:
    """Health follows upstream, so that an outage restarts the plugin."""
    down = False

    def watch(probe: Any) -> Any:
        async def watched(self: Any) -> Any:
            nonlocal down
            found = await probe(self)
            down = bool(found.reasons)
            return found

        return watched

    def make(check: Any) -> Any:
        async def told(self: Any, request: Any, context: Any) -> Any:
            if down:
                status = health_pb2.HealthCheckResponse.NOT_SERVING
                return health_pb2.HealthCheckResponse(status=status)
            return await check(self, request, context)

        return told

    registry.replace(upstream.UpstreamMock, "probe", watch)
    registry.replace(health.Servicer, "Check", make)

"""How a plugin makes itself known to core, and stays known.

Owns the lease of this process: registering whenever there is none, renewing it,
obeying what core answers, closing it at the end. Started by `serve`. Never
holds up serving, and never ends the process by failing: a core that is not
there, or does not want the plugin yet, is tried again for as long as it runs.
"""

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import grpc
import grpc.aio
from google.protobuf import message
from google.rpc import error_details_pb2, status_pb2
from payhub.plugin.v1 import plugin_service_pb2
from payhub.registry.v1 import registry_service_pb2 as rs
from payhub.registry.v1 import registry_service_pb2_grpc

from provider_sdk import host, registration_settings
from servicekit import logs, server, tls

# Core dials back and shakes hands before it answers.
REGISTER_TIMEOUT_S = 10.0
CALL_TIMEOUT_S = 2.0
BACKOFF_FIRST_S = 0.2
# Core that comes back, or allows the plugin, finds it within a few seconds.
BACKOFF_MAX_S = 5.0
# Renewals of many instances drift apart instead of coming all at once.
JITTER = 0.2
# Should core ever name less, the plugin does not flood it.
INTERVAL_MIN_S = 0.05
DETAILS_KEY = "grpc-status-details-bin"

_KEY = "set PLUGIN_KEY to a key of payctl keys create --scope plugins:register --plugin <plugin id>"
_ADDRESS = "set PLUGIN_ADVERTISED_ENDPOINT to where core reaches this process, and no other"
WAYS_OUT = {
    "PLUGIN_UNKNOWN": "allow the plugin: payctl plugins allow",
    "PLUGIN_NOT_ALLOWED": "change its entry: payctl plugins allow; or use another key",
    "ENDPOINT_NOT_ALLOWED": "change its endpoint pattern, or PLUGIN_ADVERTISED_ENDPOINT",
    "INSTANCE_UNREACHABLE": _ADDRESS,
    "IDENTITY_MISMATCH": _ADDRESS,
    "KEY_INVALID": _KEY,
    "SCOPE_MISSING": _KEY,
    "UNAUTHENTICATED": _KEY,
    "PERMISSION_DENIED": _KEY,
    "UNAVAILABLE": "start core, or correct PLUGIN_CORE_ENDPOINT",
}

_log = logs.get_logger(__name__)

T = TypeVar("T")


class Registration:
    """The lease of one process.

    Args:
        state: Who registers.
        settings: Where core is and who it takes the plugin for.
        retire: Begins the orderly end of this process, as SIGTERM does.
        dialer: How core is called.
        jitter: From 0 to 1, random.
    """

    def __init__(
        self,
        state: host.Host,
        settings: registration_settings.Settings,
        *,
        retire: Callable[[], None],
        dialer: tls.Dialer,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.directive: rs.Directive = rs.DIRECTIVE_CONTINUE
        self._state = state
        self._settings = settings
        self._retire = retire
        self._dialer = dialer
        self._jitter = jitter
        self._endpoint = settings.advertised_endpoint
        self._serving = asyncio.Event()
        self._left = asyncio.Event()
        self._session_id = ""
        self._interval_s = 0.0
        self._failures = 0
        self._problem = ""

    def serving(self, address: str) -> None:
        """The process listens at *address*, `host:port`; now core may dial back."""
        self._endpoint = self._endpoint or address
        self._serving.set()

    async def leave(self) -> None:
        """Ends the renewing; `run` then closes the lease. Call it after the drain."""
        self._left.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Keeps a lease until `leave`; *stop* only begins the drain, during which it is kept."""
        if not await self._unless_left(self._serving.wait()):
            return
        async with self._dialer.dial(
            self._settings.core_endpoint, server.CHANNEL_OPTIONS
        ) as channel:
            stub = registry_service_pb2_grpc.RegistryServiceStub(channel)
            while not self._left.is_set():
                pause_s = await self._once(stub)
                await self._unless_left(asyncio.sleep(pause_s))
            await self._deregister(stub)

    async def _once(self, stub: registry_service_pb2_grpc.RegistryServiceStub) -> float:
        """Registers or renews; returns after how many seconds it is time to again."""
        try:
            if not self._session_id:
                await self._register(stub)
            else:
                await self._renew(stub)
                if self._failures:
                    _log.info("core answers again", failures=self._failures)
        except grpc.aio.AioRpcError as failure:
            if self._session_id and failure.code() is grpc.StatusCode.NOT_FOUND:
                _log.warning("core does not know the lease any more; registering again")
                self._session_id = ""
                return 0.0
            return self._failed(_reason(failure), failure.details() or "")
        except registration_settings.KeyUnreadable as failure:
            return self._failed("KEY_UNREADABLE", str(failure))
        except Exception as failure:
            _log.exception("keeping the lease failed")
            return self._failed(type(failure).__name__, "")
        self._failures, self._problem = 0, ""
        return self._interval_s * (1.0 - JITTER * self._jitter())

    async def _register(self, stub: registry_service_pb2_grpc.RegistryServiceStub) -> None:
        plugin = self._state.provider
        request = rs.RegisterInstanceRequest(
            identity=plugin_service_pb2.PluginIdentity(
                plugin_id=plugin.plugin_id,
                plugin_version=plugin.plugin_version,
                instance_id=self._state.instance_id,
                kind=plugin_service_pb2.PLUGIN_KIND_PROVIDER,
            ),
            endpoint=self._endpoint,
        )
        answer = await self._call(stub.RegisterInstance, request, REGISTER_TIMEOUT_S)
        if answer is None:
            return
        self._session_id = answer.session_id
        self._interval_s = max(answer.renew_interval.ToMicroseconds() / 1e6, INTERVAL_MIN_S)
        _log.info(
            "registered",
            core=self._settings.core_endpoint,
            endpoint=self._endpoint,
            session_id=self._session_id,
            renew_interval_s=self._interval_s,
        )

    async def _renew(self, stub: registry_service_pb2_grpc.RegistryServiceStub) -> None:
        request = rs.RenewLeaseRequest(session_id=self._session_id)
        timeout_s = min(CALL_TIMEOUT_S, max(self._interval_s, 10 * INTERVAL_MIN_S))
        answer = await self._call(stub.RenewLease, request, timeout_s)
        if answer is None:
            return
        directive = answer.directive or rs.DIRECTIVE_CONTINUE
        if directive == self.directive:
            return
        self.directive = directive
        match directive:
            case rs.DIRECTIVE_RETIRE:
                _log.info("core retires this instance: draining, then exit")
                self._retire()
            case rs.DIRECTIVE_STAND_BY:
                _log.info("core lets this instance stand by: only probes and look-ups come")
            case rs.DIRECTIVE_CONTINUE:
                _log.info("core lets this instance carry on")
            case unknown:
                _log.info("core wants something unknown of this instance", directive=int(unknown))

    async def _deregister(self, stub: registry_service_pb2_grpc.RegistryServiceStub) -> None:
        if not self._session_id:
            return
        request = rs.DeregisterInstanceRequest(session_id=self._session_id)
        try:
            close: Any = stub.DeregisterInstance
            await close(request, timeout=CALL_TIMEOUT_S, metadata=await self._metadata())
        except Exception as failure:
            # It ends by itself; nobody needs to wait for this.
            _log.warning("the lease could not be closed", problem=type(failure).__name__)
        else:
            _log.info("lease closed")

    async def _call(self, method: Any, request: Any, timeout_s: float) -> Any:
        """Returns the answer, or None if the process left meanwhile."""
        call = method(request, timeout=timeout_s, metadata=await self._metadata())
        return await self._unless_left(call)

    async def _unless_left(self, work: Awaitable[T]) -> T | None:
        """Returns what *work* gives; None, and *work* is cancelled, once `leave` was called."""
        task = asyncio.ensure_future(work)
        left = asyncio.ensure_future(self._left.wait())
        try:
            await asyncio.wait([task, left], return_when=asyncio.FIRST_COMPLETED)
            return task.result() if task.done() else None
        finally:
            left.cancel()
            task.cancel()

    async def _metadata(self) -> tuple[tuple[str, str], ...]:
        key = await asyncio.to_thread(self._settings.current_key)
        return (("authorization", f"Bearer {key}"),) if key else ()

    def _failed(self, reason: str, text: str) -> float:
        """Notes a failure, tells of a new one, and returns how long to pause, seconds."""
        self._failures += 1
        if reason != self._problem:
            self._problem = reason
            _log.warning(
                "core does not renew the lease" if self._session_id else "not registered yet",
                core=self._settings.core_endpoint,
                reason=reason,
                text=text[:300],
                way_out=WAYS_OUT.get(reason, "it is tried again"),
            )
        pause_s = min(BACKOFF_FIRST_S * 2.0 ** min(self._failures - 1, 10), BACKOFF_MAX_S)
        if self._session_id:
            pause_s = min(pause_s, self._interval_s)
        return pause_s * (0.5 + 0.5 * self._jitter())


def _reason(failure: grpc.aio.AioRpcError) -> str:
    """Returns ErrorInfo.reason of *failure*, or the name of its code."""
    info = error_details_pb2.ErrorInfo()
    for name, value in failure.trailing_metadata() or ():
        if name == DETAILS_KEY and isinstance(value, bytes):
            with contextlib.suppress(message.DecodeError):
                for detail in status_pb2.Status.FromString(value).details:
                    if detail.Unpack(info) and info.reason:
                        return str(info.reason)
    return str(failure.code().name)

"""Which configuration one instance has of each binding, and giving it newer ones.

Owns what an instance was given, what it refused, and the calls of Configure that are under way.
Called by its client before each call, and by `link` where configurations changed. Never sends
an operation.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import grpc
import grpc.aio
from payhub.plugin.v1 import plugin_service_pb2

from payment_service.provider_client import reading, signs, stubs
from servicekit import logs

_log = logs.get_logger(__name__)

CONFIGURE_TIMEOUT_S = 15.0

Call = Callable[[str, Any, float], Awaitable[Any]]


class Bindings(Protocol):
    """Where configurations come from."""

    def generation(self, tenant_id: str, plugin_id: str) -> int:
        """Returns the generation in force; 0 if the tenant has no binding."""

    async def configuration(
        self, binding_id: str, tenant_id: str, plugin_id: str, version: str
    ) -> tuple[int, plugin_service_pb2.BindingConfig]:
        """Returns generation and content of a binding, as a version of the plugin takes it.

        Raises:
            LookupError: There is no binding.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Configured:
    """What an instance has of a binding."""

    tenant_id: str
    generation: int


class Configuring:
    """See the module. `held` is what the instance has; `version` is that of its plugin, '' until
    it has said so.

    Args:
        name: Plugin id.
        bindings: Where configurations come from.
        call: Calls an RPC of PluginService: name, request, timeout in seconds.
    """

    def __init__(self, *, name: str, bindings: Bindings, call: Call) -> None:
        self.held: dict[str, Configured] = {}
        self.version = ""
        self._name = name
        self._bindings = bindings
        self._call = call
        self._running: dict[str, asyncio.Task[tuple[str, signs.Sign] | None]] = {}
        # Generations it did not take, so that it is not asked again for every call.
        self._refused: dict[str, int] = {}

    async def close(self) -> None:
        """Ends what is under way."""
        for task in list(self._running.values()):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    def generation(self, binding_id: str) -> int:
        """Returns the generation of what it has of a binding; 0 if it has none."""
        held = self.held.get(binding_id)
        return held.generation if held else 0

    def forget(self, binding_id: str) -> None:
        """Takes note that it has no configuration of a binding."""
        self.held.pop(binding_id, None)

    def clear(self) -> None:
        """Takes note that another process answers now, which has no configuration."""
        self.held.clear()
        self._refused.clear()

    def stale(self) -> Iterator[tuple[str, str]]:
        """Returns (binding, tenant) of what it has an older configuration of."""
        for binding_id, held in list(self.held.items()):
            if self._bindings.generation(held.tenant_id, self._name) > held.generation:
                yield binding_id, held.tenant_id

    def orphaned(self) -> list[str]:
        """Returns the bindings it has a configuration of though they are gone."""
        return [
            binding_id
            for binding_id, held in self.held.items()
            if not self._bindings.generation(held.tenant_id, self._name)
        ]

    async def ensure(self, binding_id: str, tenant_id: str) -> tuple[str, signs.Sign] | None:
        """Gives it the newest configuration; returns why that is not possible, or None."""
        held = self.held.get(binding_id)
        wanted = self._bindings.generation(tenant_id, self._name)
        if held is not None and (
            held.generation >= wanted or self._refused.get(binding_id) == wanted
        ):
            return None
        return await self.configure(binding_id, tenant_id)

    async def configure(self, binding_id: str, tenant_id: str) -> tuple[str, signs.Sign] | None:
        """Sends the newest configuration of a binding; whoever asks meanwhile waits for it.

        Returns:
            Why that failed and what sign that is of, or None. If the instance refuses the
            configuration and has an older one, that stays in force, and None is returned.
        """
        running = self._running.get(binding_id)
        if running is None:
            running = asyncio.create_task(self._configure(binding_id, tenant_id))
            self._running[binding_id] = running
            running.add_done_callback(lambda _: self._running.pop(binding_id, None))
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            return f"configure failed: {stubs.connection_closed().details()}", signs.Sign.NEUTRAL

    async def _configure(self, binding_id: str, tenant_id: str) -> tuple[str, signs.Sign] | None:
        try:
            generation, config = await self._bindings.configuration(
                binding_id, tenant_id, self._name, self.version
            )
        except LookupError as error:
            return str(error), signs.Sign.NEUTRAL
        except Exception:
            # Nothing was sent, which must not look like a call that nobody knows the end of.
            _log.exception("a configuration could not be read", binding_id=binding_id)
            return "its configuration could not be read", signs.Sign.NEUTRAL
        held = self.held.get(binding_id)
        if held is not None and self._refused.get(binding_id) == generation:
            return None
        request = plugin_service_pb2.ConfigureRequest(
            binding_id=binding_id, generation=generation, config=config
        )
        try:
            await self._call("Configure", request, CONFIGURE_TIMEOUT_S)
        except grpc.aio.AioRpcError as error:
            # Another replica with a newer configuration was here first.
            if reading.error_info_reason(error) != "STALE_GENERATION":
                return self._not_configured(binding_id, generation, error)
        self._refused.pop(binding_id, None)
        self.held[binding_id] = Configured(tenant_id=tenant_id, generation=generation)
        return None

    def _not_configured(
        self, binding_id: str, generation: int, error: grpc.aio.AioRpcError
    ) -> tuple[str, signs.Sign] | None:
        code = error.code()
        _log.error("configure failed", provider=self._name, binding_id=binding_id, code=code.name)
        if code is not grpc.StatusCode.INVALID_ARGUMENT:
            outage = code in (grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.UNAVAILABLE)
            sign = signs.Sign.OUTAGE if outage else signs.Sign.NEUTRAL
            return f"configure failed: {code.name}", sign
        self._refused[binding_id] = generation
        if binding_id in self.held:
            return None
        return f"configure failed: {code.name}", signs.Sign.NEUTRAL

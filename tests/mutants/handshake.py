"""Mutants of the handshake (rules 4 to 6 and 8 to 11)."""

import asyncio
import os
import uuid
from collections.abc import Callable
from typing import Any

from payhub.plugin.v1 import capability_pb2
from payhub.plugin.v1 import plugin_service_pb2 as ps

from provider_sdk import errors, plugin_servicer, soundness
from tests.mutants import registry

Change = Callable[[Any, Any], None]


def _answers(method: str, change: Change) -> None:
    """Lets *change* work on each (request, answer) of a method of PluginService."""

    def make(original: Any) -> Any:
        async def answered(self: Any, request: Any, context: Any) -> Any:
            answer = await original(self, request, context)
            change(request, answer)
            return answer

        return answered

    registry.replace(plugin_servicer.PluginServicer, method, make)


@registry.mutant("4a", "4b")
def shakes_hands_slowly() -> None:
    """The handshake takes longer than a second."""

    def make(original: Any) -> Any:
        async def slow(self: Any, request: Any, context: Any) -> Any:
            await asyncio.sleep(1.2)
            return await original(self, request, context)

        return slow

    registry.replace(plugin_servicer.PluginServicer, "Handshake", make)


@registry.mutant("4b")
def starts_with_a_binding() -> None:
    """A fresh process reports a binding that nobody configured."""

    def add(_: Any, answer: ps.ProbeResponse) -> None:
        answer.bindings.add(binding_id=str(uuid.UUID(int=7)), applied_generation=1)

    _answers("Probe", add)


@registry.mutant("4c", control=())
def asks_upstream_in_the_handshake() -> None:
    """The handshake looks whether upstream is there."""

    def make(original: Any) -> Any:
        async def asked(self: Any, request: Any, context: Any) -> Any:
            await self._provider.probe()
            return await original(self, request, context)

        return asked

    registry.replace(plugin_servicer.PluginServicer, "Handshake", make)


@registry.mutant("5")
def has_no_version() -> None:
    """The version is a word."""

    def change(_: Any, answer: ps.HandshakeResponse) -> None:
        answer.identity.plugin_version = "latest"

    _answers("Handshake", change)


@registry.mutant("6a")
def is_somebody_else_each_time() -> None:
    """Each handshake names another instance."""

    def change(_: Any, answer: ps.HandshakeResponse) -> None:
        answer.identity.instance_id = str(uuid.uuid4())

    _answers("Handshake", change)


@registry.mutant("6b")
def keeps_its_instance_id() -> None:
    """The instance id outlives the process."""

    def change(_: Any, answer: ps.HandshakeResponse) -> None:
        answer.identity.instance_id = str(uuid.UUID(int=6))

    _answers("Handshake", change)


@registry.mutant("8")
def insists_on_what_it_knows() -> None:
    """A core without a service it knows is refused in the handshake."""

    def make(original: Any) -> Any:
        async def picky(self: Any, request: Any, context: Any) -> Any:
            served = soundness.services(self._provider.capabilities)
            if not set(request.services) & set(served):
                raise errors.InvalidRequest("no common service")
            return await original(self, request, context)

        return picky

    registry.replace(plugin_servicer.PluginServicer, "Handshake", make)


@registry.mutant("9")
def disables_without_a_reason() -> None:
    """A capability is disabled, and nobody says why."""

    def change(_: Any, answer: ps.HandshakeResponse) -> None:
        answer.capabilities[-1].enabled = False

    _answers("Handshake", change)


@registry.mutant("9")
def lists_a_capability_twice() -> None:
    """One capability is listed twice."""

    def change(_: Any, answer: ps.HandshakeResponse) -> None:
        answer.capabilities.add().CopyFrom(answer.capabilities[0])

    _answers("Handshake", change)


@registry.mutant("10b")
def serves_what_it_does_not_declare() -> None:
    """VOID is not declared, and voids work."""

    def change(_: Any, answer: ps.HandshakeResponse) -> None:
        kept = [
            one for one in answer.capabilities if one.capability != capability_pb2.CAPABILITY_VOID
        ]
        del answer.capabilities[:]
        answer.capabilities.extend(kept)

    _answers("Handshake", change)


@registry.mutant("11")
def differs_between_instances() -> None:
    """What one instance says of itself depends on the process."""

    def change(_: Any, answer: ps.HandshakeResponse) -> None:
        answer.max_concurrent_calls = 1_000 + os.getpid()

    _answers("Handshake", change)

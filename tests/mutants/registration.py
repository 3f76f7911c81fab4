"""Mutants of the lease of a plugin that registers itself (rules 69 and 70)."""

from typing import Any

from payhub.registry.v1 import registry_service_pb2 as rs

from provider_sdk import registration
from tests.mutants import registry

# Longer than the checks wait for anything.
FOR_EVER_S = 10_000.0


def _once(make: Any) -> None:
    registry.replace(registration.Registration, "_once", make)


@registry.mutant("69a")
def gives_up_on_an_absent_core() -> None:
    """A registration that fails is not tried again."""
    registry.replace(
        registration.Registration, "_failed", lambda _: lambda self, reason, text: FOR_EVER_S
    )


@registry.mutant("69a")
def registers_somebody_else() -> None:
    """The registration names another version than the handshake."""

    def make(call: Any) -> Any:
        async def other(self: Any, method: Any, request: Any, timeout_s: float) -> Any:
            if isinstance(request, rs.RegisterInstanceRequest):
                request.identity.plugin_version = "9.9.9"
            return await call(self, method, request, timeout_s)

        return other

    registry.replace(registration.Registration, "_call", make)


@registry.mutant("69b")
def clings_to_a_lost_session() -> None:
    """A session that core does not know is renewed for ever."""

    def make(once: Any) -> Any:
        async def clinging(self: Any, stub: Any) -> float:
            held = self._session_id
            pause_s: float = await once(self, stub)
            self._session_id = held or self._session_id
            return pause_s or 0.1

        return clinging

    _once(make)


@registry.mutant("70a")
def renews_too_late() -> None:
    """Renewals come less often than the lease lasts."""

    def make(once: Any) -> Any:
        async def late(self: Any, stub: Any) -> float:
            return 10.0 * float(await once(self, stub))

        return late

    _once(make)


@registry.mutant("70b")
def leaves_its_lease_open() -> None:
    """The lease is not closed at the end."""

    def make(_: Any) -> Any:
        async def silent(self: Any, stub: Any) -> None:
            return None

        return silent

    registry.replace(registration.Registration, "_deregister", make)


@registry.mutant("70c")
def does_not_retire() -> None:
    """RETIRE is not obeyed."""

    def make(renew: Any) -> Any:
        async def deaf(self: Any, stub: Any) -> None:
            self._retire = lambda: None
            await renew(self, stub)

        return deaf

    registry.replace(registration.Registration, "_renew", make)


@registry.mutant("70d")
def leaves_when_told_something_unknown() -> None:
    """A directive that is not known ends the plugin."""

    def make(renew: Any) -> Any:
        async def jumpy(self: Any, stub: Any) -> None:
            await renew(self, stub)
            if self.directive not in rs.Directive.values():
                self._retire()

        return jumpy

    registry.replace(registration.Registration, "_renew", make)

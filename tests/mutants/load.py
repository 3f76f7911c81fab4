"""Mutants under load, of fuzzing and of logs (rules 64 to 68)."""

import asyncio
from typing import Any

from provider_mock import provider, upstream
from servicekit import logs, tasks
from tests.mutants import registry

# Twice what rule 66 allows, and so that noise can't hide it.
ADDED_S = 0.06


@registry.mutant("64")
def takes_any_number_of_calls() -> None:
    """max_concurrent_calls is stated and not enforced."""

    def make(initialize: Any) -> Any:
        def unlimited(self: Any, *, limit: int = 10_000) -> None:
            initialize(self, limit=100_000)

        return unlimited

    registry.replace(tasks.Tracker, "__init__", make)
    registry.replace(tasks.Tracker, "active", lambda _: property(lambda self: 0))


@registry.mutant("65")
def sends_one_at_a_time() -> None:
    """All bindings share one connection upstream, and one request at a time."""
    lock = asyncio.Lock()

    def make(operate: Any) -> Any:
        async def alone(self: Any, call: Any, params: Any) -> Any:
            async with lock:
                return await operate(self, call, params)

        return alone

    registry.replace(upstream.UpstreamMock, "_operate", make)


@registry.mutant("66")
def dawdles() -> None:
    """Every operation waits a while before it is sent."""

    def make(operate: Any) -> Any:
        async def late(self: Any, call: Any, params: Any) -> Any:
            await asyncio.sleep(ADDED_S)
            return await operate(self, call, params)

        return late

    registry.replace(upstream.UpstreamMock, "_operate", make)


@registry.mutant("67")
def expects_a_proper_return_url() -> None:
    """A return URL that is none raises what nobody catches."""

    def make(authorize: Any) -> Any:
        async def checked(self: Any, request: Any, call: Any) -> Any:
            if request.return_url and not request.return_url.startswith("http"):
                raise ValueError("not a URL")
            return await authorize(self, request, call)

        return checked

    registry.replace(provider.MockProvider, "authorize", make)


@registry.mutant("68")
def logs_without_the_trace() -> None:
    """Log lines of an operation do not say to which trace it belongs."""

    def make(replace_bound: Any) -> Any:
        def untraced(values: Any) -> None:
            replace_bound({name: value for name, value in values.items() if name != "trace_id"})

        return untraced

    registry.replace(logs, "replace_bound", make)


@registry.mutant("68")
def drops_the_trace() -> None:
    """The trace context does not go on upstream."""

    def make(headers: Any) -> Any:
        def untraced(binding: Any) -> Any:
            return [(name, value) for name, value in headers(binding) if name != "traceparent"]

        return untraced

    registry.replace(upstream, "_headers", make)

"""Mutants of what must be refused with nothing done (rules 45, 46 and 58)."""

from typing import Any

import grpc
from payhub.provider.v1 import failure_pb2

from provider_sdk import errors, host
from servicekit import clock as clocks
from servicekit import validation
from tests.mutants import registry

A_DAY_US = 86_400_000_000


@registry.mutant("45a", "45b")
def validates_nothing() -> None:
    """Requests are not checked against the contract."""
    registry.replace(validation, "validate", lambda _: lambda message: None)


@registry.mutant("46")
def calls_the_unknown_a_conflict() -> None:
    """What does not exist is FAILED_PRECONDITION."""
    errors.TABLE[errors.NotFound] = errors.Wire(
        code=grpc.StatusCode.FAILED_PRECONDITION,
        reason=failure_pb2.FAILURE_REASON_STATE_CONFLICT,
        effect=errors.NONE,
    )


class _Behind(clocks.SystemClock):
    """A clock that is a day late."""

    def now_us(self) -> int:
        return super().now_us() - A_DAY_US


@registry.mutant("58")
def never_finds_it_too_late() -> None:
    """The fence is compared with a clock that is a day late."""

    def make(initialize: Any) -> Any:
        def late(self: Any, provider: Any, *, clock: Any) -> None:
            initialize(self, provider, clock=_Behind())

        return late

    registry.replace(host.Host, "__init__", make)

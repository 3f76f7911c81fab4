"""Mutants of what a provider says when its upstream fails (rules 48 to 57)."""

import asyncio
import dataclasses
from typing import Any

import grpc

from provider_mock import upstream
from provider_sdk import errors, http_client, operations
from servicekit import tasks
from tests.mutants import registry


def _instead_of(caught: type[errors.ProviderError], raised: type[errors.ProviderError]) -> None:
    """Reports one failure of a request as another."""

    def make(send: Any) -> Any:
        async def sent(self: Any, *arguments: Any, **rest: Any) -> Any:
            try:
                return await send(self, *arguments, **rest)
            except caught as error:
                raise raised(error.message) from error

        return sent

    registry.replace(http_client.Client, "send", make)


@registry.mutant("48")
def doubts_what_was_never_sent() -> None:
    """A refused connection is reported as UNKNOWN."""
    _instead_of(errors.Unreachable, errors.NoAnswer)


@registry.mutant("49")
def trusts_a_closed_connection() -> None:
    """A connection that closes without an answer is reported as never made."""
    _instead_of(errors.NoAnswer, errors.Unreachable)


@registry.mutant("50")
def keeps_no_reserve() -> None:
    """The provider waits for upstream until after core's deadline."""
    registry.replace(operations, "_reserve_s", lambda _: lambda given_s: -1.0)


@registry.mutant("51")
def takes_server_errors_for_refusals() -> None:
    """A 5xx is reported as if nothing had happened."""

    def make(refused: Any) -> Any:
        def read(response: http_client.Response, *, now_s: float) -> errors.ProviderError:
            if response.status >= 500:
                return errors.Unreachable("the upstream system is out of order")
            read: errors.ProviderError = refused(response, now_s=now_s)
            return read

        return read

    registry.replace(upstream, "_refused", make)


@registry.mutant("52", "53")
def gives_up_with_its_caller() -> None:
    """An upstream request ends with the call that asked for it."""

    async def together(self: Any, coro: Any) -> Any:
        return await coro

    registry.replace(tasks.Tracker, "shielded", lambda _: together)


@registry.mutant("52", control=("53",))
def gives_up_at_the_deadline() -> None:
    """An upstream request is broken off when the time of its call is over."""

    def make(operate: Any) -> Any:
        async def in_time(self: Any, call: Any, params: Any) -> Any:
            try:
                async with asyncio.timeout(call.timeout_s):
                    return await operate(self, call, params)
            except TimeoutError as error:
                raise errors.NoAnswer("no answer in time") from error

        return in_time

    registry.replace(upstream.UpstreamMock, "_operate", make)


@registry.mutant("54")
def invents_the_delay() -> None:
    """RetryInfo is one second whatever Retry-After says."""
    registry.replace(upstream, "_retry_after_s", lambda _: lambda text, *, now_s: 1.0)


@registry.mutant("55")
def blames_core_for_the_key() -> None:
    """Rejected credentials are UNAUTHENTICATED."""
    errors.TABLE[errors.CredentialsRejected] = dataclasses.replace(
        errors.TABLE[errors.CredentialsRejected], code=grpc.StatusCode.UNAUTHENTICATED
    )


@registry.mutant("56")
def takes_rubbish_for_a_refusal() -> None:
    """An answer that is not JSON counts as a refusal: effect NONE."""

    def make(parsed: Any) -> Any:
        def read(response: http_client.Response) -> Any:
            try:
                return parsed(response)
            except errors.NoAnswer as error:
                raise errors.StateConflict(error.message) from error

        return read

    registry.replace(upstream, "_parsed", make)


@registry.mutant("56")
def repeats_what_upstream_said() -> None:
    """The status quotes an answer that can't be read."""

    def make(parsed: Any) -> Any:
        def read(response: http_client.Response) -> Any:
            try:
                return parsed(response)
            except errors.NoAnswer as error:
                said = response.body[:200].decode("latin-1")
                raise errors.NoAnswer(f"{error.message}: {said!a}") from error

        return read

    registry.replace(upstream, "_parsed", make)


@registry.mutant("57")
def tells_some_failures_without_details() -> None:
    """A call that comes too late is refused without a Failure."""

    def make(to_rpc: Any) -> Any:
        def bare(error: errors.ProviderError, *, domain: str) -> Any:
            told = to_rpc(error, domain=domain)
            if isinstance(error, errors.TooLate):
                told.details = ()
            return told

        return bare

    registry.replace(errors, "to_rpc", make)

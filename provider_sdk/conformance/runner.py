"""Runs checks one after another.

Owns what happens around a check: its place, its time limit, what its end means,
and what it leaves behind. Called by the command, the pytest plugin and the
mutants. Never decides what is right.
"""

import asyncio
import dataclasses
import datetime
import random
import time
from collections.abc import Mapping, Sequence
from typing import Protocol, Self

import grpc.aio
from payhub.plugin.v1 import capability_pb2

from provider_sdk.conformance import (
    catalog,
    channels,
    checks,
    process,
    refusal,
    results,
    sites,
    waivers,
)
from provider_sdk.conformance import profile as profiles
from provider_sdk.conformance import run as runs

UNUSABLE = "the provider can't be used"
_UNUSABLE = (process.CannotStart, channels.NotServing, refusal.Refused)


class CannotRun(Exception):
    """The provider can't be checked at all: nothing answers, or not as a plugin."""


class Observer(Protocol):
    """Who wants to see the run as it goes."""

    def started(self, check: checks.Check) -> None:
        """A check begins."""

    def finished(self, result: results.Result) -> None:
        """A check has ended."""


class Session:
    """One run of the suite, check by check.

    Args:
        profile: What the suite was told of the provider.
        endpoint: `host:port` of a running one; empty to start it.
        seed: Of every random choice; a fresh one if None.
        options: What is done beyond the ordinary.
        expected: Waivers by check id.
    """

    def __init__(
        self,
        profile: profiles.Profile,
        *,
        endpoint: str = "",
        seed: int | None = None,
        options: runs.Options | None = None,
        expected: Mapping[str, waivers.Waiver] | None = None,
    ) -> None:
        self.seed = runs.new_seed() if seed is None else seed
        self._profile = profile
        self._endpoint = endpoint
        self._expected = expected or {}
        self._sites = sites.Sites(
            profile, endpoint=endpoint, seed=self.seed, options=options or runs.Options()
        )
        self._handshake: tuple[str, str, str] = ("", "", "")

    async def __aenter__(self) -> Self:
        """Connects to the provider.

        Raises:
            CannotRun: There is nothing to check.
        """
        try:
            run = await self._sites.get(self._first_kind())
        except checks.NotProven as failure:
            await self._sites.close()
            raise CannotRun(f"{failure.reason}, or give --endpoint host:port") from failure
        except refusal.Refused as failure:
            await self._sites.close()
            raise CannotRun(
                f"what answers does not serve payhub.plugin.v1.PluginService: {failure.shown()}; "
                "give the address of a provider"
            ) from failure
        except (process.CannotStart, channels.NotServing) as failure:
            await self._sites.close()
            raise CannotRun(str(failure)) from failure
        except BaseException:
            await self._sites.close()
            raise
        identity = run.handshake.identity
        self._handshake = (
            identity.plugin_id,
            identity.plugin_version,
            run.handshake.schema_digest,
        )
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._sites.close()

    async def execute(self, check: checks.Check) -> results.Result:
        """Runs one check and says how it ended."""
        begun_s = time.monotonic()
        run: runs.Run | None = None
        try:
            run = await self._prepare(check)
            result = await self._judge(check, run)
        except checks.NotProven as unproven:
            result = results.Result(
                check=check,
                outcome=results.Outcome.NOT_PROVEN,
                reason=unproven.reason,
                cause=unproven.cause,
            )
        except _UNUSABLE as failure:
            result = _failed(check, f"{UNUSABLE}: {failure}", fix="see its log", is_unusable=True)
        notes = tuple(run.notes) if run is not None else ()
        return dataclasses.replace(
            result,
            seconds=time.monotonic() - begun_s,
            notes=notes,
            waiver=self._expected.get(check.check_id),
        )

    def report(
        self,
        ended: Sequence[results.Result],
        *,
        started: datetime.datetime,
        seconds: float,
        is_partial: bool,
    ) -> results.Report:
        """Returns the report of the checks that ran."""
        plugin_id, version, digest = self._handshake
        return results.Report(
            plugin_id=plugin_id,
            plugin_version=version,
            schema_digest=digest,
            target=self._endpoint or " ".join(self._profile.command or ()),
            seed=self.seed,
            started=started,
            seconds=seconds,
            is_partial=is_partial,
            results=tuple(ended),
        )

    def _first_kind(self) -> sites.Kind:
        if self._endpoint:
            return sites.Kind.PLAIN
        return sites.Kind.PROCESS if self._profile.command else sites.Kind.UPSTREAM

    async def _prepare(self, check: checks.Check) -> runs.Run:
        if check.function is None:
            raise checks.NotProven(check.later, cause=checks.Cause.LATER)
        kind = sites.kind_of(check, self._profile, endpoint=self._endpoint)
        run = await self._sites.get(kind)
        for needed in check.needs:
            if not run.has(needed):
                name = capability_pb2.Capability.Name(needed)
                raise checks.NotProven(
                    f"the provider does not offer {name}", cause=checks.Cause.CAPABILITY
                )
        run.random = random.Random(f"{self.seed}/{check.check_id}")
        run.notes.clear()
        if run.upstream is not None:
            run.upstream.reset()
        return run

    async def _judge(self, check: checks.Check, run: runs.Run) -> results.Result:
        try:
            result = await _tried(check, run)
        finally:
            if run.upstream is not None:
                run.upstream.reset()
        crashed = await self._sites.heal(run)
        if crashed and result.outcome is not results.Outcome.FAILED:
            result = _failed(
                check,
                f"the provider's process did not survive: {crashed}",
                fix="let no request end the process",
            )
        if crashed:
            # Whatever the check is about, a process that ends is no matter of SHOULD.
            must = dataclasses.replace(check, level=checks.MUST)
            result = dataclasses.replace(result, check=must)
        await run.clean()
        return result


async def run(
    profile: profiles.Profile,
    *,
    endpoint: str = "",
    only: frozenset[str] = frozenset(),
    seed: int | None = None,
    options: runs.Options | None = None,
    expected: Mapping[str, waivers.Waiver] | None = None,
    observer: Observer | None = None,
) -> results.Report:
    """Runs checks in their order and returns the report.

    Args:
        profile: What the suite was told of the provider.
        endpoint: `host:port` of a running one; empty to start it.
        only: Check ids or numbers; all if empty.
        seed: Of every random choice; a fresh one if None.
        options: What is done beyond the ordinary.
        expected: Waivers by check id.
        observer: Sees each check begin and end.

    Raises:
        CannotRun: There is nothing to check.
    """
    started = datetime.datetime.now(datetime.UTC)
    begun_s = time.monotonic()
    ended: list[results.Result] = []
    session = Session(profile, endpoint=endpoint, seed=seed, options=options, expected=expected)
    async with session:
        for check in catalog.select(only):
            if observer is not None:
                observer.started(check)
            result = await session.execute(check)
            ended.append(result)
            if observer is not None:
                observer.finished(result)
    return session.report(
        ended,
        started=started,
        seconds=time.monotonic() - begun_s,
        is_partial=bool(only),
    )


async def _tried(check: checks.Check, run: runs.Run) -> results.Result:
    """Runs the check's function and says what its end means."""
    assert check.function is not None
    try:
        async with asyncio.timeout(check.timeout_s) as limit:
            await check.function(run)
    except Exception as caught:
        failure = _first(caught)
        if isinstance(failure, TimeoutError) and limit.expired():
            seen = f"no end within {check.timeout_s:g} s"
            return _failed(check, seen, fix="find out which call hangs")
        return _judged(check, run, failure)
    return results.Result(check=check, outcome=results.Outcome.PASSED)


def _judged(check: checks.Check, run: runs.Run, failure: Exception) -> results.Result:
    if isinstance(failure, checks.NotProven):
        raise failure
    if isinstance(failure, checks.Failed):
        return _failed(check, failure.seen, fix=failure.fix, rule=failure.rule)
    if isinstance(failure, refusal.Refused):
        return _unexpected(check, failure)
    if isinstance(failure, grpc.aio.AioRpcError):
        return _unexpected(check, run.refused(failure))
    return _failed(
        check,
        f"the check ended with {type(failure).__name__}: {str(failure)[:200]}",
        fix="see whether the provider answers something odd; else report a bug of the suite",
    )


def _first(failure: Exception) -> Exception:
    """Returns the failure that says most of a group; others often only follow from it."""
    if not isinstance(failure, ExceptionGroup):
        return failure
    inside = [_first(one) for one in failure.exceptions]
    return next((one for one in inside if isinstance(one, checks.Failed)), inside[0])


def _unexpected(check: checks.Check, refused: refusal.Refused) -> results.Result:
    return _failed(
        check,
        f"a call that must succeed was refused: {refused.shown()}",
        fix="let the call succeed, or correct the profile it is built from",
    )


def _failed(
    check: checks.Check, seen: str, *, fix: str, rule: str = "", is_unusable: bool = False
) -> results.Result:
    return results.Result(
        check=check,
        outcome=results.Outcome.FAILED,
        reason=seen,
        fix=fix,
        rule=rule,
        is_unusable=is_unusable,
    )

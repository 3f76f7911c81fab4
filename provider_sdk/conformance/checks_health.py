"""Checks 28 and 29: what Probe and health say.

Owns readiness, alone and while something upstream is wrong. Collected by
`catalog`.
"""

import asyncio
import contextlib
import time

from grpc_health.v1 import health_pb2
from payhub.plugin.v1 import plugin_service_pb2 as ps

from provider_sdk.conformance import checks, refusal
from provider_sdk.conformance import run as runs

PROBE_S = 2.0
NOTICE_S = 10.0
CLOCK_OFF_US = 2_000_000

_Probe = ps.ProbeResponse


@checks.check(
    number=28,
    part="a",
    title="Probe says READY (or DEGRADED) of a provider that takes calls.",
)
async def probe_is_ready(run: runs.Run) -> None:
    """Probes."""
    readiness = await _readiness(run)
    if readiness not in (_Probe.READINESS_READY, _Probe.READINESS_DEGRADED):
        raise checks.Failed(
            f"Probe says {_name(readiness)}", fix="answer READINESS_READY once calls are taken"
        )


@checks.check(
    number=28,
    part="b",
    title="A starting process is INITIALIZING or READY, and comes to READY.",
    needs_process=True,
)
async def start_is_orderly(run: runs.Run) -> None:
    """Probes a process from its start on."""
    async with run.spare(wait=False) as other:
        loop = asyncio.get_running_loop()
        end_s = loop.time() + run.profile.start_timeout_s
        while loop.time() < end_s:
            with contextlib.suppress(refusal.Refused):
                readiness = await _readiness(other)
                if readiness in (_Probe.READINESS_READY, _Probe.READINESS_DEGRADED):
                    return
                if readiness != _Probe.READINESS_INITIALIZING:
                    raise checks.Failed(
                        f"a starting process says {_name(readiness)}",
                        fix="answer READINESS_INITIALIZING until calls are taken",
                    )
            await asyncio.sleep(0.05)
        raise checks.Failed(
            f"not READY within {run.profile.start_timeout_s:g} s of the start",
            fix="come to READY, or raise `start_timeout_s` of the profile",
        )


@checks.check(
    number=28,
    part="c",
    title="Probe says DRAINING after Drain.",
    needs_process=True,
)
async def drain_shows(run: runs.Run) -> None:
    """Drains a process of its own."""
    async with run.spare() as other:
        await drain(other)
        readiness = await _readiness(other)
        if readiness != _Probe.READINESS_DRAINING:
            raise checks.Failed(
                f"Probe says {_name(readiness)} after Drain", fix="answer READINESS_DRAINING"
            )


@checks.check(
    number=28,
    part="d",
    title="Probe answers within two seconds while upstream hangs.",
    needs_upstream=True,
)
async def probe_does_not_hang(run: runs.Run) -> None:
    """Probes while nothing upstream answers and calls wait for it."""
    assert run.upstream is not None
    binding = await run.new_binding()
    run.upstream.hang()
    waiting = [
        asyncio.ensure_future(
            run.call(run.provider.AuthorizePayment, binding.authorization(), timeout_s=5.0)
        )
        for _ in range(5)
    ]
    try:
        for _ in range(3):
            begun_s = asyncio.get_running_loop().time()
            with contextlib.suppress(refusal.Refused):
                await run.call(run.plugin.Probe, ps.ProbeRequest(), timeout_s=5.0)
            took_s = asyncio.get_running_loop().time() - begun_s
            if took_s > PROBE_S:
                raise checks.Failed(
                    f"Probe took {took_s:.2f} s",
                    fix="bound whatever Probe asks upstream, to a second",
                )
    finally:
        run.upstream.lift()
        await asyncio.gather(*waiting, return_exceptions=True)
    await _readiness(run)


@checks.check(
    number=28,
    part="e",
    title="The time that Probe tells, if it does, is right.",
)
async def time_is_right(run: runs.Run) -> None:
    """Compares it with the clock of this machine."""
    before_us = time.time_ns() // 1000
    answer = await run.call(run.plugin.Probe, ps.ProbeRequest(), timeout_s=5.0)
    if not answer.HasField("time"):
        return
    least_us, most_us = before_us - CLOCK_OFF_US, time.time_ns() // 1000 + CLOCK_OFF_US
    try:
        told_us = int(answer.time.ToMicroseconds())
    except ValueError:
        told_us = 0
    if not least_us <= told_us <= most_us:
        off_s = (told_us - before_us) / 1e6
        raise checks.Failed(
            f"Probe tells a time that is {off_s:+.1f} s from this machine's",
            fix="tell the clock by which `not_after` is judged, UTC, and synchronize both machines",
        )


@checks.check(
    number=29,
    title="With upstream down Probe is OK with DEGRADED, and health stays SERVING.",
    needs_upstream=True,
)
async def outage_degrades(run: runs.Run) -> None:
    """Takes upstream down and lets the provider notice."""
    assert run.upstream is not None
    binding = await run.new_binding()
    run.upstream.go_down()

    async def is_degraded() -> bool:
        with contextlib.suppress(refusal.Refused):
            await binding.authorize(timeout_s=2.0)
        try:
            return await _readiness(run) == _Probe.READINESS_DEGRADED
        except refusal.Refused as refused:
            raise checks.Failed(
                f"Probe fails while upstream is down: {refused.shown()}",
                fix="answer OK with READINESS_DEGRADED; a restart mends nothing upstream",
            ) from refused

    await run.until(
        is_degraded,
        what="READINESS_DEGRADED while upstream is down",
        fix="tell in Probe that upstream can't be reached",
        timeout_s=NOTICE_S,
    )
    for name in ("", *run.handshake.services):
        request = health_pb2.HealthCheckRequest(service=name)
        answer = await run.call(run.health.Check, request, timeout_s=5.0)
        if answer.status != health_pb2.HealthCheckResponse.SERVING:
            raise checks.Failed(
                f"health of {name or 'the whole'} is not SERVING while upstream is down",
                fix="keep health SERVING; what is upstream belongs into Probe",
            )


async def _readiness(run: runs.Run) -> int:
    answer = await run.call(run.plugin.Probe, ps.ProbeRequest(), timeout_s=5.0)
    return int(answer.readiness)


def _name(readiness: int) -> str:
    try:
        return ps.ProbeResponse.Readiness.Name(readiness)
    except ValueError:
        return f"readiness {readiness}"


async def drain(run: runs.Run, *, grace_s: float = 5.0) -> int:
    """Sends Drain; returns how many calls were left. Raises Refused."""
    request = ps.DrainRequest()
    request.grace_period.FromMilliseconds(round(grace_s * 1e3))
    answer = await run.call(run.plugin.Drain, request, timeout_s=15.0)
    return int(answer.remaining_calls)

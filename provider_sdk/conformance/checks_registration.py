"""Checks 69 and 70: a plugin that registers itself.

Owns the lease as core sees it, with a double of core. Collected by `catalog`.
"""

import asyncio
import contextlib
import dataclasses
import itertools
import time
from collections.abc import AsyncIterator

import grpc
from payhub.plugin.v1 import plugin_service_pb2 as ps
from payhub.registry.v1 import registry_service_pb2 as rs

from provider_sdk.conformance import checks, process, refusal
from provider_sdk.conformance import core as cores
from provider_sdk.conformance import run as runs
from servicekit import tls

# A plugin that keeps trying waits longer each time; core is back long before that.
REGISTER_S = 20.0
LOAD_S = 2 * cores.LEASE_S


@contextlib.asynccontextmanager
async def _core(run: runs.Run, *, started: bool = True) -> AsyncIterator[cores.Core]:
    (port,) = process.free_ports(1)
    core = cores.Core(port, _credentials(run))
    try:
        if started:
            await core.start()
        yield core
    finally:
        await core.stop()


def _credentials(run: runs.Run) -> grpc.ServerCredentials | None:
    """Returns what core's double serves with, as the profile says."""
    if run.profile.registration is None or not run.profile.registration.tls:
        return None
    files = run.options.tls_files
    if files.cert is None:
        raise checks.NotProven(
            "`registration` says `tls`, and core's double has nothing to serve it with; give "
            "--cert and --cert-key"
        )
    # What callers show is not asked for: that is core's to decide.
    return tls.server_credentials(dataclasses.replace(files, client_ca=None))


async def _registered(run: runs.Run, core: cores.Core, *, count: int = 1) -> None:
    async def is_registered() -> bool:
        return len(core.registrations) >= count

    refused = " (with a wrong or no API key)" if core.unauthenticated else ""
    await run.until(
        is_registered,
        what=f"RegisterInstance{refused}",
        fix="register whenever there is no session, and keep trying",
        timeout_s=REGISTER_S,
    )


@checks.check(
    number=69,
    part="a",
    title="Registers when core starts later than the plugin, as who it is and where it serves.",
    needs_process=True,
)
async def core_comes_later(run: runs.Run) -> None:
    """Starts core's double once the plugin serves."""
    async with _core(run, started=False) as core, run.spare(core=core) as other:
        await core.start()
        await _registered(other, core)
        request = core.registrations[0]
        if request.identity != other.handshake.identity:
            raise checks.Failed(
                "RegisterInstance names another identity than Handshake",
                fix="send the same identity in both",
            )
        _, _, port = request.endpoint.rpartition(":")
        if port != other.target.rpartition(":")[2]:
            raise checks.Failed(
                f"it registers the endpoint {request.endpoint[:80]!r} and serves at {other.target}",
                fix="advertise where core reaches this very process",
            )


@checks.check(
    number=69,
    part="b",
    title="Registers again after core has forgotten the session.",
    needs_process=True,
)
async def core_forgets(run: runs.Run) -> None:
    """Lets core's double answer SESSION_UNKNOWN."""
    async with _core(run) as core, run.spare(core=core) as other:
        await _registered(other, core)
        core.forget()
        await _registered(other, core, count=2)


@checks.check(
    number=70,
    part="a",
    title="Renews its lease in time under load.",
    needs_process=True,
)
async def renews_under_load(run: runs.Run) -> None:
    """Pays for two leases' length and looks at the gaps between renewals."""
    async with _core(run) as core, run.spare(core=core) as other:
        await _registered(other, core)
        begun_s = time.monotonic()
        binding = await other.new_binding()

        async def work() -> None:
            while time.monotonic() - begun_s < LOAD_S:
                await binding.authorize()

        async with asyncio.TaskGroup() as group:
            for _ in range(4):
                group.create_task(work())
        moments = [begun_s, *core.renewals, time.monotonic()]
        gap_s = max(later - one for one, later in itertools.pairwise(moments))
        other_session = len(core.registrations) > 1
        if gap_s > cores.LEASE_S or other_session:
            raise checks.Failed(
                f"{gap_s:.1f} s without a renewal of a lease of {cores.LEASE_S:g} s",
                fix="renew every renew_interval, whatever else runs",
            )
        run.note(f"longest gap {gap_s:.1f} s of {cores.LEASE_S:g} s")


@checks.check(
    number=70,
    part="b",
    title="Closes its lease when it stops, and only after it has drained.",
    needs_process=True,
)
async def deregisters(run: runs.Run) -> None:
    """Stops a registered process."""
    async with _core(run) as core, run.spare(core=core) as other:
        assert other.process is not None
        await _registered(other, core)
        session_id = core.sessions[core.registrations[0].identity.instance_id]
        other.process.terminate()
        status = await other.process.ended(run.profile.stop_grace_s)
        if session_id not in core.deregistered:
            raise checks.Failed(
                f"the process ended (status {status}) and left its lease open",
                fix="call DeregisterInstance after the drain",
            )


@checks.check(
    number=70,
    part="c",
    title="Obeys RETIRE: drains, closes its lease and exits.",
    needs_process=True,
)
async def retires(run: runs.Run) -> None:
    """Lets core's double ask for it in the answer to a renewal."""
    async with _core(run) as core, run.spare(core=core) as other:
        assert other.process is not None
        await _registered(other, core)
        session_id = core.sessions[core.registrations[0].identity.instance_id]
        core.directive = rs.DIRECTIVE_RETIRE
        status = await other.process.ended(run.profile.stop_grace_s)
        if status != 0:
            shown = "runs on" if status is None else f"ended with status {status}"
            raise checks.Failed(
                f"the process {shown} after RETIRE", fix="drain, deregister and exit with 0"
            )
        if session_id not in core.deregistered:
            raise checks.Failed(
                "the process left its lease open", fix="call DeregisterInstance after the drain"
            )


@checks.check(
    number=70,
    part="d",
    title="Keeps serving and renewing while told to STAND_BY, or what it does not know.",
    needs_process=True,
)
async def stands_by(run: runs.Run) -> None:
    """Lets core's double ask for it, then for something of a later version."""
    async with _core(run) as core, run.spare(core=core) as other:
        await _registered(other, core)
        for directive in (rs.DIRECTIVE_STAND_BY, 99):
            core.directive = directive  # type: ignore[assignment]
            renewed = len(core.renewals)

            async def goes_on(count: int = renewed + 2) -> bool:
                return len(core.renewals) >= count

            await other.until(
                goes_on,
                what=f"renewals after directive {directive}",
                fix="carry on renewing",
                timeout_s=4 * cores.LEASE_S,
            )
            try:
                await other.call(other.plugin.Probe, ps.ProbeRequest(), timeout_s=5.0)
            except refusal.Refused as refused:
                raise checks.Failed(
                    f"Probe fails after directive {directive}: {refused.shown()}",
                    fix="keep serving",
                ) from refused

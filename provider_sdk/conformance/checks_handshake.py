"""Checks 4 to 6, 8, 9 and 11: the handshake.

Owns what a plugin says of itself. Collected by `catalog`.
"""

import asyncio
import re
import uuid

from payhub.plugin.v1 import capability_pb2
from payhub.plugin.v1 import plugin_service_pb2 as ps

from provider_sdk.conformance import checks, refusal
from provider_sdk.conformance import run as runs

HANDSHAKE_S = 1.0
# A machine that is busy elsewhere may spoil one.
HANDSHAKES = 3

_PLUGIN_ID = re.compile(r"[a-z][a-z0-9.-]{1,61}[a-z0-9]")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_SEMANTIC = re.compile(
    r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?"
)


@checks.check(number=4, part="a", title="Handshake answers within a second.")
async def handshake_is_quick(run: runs.Run) -> None:
    """Shakes hands over a fresh connection."""
    await run.reconnect()
    await asyncio.wait_for(run.channel.channel_ready(), 10.0)
    await _shake_in_time(run)


@checks.check(
    number=4,
    part="b",
    title="Handshake works before any Configure.",
    needs_process=True,
)
async def handshake_before_configure(run: runs.Run) -> None:
    """Shakes hands with a process that nobody configured."""
    async with run.spare() as fresh:
        await _shake_in_time(fresh)
        probe = await fresh.call(fresh.plugin.Probe, ps.ProbeRequest(), timeout_s=5.0)
        if probe.bindings:
            raise checks.Failed(
                f"a process that nobody configured reports {len(probe.bindings)} bindings",
                rule="Core is the only store of configurations; a fresh process holds none.",
                fix="keep configurations in memory only",
            )


@checks.check(
    number=4,
    part="c",
    title="Handshake calls nothing upstream.",
    needs_upstream=True,
)
async def handshake_stays_home(run: runs.Run) -> None:
    """Counts what arrives upstream; something of the plugin's own may come in between."""
    assert run.upstream is not None
    for _ in range(3):
        before = run.upstream.request_count
        await _shake_in_time(run)
        if run.upstream.request_count == before:
            return
    raise checks.Failed(
        "each of three handshakes sent something upstream",
        fix="answer Handshake from what the process knows",
    )


async def _shake_in_time(run: runs.Run) -> None:
    for _ in range(HANDSHAKES):
        begun_s = asyncio.get_running_loop().time()
        await run.shake_hands()
        took_s = asyncio.get_running_loop().time() - begun_s
        if took_s <= HANDSHAKE_S:
            return
    raise checks.Failed(
        f"each of {HANDSHAKES} handshakes took longer than a second, the last {took_s:.2f} s",
        rule="Handshake answers within a second.",
        fix="answer Handshake from what the process knows",
    )


@checks.check(
    number=5,
    title="The identity is the plugin id of the profile, a semantic version and a kind.",
)
async def identity_is_right(run: runs.Run) -> None:
    """Looks at what the handshake says."""
    identity = run.handshake.identity
    found = []
    if not _PLUGIN_ID.fullmatch(identity.plugin_id):
        found.append(f"plugin_id {identity.plugin_id[:80]!r} does not match its pattern")
    elif identity.plugin_id != run.profile.plugin_id:
        found.append(f"plugin_id is {identity.plugin_id}, the profile's {run.profile.plugin_id}")
    if not _SEMANTIC.fullmatch(identity.plugin_version):
        found.append(f"plugin_version {identity.plugin_version[:80]!r} is no semantic version")
    if identity.kind == ps.PLUGIN_KIND_UNSPECIFIED:
        found.append("kind is not set")
    if not _DIGEST.fullmatch(run.handshake.schema_digest):
        found.append(f"schema_digest {run.handshake.schema_digest[:80]!r} is no digest")
    if found:
        raise checks.Failed("; ".join(found), fix="correct the answer to Handshake")


@checks.check(
    number=6,
    part="a",
    title="instance_id is a UUID and equal in repeated handshakes.",
)
async def instance_id_is_stable(run: runs.Run) -> None:
    """Shakes hands twice."""
    first = (await run.shake_hands()).identity.instance_id
    second = (await run.shake_hands()).identity.instance_id
    fix = "make one random UUID when the process starts"
    try:
        uuid.UUID(first)
    except ValueError:
        raise checks.Failed(f"instance_id {first[:80]!r} is no UUID", fix=fix) from None
    if first != second:
        raise checks.Failed("two handshakes with one process gave two instance_ids", fix=fix)


@checks.check(
    number=6,
    part="b",
    title="instance_id is another after a restart.",
    needs_process=True,
)
async def instance_id_is_fresh(run: runs.Run) -> None:
    """Restarts a process."""
    async with run.spare() as other:
        before = other.handshake.identity.instance_id
        await other.restart()
        if other.handshake.identity.instance_id == before:
            raise checks.Failed(
                "the instance_id outlived a restart",
                fix="make a fresh random UUID at every process start and store it nowhere",
            )


@checks.check(
    number=8,
    title="A handshake that offers nothing, or what the plugin does not know, does not fail.",
)
async def handshake_takes_any_offer(run: runs.Run) -> None:
    """Offers nothing, an unknown service and an unknown capability of core."""
    offers = {
        "an empty offer": ps.HandshakeRequest(),
        "an unknown service": ps.HandshakeRequest(
            core_version="99.0.0", services=["payhub.plugin.v99.PluginService"]
        ),
        "an unknown capability of core": ps.HandshakeRequest(
            services=runs.SERVICES,
            core_capabilities=[*runs.OFFER, 9_999],  # type: ignore[list-item]
        ),
    }
    try:
        for what, request in offers.items():
            try:
                await run.call(run.plugin.Handshake, request, timeout_s=5.0)
            except refusal.Refused as refused:
                raise checks.Failed(
                    f"{what}: {refused.shown()}",
                    fix="ignore what is not known; core decides whether there is a common version",
                ) from refused
    finally:
        await run.shake_hands()


@checks.check(
    number=9,
    title="Capabilities are listed once, never UNSPECIFIED, and with a reason if disabled.",
)
async def capabilities_are_well_formed(run: runs.Run) -> None:
    """Looks at the handshake."""
    listed = [int(status.capability) for status in run.handshake.capabilities]
    found = []
    twice = sorted({one for one in listed if listed.count(one) > 1})
    if twice:
        found.append(f"listed more than once: {', '.join(map(_name, twice))}")
    if capability_pb2.CAPABILITY_UNSPECIFIED in listed:
        found.append("CAPABILITY_UNSPECIFIED is listed")
    for status in run.handshake.capabilities:
        name = _name(status.capability)
        if not status.enabled and not status.disabled_reason:
            found.append(f"{name} is disabled without a reason")
        if status.enabled and status.disabled_reason:
            found.append(f"{name} is enabled and has a disabled_reason")
    if found:
        raise checks.Failed("; ".join(found), fix="correct `capabilities` of the handshake")


def _name(capability: int) -> str:
    try:
        return capability_pb2.Capability.Name(capability)
    except ValueError:
        return f"capability {capability}"


@checks.check(
    number=11,
    title="All instances of one version give the same handshake apart from instance_id.",
    needs_process=True,
)
async def instances_agree(run: runs.Run) -> None:
    """Compares two processes."""
    async with run.spare() as other:
        ours, theirs = ps.HandshakeResponse(), ps.HandshakeResponse()
        ours.CopyFrom(await run.shake_hands())
        theirs.CopyFrom(other.handshake)
        theirs.identity.instance_id = ours.identity.instance_id
        differ = [
            field.name
            for field in ours.DESCRIPTOR.fields
            if getattr(ours, field.name) != getattr(theirs, field.name)
        ]
        if differ:
            raise checks.Failed(
                f"two processes of {run.plugin_id} differ in {', '.join(differ)}",
                fix="let the handshake depend on the version alone, in a fixed order",
            )

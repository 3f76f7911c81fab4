"""When a version may be tried and promoted, and why not."""

import pathlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from payhub.plugin.v1 import capability_pb2, plugin_pb2
from payhub.plugin.v1 import plugin_service_pb2 as ps
from payhub.registry.v1 import registry_service_pb2 as registry_pb

from payment_service.domain import plugins
from payment_service.usecases.bindings import configurations
from tests.integration.payment_service import inside, operator, registrant, rig, sidecars

Sidecar = sidecars.Sidecar
OLD, NEW = "1.0.0", "1.1.0"
# Nobody renews the leases of most of these tests.
LEASE_S = 600.0
REGION = {"type": "object", "required": ["region"], "properties": {"region": {"type": "string"}}}


class Rehearsal:
    """A service with a plugin `other` in its old version, enabled.

    Args:
        admin: Who administers.
        plug: Who registers.
        old: The instance in its old version.
        session_id: Its lease.
    """

    def __init__(
        self,
        admin: operator.Operator,
        plug: registrant.Registrant,
        old: Sidecar,
        session_id: str,
    ) -> None:
        self.admin = admin
        self.plug = plug
        self.old = old
        self.session_id = session_id

    async def deploy(self, sidecar: Sidecar) -> str:
        """Registers another instance and returns its session once it is connected."""
        session_id = (await self.plug.register(sidecar)).session_id

        async def connected() -> bool:
            told = await self.admin.call("GetPluginHealth", "other")
            return all(each.connected for each in told.instances) and len(told.instances) > 1

        await rig.until(connected)
        return session_id

    async def start(self, version: str = NEW, percent: int = 50, **fields: Any) -> Any:
        """Starts an upgrade."""
        return await self.admin.call(
            "StartUpgrade", "other", version=version, percent=percent, **fields
        )

    async def refused(self, call: Any, problem: str) -> rig.Refused:
        """Returns the refusal of an upgrade, and checks that nothing changed."""
        before = await self.admin.plugin("other")
        refused = await rig.refusal(call)
        assert refused.reason == "UPGRADE_REFUSED"
        assert refused.metadata["problem"] == problem
        after = await self.admin.plugin("other")
        assert (after.current_version, after.canary_version) == (
            before.current_version,
            before.canary_version,
        )
        return refused


@pytest_asyncio.fixture
async def rehearsal(tmp_path: pathlib.Path) -> AsyncIterator[Rehearsal]:
    """A plugin in its old version, which has sold something."""
    async with (
        Sidecar("other", OLD) as old,
        registrant.plugged(f"sqlite:///{tmp_path}/payments.db", plugin_lease_s=LEASE_S) as (
            admin,
            plug,
        ),
    ):
        session_id = await registrant.enable(admin, plug, old)
        assert rig.state(await admin.caller.create(provider="other")) == "SUCCEEDED"
        yield Rehearsal(admin, plug, old, session_id)


async def test_a_trial_a_promotion_and_a_way_back_are_told(rehearsal: Rehearsal) -> None:
    """Versions, directives, conditions and events say at each step where it stands."""
    admin, plug = rehearsal.admin, rehearsal.plug
    async with Sidecar("other", NEW) as new:
        session_id = await rehearsal.deploy(new)
        dry = await rehearsal.start(dry_run=True)
        assert dry.plugin.canary_version == ""
        begun = (await rehearsal.start(percent=20)).plugin
        assert (begun.current_version, begun.canary_version, begun.canary_percent) == (OLD, NEW, 20)
        upgrading = plugin_pb2.PluginCondition.TYPE_UPGRADING
        assert any(each.type == upgrading and each.status == 1 for each in begun.conditions)
        grown = (await rehearsal.start(percent=80)).plugin
        assert grown.canary_percent == 80

        promoted = (await admin.call("PromoteUpgrade", "other")).plugin
        assert (promoted.current_version, promoted.previous_version) == (NEW, OLD)
        stand_by, go_on = registry_pb.DIRECTIVE_STAND_BY, registry_pb.DIRECTIVE_CONTINUE
        assert (await plug.renew(rehearsal.session_id)).directive == stand_by
        assert (await plug.renew(session_id)).directive == go_on
        charged = len(rehearsal.old.charged)
        for _ in range(4):
            await admin.caller.create(provider="other")
        assert (len(rehearsal.old.charged), len(new.charged)) == (charged, 4)

        # Whoever names the version to go back to must not believe that it is done.
        wrong = await rehearsal.refused(
            admin.call("RollBackUpgrade", "other", version=OLD), "not_started"
        )
        assert f"name the version to leave, {NEW}" in str(wrong)
        back = (await admin.call("RollBackUpgrade", "other", version=NEW)).plugin
        assert (back.current_version, back.previous_version) == (OLD, "")
        assert (await plug.renew(rehearsal.session_id)).directive == go_on
        assert (await plug.renew(session_id)).directive == stand_by
        assert (await admin.story("other"))[-4:] == [
            *["plugin.upgrade_started"] * 2,
            "plugin.upgrade_promoted",
            "plugin.upgrade_rolled_back",
        ]


async def test_until_promotion_only_what_both_versions_offer_can_be_used(
    rehearsal: Rehearsal,
) -> None:
    """Any of the two may get the operation."""
    async with Sidecar("other", NEW) as new:
        new.handshake.capabilities.add(capability=capability_pb2.CAPABILITY_VOID, enabled=True)
        await rehearsal.deploy(new)
        await rehearsal.start(percent=100)
        held = await rehearsal.admin.caller.create(provider="other", manual=True)
        refused = await rig.refusal(rehearsal.admin.caller.cancel(held.id))
        assert (refused.reason, refused.metadata["capability"]) == ("CAPABILITY_MISSING", "VOID")
        await rehearsal.admin.call("PromoteUpgrade", "other")
        provider = rehearsal.admin.service.parts.ctx.providers.find("other")
        assert provider is not None
        assert provider.lacks(capability_pb2.CAPABILITY_VOID) == ""


async def test_a_capability_that_payments_use_must_not_get_lost(rehearsal: Rehearsal) -> None:
    """What nobody ever used may."""
    async with Sidecar("other", NEW) as new:
        for status in new.handshake.capabilities:
            status.enabled = status.capability == capability_pb2.CAPABILITY_SALE
        await rehearsal.deploy(new)
        refused = await rehearsal.refused(rehearsal.start(), "capability")
        assert refused.metadata["missing"] == "CAPABILITY_REFUND"
        assert "payments use" in str(refused)


async def test_a_currency_that_payments_use_must_not_get_lost(rehearsal: Rehearsal) -> None:
    """The old version took every currency, and EUR was paid."""
    async with Sidecar("other", NEW) as new:
        new.handshake.currency_codes.extend(["JPY", "USD"])
        await rehearsal.deploy(new)
        refused = await rehearsal.refused(rehearsal.start(), "capability")
        assert refused.metadata["missing"] == "CURRENCY_EUR"


async def test_a_configuration_that_the_new_schema_does_not_take_is_named(
    rehearsal: Rehearsal,
) -> None:
    """By binding and JSON pointer; in a dry run too."""
    async with Sidecar("other", NEW, schema=REGION) as new:
        await rehearsal.deploy(new)
        for dry_run in (True, False):
            refused = await rehearsal.refused(rehearsal.start(dry_run=dry_run), "config")
            assert len(refused.fields) == 1
            assert "region" in str(refused)


async def test_a_version_must_run_and_be_ready(rehearsal: Rehearsal) -> None:
    """One that was never seen, that is gone, that is not ready yet, that drains."""
    admin = rehearsal.admin
    for call in (
        rehearsal.start("3.0.0"),
        admin.call("RollBackUpgrade", "other", version="3.0.0"),
    ):
        unknown = await rig.refusal(call)
        assert (unknown.reason, unknown.metadata["versions"]) == ("VERSION_UNKNOWN", OLD)
    async with Sidecar("other", NEW) as new:
        session_id = await rehearsal.deploy(new)
        new.readiness = ps.ProbeResponse.READINESS_INITIALIZING

        async def not_ready() -> bool:
            told = await admin.call("GetPluginHealth", "other")
            return any("initializing" in each.detail for each in told.instances)

        await rig.until(not_ready)
        await rehearsal.refused(rehearsal.start(), "not_ready")
        await rehearsal.plug.leave(session_id)
        await rehearsal.refused(rehearsal.start(), "not_running")
    for call in (
        admin.call("PromoteUpgrade", "other"),
        admin.call("RollBackUpgrade", "other", version=OLD),
    ):
        await rehearsal.refused(call, "not_started")


async def test_a_quarantined_or_unproven_version_is_not_tried(rehearsal: Rehearsal) -> None:
    """Nor does it take over when the current one is gone."""
    admin = rehearsal.admin
    async with Sidecar("other", NEW) as new:
        await rehearsal.deploy(new)
        await admin.call("QuarantineVersion", "other", version=NEW, reason="it lies")
        refused = await rig.refusal(rehearsal.start())
        assert (refused.reason, refused.metadata["cause"]) == ("PLUGIN_QUARANTINED", "it lies")
        await admin.call("ReleaseVersion", "other", version=NEW)

        await admin.allow("other", endpoint_pattern=registrant.ANYWHERE, requires_report=True)
        refused = await rig.refusal(rehearsal.start())
        assert refused.reason == "REPORT_REQUIRED"
        await rehearsal.old.stop()

        async def failed() -> str:
            return (await admin.caller.create(provider="other")).failure.reason

        assert await rig.until(failed) == "PROVIDER_UNREACHABLE"
        assert new.charged == []


@pytest.mark.parametrize(
    ("call", "fields"),
    [
        ("StartUpgrade", {"version": NEW, "percent": 50}),
        ("PromoteUpgrade", {}),
        ("RollBackUpgrade", {"version": NEW}),
    ],
)
async def test_a_version_quarantined_meanwhile_takes_nothing_over(
    rehearsal: Rehearsal, monkeypatch: pytest.MonkeyPatch, call: str, fields: dict[str, Any]
) -> None:
    """Plugins are asked for a while before a switch; a version may be quarantined in between."""
    admin, barred = rehearsal.admin, OLD if call == "RollBackUpgrade" else NEW
    async with Sidecar("other", NEW) as new:
        await rehearsal.deploy(new)
        if call != "StartUpgrade":
            await rehearsal.start()
        if call == "RollBackUpgrade":
            await admin.call("PromoteUpgrade", "other")
        before = await admin.plugin("other")
        check = configurations.Configurations.check_upgrade

        async def meanwhile(self: Any, *wanted: Any) -> Any:
            checked = await check(self, *wanted)
            await admin.call("QuarantineVersion", "other", version=barred, reason="it lies")
            return checked

        monkeypatch.setattr(configurations.Configurations, "check_upgrade", meanwhile)
        refused = await rig.refusal(admin.call(call, "other", **fields))
        assert refused.reason == "PLUGIN_QUARANTINED"
        after = await admin.plugin("other")
        assert (after.current_version, after.canary_version, after.previous_version) == (
            before.current_version,
            before.canary_version,
            before.previous_version,
        )


async def test_one_trial_at_a_time(rehearsal: Rehearsal) -> None:
    """A third version waits until the second is promoted or rolled back."""
    async with Sidecar("other", NEW) as new, Sidecar("other", "1.2.0") as newer:
        await rehearsal.deploy(new)
        await rehearsal.deploy(newer)
        await rehearsal.start()
        refused = await rig.refusal(rehearsal.start("1.2.0"))
        assert refused.reason == "PLUGIN_STATE_CONFLICT"
        assert f"{NEW} of other is on trial" in str(refused)


@pytest.mark.parametrize("gone", [OLD, NEW])
async def test_when_one_version_is_gone_the_other_takes_everything(
    rehearsal: Rehearsal, gone: str
) -> None:
    """During a trial, without a word of an operator."""
    async with Sidecar("other", NEW) as new:
        await rehearsal.deploy(new)
        await rehearsal.start(percent=50)
        left, stays = (rehearsal.old, new) if gone == OLD else (new, rehearsal.old)
        await left.stop()

        async def noticed() -> bool:
            told = await rehearsal.admin.call("GetPluginHealth", "other")
            return [each.connected for each in told.instances].count(True) == 1

        # What is sent over a connection that is just breaking is in doubt.
        await rig.until(noticed)
        before = len(stays.charged)
        payments = [await rehearsal.admin.caller.create(provider="other") for _ in range(6)]
        assert [rig.state(each) for each in payments] == ["SUCCEEDED"] * 6
        assert len(stays.charged) == before + 6
        await inside.connected(rehearsal.admin.service, "other")


async def test_a_version_stands_by_for_its_time_whatever_happens_meanwhile(
    rehearsal: Rehearsal,
) -> None:
    """A promoted version that comes and goes changes the plugin often, and can be left then."""
    admin = rehearsal.admin
    async with Sidecar("other", NEW) as new:
        await rehearsal.deploy(new)
        await rehearsal.start()
        await admin.call("PromoteUpgrade", "other")
        life = admin.service.parts.plugins.life
        ready = plugins.Condition.READY
        for number in range(60):
            seen = plugins.ConditionStatus(holds=bool(number % 2), reason=f"R{number}", detail="")
            await life.observe("other", {ready: seen})
        await admin.service.parts.plugins.upgrades.sweep()
        assert (await admin.plugin("other")).previous_version == OLD
        back = (await admin.call("RollBackUpgrade", "other", version=NEW)).plugin
        assert back.current_version == OLD


async def test_what_took_over_from_a_quarantined_version_is_not_retired(
    rehearsal: Rehearsal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long it has stood by: nobody else is left to take operations."""
    admin = rehearsal.admin
    async with Sidecar("other", NEW) as new:
        await rehearsal.deploy(new)
        await rehearsal.start()
        await admin.call("PromoteUpgrade", "other")
        await admin.call("QuarantineVersion", "other", version=NEW)
        upgrades = admin.service.parts.plugins.upgrades
        monkeypatch.setattr(upgrades, "_stand_by_s", 0.0)
        await upgrades.sweep()
        assert (await admin.plugin("other")).previous_version == OLD
        assert rig.state(await admin.caller.create(provider="other")) == "SUCCEEDED"
        await admin.call("ReleaseVersion", "other", version=NEW)
        await upgrades.sweep()
        assert (await admin.plugin("other")).previous_version == ""

"""What stands in the way of enabling and disabling: dependencies, reports, quarantine, switches."""

import asyncio
import base64
import contextlib
import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

import grpc
import pytest
from payhub.admin.v1 import key_service_pb2
from payhub.payments.v1 import payment_pb2
from payhub.plugin.v1 import manifest_pb2

from servicekit import auth
from tests.integration.payment_service import inside, operator, rig, sidecars

Sidecar = sidecars.Sidecar
KIND = payment_pb2.Operation


def needs(plugin_id: str, versions: str = "", *, required: bool = True) -> Any:
    """Returns a dependency."""
    return manifest_pb2.PluginDependency(
        plugin_id=plugin_id, version_specifier=versions, required=required
    )


@contextlib.asynccontextmanager
async def initialized(admin: operator.Operator, *plugins: Sidecar) -> AsyncIterator[None]:
    """Starts plugins and initializes them in this order."""
    async with contextlib.AsyncExitStack() as running:
        for each in plugins:
            await running.enter_async_context(each)
            await admin.initialized(each)
        yield


async def states(admin: operator.Operator, *names: str) -> Sequence[str]:
    """Returns the states of plugins."""
    return [operator.state_of(await admin.plugin(name)) for name in names]


async def test_what_a_plugin_needs_is_enabled_first_and_disabled_last(database_url: str) -> None:
    """Alone it is refused with the path and the order; with its dependencies all go."""
    async with operator.operating(database_url) as admin:
        shop = Sidecar("shop", needs=[needs("tax", ">=1")])
        tax = Sidecar("tax", needs=[needs("rates")])
        async with initialized(admin, Sidecar("rates"), tax, shop):
            refused = await rig.refusal(admin.call("EnablePlugin", "shop"))
            assert (refused.code, refused.reason) == (
                grpc.StatusCode.FAILED_PRECONDITION,
                "PLUGIN_DEPENDENCY",
            )
            assert refused.metadata["problem"] == "not_enabled"
            assert refused.metadata["path"] == "shop > tax > rates"
            assert "enable first, in this order: rates, tax" in str(refused)
            answer = await admin.call("EnablePlugin", "shop", with_dependencies=True)
            assert list(answer.changed_plugin_ids) == ["rates", "tax", "shop"]

            refused = await rig.refusal(admin.call("DisablePlugin", "rates"))
            assert refused.metadata["problem"] == "needed"
            assert refused.metadata["path"] == "rates > tax"
            assert "cascade" in str(refused)
            assert set(await states(admin, "rates", "tax", "shop")) == {"ENABLED"}
            answer = await admin.call("DisablePlugin", "rates", cascade=True)
            assert list(answer.changed_plugin_ids) == ["shop", "tax", "rates"]
            for name in ("rates", "tax", "shop"):
                types = await admin.story(name)
                assert types[-2:] == ["plugin.enabled", "plugin.disabled"]


async def test_dependencies_that_can_not_be_met_are_named_by_their_path(
    database_url: str,
) -> None:
    """Missing, of another version, or in a circle: nothing is enabled, not even a part."""
    async with operator.operating(database_url) as admin:
        shop = Sidecar("shop", needs=[needs("tax"), needs("absent")])
        async with initialized(admin, Sidecar("tax"), shop):
            refused = await rig.refusal(admin.call("EnablePlugin", "shop", with_dependencies=True))
            assert refused.metadata["problem"] == "missing"
            assert refused.metadata["path"] == "shop > absent"
            assert await states(admin, "tax", "shop") == ["INITIALIZED", "INITIALIZED"]
            # The operator's word wins over the plugin's own.
            wanted = [needs("tax", ">=2"), needs("absent", required=False)]
            await admin.allow("shop", static_endpoint=shop.target, dependencies=wanted)
            refused = await rig.refusal(admin.call("EnablePlugin", "shop", with_dependencies=True))
            assert refused.metadata["problem"] == "version"
            assert (refused.metadata["needs"], refused.metadata["found"]) == (">=2", "1.0.0")
            circle = await rig.refusal(
                admin.allow("tax", static_endpoint="127.0.0.1:9", dependencies=[needs("shop")])
            )
            assert circle.metadata["problem"] == "cycle"
            assert circle.metadata["path"] == "tax > shop > tax"
            unlisted = [needs("tax", required=False)]
            await admin.allow("shop", static_endpoint=shop.target, dependencies=unlisted)
            refused = await rig.refusal(admin.call("EnablePlugin", "shop"))
            assert refused.metadata["path"] == "shop > absent", "the plugin's own list counts"


def report(sidecar: Sidecar, **changes: Any) -> str:
    """Returns a conformance report on a sidecar."""
    identity = sidecar.handshake.identity
    content = {
        "format": "payhub.conformance/1",
        "passed": True,
        "partial": False,
        "plugin_id": identity.plugin_id,
        "plugin_version": identity.plugin_version,
        "schema_digest": sidecar.handshake.schema_digest,
    }
    return json.dumps(content | changes)


async def test_enabling_can_demand_a_passing_report(database_url: str) -> None:
    """On exactly this version and schema; a failed or partial one does not count."""
    async with Sidecar("other") as other, operator.operating(database_url) as admin:
        await admin.initialized(other, requires_report=True)
        about = {
            "version": other.handshake.identity.plugin_version,
            "schema_digest": other.handshake.schema_digest,
        }

        async def store(text: str, **fields: str) -> Any:
            return await admin.call(
                "StoreConformanceReport", "other", report_json=text, **(about | fields)
            )

        for text in (None, report(other, passed=False), report(other, partial=True)):
            if text is not None:
                assert not (await store(text)).report.passed
            refused = await rig.refusal(admin.call("EnablePlugin", "other"))
            assert refused.reason == "REPORT_REQUIRED"
            assert refused.metadata["schema_digest"] == about["schema_digest"]
        for text, fields in (
            ("no", {}),
            ("[]", {}),
            (report(other, format="junit"), {}),
            (report(other, plugin_version="9.9"), {}),
            (report(other), {"version": "9.9"}),
            (report(other), {"schema_digest": f"sha256:{'0' * 64}"}),
        ):
            refused = await rig.refusal(store(text, **fields))
            assert (refused.reason, refused.fields) == ("INVALID_FIELD", ["report_json"]), text
        assert (await store(report(other))).report.passed
        (version,) = (await admin.call("GetPlugin", "other")).versions
        assert version.report.passed
        assert version.report.actor.startswith("key:")
        await admin.call("EnablePlugin", "other")
        assert (await admin.story("other")).count("plugin.report_stored") == 3


async def test_a_quarantined_version_takes_nothing_until_it_is_released(
    database_url: str,
) -> None:
    """A person ends it; until then it can't be enabled, and its conditions say why."""
    async with Sidecar("other") as other, operator.operating(database_url) as admin:
        await admin.initialized(other)
        await admin.call("EnablePlugin", "other")
        await admin.call("QuarantineVersion", "other", version="1.0.0", reason="it lies")
        plugin = await admin.plugin("other")
        (condition,) = [each for each in plugin.conditions if each.type == each.TYPE_QUARANTINED]
        assert condition.status == condition.STATUS_TRUE
        assert condition.detail == "1.0.0: it lies"
        (version,) = (await admin.call("GetPlugin", "other")).versions
        assert version.quarantine_reason == "it lies"
        failed = await admin.caller.create(provider="other")
        assert rig.state(failed) == "FAILED"
        assert not other.charged
        assert rig.state(await admin.caller.create()) == "SUCCEEDED", "others go on"
        before = await admin.story("other")
        await admin.call("QuarantineVersion", "other", version="1.0.0")
        assert await admin.story("other") == before
        await admin.call("DisablePlugin", "other")
        refused = await rig.refusal(admin.call("EnablePlugin", "other"))
        assert (refused.reason, refused.metadata["cause"]) == ("PLUGIN_QUARANTINED", "it lies")
        await admin.call("ReleaseVersion", "other", version="1.0.0")
        await admin.call("EnablePlugin", "other")

        async def paid() -> bool:
            return rig.state(await admin.caller.create(provider="other")) == "SUCCEEDED"

        await rig.until(paid)
        types = await admin.story("other")
        assert types[-4:] == [
            *("plugin.quarantined", "plugin.disabled", "plugin.released", "plugin.enabled"),
        ]


async def test_a_version_that_takes_the_place_of_a_quarantined_one_ends_that(
    database_url: str,
) -> None:
    """At a static endpoint too, where nobody says that it is an upgrade."""
    async with Sidecar("other") as bad, operator.operating(database_url) as admin:
        await admin.initialized(bad)
        await admin.call("EnablePlugin", "other")
        await admin.call("QuarantineVersion", "other", version="1.0.0", reason="it lies")
        await bad.stop()
        good = await Sidecar("other", "1.1.0").start(int(bad.target.rpartition(":")[2]))
        try:

            async def replaced() -> bool:
                return (await admin.plugin("other")).current_version == "1.1.0"

            await rig.until(replaced)
            plugin = await admin.plugin("other")
            (found,) = [each for each in plugin.conditions if each.type == each.TYPE_QUARANTINED]
            assert found.status == found.STATUS_FALSE
        finally:
            await good.stop()


async def test_a_kill_switch_stops_what_it_names_and_nothing_else(database_url: str) -> None:
    """At once, before anything is written; cleared exactly as it was set."""
    async with Sidecar("other") as other, operator.operating(database_url) as admin:
        await admin.initialized(other)
        await admin.call("EnablePlugin", "other")
        paid = await admin.caller.create(provider="other")
        tenant = admin.caller.tenant
        await admin.call("SetKillSwitch", "other", tenant_id=tenant, operation=KIND.KIND_SALE)
        refused = await rig.refusal(admin.caller.create(provider="other"))
        assert refused.reason == "KILL_SWITCH_ACTIVE"
        assert rig.state(await admin.caller.create()) == "SUCCEEDED", "others go on"
        assert rig.state(await admin.caller.refund(paid.id)) == "SUCCEEDED", "refunds go on"
        await admin.call("SetKillSwitch", "other", reason="all of it")
        switches = (await admin.call("ListKillSwitches", plugin_id="other")).kill_switches
        assert [(each.tenant_id, each.operation) for each in switches] == [
            ("", KIND.KIND_UNSPECIFIED),
            (tenant, KIND.KIND_SALE),
        ]
        assert switches[0].reason == "all of it"
        first = await admin.call("ListKillSwitches", page_size=1)
        token = first.next_page_token
        rest = await admin.call("ListKillSwitches", page_size=1, page_token=token)
        digest, _ = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
        for last in ("other", "other a b c"):
            forged = base64.urlsafe_b64encode(json.dumps([digest, last]).encode()).decode()
            refused = await rig.refusal(admin.call("ListKillSwitches", page_token=forged))
            assert refused.reason == "PAGE_TOKEN_INVALID"
        assert [*first.kill_switches, *rest.kill_switches] == list(switches)
        assert (await admin.call("ClearKillSwitch", "other")).cleared
        assert not (await admin.call("ClearKillSwitch", "other")).cleared
        refused = await rig.refusal(admin.caller.create(provider="other"))
        assert refused.reason == "KILL_SWITCH_ACTIVE", "the narrow one is set still"
        await admin.call("ClearKillSwitch", "other", tenant_id=tenant, operation=KIND.KIND_SALE)
        assert rig.state(await admin.caller.create(provider="other")) == "SUCCEEDED"
        types = await admin.story("other")
        assert types.count("plugin.kill_switch_set") == 2
        assert types.count("plugin.kill_switch_cleared") == 2


async def test_a_plugin_with_open_operations_stays(database_url: str) -> None:
    """Uninstalling it would leave nobody to ask what became of them."""
    async with (
        Sidecar("other") as other,
        Sidecar("mock") as mock,
        inside.running(database_url, mock.target, provider_timeout_s=20) as service,
    ):
        admin = operator.Operator(service)
        await admin.initialized(other)
        await admin.call("EnablePlugin", "other")
        paid = await admin.caller.create(provider="other")
        other.answers = asyncio.Event()
        creating = asyncio.create_task(admin.caller.create(provider="other"))

        async def asked() -> bool:
            return len(other.charged) == 2

        await rig.until(asked)
        disabling = asyncio.create_task(admin.call("DisablePlugin", "other"))
        await asyncio.sleep(0)
        refused = await rig.refusal(admin.call("UninstallPlugin", "other"))
        assert refused.reason in ("PLUGIN_STATE_CONFLICT", "BINDING_IN_USE")
        await admin.becomes("other", "DISABLED")
        refused = await rig.refusal(admin.call("UninstallPlugin", "other"))
        assert (refused.reason, refused.metadata["open_operations"]) == ("BINDING_IN_USE", "1")
        assert not disabling.done(), "it waits for the call"
        other.answers.set()
        assert rig.state(await creating) == "SUCCEEDED"
        await disabling
        assert paid.id
        await admin.call("UninstallPlugin", "other")


async def test_a_plugins_key_says_what_it_may_publish_and_read(database_url: str) -> None:
    """What it asks for and is granted; nothing once it is uninstalled; never another scope."""
    asked = ("events:publish:user.*", "events:read:payment.succeeded", "events:read:refund.*")
    granted = ("events:publish:user.created", "events:read:payment.*", "events:publish:other.*")
    async with (
        Sidecar("other", permissions=asked) as other,
        operator.operating(database_url) as admin,
    ):
        await admin.registered(other, permissions=granted)

        async def key(*scopes: str) -> Any:
            request = key_service_pb2.CreateKeyRequest(
                tenant_id="acme", scopes=scopes, name="own", plugin_id="other"
            )
            return await admin.caller.call(admin.caller.keys.CreateKey, request)

        refused = await rig.refusal(key("events:read", "admin"))
        assert refused.fields == ["scopes"]
        made = await key("events:read", "events:publish", "plugins:register")
        assert made.key.plugin_id == "other"

        async def types() -> tuple[tuple[str, ...], tuple[str, ...]]:
            digest = auth.digest(made.secret)
            principal = await admin.service.parts.keys.look_up(made.key.id, digest)
            assert principal is not None
            assert principal.plugin_id == "other"
            return principal.publish_types, principal.read_types

        async def granted_types() -> bool:
            # The service's view of the catalog comes a moment after the row.
            return await types() == (("user.created",), ("payment.succeeded",))

        await rig.until(granted_types)
        await admin.call("UninstallPlugin", "other")
        assert await types() == ((), ())


@pytest.mark.parametrize("narrowed", [{"version_specifier": ">=2"}, {"static_endpoint": "h:1"}])
async def test_what_is_no_longer_admitted_gets_no_more_calls(
    database_url: str, narrowed: dict[str, str]
) -> None:
    """A narrower entry takes effect on what runs already."""
    async with Sidecar("other") as other, operator.operating(database_url) as admin:
        await admin.initialized(other)
        await admin.call("EnablePlugin", "other")
        entry: dict[str, Any] = {"static_endpoint": other.target, **narrowed}
        await admin.allow("other", **entry)

        async def refused() -> bool:
            count = len(other.charged)
            made = await admin.caller.create(provider="other")
            return rig.state(made) == "FAILED" and len(other.charged) == count

        await rig.until(refused)
        assert rig.state(await admin.caller.create()) == "SUCCEEDED", "others go on"


async def test_a_new_process_at_a_static_endpoint_takes_its_place(database_url: str) -> None:
    """In another version too: the operator named the place, so nobody has to promote it."""
    async with Sidecar("other") as other, operator.operating(database_url) as admin:
        await admin.initialized(other)
        await admin.call("EnablePlugin", "other")
        await other.stop()
        port = int(other.target.rpartition(":")[2])
        newer = await Sidecar("other", "1.1.0", needs=[needs("mock")]).start(port)
        try:

            async def taken() -> bool:
                return (await admin.plugin("other")).current_version == "1.1.0"

            await rig.until(taken)
            plugin = await admin.plugin("other")
            assert operator.state_of(plugin) == "ENABLED"
            assert [each.plugin_id for each in plugin.dependencies] == ["mock"]
            assert len((await admin.call("GetPlugin", "other")).versions) == 2

            async def paid() -> bool:
                return rig.state(await admin.caller.create(provider="other")) == "SUCCEEDED"

            await rig.until(paid)
            assert newer.charged
        finally:
            await newer.stop()

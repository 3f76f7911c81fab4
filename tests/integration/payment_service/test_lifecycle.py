"""The life of plugins: from the allowlist to the end, with real sockets and databases."""

import asyncio
from typing import Any

import grpc
import pytest

from payment_service.provider_client import asking
from payment_service.usecases.plugins import lifecycle
from tests.integration.payment_service import operator, rig, sidecars

Sidecar = sidecars.Sidecar


async def test_what_the_environment_names_is_enabled_by_itself(database_url: str) -> None:
    """Nobody enables it; each step is one event and one row of history, by core."""
    async with Sidecar("mock") as mock:
        async with operator.operating(database_url, mock=mock) as admin:
            await admin.becomes("mock", "ENABLED")
            assert await admin.story("mock") == [
                "plugin.discovered",
                "plugin.config_changed",
                "plugin.registered",
                "plugin.initialized",
                "plugin.enabled",
            ]
            assert {each.actor for each in await admin.history("mock")} == {"core", "environment"}
            assert rig.state(await admin.caller.create()) == "SUCCEEDED"
            await admin.call("DisablePlugin", "mock")
        async with operator.operating(database_url, mock=mock) as admin:
            refused = await rig.refusal(admin.caller.create())
            assert refused.reason == "PROVIDER_DISABLED"
            assert (await admin.story("mock"))[-1] == "plugin.disabled"


async def test_what_was_enabled_is_enabled_after_a_restart(database_url: str) -> None:
    """State, history and bindings are in the database; nothing is decided anew."""
    async with Sidecar("mock") as mock, Sidecar("other") as other:
        async with operator.operating(database_url, mock=mock) as admin:
            await admin.initialized(other)
            await admin.call("EnablePlugin", "other")
            before = await admin.story("other")
        async with operator.operating(database_url, mock=mock) as admin:
            assert operator.state_of(await admin.plugin("other")) == "ENABLED"

            async def paid() -> bool:
                return rig.state(await admin.caller.create(provider="other")) == "SUCCEEDED"

            await rig.until(paid)
            assert await admin.story("other") == before


async def test_health_tells_since_when_each_condition_holds(database_url: str) -> None:
    """It is the time that GetPlugin tells, not the beginning of time."""
    async with operator.operating(database_url) as admin:

        async def dated() -> bool:
            health = await admin.call("GetPluginHealth", "mock")
            kept = (await admin.plugin("mock")).conditions
            # What is observed is kept a moment later; until then nobody knows since when.
            return bool(kept) and {each.type: each.change_time for each in health.conditions} == {
                each.type: each.change_time for each in kept
            }

        await rig.until(dated)


async def test_an_operator_brings_a_provider_without_a_restart(database_url: str) -> None:
    """Allow, bind, initialize, enable: then it takes payments; disabled it takes none."""
    async with Sidecar("other") as other, operator.operating(database_url) as admin:
        await admin.allow("other", new=True, static_endpoint=other.target)
        await admin.becomes("other", "REGISTERED")
        early = await rig.refusal(admin.call("EnablePlugin", "other"))
        assert early.reason == "PLUGIN_STATE_CONFLICT"
        assert early.metadata["allowed"] == "InitializePlugin, UninstallPlugin"
        assert "initialize it first" in str(early)
        unbound = await rig.refusal(admin.call("InitializePlugin", "other"))
        assert "no binding" in str(unbound)
        await admin.bind("other")
        await admin.call("InitializePlugin", "other")
        refused = await rig.refusal(admin.caller.create(provider="other"))
        assert refused.reason == "PROVIDER_DISABLED"

        enabled = await admin.call("EnablePlugin", "other")
        assert list(enabled.changed_plugin_ids) == ["other"]
        assert rig.state(await admin.caller.create(provider="other")) == "SUCCEEDED"
        assert len(other.charged) == 1

        await admin.call("DisablePlugin", "other")
        refused = await rig.refusal(admin.caller.create(provider="other"))
        assert refused.reason == "PROVIDER_DISABLED"
        assert rig.state(await admin.caller.create()) == "SUCCEEDED", "others go on"

        async def told() -> bool:
            return other.heard == ["ENABLED", "DISABLED"]

        await rig.until(told)
        assert await admin.story("other") == [
            "plugin.discovered",
            "plugin.registered",
            "plugin.config_changed",
            "plugin.initialized",
            "plugin.enabled",
            "plugin.disabled",
        ]
        history = await admin.history("other")
        # What is observed of it comes when it comes.
        *_, last = [each for each in history if each.event_type != "plugin.health_changed"]
        assert last.actor.startswith("key:")
        assert last.reason == operator.WHY
        (change,) = last.changes
        assert (change.json_pointer, change.old_json, change.new_json) == (
            *("/state", '"STATE_ENABLED"', '"STATE_DISABLED"'),
        )


async def test_asking_again_changes_nothing(database_url: str) -> None:
    """A mutation whose answer was lost may be repeated: no event, no row, no error."""
    async with Sidecar("other") as other, operator.operating(database_url) as admin:
        await admin.initialized(other)
        await admin.call("EnablePlugin", "other")
        for name in ("EnablePlugin", "InitializePlugin"):
            before = await admin.story("other")
            answer = await admin.call(name, "other")
            assert operator.state_of(answer.plugin) == "ENABLED"
            assert await admin.story("other") == before
        await admin.allow("other", static_endpoint=other.target)
        assert await admin.story("other") == before
        await admin.call("DisablePlugin", "other")
        assert not (await admin.call("DisablePlugin", "other")).changed_plugin_ids


UNKNOWN = (
    "GetPlugin",
    "InitializePlugin",
    "EnablePlugin",
    "DisablePlugin",
    "StopPlugin",
    "UninstallPlugin",
    "GetPluginHealth",
    "ListPluginHistory",
    "PromoteUpgrade",
    "SetKillSwitch",
)


async def test_a_plugin_that_nobody_allowed_is_refused_by_name(database_url: str) -> None:
    """Every RPC says so, and lists those that are."""
    async with operator.operating(database_url) as admin:
        for name in UNKNOWN:
            refused = await rig.refusal(admin.call(name, "stranger"))
            assert (refused.code, refused.reason) == (
                grpc.StatusCode.NOT_FOUND,
                "PLUGIN_UNKNOWN",
            ), name
            assert refused.metadata["plugin_id"] == "stranger"
            assert "is on the allowlist (mock)" in str(refused), name
        for name, fields in (
            ("StartUpgrade", {"version": "2", "percent": 5}),
            ("QuarantineVersion", {"version": "2"}),
            ("ReleaseVersion", {"version": "2"}),
        ):
            refused = await rig.refusal(admin.call(name, "stranger", **fields))
            assert refused.reason == "PLUGIN_UNKNOWN", name
            assert "is on the allowlist (mock)" in str(refused), name
        for name in ("QuarantineVersion", "ReleaseVersion"):
            refused = await rig.refusal(admin.call(name, "mock", version="9.9"))
            assert refused.reason == "VERSION_UNKNOWN"


BAD_ENTRIES: tuple[tuple[dict[str, Any], list[str]], ...] = (
    ({}, ["allowance.endpoint_pattern"]),
    ({"endpoint_pattern": "("}, ["allowance.endpoint_pattern"]),
    ({"static_endpoint": "host:0"}, ["allowance.static_endpoint"]),
    (
        {"static_endpoint": "host:1", "version_specifier": "newest"},
        ["allowance.version_specifier"],
    ),
    (
        {"static_endpoint": "host:1", "permissions": ["events:publish:payment.*"]},
        ["allowance.permissions[0]"],
    ),
    (
        {
            "static_endpoint": "host:1",
            "dependencies": [
                {"plugin_id": "other"},
                {"plugin_id": "mock", "version_specifier": "?"},
                {"plugin_id": "mock"},
            ],
        },
        [
            "allowance.dependencies[0].plugin_id",
            "allowance.dependencies[1].version_specifier",
            "allowance.dependencies[2].plugin_id",
        ],
    ),
)


async def test_an_entry_that_makes_no_sense_is_refused(database_url: str) -> None:
    """Every problem at once, each with its field."""
    async with operator.operating(database_url) as admin:
        for entry, fields in BAD_ENTRIES:
            refused = await rig.refusal(admin.allow("other", **entry))
            assert (refused.reason, refused.fields) == ("INVALID_FIELD", fields)
        taken = await rig.refusal(admin.allow("mock", new=True, static_endpoint="host:1"))
        assert taken.reason == "PLUGIN_EXISTS"
        revision = int(taken.metadata["revision"])
        stale = await rig.refusal(
            admin.call(
                "AllowPlugin",
                allowance=(await admin.plugin("mock")).allowance,
                expected_revision=revision + 7,
            )
        )
        assert stale.reason == "STALE_GENERATION"


async def test_a_plugin_that_takes_no_configuration_is_in_error(database_url: str) -> None:
    """What failed is kept; it is repeated when the cause is gone, and others go on."""
    async with Sidecar("other") as other, operator.operating(database_url) as admin:
        other.refuses_config = "no account of that name"
        await admin.registered(other)
        await admin.bind("other")
        refused = await rig.refusal(admin.call("InitializePlugin", "other"))
        assert (refused.reason, refused.metadata["transition"]) == ("PLUGIN_FAILED", "initialize")
        plugin = await admin.plugin("other")
        assert operator.state_of(plugin) == "ERROR"
        assert plugin.failure.transition == plugin.TRANSITION_INITIALIZE
        blocked = await rig.refusal(admin.call("EnablePlugin", "other"))
        assert "initialize failed" in str(blocked)
        assert blocked.metadata["allowed"] == "InitializePlugin, UninstallPlugin"
        assert rig.state(await admin.caller.create()) == "SUCCEEDED", "others go on"
        other.refuses_config = ""
        answer = await admin.call("InitializePlugin", "other")
        assert operator.state_of(answer.plugin) == "INITIALIZED"
        assert not answer.plugin.HasField("failure")
        assert (await admin.story("other"))[-2:] == ["plugin.error", "plugin.initialized"]


WRONG = {
    "is allowed in versions": Sidecar("other", "3.0.0"),
    "can't be compared": Sidecar("other", "latest"),
    "serves": Sidecar("other", services=["payhub.provider.v9.PaymentProviderService"]),
    "plugin_id": Sidecar("somebody"),
}


@pytest.mark.parametrize("text", WRONG)
async def test_who_is_not_who_was_allowed_gets_nothing(database_url: str, text: str) -> None:
    """Neither a registration nor a configuration, and an operator sees why."""
    wrong = WRONG[text]
    async with wrong, operator.operating(database_url) as admin:
        await admin.allow("other", static_endpoint=wrong.target, version_specifier="<3")

        async def seen() -> bool:
            found = await admin.plugin("other")
            health = await admin.call("GetPluginHealth", "other")
            told = [found.failure.detail, *(each.detail for each in health.instances)]
            return any(text in each for each in told)

        await rig.until(seen)
        assert operator.state_of(await admin.plugin("other")) in ("DISCOVERED", "ERROR")
        assert not wrong.applied
        assert rig.state(await admin.caller.create()) == "SUCCEEDED", "others go on"


async def test_a_plugin_that_hangs_when_it_is_told_holds_up_nobody(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told after the commit, and not waited for."""
    async with Sidecar("other") as other, operator.operating(database_url) as admin:
        await admin.initialized(other)
        other.hangs = True
        # Whoever waited for it would wait longer than a call lasts.
        monkeypatch.setattr(asking, "NOTIFY_TIMEOUT_S", 600.0)
        monkeypatch.setattr(lifecycle, "NOTIFY_TIMEOUT_S", 600.0)
        await admin.call("EnablePlugin", "other")
        await admin.call("DisablePlugin", "other")
        assert operator.state_of(await admin.plugin("other")) == "DISABLED"

        async def told() -> bool:
            return sorted(other.heard) == ["DISABLED", "ENABLED"]

        await rig.until(told)
        await other.stop()


async def test_a_stopped_plugin_drains_and_stands_by(database_url: str) -> None:
    """It takes nothing new; a fresh instance takes over once it is enabled again."""
    async with Sidecar("other") as other, operator.operating(database_url) as admin:
        await admin.initialized(other)
        await admin.call("EnablePlugin", "other")
        answer = await admin.call("StopPlugin", "other")
        assert operator.state_of(answer.plugin) == "DISABLED"
        assert (list(answer.changed_plugin_ids), answer.remaining_calls) == (["other"], 0)
        assert other.draining
        assert (await admin.story("other"))[-1] == "plugin.stopped"
        await other.stop()
        fresh = await Sidecar("other").start(int(other.target.rpartition(":")[2]))
        try:
            await admin.call("EnablePlugin", "other")

            async def paid() -> bool:
                return rig.state(await admin.caller.create(provider="other")) == "SUCCEEDED"

            await rig.until(paid)
            assert fresh.charged
        finally:
            await fresh.stop()


async def test_an_uninstalled_plugin_leaves_no_secret_and_comes_back_empty(
    database_url: str,
) -> None:
    """Not while it is enabled; then its bindings go, and it is told to forget them."""
    async with Sidecar("other") as other, operator.operating(database_url) as admin:
        await admin.initialized(other)
        await admin.call("EnablePlugin", "other")
        early = await rig.refusal(admin.call("UninstallPlugin", "other"))
        assert (early.reason, "disable it first" in str(early)) == ("PLUGIN_STATE_CONFLICT", True)
        await admin.call("DisablePlugin", "other")
        answer = await admin.call("UninstallPlugin", "other")
        assert operator.state_of(answer.plugin) == "UNINSTALLED"
        assert not answer.plugin.allowance.static_endpoint
        assert other.heard[-1] == "UNINSTALLED"
        assert len(other.removed) == 1
        listed = (await admin.call("ListPlugins")).plugins
        assert [each.id for each in listed] == ["mock"]
        refused = await rig.refusal(admin.caller.create(provider="other"))
        assert refused.reason == "PROVIDER_UNKNOWN"
        assert (await admin.story("other"))[-1] == "plugin.uninstalled"
        gone = await rig.refusal(admin.call("EnablePlugin", "other"))
        assert gone.reason == "PLUGIN_UNKNOWN"
        assert "is on the allowlist (mock); allow it first" in str(gone)

        await admin.registered(other)
        unbound = await rig.refusal(admin.call("InitializePlugin", "other"))
        assert "no binding" in str(unbound)
        await admin.bind("other")
        await admin.call("InitializePlugin", "other")
        types = await admin.story("other")
        assert types.count("plugin.discovered") == 2


async def test_changes_at_once_are_told_one_by_one(database_url: str) -> None:
    """Of enables and disables at the same time each real change has one revision."""
    async with Sidecar("other") as other, operator.operating(database_url) as admin:
        await admin.initialized(other)
        calls = [
            admin.call(name, "other") for name in ("EnablePlugin", "DisablePlugin") for _ in "12345"
        ]
        results = await asyncio.gather(*calls, return_exceptions=True)
        refused = [each for each in results if isinstance(each, BaseException)]
        assert all(isinstance(each, rig.Refused) for each in refused), refused
        types = (await admin.story("other"))[4:]
        assert types, "one of them was first"
        assert types == (["plugin.enabled", "plugin.disabled"] * 5)[: len(types)]


async def test_lists_are_paged_and_filtered(database_url: str) -> None:
    """By id, with a token that is good for the same question only."""
    async with operator.operating(database_url) as admin:
        await admin.becomes("mock", "ENABLED")
        for name in ("aaa", "bbb", "zzz"):
            await admin.allow(name, static_endpoint="127.0.0.1:9")
        first = await admin.call("ListPlugins", page_size=2)
        rest = await admin.call("ListPlugins", page_size=2, page_token=first.next_page_token)
        assert [p.id for p in (*first.plugins, *rest.plugins)] == ["aaa", "bbb", "mock", "zzz"]
        assert not rest.next_page_token
        wrong = await rig.refusal(
            admin.call(
                "ListPlugins", page_size=2, enabled_only=True, page_token=first.next_page_token
            )
        )
        assert wrong.reason == "PAGE_TOKEN_INVALID"
        enabled = await admin.call("ListPlugins", enabled_only=True)
        assert [each.id for each in enabled.plugins] == ["mock"]

        async def active() -> bool:
            found = await admin.call("ListPlugins", active_only=True)
            return [each.id for each in found.plugins] == ["mock"]

        await rig.until(active)
        page = await admin.call("ListPluginHistory", "mock", page_size=2)
        older = await admin.call(
            "ListPluginHistory", "mock", page_size=2, page_token=page.next_page_token
        )
        revisions = [each.revision for each in (*page.entries, *older.entries)]
        assert revisions == sorted(revisions, reverse=True)
        assert len(set(revisions)) == 4

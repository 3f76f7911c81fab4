"""Bindings through their API: what they change for payments, and what they never tell."""

import asyncio
import re

import grpc
from payhub.plugin.v1 import plugin_events_pb2

from tests.integration.payment_service import binding_rig, conftest, rig

CANARY = b"sk_live_canary_0815"
ABSENT = "00000000-0000-4000-8000-000000000000"


async def test_the_next_payment_uses_what_was_just_stored(
    caller: rig.Caller, admin: binding_rig.Admin
) -> None:
    """Shared, own, changed, rolled back, deleted, made anew: the plugin never goes back."""

    async def pays() -> str:
        return rig.state(await caller.create())

    assert await pays() == "SUCCEEDED"
    binding = await admin.create(caller.tenant, {"force": "decline"})
    assert (binding.generation, list(binding.config_keys)) == (1, ["force"])
    assert await pays() == "FAILED"
    binding = await admin.update(binding, {})
    assert (binding.generation, await pays()) == (2, "SUCCEEDED")
    binding = await admin.roll_back(binding, 1)
    assert (binding.generation, await pays()) == (3, "FAILED")
    assert (await admin.get(binding.id)).config_json == '{"force": "decline"}'
    deleted = await admin.delete(binding)
    assert deleted.HasField("delete_time")
    assert await pays() == "SUCCEEDED"
    assert (await admin.delete(binding)).revision == deleted.revision
    again = await admin.create(caller.tenant, {"force": "decline"})
    assert again.id == binding.id
    assert (again.generation, await pays()) == (5, "FAILED")


async def test_a_configuration_that_fails_a_gate_is_not_stored(
    caller: rig.Caller, admin: binding_rig.Admin
) -> None:
    """By the schema or by the plugin itself: each problem is a JSON pointer."""
    bad = {"latency_ms": "soon", "api_key": CANARY.decode(), "jitter_ms": -1}
    refused = await rig.refusal(admin.create(caller.tenant, bad))
    assert (refused.code, refused.reason) == (
        grpc.StatusCode.INVALID_ARGUMENT,
        "CONFIG_INVALID",
    )
    assert sorted(refused.fields) == [
        "config_json/api_key",
        "config_json/jitter_ms",
        "config_json/latency_ms",
    ]
    assert CANARY.decode() not in str(refused)
    refused = await rig.refusal(admin.create(caller.tenant, {"force": "explode"}))
    assert (refused.reason, refused.fields) == ("CONFIG_INVALID", ["config_json/force"])
    secret = binding_rig.secret("pin", CANARY)
    refused = await rig.refusal(admin.create(caller.tenant, {}, secrets=[secret]))
    assert (refused.reason, refused.fields) == ("CONFIG_INVALID", ["secrets/pin"])
    assert "api_key" in str(refused)
    large = [binding_rig.secret("api_key", b"x" * 65_536)]
    await admin.validate(caller.tenant, {}, secrets=large)
    assert not (await admin.list(tenant_id=caller.tenant)).bindings
    binding = await admin.create(caller.tenant, {})
    refused = await rig.refusal(admin.update(binding, {"force": "explode"}))
    assert refused.reason == "CONFIG_INVALID"
    assert (await admin.get(binding.id)).binding == binding
    checked = await admin.validate(caller.tenant, {"force": "explode"})
    assert binding_rig.severities(checked.diagnostics) == ["ERROR"]
    assert checked.diagnostics[0].json_pointer == "/force"
    assert checked.checked_by_plugin
    assert not (await admin.validate(caller.tenant, {"force": "decline"})).diagnostics


async def test_refusals_name_the_way_out(caller: rig.Caller, admin: binding_rig.Admin) -> None:
    """Twice the same, somebody was faster, nothing there, unknown plugin and version."""
    binding = await admin.create(caller.tenant)
    refused = await rig.refusal(admin.create(caller.tenant))
    assert (refused.reason, refused.metadata["binding_id"]) == ("BINDING_EXISTS", binding.id)
    changed = await admin.update(binding, {"latency_ms": 1})
    for stale in (
        admin.update(binding, {"latency_ms": 2}),
        admin.roll_back(binding, 1),
        admin.delete(binding, generation=1),
    ):
        refused = await rig.refusal(stale)
        assert refused.reason == "STALE_GENERATION"
        assert (refused.metadata["expected"], refused.metadata["current"]) == ("1", "2")
    nowhere = binding_rig.Binding(id=ABSENT, generation=1)
    for unknown in (
        admin.get(ABSENT),
        admin.update(nowhere, {}),
        admin.delete(nowhere),
        admin.versions(ABSENT),
        admin.diff(ABSENT, 1),
        admin.roll_back(changed, 7),
        admin.get(binding.id, 9),
    ):
        assert (await rig.refusal(unknown)).reason == "RESOURCE_NOT_FOUND"
    refused = await rig.refusal(admin.create(caller.tenant, plugin="nobody"))
    assert (refused.code, refused.reason) == (grpc.StatusCode.NOT_FOUND, "PLUGIN_UNKNOWN")
    assert (await rig.refusal(admin.schema(version="9.9.9"))).reason == "VERSION_UNKNOWN"
    schema = await admin.schema()
    assert '"force"' in schema.json_schema
    assert {each.slot for each in schema.secret_slots} == {"api_key", "webhook_secret"}


async def test_of_concurrent_changes_one_wins(caller: rig.Caller, admin: binding_rig.Admin) -> None:
    """Whoever saw the same generation; the others learn the current one."""
    made = await asyncio.gather(
        *(admin.create(caller.tenant, {"latency_ms": n}) for n in range(4)),
        return_exceptions=True,
    )
    (binding,) = [each for each in made if isinstance(each, binding_rig.Binding)]
    changed = await asyncio.gather(
        *(admin.update(binding, {"latency_ms": n}) for n in range(10, 14)),
        return_exceptions=True,
    )
    (after,) = [each for each in changed if isinstance(each, binding_rig.Binding)]
    assert after.generation == 2
    refused = [each for each in changed if isinstance(each, rig.Refused)]
    assert {each.reason for each in refused} == {"STALE_GENERATION"}
    assert len((await admin.versions(binding.id)).versions) == 2


async def test_versions_can_be_compared_and_secrets_never_read(
    caller: rig.Caller, admin: binding_rig.Admin, service: conftest.Service
) -> None:
    """Every generation with who and why; a secret is only said to have changed."""
    first = binding_rig.secret("api_key", CANARY + b"_1", expire_time=3600)
    binding = await admin.create(caller.tenant, {"latency_ms": 1}, secrets=[first])
    second = binding_rig.secret("api_key", CANARY + b"_2", previous_expire_time=3600)
    limits = binding_rig.Options(limits=[binding_rig.limit(max_minor=5)], time_zone="Asia/Tokyo")
    binding = await admin.update(binding, {"force": ""}, options=limits, secrets=[second])
    assert [(each.slot, each.version) for each in binding.secrets] == [
        ("api_key", 1),
        ("api_key", 2),
    ]
    assert await admin.diff(binding.id, 1) == {
        "/config/force": ("", '""'),
        "/config/latency_ms": ("1", ""),
        "/options/limits/EUR": (
            "",
            '{"daily_minor":0,"max_minor":5,"min_minor":0}',
        ),
        "/options/time_zone": ('"UTC"', '"Asia/Tokyo"'),
        "/secrets/api_key": ("secret", "secret"),
    }
    assert await admin.diff(binding.id, 2, 2) == {}
    binding = await admin.update(binding, removed=["api_key"])
    assert not binding.secrets
    back = await admin.roll_back(binding, 1)
    assert [(each.slot, each.version) for each in back.secrets] == [("api_key", 1)]
    assert "/secrets/api_key" not in await admin.diff(binding.id, 1, 4)
    page = await admin.versions(binding.id, page_size=3)
    rest = await admin.versions(binding.id, page_size=3, page_token=page.next_page_token)
    assert [each.generation for each in (*page.versions, *rest.versions)] == [4, 3, 2, 1]
    assert not rest.next_page_token
    assert {each.reason for each in page.versions} == {binding_rig.REASON}
    assert page.versions[0].actor.startswith("key:")
    stored = service.records.of_binding(binding.id)
    assert binding.id.encode() in stored
    assert CANARY not in stored
    assert CANARY.decode() not in service.log()


async def test_events_tell_keys_and_never_values(
    caller: rig.Caller, admin: binding_rig.Admin, service: conftest.Service
) -> None:
    """One per change, dense from 1, of the binding's tenant; and one of the plugin each."""
    config = {"force": "decline", "latency_ms": 4711}
    secret = binding_rig.secret("api_key", CANARY)
    binding = await admin.create(caller.tenant, config, secrets=[secret])
    binding = await admin.update(binding, {"latency_ms": 4712})
    binding = await admin.roll_back(binding, 1)
    await admin.delete(binding)
    events = service.records.events(binding.id)
    assert [(each.type, each.entity_version, each.tenant_id) for each in events] == [
        (f"binding.{what}", number, caller.tenant)
        for number, what in enumerate(("created", "updated", "rolled_back", "deleted"), 1)
    ]
    told = [plugin_events_pb2.BindingEvent.FromString(each.data) for each in events]
    assert [list(each.changed_config_keys) for each in told] == [
        ["force", "latency_ms"],
        ["force", "latency_ms"],
        ["force", "latency_ms"],
        ["force", "latency_ms"],
    ]
    assert [list(each.changed_secret_slots) for each in told] == [
        ["api_key"],
        [],
        [],
        ["api_key"],
    ]
    assert told[1].previous.config_keys == ["force", "latency_ms"]
    assert told[1].binding.config_keys == ["latency_ms"]
    assert {each.reason for each in told} == {binding_rig.REASON}
    for event in events:
        assert event.cause.actor.startswith("key:")
        # Ids are hexadecimal, and some hold any number.
        said = re.sub(rb"[0-9a-f-]{8,}", b"", event.data)
        for hidden in (CANARY, b"4711", b"4712", b"decline"):
            assert hidden not in said
    plugin_events = [
        plugin_events_pb2.PluginEvent.FromString(each.data)
        for each in service.records.events("mock")
        if each.type == "plugin.config_changed"
    ]
    own = [each for each in plugin_events if each.binding_id == binding.id]
    assert [list(each.config_keys) for each in own] == [
        ["force", "latency_ms"],
        ["latency_ms"],
        ["force", "latency_ms"],
        [],
    ]


async def test_a_binding_in_use_stays(caller: rig.Caller, admin: binding_rig.Admin) -> None:
    """Operations that are not final need its secrets."""
    binding = await admin.create(caller.tenant)
    waiting = await caller.create("tok_action_required")
    refused = await rig.refusal(admin.delete(binding))
    assert (refused.reason, refused.metadata["open_operations"]) == ("BINDING_IN_USE", "1")
    await caller.cancel(waiting.id)
    await caller.becomes(waiting.id, "CANCELED")
    await admin.delete(binding)
    assert (await rig.refusal(admin.get(binding.id))).reason == "RESOURCE_NOT_FOUND"


async def test_bindings_are_listed_in_pages(caller: rig.Caller, admin: binding_rig.Admin) -> None:
    """Filtered by tenant and plugin, deleted ones left out."""
    mine = await admin.create(caller.tenant)
    shared = await admin.list(tenant_id="*", plugin_id="mock")
    assert [each.tenant_id for each in shared.bindings] == ["*"]
    assert list((await admin.list(tenant_id=caller.tenant)).bindings) == [mine]
    assert not (await admin.list(tenant_id=caller.tenant, plugin_id="other")).bindings
    found: list[str] = []
    token = ""
    while True:
        page = await admin.list(page_size=1, page_token=token)
        found += [each.id for each in page.bindings]
        token = page.next_page_token
        if not token:
            break
    assert len(found) == len(set(found)) >= 2
    assert mine.id in found


async def test_the_default_provider_is_the_tenants_or_the_installations(
    caller: rig.Caller, admin: binding_rig.Admin
) -> None:
    """A tenant's own comes first; one without a binding to it can't have it."""
    assert (await admin.default("")).plugin_id == "mock"
    inherited = await admin.default(caller.tenant)
    assert (inherited.plugin_id, inherited.inherited) == ("mock", True)
    own = await admin.set_default(caller.tenant, "mock")
    assert (own.plugin_id, own.inherited) == ("mock", False)
    assert rig.state(await caller.create()) == "SUCCEEDED"
    assert (await admin.set_default(caller.tenant, "")).inherited
    refused = await rig.refusal(admin.set_default(caller.tenant, "nobody"))
    assert refused.reason == "PLUGIN_UNKNOWN"
    refused = await rig.refusal(caller.create(provider="nobody"))
    assert (refused.reason, refused.metadata["providers"]) == ("PROVIDER_UNKNOWN", "mock")


async def test_only_administrators_see_bindings(caller: rig.Caller) -> None:
    """A tenant's own key does not do, nor does none."""
    own = binding_rig.Admin(caller)
    for call in (own.list(), own.create(caller.tenant), own.export(), own.rotate()):
        assert (await rig.refusal(call)).reason == "SCOPE_MISSING"


async def test_options_that_cannot_be_kept_are_refused(
    caller: rig.Caller, admin: binding_rig.Admin
) -> None:
    """Each with the path of its field."""
    limits = [
        binding_rig.limit("EUR", min_minor=10, max_minor=9),
        binding_rig.limit("EUR"),
        binding_rig.limit("XXX"),
        binding_rig.limit("USD", min_minor=10, daily_minor=9),
    ]
    options = binding_rig.Options(limits=limits, time_zone="Mars/Olympus")
    refused = await rig.refusal(admin.create(caller.tenant, options=options))
    assert refused.reason == "INVALID_FIELD"
    assert refused.fields == [
        "options.limits[0].min_minor",
        "options.limits[1].currency_code",
        "options.limits[2].currency_code",
        "options.limits[3].min_minor",
        "options.time_zone",
    ]
    twice = [binding_rig.secret("api_key", b"1"), binding_rig.secret("api_key", b"2")]
    refused = await rig.refusal(admin.create(caller.tenant, secrets=twice))
    assert refused.fields == ["secrets[1].slot"]


async def test_switches_and_limits_hold_before_anything_is_written(
    caller: rig.Caller, admin: binding_rig.Admin, service: conftest.Service
) -> None:
    """Nothing reaches ledger or tables; what was made before is found by its key again."""
    key = rig.new_key()
    paid = await caller.create(key=key)
    held = await caller.create(manual=True)
    unsent = await caller.create(token="", confirm=False)
    options = binding_rig.without("REFUND", "CAPTURE")
    options.limits.append(binding_rig.limit(min_minor=100, max_minor=900))
    binding = await admin.create(caller.tenant, options=options)
    before = service.records.of_tenant(caller.tenant)
    for call, reason, metadata in (
        (caller.create(amount_minor=99), "LIMIT_EXCEEDED", {"limit": "min"}),
        (caller.create(amount_minor=901), "LIMIT_EXCEEDED", {"limit": "max"}),
        (caller.create(token="", confirm=False), "LIMIT_EXCEEDED", {"limit_minor": "900"}),
        (caller.confirm(unsent.id), "LIMIT_EXCEEDED", {"limit": "max"}),
        (caller.refund(paid.id), "FEATURE_DISABLED", {"feature": "KIND_REFUND"}),
        (caller.capture(held.id), "FEATURE_DISABLED", {"feature": "KIND_CAPTURE"}),
    ):
        refused = await rig.refusal(call)
        assert (refused.code, refused.reason) == (grpc.StatusCode.FAILED_PRECONDITION, reason)
        assert metadata.items() <= refused.metadata.items()
    assert service.records.of_tenant(caller.tenant) == before
    assert await caller.create(key=key) == paid
    assert rig.state(await caller.create(amount_minor=900)) == "SUCCEEDED"
    assert rig.state(await caller.create(amount_minor=1, currency="USD")) == "SUCCEEDED"
    await admin.update(binding, options=binding_rig.Options(disabled=True))
    refused = await rig.refusal(caller.create(amount_minor=500))
    assert refused.metadata["feature"] == "binding"
    assert rig.state(await caller.capture(held.id)) == "SUCCEEDED"
    assert rig.state(await caller.refund(paid.id)) == "SUCCEEDED"


async def test_generations_that_cannot_be_are_not_found(
    admin: binding_rig.Admin, caller: rig.Caller
) -> None:
    """The largest generation there could be is one that is not there."""
    binding = await admin.create(caller.tenant)
    for call in (
        admin.get(binding.id, 2**63 - 1),
        admin.diff(binding.id, 2**63 - 1),
        admin.roll_back(binding, 2**63 - 1),
    ):
        assert (await rig.refusal(call)).code is grpc.StatusCode.NOT_FOUND

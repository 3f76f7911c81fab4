"""Bindings and the plugins they configure: schemas that change, plugins that misbehave."""

import asyncio
import base64
import json
import threading
from collections.abc import Callable
from typing import Any

import grpc
import pytest
from google.protobuf import any_pb2
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status
from payhub.admin.v1 import binding_admin_service_pb2 as bindings_pb
from payhub.plugin.v1 import plugin_service_pb2 as pb

from payment_service.provider_client import asking
from payment_service.usecases.bindings import schema_check
from servicekit import errors as kit_errors
from tests.integration.payment_service import (
    binding_rig,
    inside,
    operator,
    registrant,
    rig,
    sidecars,
)

CANARY = b"sk_live_canary_9911"


def schema(*required: str) -> dict[str, Any]:
    """Returns the schema of a configuration with those members and no others."""
    return {
        "type": "object",
        "additionalProperties": False,
        "required": list(required),
        "properties": {name: {"type": "string"} for name in required},
    }


class Plugin(sidecars.Sidecar):
    """A sidecar that keeps what it is configured with, and can be made to misbehave."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        slots = [pb.SecretSlot(slot="api_key", description="Its key.", required=False)]
        self.schema.secret_slots.extend(slots)
        self.held: dict[str, dict[str, Any]] = {}
        self.secrets: dict[str, list[bytes]] = {}
        self.migrates = False
        self.finds: list[pb.Diagnostic] = []
        self.validates_s = 0.0

    async def Configure(self, request: pb.ConfigureRequest, context: Any) -> pb.ConfigureResponse:
        """Keeps a configuration."""
        answer = await super().Configure(request, context)
        self.held[request.binding_id] = json.loads(request.config.config_json)
        self.secrets[request.binding_id] = [each.value for each in request.config.secrets]
        return answer

    async def ValidateConfig(
        self, request: pb.ValidateConfigRequest, context: Any
    ) -> pb.ValidateConfigResponse:
        """Says what it was told to."""
        await asyncio.sleep(self.validates_s)
        return pb.ValidateConfigResponse(diagnostics=self.finds)

    async def MigrateConfig(
        self, request: pb.MigrateConfigRequest, context: Any
    ) -> pb.MigrateConfigResponse:
        """Makes `endpoint` of `url`, and asks for a region where it has none."""
        if not self.migrates:
            await context.abort(grpc.StatusCode.UNIMPLEMENTED, "no migrations")
        old = json.loads(request.config_json)
        new = {"endpoint": old["url"], "region": "eu"}
        return pb.MigrateConfigResponse(config_json=json.dumps(new))


def created(answer: bindings_pb.CreateBindingResponse) -> binding_rig.Binding:
    """Returns a binding that was made."""
    return answer.binding


async def test_an_upgrade_takes_every_configuration_along_or_none(database_url: str) -> None:
    """Refused with pointers; migrated on trial, stored when promoted, given back when left."""
    old = Plugin("acme", "1.0.0", schema=schema("url"))
    new = Plugin("acme", "2.0.0", schema=schema("endpoint", "region"))
    async with old, new, registrant.plugged(database_url) as (admin, plug):
        bindings = binding_rig.Admin(admin.caller)
        await admin.allow("acme", endpoint_pattern=registrant.ANYWHERE)
        async with plug.keeping(old), plug.keeping(new):
            shared = created(await admin.bind("acme", '{"url": "https://a"}'))
            own = created(await admin.bind("acme", '{"url": "https://b"}', admin.caller.tenant))
            await inside.connected(admin.service, "acme", instances=2)
            await admin.call("InitializePlugin", "acme")
            await admin.call("EnablePlugin", "acme")
            await bindings.set_default("", "acme")
            assert rig.state(await admin.caller.create()) == "SUCCEEDED"
            start = {"version": "2.0.0", "percent": 100}
            refused = await rig.refusal(admin.call("StartUpgrade", "acme", **start))
            assert (refused.reason, refused.metadata["problem"]) == ("UPGRADE_REFUSED", "config")
            assert {
                f"{each.id}/{name}" for each in (shared, own) for name in ("endpoint", "region")
            } <= set(refused.fields)
            new.migrates = True
            rehearsed = await admin.call("StartUpgrade", "acme", dry_run=True, **start)
            assert {each.binding_id: each.migrated for each in rehearsed.migrations} == {
                shared.id: True,
                own.id: True,
            }
            pointers = [each.json_pointer for each in rehearsed.migrations[0].changes]
            assert pointers == ["/config/endpoint", "/config/region", "/config/url"]
            await admin.call("StartUpgrade", "acme", **start)
            assert rig.state(await admin.caller.create()) == "SUCCEEDED"
            assert new.charged
            assert new.held[own.id] == {"endpoint": "https://b", "region": "eu"}
            assert old.held[own.id] == {"url": "https://b"}
            assert (await bindings.get(own.id)).binding.generation == 1
            await admin.call("PromoteUpgrade", "acme")
            found = await bindings.get(own.id)
            assert json.loads(found.config_json) == {"endpoint": "https://b", "region": "eu"}
            assert found.binding.generation == 2
            assert found.binding.schema_digest == new.schema.schema_digest
            assert rig.state(await admin.caller.create()) == "SUCCEEDED"
            await admin.call("RollBackUpgrade", "acme", version="2.0.0")
            found = await bindings.get(own.id)
            assert (found.binding.generation, json.loads(found.config_json)) == (
                3,
                {"url": "https://b"},
            )
            assert rig.state(await admin.caller.create()) == "SUCCEEDED"


async def test_a_tenant_goes_where_its_default_says(database_url: str) -> None:
    """Named, tenant's default, installation's default; what follows stays with its binding."""
    one, two = Plugin("one"), Plugin("two")
    async with one, two, registrant.plugged(database_url) as (admin, plug):
        caller, bindings = admin.caller, binding_rig.Admin(admin.caller)
        refused = await rig.refusal(caller.create())
        assert refused.reason == "PROVIDER_UNKNOWN"
        await registrant.enable(admin, plug, one)
        refused = await rig.refusal(caller.create(provider="two"))
        assert (refused.reason, refused.metadata["providers"]) == ("PROVIDER_UNKNOWN", "one")
        await admin.allow("two", endpoint_pattern=registrant.ANYWHERE)
        await plug.register(two)
        refused = await rig.refusal(caller.create(provider="two"))
        assert (refused.reason, refused.metadata["state"]) == (
            "PROVIDER_DISABLED",
            "STATE_REGISTERED",
        )
        own = created(await admin.bind("two", tenant=caller.tenant))
        await inside.connected(admin.service, "two")
        await admin.call("InitializePlugin", "two")
        await admin.call("EnablePlugin", "two")
        refused = await rig.refusal(bindings.set_default("somebody", "two"))
        assert (refused.reason, refused.metadata["providers"]) == ("BINDING_UNKNOWN", "one")
        await bindings.set_default("", "one")
        first = await caller.create()
        assert (first.provider, len(one.charged)) == ("one", 1)
        await bindings.set_default(caller.tenant, "two")
        second = await caller.create()
        assert (second.provider, len(two.charged)) == ("two", 1)
        assert (await caller.create(provider="one")).provider == "one"
        assert rig.state(await caller.refund(first.id)) == "SUCCEEDED"
        await admin.call("DisablePlugin", "two")
        assert (await rig.refusal(caller.create())).reason == "PROVIDER_DISABLED"
        assert (await rig.refusal(caller.refund(second.id))).reason == "PROVIDER_DISABLED"
        await bindings.set_default(caller.tenant, "")
        assert (await caller.create()).provider == "one"
        await bindings.delete(own)

        async def forgotten() -> bool:
            return own.id in two.removed

        await rig.until(forgotten)


async def test_a_plugin_that_hangs_or_leaks_while_it_judges_stores_nothing(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its words lose the secrets it was shown; payments through it go on meanwhile."""
    plugin = Plugin("acme")
    async with plugin, registrant.plugged(database_url) as (admin, plug):
        await registrant.enable(admin, plug, plugin)
        caller, bindings = admin.caller, binding_rig.Admin(admin.caller)
        await bindings.set_default("", "acme")
        secret = [binding_rig.secret("api_key", CANARY)]
        plugin.validates_s = 60.0
        with monkeypatch.context() as patch:
            patch.setattr(asking, "VALIDATE_TIMEOUT_S", 0.5)
            judged = asyncio.create_task(
                rig.refusal(bindings.create(caller.tenant, plugin="acme", secrets=secret))
            )
            assert rig.state(await caller.create()) == "SUCCEEDED"
            refused = await judged
        assert (refused.code, refused.reason) == (grpc.StatusCode.UNAVAILABLE, "UNAVAILABLE")
        assert "nothing is stored" in str(refused)
        plugin.validates_s = 0.0
        plugin.finds = [
            pb.Diagnostic(
                severity=pb.Diagnostic.SEVERITY_ERROR,
                summary=f"the key {CANARY.decode()} is not one",
                json_pointer="/key",
            )
        ]
        refused = await rig.refusal(bindings.create(caller.tenant, plugin="acme", secrets=secret))
        assert (refused.reason, refused.fields) == ("CONFIG_INVALID", ["config_json/key"])
        assert "the key *** is not one" in str(refused)
        assert CANARY.decode() not in str(refused)
        assert not (await bindings.list(tenant_id=caller.tenant)).bindings


async def test_a_schema_that_never_ends_holds_up_nobody(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is judged apart, for so long and no longer; the event loop goes on."""
    evil = {"type": "object", "properties": {"a": {"pattern": "^(a|a|aa)+$"}}}
    async with (
        Plugin("evil", schema=evil) as plugin,
        registrant.plugged(database_url) as (
            admin,
            plug,
        ),
    ):
        await registrant.enable(admin, plug, plugin)
        # What is judged at once may take longer than this on a busy machine.
        monkeypatch.setattr(schema_check, "TIMEOUT_S", 1.5)
        begun, ended = threading.Event(), threading.Event()
        apart = schema_check._apart

        def noted(sent: bytes) -> bytes:
            begun.set()
            try:
                return apart(sent)
            finally:
                ended.set()

        monkeypatch.setattr(schema_check, "_apart", noted)
        bindings = binding_rig.Admin(admin.caller)
        answered = 0
        judging = asyncio.create_task(
            rig.refusal(bindings.create("t-evil", {"a": "a" * 60 + "!"}, plugin="evil"))
        )
        while not judging.done():
            is_judging = begun.is_set()
            await bindings.default("")
            answered += is_judging and not ended.is_set()
        refused = await judging
        assert (refused.reason, refused.fields) == ("CONFIG_INVALID", ["config_json"])
        assert "takes longer than 1.5 s" in str(refused)
        assert answered


async def test_what_an_instance_refuses_leaves_the_former_in_force(database_url: str) -> None:
    """Stored all the same, with a warning to whoever stored it; the next change is taken."""
    plugin = Plugin("acme")
    async with plugin, registrant.plugged(database_url) as (admin, plug):
        await registrant.enable(admin, plug, plugin)
        caller = admin.caller
        own = created(await admin.bind("acme", '{"n": 1}', caller.tenant))
        applied = plugin.applied[own.id]
        plugin.refuses_config = "not today"
        request = bindings_pb.UpdateBindingRequest(
            binding_id=own.id,
            expected_generation=1,
            config_json='{"n": 2}',
            reason=operator.WHY,
        )
        answer = await caller.call(caller.bindings.UpdateBinding, request)
        assert answer.binding.generation == 2
        assert binding_rig.severities(answer.diagnostics) == ["WARNING"]
        assert "keeps the former generation" in answer.diagnostics[0].summary
        assert (plugin.applied[own.id], plugin.held[own.id]) == (applied, {"n": 1})
        plugin.refuses_config = ""
        bindings = binding_rig.Admin(caller)
        await bindings.update(answer.binding, {"n": 3})
        assert plugin.applied[own.id] > applied
        assert plugin.held[own.id] == {"n": 3}


class Quoting(Plugin):
    """Refuses configurations in words that quote the secrets they hold, cut as the SDK does."""

    chars_max = 10_000
    form: Callable[[bytes], str] = staticmethod(bytes.decode)

    async def Configure(self, request: pb.ConfigureRequest, context: Any) -> pb.ConfigureResponse:
        """Says what is wrong with a secret by showing it."""
        value = self.form(request.config.secrets[0].value)
        text = f"no key: {value}"
        if len(text) > self.chars_max:
            text = text[: self.chars_max - 1] + "…"
        bad = error_details_pb2.BadRequest()
        bad.field_violations.add(field="config.config_json/key", description=text)
        packed = any_pb2.Any()
        packed.Pack(bad)
        status = status_pb2.Status(code=3, message=f"no key: {value}", details=[packed])
        found = rpc_status.to_status(status)
        await context.abort(found.code, found.details, found.trailing_metadata)
        raise AssertionError


def _as_password(secret: bytes) -> str:
    """As the header of a request has it."""
    return base64.b64encode(b"u:" + secret).decode()


@pytest.mark.parametrize(
    ("chars_max", "form"),
    [
        (10_000, bytes.decode),
        (kit_errors.VIOLATION_CHARS_MAX, bytes.decode),
        (kit_errors.VIOLATION_CHARS_MAX, _as_password),
    ],
)
async def test_a_plugin_that_quotes_secrets_tells_nobody(
    database_url: str,
    capfd: pytest.CaptureFixture[str],
    chars_max: int,
    form: Callable[[bytes], str],
) -> None:
    """Neither who initializes it, nor its failure, history and events, nor the log."""
    canary = "canary" * 100
    known = form(canary.encode())[12:24]
    async with Quoting("acme") as plugin, registrant.plugged(database_url) as (admin, _):
        plugin.chars_max, plugin.form = chars_max, form
        await admin.registered(plugin)
        bindings = binding_rig.Admin(admin.caller)
        secret = [binding_rig.secret("api_key", canary.encode())]
        await bindings.create("*", plugin="acme", secrets=secret)
        refused = await rig.refusal(admin.call("InitializePlugin", "acme"))
        assert refused.reason == "PLUGIN_FAILED"
        failed = await admin.plugin("acme")
        assert operator.state_of(failed) == "ERROR"
        history = await admin.history("acme")
        told = await admin.service.parts.ctx.db.read(
            lambda conn: conn.query("select envelope from outbox")
        )
        for shown in (str(refused), refused.metadata, failed, history, told):
            assert known not in str(shown)
    assert known not in capfd.readouterr().err


async def test_without_an_instance_only_the_schema_judges(database_url: str) -> None:
    """A secret can be rotated while a plugin is down; the change says who had no say."""
    plugin = Plugin("acme", schema=schema("url"))
    async with registrant.plugged(database_url) as (admin, plug):
        async with plugin:
            await admin.allow("acme", endpoint_pattern=registrant.ANYWHERE)
            await plug.register(plugin)
        provider = admin.service.parts.ctx.providers.find("acme")
        assert provider is not None

        async def gone() -> bool:
            return not provider.ready

        await rig.until(gone)
        bindings = binding_rig.Admin(admin.caller)
        refused = await rig.refusal(bindings.create("*", {"url": 1}, plugin="acme"))
        assert refused.fields == ["config_json/url"]
        checked = await bindings.validate("*", {"url": "x"}, plugin_id="acme")
        assert not checked.checked_by_plugin
        assert binding_rig.severities(checked.diagnostics) == ["WARNING"]
        secret = [binding_rig.secret("api_key", CANARY)]
        binding = await bindings.create("*", {"url": "x"}, plugin="acme", secrets=secret)
        assert binding.generation == 1
        assert (await bindings.schema("acme")).secret_slots[0].slot == "api_key"

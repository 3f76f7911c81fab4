"""What a provider says of itself, and what it hears of decisions about it."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import grpc
import grpc.aio
import pydantic
import pytest
from payhub.plugin.v1 import capability_pb2
from payhub.provider.v1 import operation_pb2
from payhub.provider.v1 import payment_provider_service_pb2 as pps

from provider_sdk import errors, host, plugin_servicer, provider, serve
from servicekit import clock
from tests.integration.provider import rig, serving

Change = rig.ps.NotifyLifecycleRequest
Probe = rig.ps.ProbeResponse
Status = rig.ps.BindingStatus
DAY_S = 86_400


class Config(pydantic.BaseModel):
    """Configuration of the provider below, in its second form."""

    model_config = pydantic.ConfigDict(extra="forbid")
    merchant: str = "main"


class Talkative(provider.Provider[Config]):
    """A provider that uses everything beside payments."""

    plugin_id = "talkative"
    plugin_version = "2.1.0"
    config_model = Config
    name = "Talkative Payments"
    description = "Talks."
    author = "Ada <ada@shop.example>"
    dependencies = (provider.Dependency(plugin_id="rates", version_specifier=">=1.4,<2"),)
    requested_permissions = ("events:read:payment.*",)
    config_schema_version = 2
    capabilities = frozenset(
        {capability_pb2.CAPABILITY_SALE, capability_pb2.CAPABILITY_CREDENTIAL_CHECK}
    )
    secret_slots = (provider.SecretSlot(slot="api_key", description="The key."),)

    def __init__(self) -> None:
        self.heard: list[tuple[str, str]] = []
        self.removed: list[str] = []
        self.error: Exception | None = None
        self.gate = asyncio.Event()
        self.gate.set()
        self.health: provider.Readiness | provider.Health = provider.Health()

    async def authorize(
        self, request: pps.AuthorizePaymentRequest, call: provider.Call[Config]
    ) -> operation_pb2.Operation:
        """Succeeds unless the test says otherwise."""
        if self.error is not None:
            raise self.error
        return operation_pb2.Operation(state=operation_pb2.Operation.STATE_SUCCEEDED)

    async def check_credentials(
        self, config: Config, secrets: Mapping[str, Sequence[provider.Secret]]
    ) -> Sequence[provider.Diagnostic]:
        """Takes one key only."""
        if self.error is not None:
            raise self.error
        if secrets["api_key"][0].reveal() != b"right":
            return [provider.Diagnostic(summary="upstream refuses the key \ud800")]
        return ()

    async def migrate_config(
        self, from_version: int, config: Mapping[str, Any]
    ) -> provider.Migrated:
        """The member `merchant` was called `account`."""
        if "account" not in config:
            found = provider.Diagnostic(summary="no account", json_pointer="/account")
            return provider.Migrated(config=None, diagnostics=[found])
        return provider.Migrated(config={"merchant": f"{config['account']}@{from_version}"})

    async def probe(self) -> provider.Readiness | provider.Health:
        """Says what the test put there."""
        if isinstance(self.error, RuntimeError):
            raise self.error
        await self.gate.wait()
        return self.health

    async def remove_binding(self, binding_id: str) -> None:
        """Remembers which."""
        self.removed.append(binding_id)

    async def on_enable(self, reason: str) -> None:
        """Remembers it."""
        self.heard.append(("enabled", reason))

    async def on_disable(self, reason: str) -> None:
        """Remembers it."""
        self.heard.append(("disabled", reason))

    async def on_uninstall(self, reason: str) -> None:
        """Remembers it, unless the test says otherwise."""
        if self.error is not None:
            raise self.error
        self.heard.append(("uninstalled", reason))


@pytest.fixture
async def talkative() -> AsyncIterator[tuple[Talkative, rig.Core]]:
    """The provider above behind a real socket, in this process."""
    plugin = Talkative()
    async with serving.served(plugin) as core:
        await core.configure("{}", secrets=[_key()])
        yield plugin, core


def _key(value: bytes = b"right", *, version: int = 1) -> Any:
    return rig.ps.SecretValue(slot="api_key", version=version, value=value)


async def _probe(core: rig.Core) -> Any:
    return await core.call(core.plugin.Probe, rig.ps.ProbeRequest())


async def test_the_handshake_introduces_the_plugin(talkative: tuple[Talkative, rig.Core]) -> None:
    """Name, dependencies, permissions and schema version come as the author wrote them."""
    _, core = talkative
    told = await core.call(core.plugin.Handshake, rig.ps.HandshakeRequest())
    assert told.metadata.name == "Talkative Payments"
    assert told.metadata.author == "Ada <ada@shop.example>"
    [needed] = told.dependencies
    assert (needed.plugin_id, needed.version_specifier, needed.required) == (
        "rates",
        ">=1.4,<2",
        True,
    )
    assert list(told.requested_permissions) == ["events:read:payment.*"]
    assert told.config_schema_version == 2


async def test_each_decision_is_heard_once(talkative: tuple[Talkative, rig.Core]) -> None:
    """A repeat changes nothing, and a decision of a later version is ignored."""
    plugin, core = talkative
    for change in (1, 1, 2, 99, 1):
        request = rig.ps.NotifyLifecycleRequest(change=change, reason="ticket 7")  # type: ignore[arg-type]
        await core.call(core.plugin.NotifyLifecycle, request)
    assert plugin.heard == [
        ("enabled", "ticket 7"),
        ("disabled", "ticket 7"),
        ("enabled", "ticket 7"),
    ]


async def test_what_is_uninstalled_forgets_its_bindings(
    talkative: tuple[Talkative, rig.Core],
) -> None:
    """No secret outlives the decision."""
    plugin, core = talkative
    request = rig.ps.NotifyLifecycleRequest(change=Change.CHANGE_UNINSTALLED, reason="gone")
    await core.call(core.plugin.NotifyLifecycle, request)
    assert plugin.heard == [("uninstalled", "gone")]
    assert plugin.removed == [core.binding_id]
    assert list((await _probe(core)).bindings) == []


async def test_what_fails_while_it_is_uninstalled_forgets_its_bindings_too(
    talkative: tuple[Talkative, rig.Core],
) -> None:
    """Core tells it once only."""
    plugin, core = talkative
    plugin.error = RuntimeError("no disk left")
    request = rig.ps.NotifyLifecycleRequest(change=Change.CHANGE_UNINSTALLED, reason="gone")
    with pytest.raises(rig.Refused):
        await core.call(core.plugin.NotifyLifecycle, request)
    assert plugin.removed == [core.binding_id]
    plugin.error = None
    assert list((await _probe(core)).bindings) == []


async def test_an_older_configuration_is_migrated_or_refused(
    talkative: tuple[Talkative, rig.Core],
) -> None:
    """The answer is a new document, or a diagnostic; what is no object is refused."""
    _, core = talkative

    async def migrate(text: str) -> Any:
        request = rig.ps.MigrateConfigRequest(
            from_schema_digest=f"sha256:{'0' * 64}", from_config_schema_version=1, config_json=text
        )
        return await core.call(core.plugin.MigrateConfig, request)

    assert json.loads((await migrate('{"account": "a"}')).config_json) == {"merchant": "a@1"}
    refused = await migrate("{}")
    assert refused.config_json == ""
    [found] = refused.diagnostics
    assert (found.severity, found.json_pointer) == (rig.ps.Diagnostic.SEVERITY_ERROR, "/account")
    for text in ("[]", "{broken"):
        with pytest.raises(rig.Refused) as wrong:
            await migrate(text)
        assert wrong.value.code is grpc.StatusCode.INVALID_ARGUMENT


async def test_without_migrations_it_is_unimplemented(core: rig.Core) -> None:
    """Core then knows that the configuration has to be valid as it is."""
    request = rig.ps.MigrateConfigRequest(from_schema_digest=f"sha256:{'0' * 64}", config_json="{}")
    with pytest.raises(rig.Refused) as refused:
        await core.call(core.plugin.MigrateConfig, request)
    assert refused.value.code is grpc.StatusCode.UNIMPLEMENTED


async def test_credentials_are_checked_when_asked_for(
    talkative: tuple[Talkative, rig.Core],
) -> None:
    """A refusal is a diagnostic; that nobody knows is a failed call; unasked is unchecked."""
    plugin, core = talkative

    async def validate(key: bytes, *, check: bool = True) -> list[str]:
        config = rig.ps.BindingConfig(config_json="{}", secrets=[_key(key)])
        request = rig.ps.ValidateConfigRequest(config=config, check_credentials=check)
        answer = await core.call(core.plugin.ValidateConfig, request)
        return [found.summary for found in answer.diagnostics]

    assert await validate(b"right") == []
    assert await validate(b"wrong") == ["upstream refuses the key ?"]
    assert await validate(b"wrong", check=False) == []
    plugin.error = errors.CredentialsRejected("the key was revoked")
    assert await validate(b"right") == ["the key was revoked"]
    plugin.error = errors.Unreachable("upstream is down")
    with pytest.raises(rig.Refused) as failed:
        await validate(b"right")
    assert failed.value.code is grpc.StatusCode.UNAVAILABLE


async def test_probe_says_what_upstream_thinks_of_the_credentials(
    talkative: tuple[Talkative, rig.Core],
) -> None:
    """Unknown until tried, then as of the last call; a new generation is untried again."""
    plugin, core = talkative

    async def status() -> Any:
        [binding] = (await _probe(core)).bindings
        return binding

    assert (await status()).credential_status == Status.CREDENTIAL_STATUS_UNSPECIFIED
    await core.authorize(sale=True)
    accepted = await status()
    assert accepted.credential_status == Status.CREDENTIAL_STATUS_ACCEPTED
    assert abs(accepted.credential_time.ToSeconds() - time.time()) < 60
    plugin.error = errors.CredentialsRejected("no")
    with pytest.raises(rig.Refused):
        await core.authorize(sale=True)
    assert (await status()).credential_status == Status.CREDENTIAL_STATUS_REJECTED
    await core.configure("{}", generation=2, secrets=[_key(version=2)])
    assert (await status()).credential_status == Status.CREDENTIAL_STATUS_UNSPECIFIED


async def test_probe_warns_of_secrets_that_run_out(talkative: tuple[Talkative, rig.Core]) -> None:
    """Those with less than 24 hours, and those that are over; no other."""
    _, core = talkative
    secrets = []
    for version, life_s in enumerate((-60, 3_600, 2 * DAY_S), start=1):
        secret = _key(version=version)
        secret.expire_time.FromSeconds(int(time.time()) + life_s)
        secrets.append(secret)
    await core.configure("{}", generation=2, secrets=secrets)
    [binding] = (await _probe(core)).bindings
    warned = {warning.version: warning for warning in binding.secret_warnings}
    assert set(warned) == {1, 2}
    assert warned[2].expire_time == secrets[1].expire_time


@pytest.mark.parametrize("case", ["reasons", "plain", "raises", "hangs"])
async def test_a_degraded_provider_says_why(
    talkative: tuple[Talkative, rig.Core], case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the provider's own probe does, core gets an answer with a reason."""
    plugin, core = talkative
    match case:
        case "reasons":
            plugin.health = provider.Health(
                reasons=["refunds are slow", "", "x" * 999, "half a \ud800 character\0", "\0"],
                binding_reasons={core.binding_id: ["the account is under review", "\udcff"]},
            )
        case "plain":
            plugin.health = Probe.READINESS_DEGRADED
        case "raises":
            plugin.error = RuntimeError("bug")
        case _:
            plugin.gate.clear()
            monkeypatch.setattr(plugin_servicer, "PROBE_MAX_S", 0.05)
    told = await _probe(core)
    assert told.readiness == Probe.READINESS_DEGRADED
    assert told.degraded_reasons
    assert all(0 < len(reason) <= 256 for reason in told.degraded_reasons)
    assert "\0" not in "".join(told.degraded_reasons)
    if case == "reasons":
        assert told.degraded_reasons[0] == "refunds are slow"
        assert list(told.bindings[0].degraded_reasons) == ["the account is under review", "?"]
    plugin.health, plugin.error = provider.Health(), None
    plugin.gate.set()
    monkeypatch.undo()
    assert (await _probe(core)).readiness == Probe.READINESS_READY


def _state(plugin: provider.Provider[Any]) -> host.Host:
    return host.Host(plugin, clock=clock.SystemClock())


async def test_a_promise_without_its_method_does_not_start() -> None:
    """The author is told which capability needs which method, before anything is served."""

    class Boaster(Talkative):
        plugin_id = "boaster"
        capabilities = frozenset(
            {capability_pb2.CAPABILITY_VOID, capability_pb2.CAPABILITY_OPERATION_LOOKUP}
        )

    with pytest.raises(ValueError, match=r"VOID needs the method void; .*method get_operation"):
        serve.registrars(_state(Boaster()))


async def test_an_introduction_core_would_refuse_does_not_start() -> None:
    """The author is told which attribute is wrong."""

    class Wordy(Talkative):
        plugin_id = "wordy"
        name = "x" * 129

    with pytest.raises(ValueError, match=r"metadata\.name"):
        serve.registrars(_state(Wordy()))

"""What every provider owes core: handshake, configuration, limits, honest failures."""

import asyncio
import contextlib
import urllib.parse
import uuid
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
import grpc.aio
import pydantic
import pytest
from payhub.plugin.v1 import capability_pb2
from payhub.provider.v1 import operation_pb2
from payhub.provider.v1 import payment_provider_service_pb2 as pps

from provider_sdk import errors, host, provider, serve
from servicekit import clock, logs, metrics
from tests.integration.provider import rig

State = operation_pb2.Operation


class Config(pydantic.BaseModel):
    """Configuration of the provider below."""

    model_config = pydantic.ConfigDict(extra="forbid")
    account: str = "main"
    limits: list[int] = []


class Odd(provider.Provider[Config]):
    """A provider that does as told, and waits while its gate is shut."""

    plugin_id = "odd"
    plugin_version = "1.0.0"
    config_model = Config
    capabilities = frozenset({capability_pb2.CAPABILITY_SALE, capability_pb2.CAPABILITY_REFUND})
    secret_slots = (provider.SecretSlot(slot="api_key", description="The key."),)
    max_concurrent_calls = 2

    def __init__(self) -> None:
        self.disabled = {capability_pb2.CAPABILITY_REFUND: "upstream is being moved"}
        self.gate = asyncio.Event()
        self.gate.set()
        self.calls: list[provider.Call[Config]] = []
        self.answer = operation_pb2.Operation(state=State.STATE_SUCCEEDED)
        self.error: BaseException | None = None
        self.configuring = asyncio.Event()

    async def authorize(
        self, request: pps.AuthorizePaymentRequest, call: provider.Call[Config]
    ) -> operation_pb2.Operation:
        """Answers what the test put there."""
        self.calls.append(call)
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        return self.answer

    async def get_operation(
        self, operation_id: str, binding: provider.Binding[Config], *, timeout_s: float
    ) -> operation_pb2.Operation:
        """Raises what the test put there."""
        raise self.error or errors.LookupInconclusive("nobody knows")

    async def probe(self) -> provider.Readiness | provider.Health:
        """Raises what the test put there."""
        if self.error is not None:
            raise self.error
        return provider.Health()

    async def configure(self, binding: provider.Binding[Config]) -> None:
        """Refuses one account, and waits for another one."""
        if binding.config.account == "slow":
            self.configuring.set()
            await asyncio.Event().wait()
        if binding.config.account == "locked":
            raise errors.CredentialsRejected("the account is locked")


@pytest.fixture
async def odd() -> AsyncIterator[tuple[Odd, rig.Core]]:
    """The provider above behind a real socket, in this process."""
    plugin = Odd()
    state = host.Host(plugin, clock=clock.SystemClock())
    pipeline = serve.pipeline(state, service_name="odd", registry=metrics.Metrics())
    server = grpc.aio.server(interceptors=[pipeline])
    for register in serve.registrars(state):
        register(server)
    port = server.add_insecure_port("127.0.0.1:0")
    state.ready = True
    await server.start()
    core = rig.Core(f"127.0.0.1:{port}")
    key = rig.ps.SecretValue(slot="api_key", version=1, value=b"k")
    await core.configure("{}", secrets=[key])
    yield plugin, core
    plugin.gate.set()
    await core.close()
    await server.stop(1)
    await state.drain(5)


async def test_the_handshake_is_true_and_stable(core: rig.Core) -> None:
    """Identity is the same in every handshake; unknown offers are ignored; all is stated."""
    given: Any = [1, 99]
    offer = rig.ps.HandshakeRequest(services=["of.no.One"], core_capabilities=given)
    first = await core.call(core.plugin.Handshake, offer)
    assert await core.call(core.plugin.Handshake, offer) == first
    assert (first.identity.plugin_id, first.identity.kind) == ("mock", rig.ps.PLUGIN_KIND_PROVIDER)
    listed = [status.capability for status in first.capabilities]
    optional = {
        capability_pb2.CAPABILITY_UNSPECIFIED,
        capability_pb2.CAPABILITY_CREDENTIAL_CHECK,
        capability_pb2.CAPABILITY_OVERLAPPING_SECRETS,
    }
    assert set(capability_pb2.Capability.values()) - optional <= set(listed)
    assert len(set(listed)) == len(listed)
    assert "payhub.provider.v1.PaymentProviderService" in first.services
    schema = await core.call(core.plugin.GetConfigSchema, rig.ps.GetConfigSchemaRequest())
    assert schema.schema_digest == first.schema_digest
    document = pydantic.TypeAdapter(dict).validate_json(schema.json_schema)
    assert document["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert document["additionalProperties"] is False


async def test_a_disabled_capability_says_why(odd: tuple[Odd, rig.Core]) -> None:
    """It is listed with its reason, if there is one, and refused with effect none."""
    plugin, core = odd
    answer = await core.call(core.plugin.Handshake, rig.ps.HandshakeRequest())
    statuses = {s.capability: s for s in answer.capabilities}
    refunds = statuses[capability_pb2.CAPABILITY_REFUND]
    assert (refunds.enabled, refunds.disabled_reason) == (False, "upstream is being moved")
    with pytest.raises(rig.Refused) as refused:
        await core.refund(State(provider_object_id="p"), 1)
    assert (refused.value.reason, refused.value.effect) == ("NOT_SUPPORTED", "NONE")
    plugin.disabled = {capability_pb2.CAPABILITY_REFUND: "upstream says \ud800"}
    answer = await core.call(core.plugin.Handshake, rig.ps.HandshakeRequest())
    assert [s.disabled_reason for s in answer.capabilities if not s.enabled] == ["upstream says ?"]
    plugin.disabled = {capability_pb2.CAPABILITY_REFUND: ""}
    answer = await core.call(core.plugin.Handshake, rig.ps.HandshakeRequest())
    statuses = {s.capability: s for s in answer.capabilities}
    assert not statuses[capability_pb2.CAPABILITY_REFUND].enabled
    assert statuses[capability_pb2.CAPABILITY_REFUND].disabled_reason


@pytest.mark.parametrize("form", [str, repr, urllib.parse.quote])
async def test_no_secret_of_a_binding_gets_out(
    odd: tuple[Odd, rig.Core], capsys: pytest.CaptureFixture[str], form: Callable[[str], str]
) -> None:
    """Neither into the log nor to core, whatever a library quotes in what it raises."""
    plugin, core = odd
    canary = "one & only canary\n7f3a"
    key = rig.ps.SecretValue(slot="api_key", version=2, value=canary.encode())
    await core.configure("{}", generation=2, secrets=[key])
    text = f"no such header: {form(canary)}"
    for error in (
        RuntimeError(text),
        errors.NoAnswer(text, upstream_code=text),
        errors.InvalidRequest(text, [("amount", text)]),
    ):
        plugin.error = error
        for work in (core.authorize(sale=True), core.find("op_1234567890")):
            with pytest.raises(rig.Refused) as refused:
                await work
            assert "canary" not in refused.value.text
    await core.call(core.plugin.Probe, rig.ps.ProbeRequest())
    logs.flush()
    logged = capsys.readouterr().err
    assert "no such header" in logged
    assert "canary" not in logged


async def test_what_is_not_declared_is_refused_with_nothing_done(
    odd: tuple[Odd, rig.Core],
) -> None:
    """NOT_SUPPORTED for each undeclared operation; the provider never sees it."""
    plugin, core = odd
    refusals: tuple[Callable[[], Any], ...] = (
        lambda: core.authorize(sale=False),
        lambda: core.capture(State(provider_object_id="p"), 1),
        lambda: core.void(rig.new_operation_id()),
        lambda: core.create_customer(name="Ada"),
    )
    for work in refusals:
        with pytest.raises(rig.Refused) as refused:
            await work()
        assert refused.value.code is grpc.StatusCode.UNIMPLEMENTED
        assert (refused.value.reason, refused.value.effect) == ("NOT_SUPPORTED", "NONE")
    assert plugin.calls == []
    with pytest.raises(rig.Refused) as refused:
        await core.find(rig.new_operation_id())
    assert refused.value.reason == "LOOKUP_INCONCLUSIVE"


async def test_more_calls_than_stated_are_refused_at_once(odd: tuple[Odd, rig.Core]) -> None:
    """PLUGIN_BUSY with effect none beyond max_concurrent_calls; duplicates take no place."""
    plugin, core = odd
    plugin.gate.clear()
    requests = [core.authorization(sale=True) for _ in range(2)]
    running = [
        asyncio.ensure_future(core.call(core.stub.AuthorizePayment, request))
        for request in (*requests, requests[0])
    ]
    await rig.until(lambda: len(plugin.calls) == 2)
    with pytest.raises(rig.Refused) as refused:
        await core.authorize(sale=True)
    assert refused.value.code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert (refused.value.reason, refused.value.effect) == ("PLUGIN_BUSY", "NONE")
    plugin.gate.set()
    answers = await asyncio.gather(*running)
    assert answers[0] == answers[2]
    assert len(plugin.calls) == 2


@pytest.mark.parametrize(
    "answer",
    [
        State(),
        State(operation_id="op_of_another", state=State.STATE_SUCCEEDED),
        State(state=State.STATE_ACTION_REQUIRED),
        State(state=State.STATE_SUCCEEDED, provider_object_id="ü" * 128),
        State(state=State.STATE_SUCCEEDED, provider_operation_id="x" * 256),
    ],
)
async def test_an_answer_outside_of_the_contract_is_unknown(
    odd: tuple[Odd, rig.Core], answer: operation_pb2.Operation
) -> None:
    """No state, another operation, an action nobody offered, a huge id: PLUGIN_BUG, unknown."""
    plugin, core = odd
    plugin.answer = answer
    with pytest.raises(rig.Refused) as refused:
        await core.authorize(sale=True)
    assert (refused.value.reason, refused.value.effect) == ("PLUGIN_BUG", "UNKNOWN")


async def test_what_is_canceled_below_a_provider_is_answered(
    odd: tuple[Odd, rig.Core],
) -> None:
    """As a library does that closes a connection: nobody waits for the deadline to hear of it."""
    plugin, core = odd
    plugin.error = asyncio.CancelledError("the connection is closed")
    plugin.gate.clear()
    request = core.authorization(sale=True)
    running = [
        asyncio.ensure_future(core.call(core.stub.AuthorizePayment, request, timeout_s=50.0))
        for _ in range(2)
    ]
    await rig.until(lambda: len(plugin.calls) == 1)
    plugin.gate.set()
    for work in running:
        with pytest.raises(rig.Refused) as refused:
            await asyncio.wait_for(work, 20.0)
        assert (refused.value.reason, refused.value.effect) == ("PLUGIN_BUG", "UNKNOWN")
    plugin.error = None
    await core.authorize(sale=True)


async def test_what_upstream_said_is_cut_to_what_the_contract_takes(
    odd: tuple[Odd, rig.Core],
) -> None:
    """A long code of a decline or a failure is for people: it costs no answer."""
    plugin, core = odd
    plugin.answer = State(state=State.STATE_DECLINED)
    plugin.answer.decline.provider_code = "ü" * 200
    declined = await core.authorize(sale=True)
    assert declined.decline.provider_code == "ü" * 127
    assert plugin.answer.decline.provider_code == "ü" * 200
    plugin.error = errors.StateConflict("no", upstream_code="x" * 300)
    with pytest.raises(rig.Refused) as refused:
        await core.authorize(sale=True)
    assert (refused.value.reason, refused.value.effect) == ("STATE_CONFLICT", "NONE")


@pytest.mark.parametrize(
    ("error", "reason", "effect"),
    [
        (KeyError("boom sk_live_1"), "PLUGIN_BUG", "UNKNOWN"),
        (TimeoutError(), "UPSTREAM_NO_ANSWER", "UNKNOWN"),
        (errors.Unreachable("no route", upstream_code="E7"), "UPSTREAM_UNREACHABLE", "NONE"),
    ],
)
async def test_what_a_provider_raises_travels_as_one_failure(
    odd: tuple[Odd, rig.Core], error: Exception, reason: str, effect: str
) -> None:
    """Known errors by the table, everything else as a bug whose text stays inside."""
    plugin, core = odd
    plugin.error = error
    with pytest.raises(rig.Refused) as refused:
        await core.authorize(sale=True)
    assert (refused.value.reason, refused.value.effect) == (reason, effect)
    assert refused.value.infos[0].domain == "odd"
    assert "sk_live" not in refused.value.text
    assert refused.value.failures[0].upstream_code == getattr(error, "upstream_code", "")


@pytest.mark.parametrize(
    "error",
    [
        errors.Unreachable("half a \ud800 character", upstream_code="E\udcff"),
        errors.InvalidRequest("bad", [("amount", "\ud800"), ("\udcff", "bad")]),
        errors.StateConflict("ä" * 10_000, upstream_code="\0" + "ü" * 10_000),
        errors.InvalidRequest("語" * 1_000, [("字" * 300, "語" * 300)] * 30),
    ],
)
async def test_whatever_a_text_holds_that_nothing_was_done_gets_through(
    odd: tuple[Odd, rig.Core], error: errors.ProviderError
) -> None:
    """Halves of characters, as JSON can spell them, and texts beyond all measure."""
    plugin, core = odd
    plugin.error = error
    with pytest.raises(rig.Refused) as refused:
        await core.authorize(sale=True)
    assert refused.value.failures
    assert refused.value.effect == "NONE"


class Panic(BaseException):
    """As extensions in Rust raise it."""


@pytest.mark.parametrize("error", [Panic("the library is broken"), SystemExit(3)])
async def test_an_exception_that_is_none_is_answered(
    odd: tuple[Odd, rig.Core], error: BaseException
) -> None:
    """Nobody waits for the deadline and the process goes on, whichever method raised it."""
    plugin, core = odd
    plugin.error = error
    request = core.authorization(sale=True)
    plugin.gate.clear()
    running = [
        asyncio.ensure_future(core.call(core.stub.AuthorizePayment, request, timeout_s=50.0))
        for _ in range(2)
    ]
    await rig.until(lambda: len(plugin.calls) == 1)
    plugin.gate.set()
    for work in running:
        with pytest.raises(rig.Refused) as refused:
            await asyncio.wait_for(work, 20.0)
        assert (refused.value.reason, refused.value.effect) == ("PLUGIN_BUG", "UNKNOWN")
    find = pps.GetOperationRequest(binding_id=core.binding_id, operation_id="op_1234567890")
    with pytest.raises(rig.Refused) as refused:
        await asyncio.wait_for(core.call(core.stub.GetOperation, find, timeout_s=50.0), 20.0)
    assert refused.value.reason == "PLUGIN_BUG"
    plugin.error = None
    await core.authorize(sale=True)


async def test_configure_is_whole_or_nothing_and_never_goes_back(
    odd: tuple[Odd, rig.Core],
) -> None:
    """A refused configuration leaves the former in force; running calls keep theirs."""
    plugin, core = odd
    key = rig.ps.SecretValue(slot="api_key", version=7, value=b"new")
    old = rig.ps.SecretValue(slot="api_key", version=3, value=b"old")
    plugin.gate.clear()
    running = asyncio.ensure_future(core.authorize(sale=True))
    await rig.until(lambda: len(plugin.calls) == 1)
    applied = await core.configure('{"account": "b"}', generation=5, secrets=[old, key])
    assert applied.applied_generation == 5
    plugin.gate.set()
    await running
    assert plugin.calls[0].binding.config.account == "main"
    again = await core.configure('{"account": "c"}', generation=5, secrets=[key])
    assert again.applied_generation == 5
    for config, generation, reason in (
        ('{"account": "d"}', 4, "STALE_GENERATION"),
        ('{"account": 1}', 6, "CONFIG_INVALID"),
        ("not json", 6, "CONFIG_INVALID"),
        ('{"account": "locked"}', 6, "CREDENTIALS_REJECTED"),
    ):
        with pytest.raises(rig.Refused) as refused:
            await core.configure(config, generation=generation, secrets=[key])
        assert refused.value.infos[0].reason == reason
    await core.authorize(sale=True)
    binding = plugin.calls[-1].binding
    assert (binding.generation, binding.config.account) == (5, "b")
    assert [secret.reveal() for secret in binding.secrets["api_key"]] == [b"new", b"old"]
    probed = await core.call(core.plugin.Probe, rig.ps.ProbeRequest())
    assert [(b.binding_id, b.applied_generation) for b in probed.bindings] == [(core.binding_id, 5)]


async def test_a_binding_that_hangs_holds_up_no_other(odd: tuple[Odd, rig.Core]) -> None:
    """Not to be configured, and not to be removed; one binding's changes wait for each other."""
    plugin, core = odd
    key = rig.ps.SecretValue(slot="api_key", version=1, value=b"k")
    others = [str(uuid.uuid4()) for _ in range(2)]
    hanging = asyncio.ensure_future(
        core.call(
            core.plugin.Configure,
            rig.ps.ConfigureRequest(
                binding_id=others[0],
                generation=1,
                config=rig.ps.BindingConfig(config_json='{"account": "slow"}', secrets=[key]),
            ),
            timeout_s=50.0,
        )
    )
    await plugin.configuring.wait()
    await core.configure("{}", binding_id=others[1], secrets=[key])
    remove = rig.ps.RemoveBindingRequest(binding_id=core.binding_id)
    await core.call(core.plugin.RemoveBinding, remove)
    assert not hanging.done()
    with pytest.raises(rig.Refused) as refused:
        await core.call(
            core.plugin.RemoveBinding,
            rig.ps.RemoveBindingRequest(binding_id=others[0]),
            timeout_s=0.5,
        )
    assert refused.value.code is grpc.StatusCode.DEADLINE_EXCEEDED
    hanging.cancel()
    await asyncio.gather(hanging, return_exceptions=True)
    await core.call(core.plugin.RemoveBinding, remove)
    probed = await core.call(core.plugin.Probe, rig.ps.ProbeRequest())
    assert [binding.binding_id for binding in probed.bindings] == [others[1]]


async def test_validation_finds_everything_and_changes_nothing(
    odd: tuple[Odd, rig.Core],
) -> None:
    """Problems are diagnostics with pointers into the document, in an OK answer."""
    _, core = odd
    checked = await core.call(
        core.plugin.ValidateConfig,
        rig.ps.ValidateConfigRequest(
            config=rig.ps.BindingConfig(config_json='{"limits": [1, "x"], "a/b": 1}')
        ),
    )
    pointers = {found.json_pointer for found in checked.diagnostics}
    assert pointers == {"/limits/1", "/a~1b", ""}
    probed = await core.call(core.plugin.Probe, rig.ps.ProbeRequest())
    assert [binding.applied_generation for binding in probed.bindings] == [1]


async def test_the_mocks_own_rules_are_diagnostics_too(core: rig.Core) -> None:
    """A switch outside of the grammar is found before it is applied."""
    request = rig.ps.ValidateConfigRequest(
        config=rig.ps.BindingConfig(config_json='{"force": "no_such"}')
    )
    checked = await core.call(core.plugin.ValidateConfig, request)
    assert [found.json_pointer for found in checked.diagnostics] == ["/force"]
    with pytest.raises(rig.Refused) as refused:
        await core.configure('{"force": "no_such"}', generation=2)
    assert refused.value.fields == ["config.config_json/force"]


async def test_a_removed_binding_is_gone_with_its_secrets(odd: tuple[Odd, rig.Core]) -> None:
    """RemoveBinding repeats; later calls need Configure again, from any generation."""
    plugin, core = odd
    for _ in range(2):
        await core.call(
            core.plugin.RemoveBinding, rig.ps.RemoveBindingRequest(binding_id=core.binding_id)
        )
    with pytest.raises(rig.Refused) as refused:
        await core.authorize(sale=True)
    assert refused.value.code is grpc.StatusCode.FAILED_PRECONDITION
    assert (refused.value.reason, refused.value.effect) == ("BINDING_NOT_CONFIGURED", "NONE")
    assert plugin.calls == []


async def test_upstream_work_outlives_a_stopped_server(odd: tuple[Odd, rig.Core]) -> None:
    """The caller's end does not reach the provider: its coroutine runs to its own."""
    plugin, core = odd
    plugin.gate.clear()
    ended = asyncio.Event()
    inner = plugin.authorize

    async def watched(
        request: pps.AuthorizePaymentRequest, call: provider.Call[Config]
    ) -> operation_pb2.Operation:
        answer = await inner(request, call)
        ended.set()
        return answer

    plugin.authorize = watched  # type: ignore[method-assign]
    calling = asyncio.ensure_future(core.authorize(sale=True))
    await rig.until(lambda: len(plugin.calls) == 1)
    calling.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await calling
    plugin.gate.set()
    async with asyncio.timeout(10):
        await ended.wait()

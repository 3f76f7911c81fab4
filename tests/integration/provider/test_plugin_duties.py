"""What every provider owes core: handshake, configuration, limits, sound answers."""

import asyncio
import contextlib
import uuid
from collections.abc import Callable
from typing import Any

import grpc
import grpc.aio
import pydantic
import pytest
from payhub.plugin.v1 import capability_pb2
from payhub.provider.v1 import operation_pb2
from payhub.provider.v1 import payment_provider_service_pb2 as pps

from provider_sdk import provider
from tests.integration.provider import oddity, rig

State = operation_pb2.Operation
Odd = oddity.Odd
Config = oddity.Config


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
    plugin.disabled = {capability_pb2.CAPABILITY_REFUND: "upstream \0says \ud800"}
    answer = await core.call(core.plugin.Handshake, rig.ps.HandshakeRequest())
    assert [s.disabled_reason for s in answer.capabilities if not s.enabled] == ["upstream says ?"]
    nothing: tuple[Any, ...] = ("", None)
    for reason in nothing:
        plugin.disabled = {capability_pb2.CAPABILITY_REFUND: reason}
        answer = await core.call(core.plugin.Handshake, rig.ps.HandshakeRequest())
        statuses = {s.capability: s for s in answer.capabilities}
        assert not statuses[capability_pb2.CAPABILITY_REFUND].enabled
        assert statuses[capability_pb2.CAPABILITY_REFUND].disabled_reason


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


async def test_an_older_configuration_than_core_believes_in_is_none(
    odd: tuple[Odd, rig.Core],
) -> None:
    """The call was meant for the process whose place this one took; its credentials may be old."""
    plugin, core = odd
    request = core.authorization(sale=True)
    request.context.config_generation = 2
    with pytest.raises(rig.Refused) as refused:
        await core.call(core.stub.AuthorizePayment, request)
    assert (refused.value.reason, refused.value.effect) == ("BINDING_NOT_CONFIGURED", "NONE")
    assert plugin.calls == []
    key = rig.ps.SecretValue(slot="api_key", version=1, value=b"key")
    await core.configure("{}", generation=3, secrets=[key])
    await core.call(core.stub.AuthorizePayment, request)
    assert len(plugin.calls) == 1


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

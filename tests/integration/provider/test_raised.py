"""What a provider raises: how it travels, that it is answered, and what it must not tell."""

import asyncio
import base64
import urllib.parse
from collections.abc import Callable

import pytest
from payhub.provider.v1 import operation_pb2
from payhub.provider.v1 import payment_provider_service_pb2 as pps

from provider_sdk import errors, provider
from servicekit import logs
from tests.integration.provider import oddity, rig

State = operation_pb2.Operation
Odd = oddity.Odd


def basic(secret: str) -> str:
    """As libraries that quote the header of a request show a password."""
    return f"Basic {base64.b64encode(f'u:{secret}'.encode()).decode()}"


def key_alone(secret: str) -> str:
    """As the same header has a key that is the name of the user."""
    return f"Basic {base64.b64encode(f'{secret}:'.encode()).decode()}"


@pytest.mark.parametrize("form", [str, repr, urllib.parse.quote, basic, key_alone])
async def test_no_secret_of_a_binding_gets_out(
    odd: tuple[Odd, rig.Core], capsys: pytest.CaptureFixture[str], form: Callable[[str], str]
) -> None:
    """Neither into the log nor to core, whatever a library quotes in what it raises."""
    plugin, core = odd
    canary = "one & only canary\n7f3a"
    key = rig.ps.SecretValue(slot="api_key", version=2, value=canary.encode())
    await core.configure("{}", generation=2, secrets=[key])
    text = f"no such header: {form(canary)}"
    known = ("canary", form(canary)[12:20])
    for error in (
        RuntimeError(text),
        errors.NoAnswer(text, upstream_code=text),
        errors.InvalidRequest(text, [(text, text)]),
    ):
        plugin.error = error
        for work in (core.authorize(sale=True), core.find("op_1234567890")):
            with pytest.raises(rig.Refused) as refused:
                await work
            assert not any(part in refused.value.text for part in known)
    await core.call(core.plugin.Probe, rig.ps.ProbeRequest())
    logs.flush()
    logged = capsys.readouterr().err
    assert "no such header" in logged
    assert not any(part in logged for part in known)


async def test_no_secret_that_is_being_configured_gets_out(
    odd: tuple[Odd, rig.Core],
) -> None:
    """Neither the one that is sent and refused, nor one in force of which a probe or the reason
    of a disabled capability tells.
    """
    plugin, core = odd
    canary = "one-and-only-canary-7f3a"
    text = f"{'x' * 250} no such key: {canary}"
    config = rig.ps.BindingConfig(config_json="{}")
    config.secrets.add(slot="api_key", version=2, value=canary.encode())
    configure = rig.ps.ConfigureRequest(binding_id=core.binding_id, generation=2, config=config)
    validate = rig.ps.ValidateConfigRequest(config=config)

    plugin.refusal = errors.CredentialsRejected(text, upstream_code=text)
    with pytest.raises(rig.Refused) as refused:
        await core.call(core.plugin.Configure, configure)
    assert "x" * 250 in refused.value.text
    told = [refused.value.text]
    plugin.refusal, plugin.found = None, [provider.Diagnostic(summary=text, json_pointer=text)]
    with pytest.raises(rig.Refused) as refused:
        await core.call(core.plugin.Configure, configure)
    told += [refused.value.text, str(await core.call(core.plugin.ValidateConfig, validate))]
    plugin.found = [provider.Diagnostic(summary=text, is_error=False)]
    told.append(str(await core.call(core.plugin.Configure, configure)))
    plugin.disabled = dict.fromkeys(plugin.disabled, text)
    told.append(str(await core.call(core.plugin.Handshake, rig.ps.HandshakeRequest())))
    plugin.health = provider.Health(reasons=[text], binding_reasons={core.binding_id: [text]})
    probed = await core.call(core.plugin.Probe, rig.ps.ProbeRequest())
    assert probed.degraded_reasons
    assert probed.bindings[0].degraded_reasons
    assert [each for each in (*told, str(probed)) if "one-a" in each] == []


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
    await _is_degraded_alone(core)
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
        errors.InvalidRequest("bad", [(0, ValueError("no such item"))]),  # type: ignore[list-item]
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
    await _is_degraded_alone(core)
    plugin.error = None
    await core.authorize(sale=True)


async def _is_degraded_alone(core: rig.Core) -> None:
    """Whatever its probe raises, the plugin takes calls, and says that something is wrong."""
    probed = await core.call(core.plugin.Probe, rig.ps.ProbeRequest(), timeout_s=30.0)
    assert probed.readiness == rig.ps.ProbeResponse.READINESS_DEGRADED
    assert probed.degraded_reasons == ["the plugin's own probe failed; see its log"]

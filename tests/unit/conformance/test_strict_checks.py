"""Checks that must not pass over a part of their rule."""

import contextlib
import types
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from payhub.plugin.v1 import capability_pb2
from payhub.provider.v1 import operation_pb2
from payhub.provider.v1 import payment_provider_service_pb2 as pps

from provider_sdk import errors
from provider_sdk.conformance import (
    attempts,
    checks,
    checks_ceilings,
    checks_stopping,
    checks_webhooks,
    refusal,
    webhooks,
)
from tests.unit.conformance import refusing

State = operation_pb2.Operation


class _Killed:
    """A process that was killed while upstream acted, and a provider without look-ups.

    Args:
        repeats: What each repeat after the restart meets: a state, or an error.
    """

    def __init__(self, repeats: Sequence[State.State | errors.ProviderError]) -> None:
        self._repeats = iter(repeats)
        self.left = len(repeats)
        self.restarted = False
        self.provider = types.SimpleNamespace(AuthorizePayment=None)
        self.process = types.SimpleNamespace(kill=self.nothing)
        self.upstream = types.SimpleNamespace(
            pause=lambda **_: None, release=lambda: None, mutation_count=1, effects=lambda _: ["1"]
        )

    async def nothing(self) -> None:
        """Takes no time."""

    def has(self, capability: int) -> bool:
        """Only upstream knows what was done."""
        return capability == capability_pb2.CAPABILITY_UPSTREAM_IDEMPOTENCY

    @contextlib.asynccontextmanager
    async def spare(self) -> AsyncIterator["_Killed"]:
        """Is its own other process."""
        yield self

    async def new_binding(self) -> Any:
        """Configures nothing."""
        request = pps.AuthorizePaymentRequest()
        request.context.operation_id = "operation_1"
        return types.SimpleNamespace(
            authorization=lambda **_: request, configure=self.nothing, find=None
        )

    async def restart(self, *, kill: bool) -> None:
        """From now on repeats are answered."""
        assert kill
        self.restarted = True

    async def until(self, holds: Any, *, what: str, fix: str) -> None:
        """Asks as often as there is something to answer."""
        while not await holds():
            if not self.left:
                raise checks.Failed(what, fix=fix)

    async def call(self, _: Any, __: Any, **___: Any) -> pps.AuthorizePaymentResponse:
        """Sends the payment; the first time the process dies of it."""
        if not self.restarted:
            raise refusing.refused(errors.NoAnswer("the process is gone"))
        self.left -= 1
        met = next(self._repeats)
        if isinstance(met, errors.ProviderError):
            raise refusing.refused(met)
        answer = pps.AuthorizePaymentResponse()
        answer.operation.state = met
        return answer


async def _kill(*repeats: State.State | errors.ProviderError) -> None:
    run: Any = _Killed(repeats)
    assert checks_stopping.kill_leaves_one_effect.function is not None
    await checks_stopping.kill_leaves_one_effect.function(run)


async def test_what_upstream_did_before_a_kill_is_a_success() -> None:
    """A repeat may have to wait for it; it never ends otherwise."""
    await _kill(errors.InProgress("still at it"), State.STATE_PENDING, State.STATE_SUCCEEDED)
    for state in (State.STATE_DECLINED, State.STATE_VOIDED, State.STATE_UNSPECIFIED):
        with pytest.raises(checks.Failed):
            await _kill(state)
    with pytest.raises(checks.Failed):
        await _kill(State.STATE_PENDING)
    with pytest.raises(refusal.Refused):
        await _kill(errors.NotFound("never heard of it"))


async def test_another_bindings_signature_is_tried_whatever_other_secrets_there_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An API key of the environment is no reason to leave the signing secret alone."""
    tried: list[Any] = []

    class Webhook:
        event_id, body, now_s = "evt_1", b"{}", 0

        def __init__(self, *_: Any) -> None:
            pass

        def request(self, *_: Any, **__: Any) -> Any:
            return types.SimpleNamespace(headers=[])

        async def expect(self, *_: Any, binding: Any = None, **__: Any) -> Any:
            tried.append(binding)
            return types.SimpleNamespace(provider_event_id="evt_1")

    async def new_binding() -> Any:
        return types.SimpleNamespace(secrets={"api_key": b"a", "signing": b"b"}, configure=nothing)

    async def nothing() -> None:
        return None

    monkeypatch.setattr(webhooks, "Webhook", Webhook)
    monkeypatch.setattr(webhooks, "slot", lambda _: "signing")
    secrets = {
        "api_key": types.SimpleNamespace(canary=False),
        "signing": types.SimpleNamespace(canary=True),
    }
    run: Any = types.SimpleNamespace(
        new_binding=new_binding,
        new_secret=lambda _: b"fresh",
        profile=types.SimpleNamespace(secrets=secrets),
    )
    assert checks_webhooks.signatures.function is not None
    await checks_webhooks.signatures.function(run)
    assert tried[-1] is not None
    assert tried[-1].secrets == {"api_key": b"a", "signing": b"fresh"}


class _Refund:
    """A refund of the whole that is first answered so, and then as it stands."""

    name = "a refund"

    def __init__(self, first: errors.ProviderError | None, *, booked: bool) -> None:
        self._first = first
        self._booked = booked

    def again(self) -> "_Refund":
        """Sent again, what was booked is told and the rest is refused."""
        conflict = None if self._booked else errors.StateConflict("nothing is left")
        return _Refund(conflict, booked=self._booked)

    async def send(self) -> operation_pb2.Operation:
        """Sends it once."""
        if self._first is not None:
            raise refusing.refused(self._first)
        return operation_pb2.Operation(state=State.STATE_SUCCEEDED)


async def _together(monkeypatch: pytest.MonkeyPatch, *refunds: _Refund) -> None:
    refused = errors.StateConflict("nothing is left")
    rest = [_Refund(refused, booked=False)] * (checks_ceilings.TOGETHER - len(refunds))
    made = iter((*refunds, *rest))

    async def paid() -> Any:
        return types.SimpleNamespace(pay=nothing)

    async def nothing() -> None:
        return None

    monkeypatch.setattr(attempts, "refund", lambda *_: next(made))
    run: Any = types.SimpleNamespace(new_binding=paid)
    assert checks_ceilings.refunds_together.function is not None
    await checks_ceilings.refunds_together.function(run)


async def test_a_refund_whose_answer_was_lost_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever books twice and breaks down over it has returned the money twice."""
    bug, done = errors.PluginBug("the database is locked"), _Refund(None, booked=True)
    await _together(monkeypatch, done)
    await _together(monkeypatch, done, _Refund(bug, booked=False))
    await _together(monkeypatch, _Refund(bug, booked=True))
    for second in (done, _Refund(bug, booked=True), _Refund(errors.NoAnswer(""), booked=True)):
        with pytest.raises(checks.Failed, match="2 of 5"):
            await _together(monkeypatch, done, second)

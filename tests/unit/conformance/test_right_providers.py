"""Providers that keep the contract in ways the simulated one does not, and pass."""

import asyncio
import types
from typing import Any

import grpc
import pytest
from google.protobuf import descriptor_pool
from payhub.plugin.v1 import capability_pb2
from payhub.provider.v1 import billing_provider_service_pb2 as bps
from payhub.provider.v1 import operation_pb2, provider_object_pb2
from payhub.provider.v1 import payment_method_provider_service_pb2 as mps

from provider_sdk import errors
from provider_sdk.conformance import (
    attempts,
    checks,
    checks_capabilities,
    checks_faults,
    checks_mirrored,
    checks_transport,
    expectations,
    mirrored,
    refusal,
)
from tests.unit.conformance import refusing


class _Strict:
    """Attaches a payment method once, and does not let duplicates wait for it.

    Args:
        request: What is sent first.
        busy: What duplicates are told meanwhile.
    """

    name = "the keeping of a payment method"

    def __init__(
        self, request: mps.AttachPaymentMethodRequest, busy: errors.ProviderError | None = None
    ) -> None:
        self.request = request
        self.binding = types.SimpleNamespace(
            run=types.SimpleNamespace(expect_state=expectations.state)
        )
        self._first = type(request).FromString(request.SerializeToString())
        self._busy = busy or errors.InProgress("still at it")
        self._running = False

    async def answer(self, *, timeout_s: float = 10.0) -> mps.AttachPaymentMethodResponse:
        """Sends it once."""
        if self.request != self._first:
            raise refusing.refused(errors.Mismatch("used with other parameters"))
        if self._running:
            raise refusing.refused(self._busy)
        self._running = True
        await asyncio.sleep(0)
        self._running = False
        answer = mps.AttachPaymentMethodResponse()
        answer.operation.state = operation_pb2.Operation.STATE_SUCCEEDED
        answer.operation.provider_object_id = "pm_1"
        kept = answer.objects.add(provider_object_id="pm_1", core_id="pmt_1")
        kept.payment_method.type = "card"
        return answer

    async def send(self) -> operation_pb2.Operation:
        """Sends it once."""
        return (await self.answer()).operation

    def again(self) -> "_Strict":
        """The same operation."""
        return self


async def _made_once(monkeypatch: pytest.MonkeyPatch, attempt: _Strict) -> None:
    making: Any = mirrored.Making(attempt=attempt, kind="payment_method", core_id="pmt_1")  # type: ignore[arg-type]

    async def nothing_else(_: Any) -> Any:
        return [making]

    async def new_binding() -> None:
        return None

    async def expect_status(call: Any, **wanted: Any) -> refusal.Refused:
        return await expectations.status(call, domain="strict", **wanted)

    monkeypatch.setattr(mirrored, "of_every_kind", nothing_else)
    run: Any = types.SimpleNamespace(new_binding=new_binding, expect_status=expect_status)
    assert checks_mirrored.made_once.function is not None
    await checks_mirrored.made_once.function(run)


async def test_duplicates_of_what_is_mirrored_may_be_told_to_look_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """OPERATION_IN_PROGRESS, as for payments; any other refusal of a duplicate is wrong."""
    request = mps.AttachPaymentMethodRequest(payment_method_id="pmt_1", token="tok")
    await _made_once(monkeypatch, _Strict(request))
    request = mps.AttachPaymentMethodRequest(payment_method_id="pmt_1", token="tok")
    with pytest.raises(checks.Failed, match="STATE_CONFLICT"):
        await _made_once(monkeypatch, _Strict(request, errors.StateConflict("is being made")))


async def test_a_subscription_may_be_told_after_its_invoice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Objects of an answer have no order."""
    ends = iter((False, True, True))
    states = provider_object_pb2.SubscriptionObject

    def answered() -> bps.CancelSubscriptionResponse:
        answer = bps.CancelSubscriptionResponse()
        answer.operation.state = operation_pb2.Operation.STATE_SUCCEEDED
        answer.objects.add(provider_object_id="in_1").invoice.number = "1"
        state = states.STATE_CANCELED if next(ends) else states.STATE_ACTIVE
        answer.objects.append(_subscription(state, 1))
        return answer

    async def answer() -> bps.CancelSubscriptionResponse:
        return answered()

    async def begun(_: Any) -> Any:
        return types.SimpleNamespace(attempt=types.SimpleNamespace(answer=nothing))

    async def nothing() -> None:
        return None

    monkeypatch.setattr(mirrored, "subscription", begun)
    monkeypatch.setattr(mirrored, "made", lambda *_: _subscription(states.STATE_ACTIVE, 1))
    monkeypatch.setattr(mirrored, "cancel", lambda *_, **__: types.SimpleNamespace(answer=answer))
    run: Any = types.SimpleNamespace(expect_state=expectations.state)
    await checks_capabilities._subscriptions(run, None)  # type: ignore[arg-type]


def _subscription(state: int, micros: int) -> provider_object_pb2.ProviderObject:
    one = provider_object_pb2.ProviderObject(provider_object_id="s_1", core_id="sub_1")
    one.subscription.state = state  # type: ignore[assignment]
    one.state_time.FromMicroseconds(micros)
    return one


def test_two_accounts_of_one_whole_second_may_differ() -> None:
    """Who only knows seconds gives seconds; core fetches again. Finer ones must rise."""
    pending, active = (
        provider_object_pb2.SubscriptionObject.STATE_PENDING,
        provider_object_pb2.SubscriptionObject.STATE_ACTIVE,
    )
    at_us = 1_700_000_000_000_000
    checks_mirrored._same(_subscription(pending, at_us), _subscription(active, at_us), what="it")
    for first_us, later_us in ((at_us + 1, at_us + 1), (at_us, at_us - 1_000_000)):
        with pytest.raises(checks.Failed):
            checks_mirrored._same(
                _subscription(pending, first_us), _subscription(active, later_us), what="it"
            )


class _Hanging:
    """An operation whose upstream never answers.

    Args:
        first: What the first attempt is told in time.
        later: What further ones are told while it runs.
    """

    name = "a void"

    def __init__(self, first: errors.ProviderError, later: errors.ProviderError) -> None:
        self.request = types.SimpleNamespace(context=types.SimpleNamespace(attempt=1))
        self._told = [first, later]

    def again(self) -> "_Hanging":
        """The next attempt."""
        later = _Hanging(self._told[1], self._told[1])
        later.request.context.attempt = self.request.context.attempt + 1
        return later

    async def send(self, *, timeout_s: float) -> operation_pb2.Operation:
        """Sends it once."""
        raise refusing.refused(self._told[0])


async def _hangs(monkeypatch: pytest.MonkeyPatch, attempt: _Hanging) -> None:
    async def only(_: Any) -> list[_Hanging]:
        return [attempt]

    async def nothing() -> None:
        return None

    async def expect_status(call: Any, **wanted: Any) -> refusal.Refused:
        return await expectations.status(call, domain="strict", **wanted)

    monkeypatch.setattr(attempts, "of_every_kind", only)
    run: Any = types.SimpleNamespace(
        upstream=types.SimpleNamespace(hang=lambda: None),
        new_binding=nothing,
        in_time=lambda call: call(),
        expect_status=expect_status,
    )
    assert checks_faults.hanging.function is not None
    await checks_faults.hanging.function(run)


async def test_a_repeat_of_what_still_hangs_may_be_in_progress(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The contract has that reason for it; the first attempt has to say that nothing came."""
    silent, busy = errors.NoAnswer("nothing came in time"), errors.InProgress("still at it")
    await _hangs(monkeypatch, _Hanging(silent, silent))
    await _hangs(monkeypatch, _Hanging(silent, busy))
    for first, later in ((busy, busy), (silent, errors.StateConflict("no"))):
        with pytest.raises(checks.Failed):
            await _hangs(monkeypatch, _Hanging(first, later))


SERVICES = [
    f"payhub.provider.v1.{name}ProviderService"
    for name in ("Payment", "PaymentMethod", "Billing", "Checkout", "Dispute", "Notice")
]


async def _served(monkeypatch: pytest.MonkeyPatch, declared: str, answers: set[str]) -> None:
    """Looks at all services of a provider that answers these methods before their fields."""

    async def code(_: Any, path: str, __: Any) -> grpc.StatusCode:
        known = path.rpartition("/")[2] in answers
        return grpc.StatusCode.INVALID_ARGUMENT if known else grpc.StatusCode.UNIMPLEMENTED

    monkeypatch.setattr(checks_transport, "_code", code)
    number = capability_pb2.Capability.Value(declared)
    await checks_transport._all_served(
        types.SimpleNamespace(  # type: ignore[arg-type]
            handshake=types.SimpleNamespace(services=SERVICES), has=lambda one: one == number
        )
    )


async def test_a_method_of_what_is_not_declared_may_be_unimplemented(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """NOT_SUPPORTED is that status; only what every provider has, or declares, must be there."""
    always = {"AuthorizePayment", "GetOperation"}
    await _served(monkeypatch, "CAPABILITY_SALE", always)
    await _served(monkeypatch, "CAPABILITY_PLANS", always | {"CreatePlan", "ArchivePlan"})
    for declared, method in (
        ("CAPABILITY_SALE", "AuthorizePayment"),
        ("CAPABILITY_INCREMENTAL_AUTHORIZATION", "IncrementAuthorization"),
        ("CAPABILITY_SUBSCRIPTIONS", "ReactivateSubscription"),
        ("CAPABILITY_OBJECT_FETCH", "FetchObject"),
    ):
        pool = descriptor_pool.Default()
        every = {one.name for name in SERVICES for one in pool.FindServiceByName(name).methods}
        with pytest.raises(checks.Failed, match=method):
            await _served(monkeypatch, declared, every - {method})

"""Incremental authorization: more is held, once, and nothing is taken meanwhile."""

import asyncio
import itertools
from typing import Any

import grpc
import pytest
from payhub.payments.v1 import payment_service_pb2 as payments_pb
from payhub.plugin.v1 import capability_pb2
from payhub.provider.v1 import failure_pb2, operation_pb2
from payhub.provider.v1 import payment_provider_service_pb2 as pb

from payment_service.db import payments as rows
from payment_service.domain import money
from payment_service.usecases import driving
from servicekit import errors
from tests.integration.payment_service import (
    binding_rig,
    conftest,
    inside,
    rig,
    sidecars,
)

_STATE = operation_pb2.Operation
OFFERS = (
    capability_pb2.CAPABILITY_VOID,
    capability_pb2.CAPABILITY_PARTIAL_CAPTURE,
    capability_pb2.CAPABILITY_MULTIPLE_CAPTURE,
    capability_pb2.CAPABILITY_INCREMENTAL_AUTHORIZATION,
    capability_pb2.CAPABILITY_OPERATION_LOOKUP,
)


class Holder(sidecars.Sidecar):
    """Holds money, and more of it; `does` is what becomes of the next increment.

    Keeps what it did, by operation: the total held after it.
    """

    def __init__(self) -> None:
        super().__init__("mock")
        for capability in OFFERS:
            self.handshake.capabilities.add(capability=capability, enabled=True)
        self.does = "succeed"
        self.held: dict[str, int] = {}
        self.totals: dict[str, int] = {}
        self.done: dict[str, operation_pb2.Operation] = {}

    async def AuthorizePayment(
        self, request: pb.AuthorizePaymentRequest, context: Any
    ) -> pb.AuthorizePaymentResponse:
        """Holds."""
        answer = await super().AuthorizePayment(request, context)
        self.held[answer.operation.provider_object_id] = request.amount.amount_minor
        return answer

    async def IncrementAuthorization(
        self, request: pb.IncrementAuthorizationRequest, context: Any
    ) -> pb.IncrementAuthorizationResponse:
        """Does what it was told to."""
        operation = _STATE(operation_id=request.context.operation_id, amount=request.amount)
        if self.does == "decline":
            operation.state = _STATE.STATE_DECLINED
            operation.decline.reason = operation_pb2.DECLINE_REASON_NOT_ALLOWED
            return pb.IncrementAuthorizationResponse(operation=operation)
        operation.state = _STATE.STATE_SUCCEEDED
        self.held[request.provider_payment_id] += request.amount.amount_minor
        assert self.held[request.provider_payment_id] == request.total.amount_minor
        self.done[operation.operation_id] = operation
        if self.does == "forget to answer":
            await context.abort(grpc.StatusCode.UNAVAILABLE, "gone")
        if self.does == "book another amount":
            operation.amount.amount_minor += 1
        if self.answers is not None:
            await self.answers.wait()
        return pb.IncrementAuthorizationResponse(operation=operation)

    async def CapturePayment(
        self, request: pb.CapturePaymentRequest, context: Any
    ) -> pb.CapturePaymentResponse:
        """Takes."""
        return pb.CapturePaymentResponse(
            operation=_STATE(
                operation_id=request.context.operation_id,
                state=_STATE.STATE_SUCCEEDED,
                amount=request.amount,
            )
        )

    async def GetOperation(
        self, request: pb.GetOperationRequest, context: Any
    ) -> pb.GetOperationResponse:
        """Tells what it did, unless it has forgotten how to answer."""
        if self.does == "forget to answer":
            await context.abort(grpc.StatusCode.UNAVAILABLE, "gone")
        found = self.done.get(request.operation_id)
        if found is None:
            failure = failure_pb2.Failure(
                reason=failure_pb2.FAILURE_REASON_NOT_FOUND,
                effect=failure_pb2.Failure.EFFECT_NONE,
            )
            await sidecars.fail(
                context,
                errors.RpcError(
                    grpc.StatusCode.NOT_FOUND, "NOT_FOUND", "nothing", details=[failure]
                ),
            )
        return pb.GetOperationResponse(operation=found)


async def test_what_is_held_rises_by_increments_and_can_be_captured(database_url: str) -> None:
    """Twice, repeated by key, declined, in doubt: the amount is what the provider holds."""
    async with Holder() as bank, inside.running(database_url, bank.target) as service:
        await inside.connected(service)
        caller = service.caller
        held = await caller.create(manual=True)
        assert rig.actions(held) == {"CAPTURE": 1000, "CANCEL": 0, "INCREMENT": 0}
        key = rig.new_key()
        more = await caller.increment(held.id, 500, key=key)
        assert await caller.increment(held.id, 500, key=key) == more
        assert (more.amount.amount_minor, more.amounts.authorized_minor) == (1500, 1500)
        bank.does = "decline"
        refused = await caller.increment(held.id, 400)
        assert rig.operations(refused)[-1] == ("INCREMENT", "DECLINED")
        assert (rig.state(refused), refused.amount.amount_minor) == ("AUTHORIZED", 1500)
        bank.does = "forget to answer"
        doubt = await caller.increment(held.id, 200)
        assert rig.operations(doubt)[-1] == ("INCREMENT", "IN_DOUBT")
        assert (rig.state(doubt), rig.actions(doubt)) == ("AUTHORIZED", {})
        for call in (
            caller.capture(held.id),
            caller.cancel(held.id),
            caller.increment(held.id, 1),
        ):
            assert (await rig.refusal(call)).reason == "STATE_CONFLICT"
        bank.does = "succeed"
        known = await caller.becomes_known(held.id)
        assert rig.amounts(known) == (1700, 0, 0, 0, 0)
        assert list(bank.held.values()) == [1700]
        paid = await caller.capture(held.id)
        assert (rig.state(paid), rig.amounts(paid)[:2]) == ("SUCCEEDED", (1700, 1700))
        again = await rig.refusal(caller.increment(held.id, 1))
        assert again.metadata["allowed_actions"] == "refund"


async def test_no_increment_passes_by_what_was_held_before_another(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A binding's largest amount holds for the sum as it is when more is asked for."""
    options = binding_rig.Options(limits=[binding_rig.limit(max_minor=1200)])
    async with Holder() as bank, inside.running(database_url, bank.target) as service:
        await inside.connected(service)
        caller = service.caller
        await binding_rig.Admin(caller).create(caller.tenant, {}, options=options)
        await service.parts.ctx.catalog.refresh()
        held = await caller.create(manual=True)
        before = await service.parts.ctx.db.read(
            lambda conn: rows.load(conn, caller.tenant, held.id)
        )
        await caller.increment(held.id, 150)

        async def stale(*_: Any) -> Any:
            return before

        monkeypatch.setattr(driving.Driver, "read", stale)
        refused = await rig.refusal(caller.increment(held.id, 150))
        assert (refused.reason, refused.metadata["amount_minor"]) == ("LIMIT_EXCEEDED", "1300")
        monkeypatch.undo()
        after = await caller.increment(held.id, 50)
        assert (after.amount.amount_minor, len(after.operations)) == (1200, 3)


async def test_increments_take_from_the_day_and_give_back_what_was_declined(
    database_url: str,
) -> None:
    """A binding's daily limit counts what is added to a payment like a payment of its own."""
    options = binding_rig.Options(limits=[binding_rig.limit(daily_minor=1500)])
    async with Holder() as bank, inside.running(database_url, bank.target) as service:
        await inside.connected(service)
        caller = service.caller
        await binding_rig.Admin(caller).create(caller.tenant, {}, options=options)
        await service.parts.ctx.catalog.refresh()
        held = await caller.create(manual=True)
        await caller.increment(held.id, 300)
        bank.does = "decline"
        await caller.increment(held.id, 200)
        bank.does = "succeed"
        refused = await rig.refusal(caller.increment(held.id, 201))
        assert (refused.reason, refused.metadata["limit"]) == ("LIMIT_EXCEEDED", "daily")
        assert refused.metadata["used_minor"] == "1300"
        full = await caller.increment(held.id, 200)
        assert full.amount.amount_minor == 1500
        assert (await rig.refusal(caller.increment(held.id, 1))).reason == "LIMIT_EXCEEDED"


async def test_no_more_is_held_than_an_amount_can_be(database_url: str) -> None:
    """A sum beyond the largest amount is refused with what is left, before anything is sent."""
    async with Holder() as bank, inside.running(database_url, bank.target) as service:
        await inside.connected(service)
        caller = service.caller
        held = await caller.create(amount_minor=money.AMOUNT_MINOR_MAX - 1, manual=True)
        refused = await rig.refusal(caller.increment(held.id, 2))
        assert (refused.reason, refused.metadata["max_amount_minor"]) == ("AMOUNT_EXCEEDED", "1")
        assert bank.done == {}
        more = await caller.increment(held.id, 1)
        assert more.amount.amount_minor == money.AMOUNT_MINOR_MAX


async def test_concurrent_increments_begin_one_at_a_time(database_url: str) -> None:
    """Of many increments, captures and a cancel at once, one begins; the others are refused."""
    async with (
        Holder() as bank,
        inside.running(database_url, bank.target, provider_timeout_s=20) as service,
    ):
        await inside.connected(service)
        caller = service.caller
        held = await caller.create(manual=True)
        bank.answers = asyncio.Event()
        calls = [caller.increment(held.id, 100) for _ in range(6)]
        first = [asyncio.create_task(call) for call in calls]
        for done in itertools.islice(asyncio.as_completed(first), 5):
            with pytest.raises(rig.Refused):
                await done
        refused = await asyncio.gather(
            rig.refusal(caller.capture(held.id, 1, more=True)),
            rig.refusal(caller.cancel(held.id)),
        )
        assert {one.reason for one in refused} == {"STATE_CONFLICT"}
        bank.answers.set()
        results = await asyncio.gather(*first, return_exceptions=True)
        assert sum(not isinstance(one, BaseException) for one in results) == 1
        after = await caller.get(held.id)
        assert rig.amounts(after)[0] == 1100 == next(iter(bank.held.values()))
        assert rig.operations(after) == [("AUTHORIZE", "SUCCEEDED"), ("INCREMENT", "SUCCEEDED")]


async def test_a_wrong_amount_stays_in_doubt_for_an_operator(database_url: str) -> None:
    """An increment that was booked differently is not believed, and holds everything up."""
    async with Holder() as bank, inside.running(database_url, bank.target) as service:
        await inside.connected(service)
        caller = service.caller
        held = await caller.create(manual=True)
        bank.does = "book another amount"
        doubt = await caller.increment(held.id, 200)
        assert rig.operations(doubt)[-1] == ("INCREMENT", "IN_DOUBT")
        assert doubt.operations[-1].failure.reason == "ANSWER_MISMATCH"
        assert (rig.state(doubt), rig.amounts(doubt)[0]) == ("AUTHORIZED", 1000)


BAD: dict[str, tuple[dict[str, Any], list[str]]] = {
    "no key": ({"idempotency_key": ""}, ["idempotency_key"]),
    "amount 0": ({"amount": rig.money(0)}, ["amount.amount_minor"]),
    "no amount": ({"amount": None}, ["amount"]),
    "no currency": ({"amount": rig.money(1, "XXQ")}, ["amount.currency_code"]),
    "another currency": ({"amount": rig.money(1, "USD")}, ["amount.currency_code"]),
    "id": ({"payment_id": "pay_1"}, ["payment_id"]),
}


async def test_what_no_increment_is_is_refused(
    service: conftest.Service, join: conftest.Join
) -> None:
    """Bad fields by their path, other tenants, keys and scopes; nothing is stored."""
    caller, stranger = await join(service), await join(service)
    reader = await join(service, ("payments:read",), caller.tenant)
    held = await caller.create(manual=True)
    before = service.records.of_tenant(caller.tenant, stranger.tenant)
    for what, (changes, fields) in BAD.items():
        given: dict[str, Any] = {"idempotency_key": "k", "payment_id": held.id}
        request = payments_pb.IncrementAuthorizationRequest(
            **given | {"amount": rig.money(1)} | changes
        )
        refused = await rig.refusal(caller.call(caller.payments.IncrementAuthorization, request))
        assert refused.code is grpc.StatusCode.INVALID_ARGUMENT, what
        assert refused.fields == fields, what
    found = await rig.refusal(stranger.increment(held.id, 1))
    assert found.code is grpc.StatusCode.NOT_FOUND
    assert (await rig.refusal(reader.increment(held.id, 1))).reason == "SCOPE_MISSING"
    async with rig.Caller(service.target, "") as nobody:
        assert (await rig.refusal(nobody.increment(held.id, 1))).reason == "KEY_INVALID"
    assert service.records.of_tenant(caller.tenant, stranger.tenant) == before


async def test_a_provider_that_cannot_is_not_asked(database_url: str) -> None:
    """CAPABILITY_MISSING names what is lacking, before anything is written."""
    async with (
        sidecars.Sidecar("mock") as bank,
        inside.running(database_url, bank.target) as service,
    ):
        await inside.connected(service)
        held = await service.caller.create(manual=True)
        refused = await rig.refusal(service.caller.increment(held.id, 1))
        assert refused.reason == "CAPABILITY_MISSING"
        assert refused.metadata["capability"] == "INCREMENTAL_AUTHORIZATION"
        assert await service.caller.get(held.id) == held


pytestmark = pytest.mark.timeout(120)

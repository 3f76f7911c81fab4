"""Idempotency keys: one per tenant and RPC, and what a repeat gets."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import pytest
from payhub.payments.v1 import payment_pb2
from payhub.payments.v1 import payment_service_pb2 as payments_pb

from deploy import stack
from tests.integration.payment_service import conftest, inside, rig

# Makes a call with a key; True asks for another request under the same key.
Call = Callable[[str, bool], Awaitable[Any]]


async def mutation(name: str, caller: rig.Caller, fault: str = "") -> Call:
    """Returns a call of one mutating RPC, with what it needs made before.

    Args:
        name: Which one.
        caller: Who calls.
        fault: What the provider does on it; it approves if not given.
    """
    on = f"+{{}}.{fault}" if fault else ""
    token = f"tok_{fault or 'approve'}"
    match name:
        case "create":
            return lambda key, other: caller.create(token, 999 if other else 1000, key=key)
        case "confirm":
            made = await caller.create(token="", confirm=False)
            return lambda key, other: caller.confirm(
                made.id, "tok_another" if other else token, key=key
            )
        case "capture":
            held = await caller.create(f"tok_approve{on.format('capture')}", manual=True)
            return lambda key, other: caller.capture(
                held.id, 299 if other else 300, more=True, key=key
            )
        case "cancel":
            open_ = await caller.create(f"tok_approve{on.format('void')}", manual=True)
            return lambda key, other: caller.cancel(open_.id, key, "why" if other else "")
        case "refund":
            paid = await caller.create(f"tok_approve{on.format('refund')}")
            return lambda key, other: caller.refund(paid.id, 299 if other else 300, key=key)
        case "create_customer":
            mail = f"mock+{fault}@example.com" if fault else ""
            return lambda key, other: caller.create_customer(
                key, name="Grace" if other else "Ada", email=mail
            )
        case _:
            mail = f"mock+update.{fault}@example.com" if fault else ""
            known = await caller.create_customer(name="Ada")
            return lambda key, other: caller.update_customer(
                known.id, key=key, name="Grace" if other else "Ada", email=mail
            )


MUTATIONS = (
    "create",
    "confirm",
    "capture",
    "cancel",
    "refund",
    "create_customer",
    "update_customer",
)


@pytest.mark.parametrize("name", MUTATIONS)
async def test_a_repeat_gets_the_same_and_another_request_is_refused(
    name: str, caller: rig.Caller, service: conftest.Service
) -> None:
    """Same key and request: the resource as it stands; another request: which one it made."""
    call = await mutation(name, caller)
    key = rig.new_key()
    first = await call(key, False)
    stored = service.records.of_tenant(caller.tenant)
    assert await call(key, False) == first
    refused = await rig.refusal(call(key, True))
    assert refused.code is grpc.StatusCode.ALREADY_EXISTS
    assert refused.reason == "IDEMPOTENCY_KEY_REUSED"
    assert refused.metadata["resource_id"] == first.id
    assert refused.metadata["retry"] == "never"
    assert service.records.of_tenant(caller.tenant) == stored


async def test_a_repeat_while_the_first_is_under_way_is_told_to_come_back(
    hasty: conftest.Service, join: conftest.Join
) -> None:
    """One of two at once works, the other is ABORTED with RetryInfo; later both get one answer.

    Another request under the same key is refused at once, as it is afterwards.
    """
    caller, mixed_up = await join(hasty), await join(hasty)

    async def one(name: str) -> None:
        call = await mutation(name, caller, "late_answer")
        key = rig.new_key()
        results = await asyncio.gather(call(key, False), call(key, False), return_exceptions=True)
        (done,) = [result for result in results if not isinstance(result, BaseException)]
        (refused,) = [result for result in results if isinstance(result, rig.Refused)]
        assert refused.code is grpc.StatusCode.ABORTED, name
        assert refused.reason == "IDEMPOTENCY_KEY_IN_FLIGHT"
        assert refused.metadata["resource_id"] == done.id
        assert refused.metadata["retry"] == "same_key"
        assert refused.retry_after_s is not None
        assert refused.retry_after_s > 0
        assert (await call(key, False)).id == done.id

    async def another() -> None:
        key = rig.new_key()
        first = asyncio.create_task(mixed_up.create("tok_late_answer", key=key))
        (under_way,) = await rig.until(lambda: payments_of(mixed_up))
        refused = await rig.refusal(mixed_up.create("tok_late_answer", 1, key=key))
        assert not first.done()
        assert refused.reason == "IDEMPOTENCY_KEY_REUSED"
        assert refused.metadata["resource_id"] == under_way.id
        assert (await first).id == under_way.id

    await asyncio.gather(another(), *(one(name) for name in MUTATIONS))


async def payments_of(caller: rig.Caller) -> list[rig.Payment]:
    """Returns the payments of a caller's tenant."""
    return list((await caller.list()).payments)


async def test_concurrent_creates_with_one_key_make_one_payment(
    caller: rig.Caller, service: conftest.Service
) -> None:
    """However many callers race, one payment is stored and the provider is asked once."""
    for _ in range(3):
        key = rig.new_key()
        results = await asyncio.gather(
            *(caller.create(key=key) for _ in range(12)), return_exceptions=True
        )
        made = {result.id for result in results if isinstance(result, rig.Payment)}
        assert len(made) == 1
        codes = {result.code for result in results if isinstance(result, rig.Refused)}
        assert codes <= {grpc.StatusCode.ABORTED}
        (payment_id,) = made
        assert service.ledger.effects(payment_id) == [("SALE", "SUCCEEDED", 1000)]
        service.records.story(await caller.get(payment_id))
    assert len(await payments_of(caller)) == 3


async def test_concurrent_refunds_with_one_key_are_one_refund(
    caller: rig.Caller, service: conftest.Service
) -> None:
    """Also when the key is used on two payments at once: one of them keeps it."""
    first, second = await caller.create(), await caller.create()
    key = rig.new_key()
    results = await asyncio.gather(
        *(caller.refund(payment.id, 10, key=key) for payment in (first, second) * 6),
        return_exceptions=True,
    )
    made = {result.id for result in results if isinstance(result, rig.Refund)}
    assert len(made) == 1
    codes = {result.code for result in results if isinstance(result, rig.Refused)}
    assert codes <= {grpc.StatusCode.ABORTED, grpc.StatusCode.ALREADY_EXISTS}
    effects = [*service.ledger.effects(first.id), *service.ledger.effects(second.id)]
    assert effects.count(("REFUND", "SUCCEEDED", 10)) == 1


async def test_a_repeat_of_a_failed_payment_returns_it_as_failed(
    caller: rig.Caller, service: conftest.Service
) -> None:
    """A decline is an answer: only a new key, on Confirm, tries again."""
    key = rig.new_key()
    failed = await caller.create("tok_decline", key=key)
    again = await caller.create("tok_decline", key=key)
    assert again == failed
    assert rig.state(again) == "FAILED"
    confirm_key = rig.new_key()
    refused = await caller.confirm(failed.id, "tok_decline_do_not_honor", confirm_key)
    assert await caller.confirm(failed.id, "tok_decline_do_not_honor", confirm_key) == refused
    assert len(service.ledger.of(failed.id)) == 2


async def test_a_repeat_returns_what_has_become_of_it(caller: rig.Caller) -> None:
    """There is no stored response: the answer is the payment of now, not of then."""
    key = rig.new_key()
    payment = await caller.create(key=key)
    await caller.refund(payment.id, 400)
    again = await caller.create(key=key)
    assert again.amounts.refunded_minor == 400
    assert again.version == payment.version + 2


async def test_a_key_belongs_to_its_tenant_and_its_rpc(
    caller: rig.Caller, service: conftest.Service, join: conftest.Join
) -> None:
    """The same text is another key for somebody else and for another call."""
    other = await join(service)
    key = rig.new_key()
    mine = await caller.create(manual=True, key=key)
    theirs = await other.create(amount_minor=77, key=key)
    assert mine.id != theirs.id
    await caller.capture(mine.id, 500, more=True, key=key)
    await caller.refund(mine.id, 100, key=key)
    await caller.cancel(mine.id, key)
    customer = await caller.create_customer(key, name="Ada")
    await caller.update_customer(customer.id, key=key, name="Grace")
    assert rig.amounts(await caller.get(mine.id)) == (1000, 500, 0, 100, 0)


async def test_a_key_of_one_payment_is_not_for_another(caller: rig.Caller) -> None:
    """The payment is part of the request."""
    first, second = await caller.create(), await caller.create()
    key = rig.new_key()
    await caller.refund(first.id, 10, key=key)
    refused = await rig.refusal(caller.refund(second.id, 10, key=key))
    assert refused.code is grpc.StatusCode.ALREADY_EXISTS


async def test_a_refused_call_leaves_its_key_unused(caller: rig.Caller) -> None:
    """Nothing is stored of it, so the corrected request may use the same key."""
    payment = await caller.create()
    key = rig.new_key()
    refused = await rig.refusal(caller.refund(payment.id, 1001, key=key))
    assert refused.reason == "AMOUNT_EXCEEDED"
    refund = await caller.refund(payment.id, 1000, key=key)
    assert rig.state(refund) == "SUCCEEDED"


async def test_a_repeat_in_other_words_is_one(
    caller: rig.Caller, service: conftest.Service
) -> None:
    """Defaults that are written out, empty messages and the order of paths ask for nothing else."""
    asked: dict[str, Any] = {
        "amount": rig.money(1000),
        "payment_method": "tok_approve",
        "confirm": True,
    }
    key = rig.new_key()
    made = set()
    ways: tuple[dict[str, Any], ...] = (
        {},
        {"capture_method": 1},
        {"references": {}},
        {"references": {"metadata": {}}},
    )
    for fields in ways:
        request = payments_pb.CreatePaymentRequest(idempotency_key=key, **asked, **fields)
        made.add((await caller.call(caller.payments.CreatePayment, request)).payment.id)
    (payment_id,) = made
    assert service.ledger.effects(payment_id) == [("SALE", "SUCCEEDED", 1000)]
    manual = payments_pb.CreatePaymentRequest(
        idempotency_key=key, capture_method=payment_pb2.CAPTURE_METHOD_MANUAL, **asked
    )
    refused = await rig.refusal(caller.call(caller.payments.CreatePayment, manual))
    assert refused.reason == "IDEMPOTENCY_KEY_REUSED"
    customer = await caller.create_customer(name="Ada", email="ada@example.com")
    profile = {"name": "Grace", "email": "grace@example.com"}
    first = await caller.update_customer(customer.id, ("name", "email"), key, **profile)
    again = await caller.update_customer(customer.id, ("email", "name"), key, **profile)
    assert again == first
    assert (again.profile.name, again.version) == ("Grace", first.version)
    other = await rig.refusal(caller.update_customer(customer.id, ("name",), key, **profile))
    assert other.reason == "IDEMPOTENCY_KEY_REUSED"


async def test_a_key_of_an_older_version_is_found_by_the_very_same_request(
    database_url: str, bank: stack.Stack
) -> None:
    """What was stored before requests had a normal form charges nobody again after an upgrade."""
    async with inside.running(database_url, bank.target(stack.MOCK)) as service:
        await inside.connected(service)
        create = service.caller.payments.CreatePayment
        asked: dict[str, Any] = {
            "amount": rig.money(1000),
            "payment_method": "tok_approve",
            "confirm": True,
        }
        bare = payments_pb.CreatePaymentRequest(**asked)
        key = rig.new_key()
        keyed = payments_pb.CreatePaymentRequest(idempotency_key=key, **asked)
        made = (await service.caller.call(create, keyed)).payment
        as_before: dict[str, object] = {
            "found": hashlib.sha256(bare.SerializeToString(deterministic=True)).digest()
        }
        await service.parts.ctx.db.write(
            lambda conn: conn.query("update idempotency_keys set fingerprint = :found", as_before)
        )
        assert (await service.caller.call(create, keyed)).payment == made
        keyed.amount.amount_minor = 999
        refused = await rig.refusal(service.caller.call(create, keyed))
        assert refused.reason == "IDEMPOTENCY_KEY_REUSED"


async def test_the_order_of_metadata_is_no_difference(caller: rig.Caller) -> None:
    """Maps have none, so a repeat may send its entries in any order."""
    key = rig.new_key()
    pairs = {f"k{number}": str(number) for number in range(8)}
    backwards = dict(reversed(pairs.items()))
    first = await caller.create(key=key, references={"metadata": pairs})
    assert (await caller.create(key=key, references={"metadata": backwards})).id == first.id

"""Payments with kept payment methods, without the payer, and the tries that follow."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
import pytest_asyncio
from google.protobuf import duration_pb2
from payhub.payments.v1 import payment_service_pb2 as payments_pb
from payhub.payments.v1 import retry_policy_service_pb2 as retries_pb

from payment_service import retrier
from payment_service.db import payments
from payment_service.domain import retries
from payment_service.usecases import retrying, settling
from payment_service.usecases.plugins import plugin_events
from tests.integration.payment_service import binding_rig, conftest, paying, rig, upstream

CODE = grpc.StatusCode


@pytest_asyncio.fixture
async def clock() -> paying.Clock:
    """Time that can be moved on."""
    return paying.Clock()


@pytest_asyncio.fixture
async def shop(database_url: str, clock: paying.Clock) -> AsyncIterator[paying.Paying]:
    """A service whose provider is paid without payers."""
    async with paying.running(database_url, clock) as running:
        yield running


async def test_a_payment_method_is_kept_while_paying_and_pays_without_the_payer(
    shop: paying.Paying,
) -> None:
    """The answer's payment method becomes one here; what it pays says so, and how."""
    customer = await shop.customer()
    paid = await shop.caller.create(
        "tok_new", save_payment_method=True, references={"customer_id": customer.id}
    )
    assert rig.state(paid) == "SUCCEEDED"
    first = shop.bank.asked_for[0]
    assert (first.save_payment_method, first.off_session) == (True, False)
    (kept,) = (await shop.methods(customer.id)).payment_methods
    assert (kept.card.last4, rig.state(kept)) == ("1881", "ACTIVE")
    assert shop.records.story(kept) == ["payment_method.attached"]
    again = await shop.pay(kept)
    assert (rig.state(again), again.off_session) == ("SUCCEEDED", True)
    assert again.payment_method_id == kept.id
    sent = shop.bank.asked_for[1]
    assert sent.off_session
    assert sent.payment_method == kept.mirror.provider_object_id
    assert sent.provider_customer_id == customer.provider_customer_id
    shop.bank.script["AuthorizePayment"] = ["drop"]
    doubt = await shop.caller.create(
        "tok_other", save_payment_method=True, references={"customer_id": customer.id}
    )
    assert rig.state(doubt) == "IN_DOUBT"
    await shop.caller.becomes(doubt.id, "SUCCEEDED")
    assert len((await shop.methods(customer.id)).payment_methods) == 2


async def test_what_can_not_be_paid_with_is_refused_by_its_field(shop: paying.Paying) -> None:
    """Other customers, other tenants, detached ones, both and none; nothing is stored."""
    customer, other = await shop.customer(), await shop.customer()
    method = await shop.attach(customer.id)
    gone = await shop.attach(customer.id)
    await shop.change_method("DetachPaymentMethod", gone.id)
    create, confirm = shop.caller.payments.CreatePayment, shop.caller.payments.ConfirmPayment
    references = {"customer_id": customer.id}
    base: dict[str, Any] = {"idempotency_key": "k", "amount": rig.money(5), "confirm": True}
    held = await shop.caller.create(token="", confirm=False, off_session=True)
    stored = shop.records.rows("select count(*) from operations")
    wrong: list[tuple[dict[str, Any], list[str]]] = [
        ({"payment_method_id": "pmt_1"}, ["payment_method_id"]),
        ({"payment_method_id": method.id}, ["references.customer_id"]),
        (
            {"payment_method_id": method.id, "references": {"customer_id": other.id}},
            ["payment_method_id"],
        ),
        (
            {
                "payment_method_id": method.id,
                "payment_method": "tok",
                "references": references,
            },
            ["payment_method_id"],
        ),
        ({"payment_method": "tok", "off_session": True}, ["payment_method_id"]),
        ({"payment_method": "tok", "save_payment_method": True}, ["references.customer_id"]),
        (
            {
                "payment_method_id": method.id,
                "save_payment_method": True,
                "references": references,
            },
            ["save_payment_method"],
        ),
    ]
    for fields, paths in wrong:
        request = payments_pb.CreatePaymentRequest(**(base | fields))
        refused = await rig.refusal(shop.caller.call(create, request))
        assert (refused.code, refused.fields) == (CODE.INVALID_ARGUMENT, paths), fields
    for fields, paths in (
        ({}, ["payment_method"]),
        ({"payment_method": "t", "payment_method_id": method.id}, ["payment_method_id"]),
        ({"payment_method": "t"}, ["payment_method_id"]),
    ):
        confirmation = payments_pb.ConfirmPaymentRequest(
            idempotency_key="k", payment_id=held.id, **fields
        )
        refused = await rig.refusal(shop.caller.call(confirm, confirmation))
        assert refused.fields == paths
    unusable = await rig.refusal(shop.pay(gone))
    assert unusable.reason == "STATE_CONFLICT"
    assert unusable.metadata["state"] == "STATE_DETACHED"
    unknown = payments_pb.CreatePaymentRequest(
        **base, payment_method_id=f"pmt_{'0' * 32}", references=references
    )
    assert (await rig.refusal(shop.caller.call(create, unknown))).code is CODE.NOT_FOUND
    assert shop.records.rows("select count(*) from operations") == stored


async def test_a_repeat_gets_its_payment_though_its_method_is_gone_by_now(
    shop: paying.Paying,
) -> None:
    """Whoever lost the answer and is refused instead would pay again under another key."""
    method = await shop.attach((await shop.customer()).id)
    key = rig.new_key()
    paid = await shop.pay(method, key)
    shop.bank.script["AuthorizePayment"] = ["hard"]
    failed = await shop.pay(method)
    confirmation = payments_pb.ConfirmPaymentRequest(
        idempotency_key=key, payment_id=failed.id, payment_method_id=method.id
    )
    confirm = shop.caller.payments.ConfirmPayment
    confirmed = (await shop.caller.call(confirm, confirmation)).payment
    await shop.change_method("DetachPaymentMethod", method.id)
    assert await shop.pay(method, key) == paid
    assert (await shop.caller.call(confirm, confirmation)).payment == confirmed
    another = await rig.refusal(shop.pay(method, key, description="another"))
    assert another.reason == "IDEMPOTENCY_KEY_REUSED"
    assert (await rig.refusal(shop.pay(method))).metadata["state"] == "STATE_DETACHED"
    assert len(shop.bank.asked_for) == 3


async def test_a_soft_refusal_is_tried_again_as_the_policy_says(
    shop: paying.Paying, clock: paying.Clock
) -> None:
    """Each delay is one try, told as the policy's; a hard refusal ends it, success too."""
    method = await shop.attach((await shop.customer()).id)
    policy = await shop.set_policy(60, 3600)
    assert [each.seconds for each in policy.delays] == [60, 3600]
    shop.bank.script["AuthorizePayment"] = ["soft", "soft", "not_sent"]
    failed = await shop.pay(method)
    assert (rig.state(failed), failed.failure.retryable_later) == ("FAILED", True)
    wait_s = failed.next_retry_time.ToSeconds() - failed.update_time.ToSeconds()
    assert wait_s == 60
    # Time goes on by itself too, on a slow machine by some seconds.
    clock.advance(45)
    assert await shop.service.parts.retrier.run_once() == 0
    clock.advance(16)

    async def operations(count: int) -> rig.Payment | None:
        found = await shop.caller.becomes_known(failed.id)
        return found if len(found.operations) == count else None

    tried = await rig.until(lambda: operations(2))
    assert rig.state(tried) == "FAILED"
    assert tried.next_retry_time.ToSeconds() - tried.update_time.ToSeconds() == 3600
    clock.advance(3601)
    last = await rig.until(lambda: operations(3))
    assert shop.outcomes(last) == ["DECLINED", "DECLINED", "NOT_SENT"]
    assert not last.HasField("next_retry_time")
    actors = [event.cause.actor for event in shop.records.events(last.id)]
    assert actors[2:] == [retries.ACTOR] * 4
    assert {request.payment_method for request in shop.bank.asked_for} == {
        method.mirror.provider_object_id
    }
    for how, attempts in (("hard", 1), ("absent", 1), ("soft", 2)):
        shop.bank.script["AuthorizePayment"] = [how]
        payment = await shop.pay(method)
        clock.advance(120)
        if attempts == 2:
            payment = await shop.caller.becomes(payment.id, "SUCCEEDED")
        else:
            assert await shop.service.parts.retrier.run_once() == 0
            payment = await shop.caller.get(payment.id)
        assert len(payment.operations) == attempts, how
        assert not payment.HasField("next_retry_time")


async def test_a_cancellation_or_a_callers_own_try_stops_the_policy(
    shop: paying.Paying, clock: paying.Clock
) -> None:
    """No try follows one that is canceled, or whose payment method was detached; a caller's
    confirmation starts the waits anew.
    """
    method = await shop.attach((await shop.customer()).id)
    await shop.set_policy(60)
    shop.bank.script["AuthorizePayment"] = ["soft"] * 3
    canceled, again = await shop.pay(method), await shop.pay(method)
    ended = await shop.caller.cancel(canceled.id)
    assert (rig.state(ended), ended.HasField("next_retry_time")) == ("CANCELED", False)
    request = payments_pb.ConfirmPaymentRequest(
        idempotency_key="k", payment_id=again.id, payment_method_id=method.id
    )
    confirmed = (await shop.caller.call(shop.caller.payments.ConfirmPayment, request)).payment
    assert confirmed.HasField("next_retry_time")
    clock.advance(61)
    paid = await shop.caller.becomes(again.id, "SUCCEEDED")
    assert shop.outcomes(paid) == ["DECLINED", "DECLINED", "SUCCEEDED"]
    assert len((await shop.caller.get(canceled.id)).operations) == 1
    shop.bank.script["AuthorizePayment"] = ["soft"]
    last = await shop.pay(method)
    await shop.change_method("DetachPaymentMethod", method.id)
    clock.advance(61)

    async def given_up() -> bool:
        return not (await shop.caller.get(last.id)).HasField("next_retry_time")

    await rig.until(given_up)
    left = await shop.caller.get(last.id)
    assert len(left.operations) == 1
    assert shop.records.story(left)[-2:] == ["payment.failed", "payment.updated"]
    told = shop.records.payment_events(last.id)[-1]
    assert list(told.changed.paths) == ["next_retry_time"]
    assert told.previous.next_retry_time == last.next_retry_time


async def test_many_replicas_make_one_try_of_one_slot(
    shop: paying.Paying, clock: paying.Clock
) -> None:
    """Each slot is used up by the transaction that begins its try, whoever is first."""
    method = await shop.attach((await shop.customer()).id)
    await shop.set_policy(60)
    shop.bank.script["AuthorizePayment"] = ["soft"] * 4
    failed = [await shop.pay(method) for _ in range(4)]
    ctx = shop.service.parts.ctx
    others = [
        retrier.Retrier(retrying.Retrying(ctx, settling.Settler(ctx)), ctx.standing)
        for _ in range(4)
    ]
    clock.advance(61)
    await asyncio.gather(*(one.run_once() for one in others for _ in range(2)))
    for payment in failed:
        paid = await shop.caller.becomes(payment.id, "SUCCEEDED")
        assert shop.outcomes(paid) == ["DECLINED", "SUCCEEDED"]
    assert len(shop.bank.effects) == 1 + 4


async def test_a_try_is_made_in_its_own_slot_and_gives_back_what_it_took(
    shop: paying.Paying, clock: paying.Clock
) -> None:
    """Who comes for another slot begins nothing; a declined try is off the day's limit again, and
    one that is given up was never on it.
    """
    options = binding_rig.Options(limits=[binding_rig.limit(daily_minor=1000)])
    await binding_rig.Admin(shop.caller).create(shop.caller.tenant, {}, options=options)
    ctx = shop.service.parts.ctx
    await ctx.catalog.refresh()
    method = await shop.attach((await shop.customer()).id)
    await shop.set_policy(60)
    shop.bank.script["AuthorizePayment"] = ["soft", "soft"]
    failed = await shop.pay(method)
    slot_us = failed.next_retry_time.ToMicroseconds()
    late = retrying.Retrying(ctx, settling.Settler(ctx))
    for other_us in (slot_us - 1, slot_us + 1):
        assert not await late.carry_out(shop.caller.tenant, failed.id, other_us)
    assert len(shop.bank.asked_for) == 1
    clock.advance(61)

    async def tried() -> bool:
        states = [state for _, state in rig.operations(await shop.caller.get(failed.id))]
        return states == ["DECLINED", "DECLINED"]

    await rig.until(tried)
    assert shop.records.rows("select used_minor from binding_usage") == [(0,)]
    shop.bank.script["AuthorizePayment"] = ["soft"]
    left = await shop.pay(method)
    await shop.change_method("DetachPaymentMethod", method.id)
    clock.advance(61)

    async def given_up() -> bool:
        return not (await shop.caller.get(left.id)).HasField("next_retry_time")

    await rig.until(given_up)
    assert shop.records.rows("select used_minor from binding_usage") == [(0,)]
    other = await shop.attach((await shop.customer()).id)
    assert rig.state(await shop.pay(other)) == "SUCCEEDED"


async def test_a_provider_that_is_away_or_full_uses_up_no_try(
    shop: paying.Paying, clock: paying.Clock
) -> None:
    """What is refused before anything is sent is put off by a minute, and then made; callers and
    events go on telling when it was due.
    """
    method = await shop.attach((await shop.customer()).id)
    await shop.set_policy(60)
    shop.bank.script["AuthorizePayment"] = ["soft"]
    failed = await shop.pay(method)
    parts = shop.service.parts
    switch = {"tenant_id": "", "plugin_id": "mock", "operation": "sale"}
    why = plugin_events.Why(reason="test")
    await parts.plugins.kills.set(**switch, why=why)
    await parts.ctx.catalog.refresh()
    clock.advance(61)
    looked_us = clock.now_us()

    async def put_off() -> bool:
        ((until_us,),) = shop.records.rows("select put_off_until_us from payments")
        return bool(until_us > looked_us + 50_000_000)

    await rig.until(put_off)
    assert len(shop.bank.asked_for) == 1
    assert await shop.caller.get(failed.id) == failed
    await parts.plugins.kills.clear(**switch, why=why)
    await parts.ctx.catalog.refresh()
    clock.advance(61)
    paid = await shop.caller.becomes(failed.id, "SUCCEEDED")
    assert shop.outcomes(paid) == ["DECLINED", "SUCCEEDED"]


async def test_tries_that_can_not_be_made_keep_no_other_waiting(
    shop: paying.Paying, clock: paying.Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Payments that only a newer version can read are due for ever, before all others."""
    monkeypatch.setattr(retrier, "BATCH_MAX", 2)
    method = await shop.attach((await shop.customer()).id)
    await shop.set_policy(60)
    shop.bank.script["AuthorizePayment"] = ["soft"]
    failed = await shop.pay(method)
    changed = {"id": "'pay_' || n", "capture_method": "9", "next_retry_us": "1"}
    values = ", ".join(changed.get(name, name) for name in payments.COLUMNS)
    numbers = " union all ".join(f"select {n} as n" for n in range(3 * retrier.BATCH_MAX))
    names = ", ".join(payments.COLUMNS)
    copy = f"insert into payments ({names}) select {values} from payments, ({numbers}) as many"
    await shop.service.parts.ctx.db.write(lambda conn: conn.query(copy))
    clock.advance(61)
    await shop.caller.becomes(failed.id, "SUCCEEDED")


async def test_a_policy_is_checked_and_is_the_tenants_own(
    service: conftest.Service, join: conftest.Join
) -> None:
    """Too short, too long and too many waits are refused by field; others see none of it."""
    caller, stranger = await join(service), await join(service)
    get, put = "GetRetryPolicy", "SetRetryPolicy"

    def policy(*delays_s: int) -> retries_pb.SetRetryPolicyRequest:
        delays = [duration_pb2.Duration(seconds=each) for each in delays_s]
        return retries_pb.SetRetryPolicyRequest(policy=retries_pb.RetryPolicy(delays=delays))

    for request, fields in (
        (retries_pb.SetRetryPolicyRequest(), ["policy"]),
        (policy(59), ["policy.delays[0]"]),
        (policy(60, 2592001), ["policy.delays[1]"]),
        (policy(*[60] * 9), ["policy.delays"]),
    ):
        refused = await rig.refusal(caller.call(getattr(caller.retries, put), request))
        assert (refused.code, refused.fields) == (CODE.INVALID_ARGUMENT, fields)
    empty = retries_pb.GetRetryPolicyRequest()
    found = (await caller.call(getattr(caller.retries, get), empty)).policy
    assert (list(found.delays), found.HasField("update_time")) == ([], False)
    stored = (await caller.call(getattr(caller.retries, put), policy(60, 120))).policy
    assert stored.HasField("update_time")
    assert (await caller.call(getattr(caller.retries, get), empty)).policy == stored
    assert not (await stranger.call(getattr(stranger.retries, get), empty)).policy.delays
    reader = await join(service, ("payments:read",))
    denied = await rig.refusal(reader.call(getattr(reader.retries, put), policy(60)))
    assert (denied.code, denied.reason) == (CODE.PERMISSION_DENIED, "SCOPE_MISSING")
    async with rig.Caller(service.target, "") as nobody:
        refused = await rig.refusal(nobody.call(getattr(nobody.retries, get), empty))
        assert refused.code is CODE.UNAUTHENTICATED


async def test_a_provider_that_lacks_it_is_not_asked(
    database_url: str, clock: paying.Clock
) -> None:
    """Off session and keeping a method each need their capability."""
    bank = paying.Payer(upstream.CAPABILITIES)
    async with paying.running(database_url, clock, bank) as shop:
        customer = await shop.customer()
        method = await shop.attach(customer.id)
        without = await rig.refusal(shop.pay(method))
        assert without.metadata["capability"] == "OFF_SESSION"
        keeping = await rig.refusal(
            shop.caller.create(
                "tok", save_payment_method=True, references={"customer_id": customer.id}
            )
        )
        assert keeping.metadata["capability"] == "SAVE_PAYMENT_METHOD"
        with_payer = await shop.pay(method, off_session=False)
        assert rig.state(with_payer) == "SUCCEEDED"

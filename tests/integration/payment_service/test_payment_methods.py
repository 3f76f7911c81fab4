"""Payment methods: kept here and at the provider, for payments to come."""

import asyncio
from typing import Any

import grpc
import pytest
from payhub.payments.v1 import payment_pb2

from payment_service.usecases import intents
from tests.integration.payment_service import billing, rig

SECRET = "tok_very_secret_41"


async def test_a_payment_method_is_kept_made_default_and_taken_away(
    bill: billing.Billing, capfd: pytest.CaptureFixture[str]
) -> None:
    """Each change is one operation and tells it; one of a customer's methods is default."""
    customer = await bill.customer()
    key = rig.new_key()
    first = await bill.attach(customer.id, key, set_default=True, token=SECRET)
    assert (rig.state(first), billing.sync(first), first.is_default) == ("ACTIVE", "SYNCED", True)
    assert (first.card.brand, first.card.last4, first.card.expire_year) == ("visa", "4242", 2040)
    (operation,) = first.mirror.operations
    assert operation.kind == payment_pb2.Operation.KIND_ATTACH_PAYMENT_METHOD
    assert await bill.attach(customer.id, key, set_default=True, token=SECRET) == first
    reused = await rig.refusal(bill.attach(customer.id, key, token=SECRET))
    assert reused.reason == "IDEMPOTENCY_KEY_REUSED"

    second = await bill.attach(customer.id)
    assert not second.is_default
    changed = await bill.change_method("SetDefaultPaymentMethod", second.id)
    assert changed.is_default
    before = await bill.method(first.id)
    assert not before.is_default
    assert bill.records.story(before) == [
        "payment_method.created",
        "payment_method.attached",
        "payment_method.default_changed",
    ]
    told = bill.records.payload(bill.records.events(first.id)[-1])
    assert list(told.changed.paths) == ["is_default"]
    assert told.previous.is_default

    gone = await bill.change_method("DetachPaymentMethod", second.id)
    assert (rig.state(gone), gone.is_default) == ("DETACHED", False)
    assert bill.records.story(gone)[-1] == "payment_method.detached"
    listed = await bill.methods(customer.id)
    assert [one.id for one in listed.payment_methods] == [first.id]
    page = await bill.methods(customer.id, include_inactive=True, page_size=1)
    assert [one.id for one in page.payment_methods] == [second.id]
    rest = await bill.methods(
        customer.id, include_inactive=True, page_size=1, page_token=page.next_page_token
    )
    assert [one.id for one in rest.payment_methods] == [first.id]
    assert not rest.next_page_token
    again = await rig.refusal(bill.change_method("DetachPaymentMethod", second.id))
    assert (again.code, again.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "STATE_CONFLICT")
    assert again.metadata["state"] == "STATE_DETACHED"
    envelopes = bill.records.rows("select envelope from outbox")
    assert not any(SECRET.encode() in bytes(row[0]) for row in envelopes)
    printed = "".join(capfd.readouterr())
    assert "AttachPaymentMethod" in printed
    assert SECRET not in printed


async def test_what_became_of_a_payment_method_is_told_apart(bill: billing.Billing) -> None:
    """Refused and not sent fail, a lost answer and one without the object are looked up."""
    customer = await bill.customer()
    for how, first, after in (
        ("decline", "FAILED", "FAILED"),
        ("not_sent", "FAILED", "FAILED"),
        ("drop", "PENDING", "ACTIVE"),
        ("mute", "PENDING", "ACTIVE"),
    ):
        bill.bank.script["AttachPaymentMethod"] = [how]
        made = await bill.attach(customer.id)
        assert rig.state(made) == first, how
        if after == "ACTIVE":
            assert billing.sync(made) == "IN_DOUBT"
        else:
            assert made.mirror.failure.reason
        settled = await bill.settles(made.id, after)
        assert bill.records.story(settled)[0] == "payment_method.created"
        effects = [one for one, _ in bill.bank.effects]
        assert len(effects) == len(set(bill.bank.effects))
    assert [one for one, _ in bill.bank.effects] == ["AttachPaymentMethod"] * 2
    waiting = bill.records.rows("select count(*) from operations where next_check_us > 0")
    assert waiting == [(0,)]


async def test_a_change_names_what_the_provider_has_made_meanwhile(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its request is of the payment method as locked, not as it was before that was known."""
    async with billing.running(database_url, resolver_doubt_first_s=1000.0) as bill:
        customer = await bill.customer()
        bill.bank.script["AttachPaymentMethod"] = ["drop"]
        made = await bill.attach(customer.id)
        assert (rig.state(made), made.mirror.provider_object_id) == ("PENDING", "")
        way = intents.way

        async def meanwhile(*args: Any, **options: Any) -> Any:
            await bill.settles(made.id, "ACTIVE")
            return await way(*args, **options)

        monkeypatch.setattr(intents, "way", meanwhile)
        gone = await bill.change_method("DetachPaymentMethod", made.id)
        assert rig.state(gone) == "DETACHED"
        assert gone.mirror.provider_object_id not in bill.bank.objects


async def test_one_key_attaches_once_however_many_call(bill: billing.Billing) -> None:
    """Everybody gets the same method or hears that the first call is under way."""
    customer = await bill.customer()
    key = rig.new_key()
    calls = await asyncio.gather(
        *[bill.attach(customer.id, key) for _ in range(6)], return_exceptions=True
    )
    made = {one.id for one in calls if isinstance(one, billing.PaymentMethod)}
    others = [one for one in calls if isinstance(one, rig.Refused)]
    assert len(made) == 1
    assert {one.reason for one in others} <= {"IDEMPOTENCY_KEY_IN_FLIGHT"}
    assert len(bill.bank.effects) == 1


async def test_what_the_provider_can_not_or_nobody_may_is_refused(
    bill: billing.Billing,
) -> None:
    """Bad input names its field, another tenant finds nothing, and nothing is stored."""
    customer = await bill.customer()
    method = await bill.attach(customer.id)
    stored = bill.records.rows("select count(*) from mirrors")
    bad = await rig.refusal(bill.attach(customer.id, token=""))
    assert (bad.code, bad.fields) == (grpc.StatusCode.INVALID_ARGUMENT, ["token"])
    nul = await rig.refusal(bill.attach(customer.id, token="tok\0"))
    assert nul.fields == ["token"]
    missing = await rig.refusal(bill.attach(f"cus_{'0' * 32}"))
    assert missing.code is grpc.StatusCode.NOT_FOUND
    async with bill.stranger() as other:
        for call in (
            other.method(method.id),
            other.methods(customer.id),
            other.attach(customer.id),
            other.change_method("DetachPaymentMethod", method.id),
        ):
            assert (await rig.refusal(call)).code is grpc.StatusCode.NOT_FOUND
    assert bill.records.rows("select count(*) from mirrors") == stored

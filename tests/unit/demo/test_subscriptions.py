"""Rules of the subscription file, its reader, and the checks of how subscriptions ended."""

import dataclasses
import json
import pathlib
from typing import Any

import pytest
from payhub.payments.v1 import payment_pb2
from payhub.type.v1 import money_pb2

from examples.demo import __main__ as main
from examples.demo import billing, orders, subscriptions, verify, verify_billing
from payhub_client import BillingSubscription, Event, Invoice, Payment

PLAN: dict[str, Any] = {"name": "Gym", "amount_minor": 2990, "currency": "EUR", "interval": "month"}
FIRST = '{"last_day": 30}'


def a_line(**over: Any) -> dict[str, Any]:
    """Makes the JSON object of one valid subscription."""
    line = {
        "id": "sub-1",
        "note": "Gym",
        "customer": {"name": "Ann", "email": "ann@example.com"},
        "payment_method": "tok_approve",
        "plan": PLAN,
        "expect": {"state": "ACTIVE", "invoices": {"PAID": 1}, "paid_minor": 2990},
    }
    return line | over


def test_shipped_subscriptions_cover_states_steps_and_sums() -> None:
    """The demo shows trials, renewals, dunning and ends, and pays whole periods only."""
    book = subscriptions.load(main.SUBSCRIPTIONS)
    told = book.subscriptions
    assert {one.expect.state for one in told} == {"ACTIVE", "PAST_DUE", "CANCELED", "FAILED"}
    assert {type(step) for one in told for _, step in one.steps} == set(
        subscriptions.STEPS.values()
    )
    assert {state for one in told for state in one.expect.invoices} == {
        "PAID",
        "OPEN",
        "UNCOLLECTIBLE",
        "VOID",
    }
    for one in told:
        changed = any(isinstance(step, subscriptions.Change) for _, step in one.steps)
        if not changed:
            period_minor = one.plan.amount_minor * one.quantity
            assert one.expect.paid_minor == period_minor * one.expect.invoices["PAID"], one.id
    assert book.days()[-1] == book.last_day


@pytest.mark.parametrize(
    ("line", "text"),
    [
        (a_line(colour="red"), "unexpected keyword argument 'colour'"),
        (a_line(plan=PLAN | {"interval": "hour"}), "interval 'hour' is not one"),
        (a_line(plan=PLAN | {"amount_minor": 1}), "plan Gym is another one elsewhere"),
        (a_line(steps=[{"day": 31, "do": "cancel"}]), "day 31 is not one of the file's 30"),
        (a_line(steps=[{"do": "cancel"}]), "day has to be a whole number"),
        (a_line(steps=[{"day": 1, "do": "pause"}]), "step 'pause' is not one of change"),
        (a_line(steps=[{"day": 1, "do": "await", "state": "PAID"}]), "state 'PAID' is not one"),
        (
            a_line(steps=[{"day": 1, "do": "change", "plan": PLAN, "proration": "later"}]),
            "proration 'later'",
        ),
        (a_line(expect={"state": "ACTIVE", "invoices": {"DUE": 1}, "paid_minor": 0}), "'DUE'"),
        (a_line(expect={"state": "ACTIVE"}), "expect.invoices has to be a JSON object"),
        (a_line(id="first"), "first is there twice"),
        ([1], "subscription has to be a JSON object"),
    ],
)
def test_a_malformed_line_is_named(tmp_path: pathlib.Path, line: Any, text: str) -> None:
    """A line that can't be used is refused with its number and what is wrong."""
    file = tmp_path / "subscriptions.jsonl"
    file.write_text(f"{FIRST}\n{json.dumps(a_line(id='first'))}\n{json.dumps(line)}\n")
    with pytest.raises(orders.OrdersError, match=rf"subscriptions.jsonl:3: .*{text}"):
        subscriptions.load(file)
    file.write_text(f"{json.dumps(a_line())}\n")
    with pytest.raises(orders.OrdersError, match="first line has to be"):
        subscriptions.load(file)


def a_story() -> billing.Story:
    """Makes a subscription that was paid once, as its line expects."""
    told = subscriptions.Subscription(
        id="sub-1",
        note="Gym",
        customer=orders.Customer(name="Ann", email="ann@example.com"),
        payment_method="tok_approve",
        plan=subscriptions.Plan(**PLAN),
        expect=subscriptions.Expected(state="ACTIVE", invoices={"PAID": 1}, paid_minor=2990),
    )
    operation = payment_pb2.Operation(
        id="op_1",
        kind=payment_pb2.Operation.KIND_SALE,
        state=payment_pb2.Operation.STATE_SUCCEEDED,
        amount=money_pb2.Money(amount_minor=2990, currency_code="EUR"),
    )
    payment = Payment(
        id="pay_1",
        state=Payment.STATE_SUCCEEDED,
        provider_payment_id="mpay_1",
        invoice_id="inv_1",
        amount=operation.amount,
        amounts=payment_pb2.Amounts(authorized_minor=2990, captured_minor=2990),
        references=payment_pb2.References(subscription_id="sub_1"),
        operations=[operation],
    )
    invoice = Invoice(
        id="inv_1", state=Invoice.STATE_PAID, amount_paid_minor=2990, payment_id="pay_1"
    )
    state = BillingSubscription.STATE_ACTIVE
    return billing.Story(
        told=told,
        subscription=BillingSubscription(id="sub_1", state=state, version=1),
        invoices=[invoice],
        payments=[payment],
    )


def test_a_story_that_ends_as_told_has_no_differences_and_every_other_one_has() -> None:
    """A wrong state, sum, missing payment or reference is named."""
    assert verify_billing.check_story(a_story()) == []
    assert a_story().as_expected()
    ended = a_story()
    ended.subscription.state = BillingSubscription.STATE_CANCELED
    assert verify_billing.check_story(ended) == ["state is CANCELED, expected ACTIVE"]
    cheap = a_story()
    cheap.payments[0].amounts.captured_minor = 1
    assert any("paid_minor is 1" in text for text in verify_billing.check_story(cheap))
    stranger = a_story()
    stranger.payments[0].references.subscription_id = "sub_2"
    assert any("does not say" in text for text in verify_billing.check_story(stranger))
    unpaid = dataclasses.replace(a_story(), payments=[])
    assert any("by no payment" in text for text in verify_billing.check_story(unpaid))


def test_what_the_provider_took_by_itself_is_booked_once() -> None:
    """An adopted payment is found in the ledger by the provider's id; a second one is strange."""
    entry = verify.LedgerEntry(
        operation_id="mbill_1",
        kind="SALE",
        amount_minor=2990,
        currency="EUR",
        provider_payment_id="mpay_1",
    )
    payments = a_story().payments
    assert verify.check_ledger(payments, [entry])[1] == []
    twice = verify.check_ledger(payments, [entry, entry])[1]
    assert any("took effect twice" in text for text in twice)
    other = dataclasses.replace(entry, operation_id="mbill_2", provider_payment_id="mpay_2")
    unknown = verify.check_ledger(payments, [entry, other])[1]
    assert any("Payhub does not know it" in text for text in unknown)
    assert any("has not booked it" in text for text in verify.check_ledger(payments, [])[1])


def test_each_step_has_one_event() -> None:
    """A payment of an invoice that is told twice, or never, is a difference."""
    told = [
        Event(type="subscription.created", entity_id="sub_1"),
        Event(type="invoice.generated", entity_id="inv_1"),
        Event(type="invoice.paid", entity_id="inv_1"),
    ]
    assert verify_billing.check_events([a_story()], told) == []
    for wrong in ([*told, told[-1]], told[:-1]):
        (problem,) = verify_billing.check_events([a_story()], wrong)
        assert "invoice.paid events, expected 1" in problem

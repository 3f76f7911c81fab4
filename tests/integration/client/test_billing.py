"""The rest of the payment domain through the client, against a service that fails as planned."""

import datetime
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import pytest
from payhub.payments.v1 import billing_events_pb2

import payhub_client
from payhub_client import Plan, Proration, errors
from payhub_client import events as client_events
from tests.integration.client import fake_billing, fake_payments

Client = payhub_client.Client
FakePayments = fake_payments.FakePayments


async def test_every_mutation_keeps_its_key_and_takes_effect_once(
    client: Client, payments: FakePayments
) -> None:
    """A lost answer is asked for again with the same request, so nothing is made twice."""
    billing = payments.billing

    async def once(method: str, call: Callable[[], Awaitable[Any]]) -> Any:
        lost = fake_payments.status(grpc.StatusCode.UNAVAILABLE)
        payments.faults.append(fake_payments.Fault(status=lost, after_effect=True))
        before = len(payments.requests)
        found = await call()
        first, second = payments.requests[before:]
        assert first == second, method
        assert first.idempotency_key, method
        assert billing.effects.count(method) == 1, method
        return found

    method = await once(
        "AttachPaymentMethod", lambda: client.payment_methods.attach("cus_1", "tok_approve")
    )
    await once("SetDefaultPaymentMethod", lambda: client.payment_methods.set_default(method.id))
    await once("DetachPaymentMethod", lambda: client.payment_methods.detach(method.id))
    plan = await once(
        "CreatePlan",
        lambda: client.plans.create(
            name="Basic", amount_minor=990, currency="EUR", interval=Plan.INTERVAL_MONTH
        ),
    )
    await once("AddPlanPrice", lambda: client.plans.add_price(plan.id, provider="other"))
    made = await once(
        "CreateSubscription", lambda: client.subscriptions.create("cus_1", plan.id, trial_days=0)
    )
    await once(
        "ChangeSubscriptionPlan",
        lambda: client.subscriptions.change_plan(
            made.id, plan.id, quantity=3, proration=Proration.PRORATION_NOW
        ),
    )
    await once(
        "CancelSubscription", lambda: client.subscriptions.cancel(made.id, at_period_end=True)
    )
    back = await once("ReactivateSubscription", lambda: client.subscriptions.reactivate(made.id))
    assert (back.quantity, back.cancel_at_period_end) == (3, False)
    await once("ArchivePlan", lambda: client.plans.archive(plan.id))
    page = await once("CreateCheckout", lambda: client.checkouts.create(plan_id=plan.id))
    await once("ExpireCheckout", lambda: client.checkouts.expire(page.id))
    dispute = billing.add(fake_billing.disputed("pay_1"))
    await once(
        "SubmitDisputeEvidence",
        lambda: client.disputes.submit_evidence(dispute.id, {"uncategorized_text": "a"}),
    )
    accepted = await once("AcceptDispute", lambda: client.disputes.accept(dispute.id))
    assert accepted.state == payhub_client.Dispute.STATE_LOST
    payment = await client.payments.create(
        amount_minor=1000, currency="EUR", payment_method="tok_approve", manual_capture=True
    )
    more = await client.payments.increment_authorization(
        payment.id, amount_minor=500, currency="EUR"
    )
    assert more.amounts.authorized_minor == 1500


async def test_what_callers_write_is_what_is_sent(client: Client, payments: FakePayments) -> None:
    """Fields reach the contract's; what is not given is not set."""
    kept = f"pmt_{'0' * 32}"
    await client.payments.create(
        amount_minor=1, currency="EUR", payment_method_id=kept, off_session=True, confirm=False
    )
    sent: Any = payments.requests[-1]
    assert (sent.payment_method_id, sent.off_session, sent.payment_method) == (kept, True, "")
    plan = await client.plans.create(
        name="Team", amount_minor=500, currency="JPY", interval=Plan.INTERVAL_WEEK, trial_days=7
    )
    assert (plan.amount.currency_code, plan.interval_count, plan.trial_days) == ("JPY", 1, 7)
    await client.subscriptions.create("cus_1", plan.id)
    sent = payments.requests[-1]
    assert (sent.quantity, sent.HasField("trial_days")) == (1, False)
    length = datetime.timedelta(hours=2)
    await client.checkouts.create(
        amount_minor=5, currency="EUR", user_id="u-1", open_for=length, embedded=True
    )
    sent = payments.requests[-1]
    assert (sent.open_for.seconds, sent.WhichOneof("payer"), sent.embedded) == (
        7200,
        "user_id",
        True,
    )
    policy = await client.retry_policy.set([datetime.timedelta(hours=1)])
    assert [each.seconds for each in policy.delays] == [3600]
    assert (await client.retry_policy.get()) == policy
    before = len(payments.requests)
    refused: list[tuple[Callable[[], Awaitable[object]], str]] = [
        (lambda: client.checkouts.create(customer_id="cus_1"), "subject"),
        (lambda: client.checkouts.create(amount_minor=1, currency="EUR", plan_id="p"), "subject"),
        (lambda: client.checkouts.create(plan_id="p", customer_id="c", user_id="u"), "payer"),
        (lambda: client.subscriptions.create("c", "p", quantity=-1), "quantity"),
    ]
    for call, path in refused:
        with pytest.raises(errors.InvalidRequest) as failed:
            await call()
        assert failed.value.field_violations[0].path == path
    assert len(payments.requests) == before


async def test_lists_go_on_from_page_to_page(client: Client, payments: FakePayments) -> None:
    """Each iterator asks for a page when it is needed, and shows everything once."""
    billing = payments.billing
    subscription = await client.subscriptions.create("cus_1", "plan_1")
    for _ in range(3):
        await client.payment_methods.attach("cus_1", "tok_approve")
        await client.checkouts.create(amount_minor=5, currency="EUR")
        await client.plans.create(
            name="x", amount_minor=1, currency="EUR", interval=Plan.INTERVAL_DAY
        )
        await client.subscriptions.create("cus_1", "plan_1")
        billing.add(fake_billing.billed(subscription.id))
        billing.add(fake_billing.disputed("pay_1"))
    for listing, kind in (
        (client.payment_methods.list("cus_1", page_size=2), "PaymentMethod"),
        (client.plans.list(page_size=2), "Plan"),
        (client.subscriptions.list(page_size=2), "Subscription"),
        (client.invoices.list(page_size=2), "Invoice"),
        (client.checkouts.list(page_size=2), "Checkout"),
        (client.disputes.list(page_size=2), "Dispute"),
    ):
        found = [each.id async for each in listing]
        made = [each.id for each in billing.made.values() if type(each).__name__ == kind]
        assert found == made[::-1], kind
        assert len(found) >= 3
    where = payhub_client.InvoiceFilter(
        subscription_id=subscription.id, state=payhub_client.Invoice.STATE_PAID
    )
    await client.invoices.list_page(where)
    sent: Any = payments.requests[-1]
    assert (sent.subscription_id, sent.state) == (subscription.id, where.state)


def test_payloads_of_the_whole_domain_are_decoded() -> None:
    """An event's data becomes the message that its schema names, whatever it tells of."""
    for name in billing_events_pb2.DESCRIPTOR.message_types_by_name:
        event = payhub_client.Event(
            data_schema=f"payhub.payments.v1.{name}", content_type="application/protobuf"
        )
        assert type(client_events.payload(event)).__name__ == name

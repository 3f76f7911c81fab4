"""The rest of the payment domain through the simulated provider's own process."""

import asyncio
import urllib.request
from typing import Any

from payhub.payments.v1 import (
    checkout_service_pb2,
    checkout_service_pb2_grpc,
    payment_pb2,
    payment_service_pb2,
)
from payhub.payments.v1 import payment_method_service_pb2 as methods_pb

from deploy import stack
from payment_service.usecases import adopting
from tests.integration.payment_service import conftest, rig


async def attached(caller: rig.Caller, token: str) -> Any:
    """Returns a payment method of a new customer."""
    customer = await caller.create_customer(name="Ada", user_id="u-1")
    request = methods_pb.AttachPaymentMethodRequest(
        idempotency_key=rig.new_key(), customer_id=customer.id, token=token
    )
    return (await caller.call(caller.methods.AttachPaymentMethod, request)).payment_method


async def test_payments_without_the_payer(service: conftest.Service, join: conftest.Join) -> None:
    """A kept method pays, is refused softly, or wants its payer, which is a refusal then."""
    caller = await join(service)
    ends = {
        "tok_attach.approve": ("SUCCEEDED", "", False),
        "tok_attach.approve+bill.decline_insufficient_funds": (
            "FAILED",
            "INSUFFICIENT_FUNDS",
            True,
        ),
        "tok_action_required": ("FAILED", "AUTHENTICATION_FAILED", False),
    }
    for token, (state, reason, later) in ends.items():
        method = await attached(caller, token)
        request = payment_service_pb2.CreatePaymentRequest(
            idempotency_key=rig.new_key(),
            amount=rig.money(700),
            payment_method_id=method.id,
            off_session=True,
            references=payment_pb2.References(customer_id=method.customer_id),
            confirm=True,
        )
        paid = (await caller.call(caller.payments.CreatePayment, request)).payment
        assert (rig.state(paid), paid.failure.reason) == (state, reason), token
        assert paid.failure.retryable_later == later
        assert not paid.HasField("action")
        assert service.ledger.of(paid.id), "the ledger knows it"
    customer = await caller.create_customer(name="Bo")
    kept = await caller.create(
        "tok_card.visa_1881", save_payment_method=True, references={"customer_id": customer.id}
    )
    assert rig.state(kept) == "SUCCEEDED"
    listing = methods_pb.ListPaymentMethodsRequest(customer_id=customer.id)
    found = await caller.call(caller.methods.ListPaymentMethods, listing)
    assert [one.card.last4 for one in found.payment_methods] == ["1881"]


async def test_a_checkout_is_paid_on_the_providers_page(
    service: conftest.Service, join: conftest.Join, bank: stack.Stack
) -> None:
    """Nobody tells the service; it asks, adopts the payment once, and can refund it."""
    caller = await join(service)
    stub: Any = checkout_service_pb2_grpc.CheckoutServiceStub(caller.channel)
    request = checkout_service_pb2.CreateCheckoutRequest(
        idempotency_key=rig.new_key(), amount=rig.money(1200), user_id="u-2", order_id="o-2"
    )
    made = (await caller.call(stub.CreateCheckout, request)).checkout
    assert rig.state(made) == "OPEN", made
    page = f"{made.redirect_url}/complete?token=tok_approve"

    def pay() -> None:
        with urllib.request.urlopen(urllib.request.Request(page, method="POST")) as answer:
            answer.read()

    await asyncio.to_thread(pay)

    async def paid() -> Any:
        get = checkout_service_pb2.GetCheckoutRequest(checkout_id=made.id)
        found = (await caller.call(stub.GetCheckout, get)).checkout
        return found if found.payment_id else None

    done = await rig.until(paid)
    assert rig.state(done) == "COMPLETED"
    payment = await caller.get(done.payment_id)
    assert (rig.state(payment), payment.amount) == ("SUCCEEDED", rig.money(1200))
    assert (payment.references.order_id, payment.references.user_id) == ("o-2", "u-2")
    assert service.records.story(payment) == ["payment.created", "payment.succeeded"]
    event = service.records.events(payment.id)[0]
    assert event.cause.actor != adopting.ACTOR
    refund = await caller.refund(payment.id, 200)
    assert rig.state(refund) == "SUCCEEDED"
    assert rig.actions(await caller.get(payment.id)) == {"REFUND": 1000}
    assert bank.running(stack.MOCK)

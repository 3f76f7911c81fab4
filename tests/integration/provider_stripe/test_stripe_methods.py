"""Customers and payment methods through the Stripe sidecar."""

import pytest
from payhub.provider.v1 import payment_method_provider_service_pb2 as mps
from payhub.provider.v1 import payment_provider_service_pb2 as pps
from payhub.provider.v1 import provider_object_pb2 as pb

from tests.integration.provider import rig
from tests.integration.provider_stripe import stripe_rig

_O = rig.Operation
Core = stripe_rig.Core


async def test_a_customer_is_made_changed_and_found_again(core: Core) -> None:
    """What core says of a customer is at Stripe once, whatever was lost on the way."""
    operation_id = rig.new_operation_id()
    await core.order("faults", kind="drop_after_commit", method="POST", path="/v1/customers")
    with pytest.raises(rig.Refused):
        await core.create_customer(name="Ada", email="ada@example.com", operation_id=operation_id)
    found = await core.look(operation_id, "CreateCustomer")
    assert found.operation.state == _O.STATE_SUCCEEDED
    made = await core.create_customer(
        name="Ada", email="ada@example.com", operation_id=operation_id, attempt=2
    )
    assert made.provider_object_id == found.operation.provider_object_id
    assert await core.made(operation_id) == 1
    changed = await core.update_customer(made.provider_object_id, name="Ada L.")
    assert changed.state == _O.STATE_SUCCEEDED
    told = await core.order(f"objects/{made.provider_object_id}", "GET")
    assert (told["name"], told["email"]) == ("Ada L.", None)


@pytest.mark.parametrize("token", ["pm_card_visa", "tok_mastercard"])
async def test_a_method_is_kept_made_the_default_and_taken_away(core: Core, token: str) -> None:
    """A payment method lives at its customer with the marks that find it again."""
    customer = await core.customer()
    kept = await core.attach(customer, token, set_default=True)
    method = kept.objects[0]
    assert kept.operation.state == _O.STATE_SUCCEEDED
    assert (method.core_id, method.operation_id) == ("pmt_of_core", kept.operation.operation_id)
    assert method.payment_method.card.last4 in ("4242", "4444")
    assert method.payment_method.is_default
    found = await core.look(
        kept.operation.operation_id, "AttachPaymentMethod", provider_customer_id=customer
    )
    assert found.objects[0].provider_object_id == method.provider_object_id
    assert found.objects[0].payment_method.is_default
    fetched = await core.fetch(pb.OBJECT_KIND_PAYMENT_METHOD, method.provider_object_id)
    assert fetched.object.payment_method.is_default

    other = (await core.attach(customer, "pm_card_mastercard")).objects[0]
    request = mps.SetDefaultPaymentMethodRequest(
        context=core.context(),
        provider_payment_method_id=other.provider_object_id,
        provider_customer_id=customer,
    )
    answer = await core.call(core.more.methods.SetDefaultPaymentMethod, request)
    assert answer.objects[0].payment_method.is_default
    for _ in range(2):
        detach = mps.DetachPaymentMethodRequest(
            context=core.context(), provider_payment_method_id=other.provider_object_id
        )
        gone = await core.call(core.more.methods.DetachPaymentMethod, detach)
        assert gone.operation.state == _O.STATE_SUCCEEDED
        assert gone.objects[0].payment_method.provider_customer_id == ""


async def test_a_lost_step_of_an_attachment_is_gone_on_with(core: Core) -> None:
    """An attachment of several requests that broke off is ended by a repeat, and once."""
    customer = await core.customer()
    operation_id = rig.new_operation_id()
    request = mps.AttachPaymentMethodRequest(
        context=core.context(operation_id),
        payment_method_id="pmt_of_core",
        token="pm_card_visa",
        provider_customer_id=customer,
        set_default=True,
    )
    await core.order("faults", kind="drop_after_commit", method="POST", path="/v1/customers/.*")
    with pytest.raises(rig.Refused) as refused:
        await core.call(core.more.methods.AttachPaymentMethod, request)
    assert refused.value.effect == "UNKNOWN"
    request.context.attempt = 2
    kept = await core.call(core.more.methods.AttachPaymentMethod, request)
    assert kept.operation.state == _O.STATE_SUCCEEDED
    listed = await core.listed("payment_methods", customer=customer)
    assert len(listed) == 1


async def test_a_card_the_bank_refuses_is_not_kept(core: Core) -> None:
    """An attachment that is refused is a decline with its reason."""
    refused = await core.attach(await core.customer(), "pm_card_chargeDeclined")
    assert refused.operation.state == _O.STATE_DECLINED


async def test_a_payment_can_keep_its_method(core: Core) -> None:
    """A payment that is to keep its method answers with it, and it pays without the payer."""
    customer = await core.customer()
    request = core.authorization("pm_card_visa", sale=True)
    request.provider_customer_id, request.save_payment_method = customer, True
    answer = await core.call(core.stub.AuthorizePayment, request)
    assert answer.operation.state == _O.STATE_SUCCEEDED
    kept = answer.objects[0]
    assert kept.payment_method.provider_customer_id == customer
    later = core.authorization(kept.provider_object_id, sale=True)
    later.provider_customer_id, later.off_session = customer, True
    paid = (await core.call(core.stub.AuthorizePayment, later)).operation
    assert paid.state == _O.STATE_SUCCEEDED


async def test_hints_that_are_wrong_find_nothing(core: Core) -> None:
    """A look-up that names an object of something else stays inconclusive."""
    customer = await core.customer()
    for method, hints in (
        ("AuthorizePayment", pps.OperationHints(provider_object_id="pi_none")),
        ("UpdateCustomer", pps.OperationHints(provider_object_id=customer)),
        ("RefundPayment", pps.OperationHints()),
    ):
        with pytest.raises(rig.Refused) as refused:
            await core.look(
                rig.new_operation_id(), method, provider_object_id=hints.provider_object_id
            )
        assert refused.value.reason == "LOOKUP_INCONCLUSIVE"


async def test_a_customer_can_be_changed_as_often_as_one_likes(core: Core) -> None:
    """Marks of changes don't fill what Stripe has room for, and the newest is found."""
    customer = await core.customer()
    for count in range(60):
        request = pps.UpdateCustomerRequest(
            context=core.context(),
            provider_customer_id=customer,
            details=pps.CustomerDetails(customer_id="cus_of_core", name=f"Ada {count}"),
        )
        changed = (await core.call(core.stub.UpdateCustomer, request)).operation
        assert changed.state == _O.STATE_SUCCEEDED
    found = await core.look(
        request.context.operation_id, "UpdateCustomer", provider_object_id=customer
    )
    assert found.operation.state == _O.STATE_SUCCEEDED

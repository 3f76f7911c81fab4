"""What the client makes of its caller's values, and what it does not send."""

from typing import Any

import pytest

import payhub_client
from payhub_client import Payment, errors
from tests.integration.client import fake_payments

FakePayments = fake_payments.FakePayments

PAY_10: dict[str, Any] = {"amount_minor": 1000, "currency": "EUR", "payment_method": "tok_approve"}


async def test_lists_are_walked_page_by_page(
    client: payhub_client.Client, payments: FakePayments
) -> None:
    """`list` returns everything once, with the same filter in every page's request."""
    made = [(await client.payments.create(**PAY_10)).id for _ in range(5)]
    where = payhub_client.PaymentFilter(states=[Payment.STATE_SUCCEEDED])
    assert [each.id async for each in client.payments.list(where, page_size=2)] == made
    pages = [seen for seen in payments.requests if hasattr(seen, "page_token")]
    assert [page.page_token for page in pages] == ["", "2", "4"]
    assert all(page.page_size == 2 and len(page.states) == 1 for page in pages)


async def test_a_filter_may_be_an_iterator(
    client: payhub_client.Client, payments: FakePayments
) -> None:
    """States given as an iterator hold for every page, not for the first only."""
    for _ in range(3):
        await client.payments.create(**PAY_10)
    where = payhub_client.PaymentFilter(states=iter([Payment.STATE_SUCCEEDED]))
    assert len([each async for each in client.payments.list(where, page_size=1)]) == 3
    pages = [seen for seen in payments.requests if hasattr(seen, "page_token")]
    assert all(page.states == [Payment.STATE_SUCCEEDED] for page in pages)


async def test_customers_change_only_what_is_given(client: payhub_client.Client) -> None:
    """An update names its fields in the mask; nothing given is refused before sending."""
    made = await client.customers.create(name="Ada", email="ada@example.com")
    changed = await client.customers.update(made.id, email="", metadata={"k": "v"})
    assert (changed.profile.name, changed.profile.email) == ("Ada", "")
    assert changed.profile.metadata == {"k": "v"}
    assert (await client.customers.get(made.id)).profile.name == "Ada"
    with pytest.raises(errors.InvalidRequest):
        await client.customers.update(made.id)


async def test_refunds_and_captures_take_an_amount_with_its_currency(
    client: payhub_client.Client,
) -> None:
    """Amounts travel as minor units with a currency; a currency alone is refused."""
    held = await client.payments.create(**PAY_10, manual_capture=True)
    assert held.state == Payment.STATE_AUTHORIZED
    part = await client.payments.capture(
        held.id, amount_minor=400, currency="EUR", more_to_follow=True
    )
    assert part.amounts.captured_minor == 400
    refund = await client.refunds.create(held.id, amount_minor=100, currency="EUR")
    assert refund.amount.amount_minor == 100
    assert (await client.refunds.get(refund.id)).id == refund.id
    assert [each.id async for each in client.refunds.list()] == [refund.id]
    with pytest.raises(errors.InvalidRequest):
        await client.payments.capture(held.id, currency="EUR")


@pytest.mark.parametrize("amount", [10.5, True, "10", 2**63])
async def test_amounts_that_are_no_whole_numbers_are_not_sent(
    client: payhub_client.Client, payments: FakePayments, amount: Any
) -> None:
    """A float, a bool, a text or a number over 64 bits is refused with the field's path."""
    with pytest.raises(errors.InvalidRequest) as caught:
        await client.payments.create(amount_minor=amount, currency="EUR", confirm=False)
    assert caught.value.field_violations[0].path == "amount.amount_minor"
    assert not payments.seen


async def test_oversize_requests_are_not_sent(
    client: payhub_client.Client, payments: FakePayments
) -> None:
    """A request over 4 MiB is refused before it is sent."""
    with pytest.raises(errors.InvalidRequest, match="bytes"):
        await client.payments.create(**PAY_10, description="x" * 5_000_000)
    assert not payments.seen


async def test_wrong_arguments_are_told_at_once(client: payhub_client.Client) -> None:
    """A timeout of zero, an empty target, an unsendable key and missing events are refused."""
    with pytest.raises(ValueError, match="timeout_s"):
        await client.payments.get("pay_x", timeout_s=0)
    for target in ("", "127.0.0.1:1\r"):
        with pytest.raises(ValueError, match="target"):
            payhub_client.Client(target, key="k")
    with pytest.raises(ValueError, match="API key") as caught:
        payhub_client.Client("127.0.0.1:1", key="secret\nkey")
    assert "secret" not in str(caught.value)
    with pytest.raises(RuntimeError, match="events_target"):
        _ = payhub_client.Client("127.0.0.1:1", key="k").events

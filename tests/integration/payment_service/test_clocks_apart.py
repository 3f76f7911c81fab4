"""Processes whose clocks differ: what came later counts as later, whatever its id says."""

from collections.abc import AsyncIterator

import pytest_asyncio
from payhub.payments.v1 import payment_service_pb2 as payments_pb

from servicekit import ids
from tests.integration.payment_service import billing, paying, rig

APART_S = 2


class Two:
    """Ids as two processes mint them, one of which is behind the other while `behind` is set."""

    def __init__(self) -> None:
        self.clock = paying.Clock()
        self.is_behind = False

    def new_id(self, prefix: str) -> str:
        """Returns an id of the process that is at work."""
        minted = ids.new_id(prefix)
        return f"{prefix}_00{minted[-30:]}" if self.is_behind else minted

    def behind(self) -> None:
        """Has the other process work."""
        self.is_behind = True
        self.clock.advance(-APART_S)

    def ahead(self) -> None:
        """Has the first one work again."""
        self.is_behind = False
        self.clock.advance(APART_S)


@pytest_asyncio.fixture
async def two() -> Two:
    """Both processes."""
    return Two()


@pytest_asyncio.fixture
async def shop(database_url: str, two: Two) -> AsyncIterator[paying.Paying]:
    """A service that works as both, and a provider that bills and is paid without payers."""
    async with paying.running(database_url, two.clock, new_id=two.new_id) as running:
        yield running


async def test_the_policy_tries_what_was_confirmed_last(shop: paying.Paying, two: Two) -> None:
    """The caller has taken another card since: charging the first one again is theft."""
    customer = await shop.customer()
    first, second = await shop.attach(customer.id), await shop.attach(customer.id)
    await shop.set_policy(60, 60)
    shop.bank.script["AuthorizePayment"] = ["soft"] * 3
    failed = await shop.pay(first)
    two.behind()
    request = payments_pb.ConfirmPaymentRequest(
        idempotency_key="k", payment_id=failed.id, payment_method_id=second.id
    )
    confirmed = (await shop.caller.call(shop.caller.payments.ConfirmPayment, request)).payment
    assert rig.state(confirmed) == "FAILED"
    two.clock.advance(61)

    async def tried() -> rig.Payment | None:
        found = await shop.caller.becomes_known(failed.id)
        return found if len(found.operations) == 3 else None

    again: rig.Payment = await rig.until(tried)
    assert again.HasField("next_retry_time")
    two.ahead()
    two.clock.advance(61)
    paid = await shop.caller.becomes(failed.id, "SUCCEEDED")
    assert paid.payment_method_id == second.id
    used = [each.payment_method for each in shop.bank.asked_for]
    there = [each.mirror.provider_object_id for each in (first, second, second, second)]
    assert used == there
    shop.records.story(paid)


async def test_a_later_operation_says_whether_the_provider_is_in_step(
    shop: paying.Paying, two: Two
) -> None:
    """A subscription that waits for what is over could never be changed again."""
    customer, plan = await shop.customer(), await shop.plan()
    made = await shop.subscribe(customer.id, plan.id)
    two.behind()
    ending = await shop.ask("CancelSubscription", subscription_id=made.id, at_period_end=True)
    assert billing.sync(ending) == "SYNCED"
    assert "ReactivateSubscription" in ending.available_actions
    known = await shop.caller.update_customer(customer.id, ("name",), name="Grace")
    assert rig.state(known) == "SYNCED"
    shop.records.story(known)


async def test_operations_are_shown_in_the_order_they_were_made(
    shop: paying.Paying, two: Two
) -> None:
    """The newest is the last one, by whichever process it was begun."""
    paid = await shop.caller.create()
    two.behind()
    await shop.caller.refund(paid.id, 300)
    two.ahead()
    shown = await shop.caller.get(paid.id)
    assert [kind for kind, _ in rig.operations(shown)] == ["SALE", "REFUND"]
    failed = await shop.caller.create(token="", confirm=False)
    shop.bank.script["AuthorizePayment"] = ["hard"]
    await shop.caller.confirm(failed.id)
    two.behind()
    confirmed = await shop.caller.confirm(failed.id)
    assert [state for _, state in rig.operations(confirmed)] == ["DECLINED", "SUCCEEDED"]
    assert (await shop.caller.get(failed.id)).operations == confirmed.operations

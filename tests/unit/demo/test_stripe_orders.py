"""Rules of how the demo's orders go at Stripe."""

import collections
import dataclasses
import io
import pathlib

import pytest
from rich import console

from examples.demo import __main__ as main
from examples.demo import at_stripe, orders, stripe_bank, stripe_orders


def test_every_shipped_order_goes_at_stripe_or_is_left_out_with_a_reason() -> None:
    """Nothing is lost silently; every token left is one of Stripe's, every fault has a request."""
    loaded = orders.load(main.ORDERS)
    told = stripe_orders.translate(loaded, faults=True, payers=True)
    assert len(told.orders) + sum(told.left_out.values()) == len(loaded)
    assert len(told.orders) > 300
    for each in told.orders:
        token = each.order.payment_method
        assert token is None or token.startswith("pm_card_"), each.order.id
    assert {each.fault.path for each in told.orders if each.fault} == {
        stripe_orders.PAYING,
        stripe_orders.CAPTURING,
        stripe_orders.CANCELING,
        stripe_orders.REFUNDING,
    }


def test_a_live_key_is_refused(tmp_path: pathlib.Path) -> None:
    """The demo never pays with a key that could charge real cards, and starts nothing."""
    out = console.Console(file=io.StringIO())
    with pytest.raises(stripe_bank.StripeError, match="no key of Stripe's test mode"):
        at_stripe.demo(out, [], tmp_path / "var", env={}, key="sk_live_1")
    assert not (tmp_path / "var").exists()


def test_only_the_first_of_several_captures_is_expected() -> None:
    """A capture is final at Stripe: the story goes on with it, and the rest is released."""
    capture = orders.Capture(amount_minor=400, more_to_follow=True)
    order = orders.Order(
        id="order-1",
        note="Tea",
        amount_minor=1000,
        currency="EUR",
        capture_method="manual",
        payment_method="tok_approve",
        steps=(capture, orders.Capture(amount_minor=600), orders.Refund(amount_minor=100)),
        expect=orders.Expected(
            state="SUCCEEDED", authorized_minor=1000, captured_minor=1000, refunded_minor=100
        ),
    )
    (each,) = stripe_orders.translate([order], faults=True, payers=True).orders
    assert each.order.steps == (orders.Capture(amount_minor=400), orders.Refund(amount_minor=100))
    assert each.order.expect == dataclasses.replace(order.expect, captured_minor=400)
    assert each.differs
    plain = dataclasses.replace(order, steps=())
    (same,) = stripe_orders.translate([plain], faults=True, payers=True).orders
    assert (same.differs, same.order.expect) == ("", order.expect)


def test_stripe_itself_gets_only_what_needs_no_payer_and_no_fault() -> None:
    """With real test keys nothing can be ordered to go wrong, and nobody plays the payer."""
    loaded = orders.load(main.ORDERS)
    told = stripe_orders.translate(loaded, faults=False, payers=False)
    steps = collections.Counter(type(step) for each in told.orders for step in each.order.steps)
    assert not any(each.fault for each in told.orders)
    assert not {orders.Act, orders.Dispute, orders.Decide} & steps.keys()
    assert len(told.orders) > 250

"""Amounts cross to Stripe and back without losing or inventing anything."""

import hypothesis
import iso4217
import pytest
from hypothesis import strategies as st
from payhub.type.v1 import money_pb2

from provider_sdk import errors
from provider_stripe import money

CODES = sorted(money.CURRENCIES & {c.code.upper() for c in iso4217.Currency})


@hypothesis.given(st.sampled_from(CODES), st.integers(1, 10**10))
def test_what_stripe_takes_comes_back_the_same(code: str, amount_minor: int) -> None:
    """An amount that is not refused is returned to the minor unit."""
    wanted = money_pb2.Money(amount_minor=amount_minor, currency_code=code)
    try:
        sent = money.to_stripe(wanted)
    except errors.InvalidRequest:
        hypothesis.reject()
    assert 0 < sent <= money.AMOUNT_MAX
    assert money.from_stripe(sent, code.lower()) == wanted


@pytest.mark.parametrize(
    ("code", "amount_minor", "sent"),
    [
        ("EUR", 1250, 1250),
        ("JPY", 1250, 1250),
        ("KWD", 1250, 1250),
        ("ISK", 1250, 125_000),
        ("UGX", 7, 700),
        ("MGA", 1200, 12),
    ],
)
def test_units_are_those_of_stripe(code: str, amount_minor: int, sent: int) -> None:
    """Currencies whose units differ from ISO 4217 are converted as Stripe documents."""
    assert money.to_stripe(money_pb2.Money(amount_minor=amount_minor, currency_code=code)) == sent


@pytest.mark.parametrize(
    ("code", "amount_minor"), [("KWD", 1251), ("MGA", 1201), ("EUR", 100_000_000)]
)
def test_what_stripe_cannot_express_is_refused(code: str, amount_minor: int) -> None:
    """Nothing is rounded."""
    with pytest.raises(errors.InvalidRequest):
        money.to_stripe(money_pb2.Money(amount_minor=amount_minor, currency_code=code))


def test_an_amount_that_is_no_minor_unit_is_no_amount() -> None:
    """What Stripe could never have been asked for is not taken for what was booked."""
    with pytest.raises(ValueError, match="ISK"):
        money.from_stripe(150, "isk")

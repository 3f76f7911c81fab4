"""Amounts cross to Stripe and back without losing or inventing anything."""

import pytest
from payhub.type.v1 import money_pb2

from provider_sdk import errors
from provider_stripe import money


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

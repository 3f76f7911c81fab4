"""Any amount crosses to Stripe and back without losing or inventing anything."""

import hypothesis
import iso4217
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

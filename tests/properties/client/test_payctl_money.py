"""Amounts as people write and read them, for every amount."""

from hypothesis import given
from hypothesis import strategies as st

from payctl import money


@given(
    minor=st.integers(1, 2**63 - 1), currency=st.sampled_from(["EUR", "JPY", "KWD", "CLF", "USD"])
)
def test_what_is_shown_can_be_read_again(minor: int, currency: str) -> None:
    """Showing and parsing are inverse to each other, for every amount."""
    amount, code = money.show(minor, currency).split(" ")
    assert money.parse(amount, code) == minor

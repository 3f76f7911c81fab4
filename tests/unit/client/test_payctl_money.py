"""Amounts as people write and read them."""

import pytest

from payctl import money


@pytest.mark.parametrize(
    ("amount", "currency", "minor", "shown"),
    [
        ("12.50", "EUR", 1250, "12.50 EUR"),
        ("12.5", "EUR", 1250, "12.50 EUR"),
        ("12", "EUR", 1200, "12.00 EUR"),
        ("0.01", "EUR", 1, "0.01 EUR"),
        ("007.00", "EUR", 700, "7.00 EUR"),
        ("1250", "JPY", 1250, "1250 JPY"),
        ("1.234", "KWD", 1234, "1.234 KWD"),
        ("0.005", "IQD", 5, "0.005 IQD"),
        ("92233720368547758.07", "EUR", 2**63 - 1, "92233720368547758.07 EUR"),
    ],
)
def test_amounts_follow_the_currencys_exponent(
    amount: str, currency: str, minor: int, shown: str
) -> None:
    """Major units are read exactly, and shown with all decimals of the currency."""
    assert money.parse(amount, currency) == minor
    assert money.show(minor, currency) == shown


@pytest.mark.parametrize(
    ("amount", "currency", "why"),
    [
        ("10.5", "JPY", "JPY has no decimals"),
        ("1.2345", "KWD", "KWD has 3 decimals; write it such as 12.500"),
        ("1.001", "EUR", "EUR has 2 decimals; write it such as 12.50"),
        ("1.000", "EUR", "EUR has 2 decimals"),
        ("0", "EUR", "zero"),
        ("0.00", "EUR", "zero"),
        ("-1", "EUR", "no amount"),
        ("+1", "EUR", "no amount"),
        ("1,000.00", "EUR", "no amount"),
        ("1e3", "EUR", "no amount"),
        (".5", "EUR", "no amount"),
        ("5.", "EUR", "no amount"),
        ("", "EUR", "no amount"),
        ("١٢", "EUR", "no amount"),
        ("92233720368547758.08", "EUR", "more than can be stored"),
        ("9" * 19, "KWD", "more than can be stored"),
        ("1", "XAU", "no currency to pay in"),
        ("1", "ZZZ", "no currency to pay in"),
        ("1", "eur", "no currency to pay in"),
    ],
)
def test_amounts_that_do_not_fit_are_refused(amount: str, currency: str, why: str) -> None:
    """Nothing is rounded, guessed or cut off; the reason says what to write instead."""
    with pytest.raises(money.MoneyError, match=why):
        money.parse(amount, currency)


def test_odd_amounts_are_shown_as_they_are() -> None:
    """Zero, negative sums and currencies that are unknown here are shown without guessing."""
    assert money.show(0, "EUR") == "0.00 EUR"
    assert money.show(-5, "EUR") == "-0.05 EUR"
    assert money.show(5, "ZZZ") == "5 minor units of ZZZ"
    assert money.show(5, "") == "5 minor units of no currency"

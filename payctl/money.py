"""Amounts as people write and read them: major units, as exact as the currency.

Owns the conversion between `12.50` and 1250 minor units, by the exponents of ISO 4217.
Called by every command that takes or shows an amount. Never rounds and never uses floats.
"""

import re

import iso4217

_AMOUNT = re.compile(r"(?P<whole>\d{1,19})(?:\.(?P<fraction>\d+))?", re.ASCII)
_INT64_MAX = 2**63 - 1


class MoneyError(ValueError):
    """An amount or a currency that can't be used; the text says why and what would do."""


def exponent(currency: str) -> int:
    """Return how many decimals `currency` has. Raises MoneyError if it is none to pay in."""
    try:
        digits = iso4217.Currency(currency).exponent
    except ValueError:
        digits = None
    if digits is None:
        text = f"{currency!r} is no currency to pay in; give an ISO 4217 code such as EUR"
        raise MoneyError(text)
    return int(digits)


def parse(amount: str, currency: str) -> int:
    """Return `amount`, written in major units such as `12.50`, in minor units of `currency`.

    Raises MoneyError for anything that is not a positive decimal number with at most as
    many decimals as the currency has, or that does not fit 64 bits.
    """
    digits = exponent(currency)
    written = _AMOUNT.fullmatch(amount)
    if written is None:
        text = f"{amount!r} is no amount; write digits and a point, such as {_example(digits)}"
        raise MoneyError(text)
    fraction = written["fraction"] or ""
    if len(fraction) > digits:
        allowed = f"{digits} decimals" if digits else "no decimals"
        text = f"{amount} {currency}: {currency} has {allowed}; write it such as {_example(digits)}"
        raise MoneyError(text)
    minor = int(written["whole"] + fraction.ljust(digits, "0"))
    if not 0 < minor <= _INT64_MAX:
        text = f"{amount} {currency} is {'zero' if minor == 0 else 'more than can be stored'}"
        raise MoneyError(text)
    return minor


def show(amount_minor: int, currency: str) -> str:
    """Return the amount with the currency's decimals, such as `12.50 EUR`."""
    try:
        digits = exponent(currency)
    except MoneyError:
        return f"{amount_minor} minor units of {currency or 'no currency'}"
    sign, whole = ("-" if amount_minor < 0 else ""), str(abs(amount_minor)).rjust(digits + 1, "0")
    if digits == 0:
        return f"{sign}{whole} {currency}"
    return f"{sign}{whole[:-digits]}.{whole[-digits:]} {currency}"


def _example(digits: int) -> str:
    return f"12.{'50'.ljust(digits, '0')[:digits]}" if digits else "1250"

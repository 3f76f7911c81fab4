"""Amounts as payers read them.

Owns the number of decimals by ISO 4217. Called when a mail is composed. Never rounds and never
uses floats.
"""

import iso4217


def show(amount_minor: int, currency: str) -> str:
    """Return `12.50 EUR`, `1250 JPY` or `1.250 KWD`; ValueError for no currency to pay in."""
    digits = iso4217.Currency(currency).exponent
    if digits is None:
        raise ValueError(f"{currency} is no currency to pay in")
    units, fraction = divmod(abs(amount_minor), 10**digits)
    sign = "-" if amount_minor < 0 else ""
    return f"{sign}{units}{f'.{fraction:0{digits}d}' if digits else ''} {currency}"

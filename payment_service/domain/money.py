"""Amounts and currencies.

Owns which currencies are taken, how many minor units each has and how people read an amount.
Called by the API when it reads requests, and by what tells operators of a difference. Never
rounds: an amount fits or is refused.
"""

import iso4217

# ISO 4217 marks these as funds or units of account, which nobody pays with.
_FUNDS = frozenset({"BOV", "CHE", "CHW", "CLF", "COU", "MXV", "USN", "UYI", "UYW", "XAD"})

AMOUNT_MINOR_MAX = 2**63 - 1

_EXPONENTS: dict[str, int] = {
    currency.code: currency.exponent
    for currency in iso4217.Currency
    if currency.exponent is not None and currency.code not in _FUNDS
}


def is_currency(code: str) -> bool:
    """Whether *code* is a currency in circulation, upper case."""
    return code in _EXPONENTS


def exponent(code: str) -> int:
    """Returns the number of minor digits of a known currency: EUR 2, JPY 0, KWD 3."""
    return _EXPONENTS[code]


def told(amount_minor: int, code: str) -> str:
    """Returns an amount for people, such as `12.50 EUR`; of what is no currency, minor units."""
    if not is_currency(code):
        return f"{amount_minor} minor units of {code or 'no currency'}"
    digits = exponent(code)
    whole = str(abs(amount_minor)).rjust(digits + 1, "0")
    sign, point = "-" if amount_minor < 0 else "", len(whole) - digits
    return f"{sign}{whole[:point]}{'.' if digits else ''}{whole[point:]} {code}"

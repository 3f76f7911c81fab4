"""Amounts, as Payhub and as Stripe count them.

Owns the exceptions between ISO 4217 minor units and Stripe's smallest units. Called wherever
an amount crosses. Never rounds: what Stripe can't express is refused.
Source: Stripe's documentation, "Supported currencies", as of API version 2026-10-28.
"""

from payhub.type.v1 import money_pb2

from provider_sdk import errors

# Payments can be made in these.
CURRENCIES = frozenset(
    "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BWP BYN "
    "BZD CAD CDF CHF CLP CNY COP CRC CVE CZK DJF DKK DOP DZD EGP ETB EUR FJD FKP GBP GEL GIP GMD "
    "GNF GTQ GYD HKD HNL HTG HUF IDR ILS INR ISK JMD JOD JPY KES KGS KHR KMF KRW KWD KYD KZT LAK "
    "LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD "
    "OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD RUB RWF SAR SBD SCR SEK SGD SHP SLE SOS SRD SZL "
    "THB TJS TND TOP TRY TTD TWD TZS UAH UGX USD UYU UZS VND VUV WST XAF XCD XOF XPF YER ZAR ZMW"
    "".split()
)
# ISO 4217 has no decimals for them; Stripe's API has two, which must be 0.
_HUNDREDFOLD = frozenset({"ISK", "UGX"})
# Stripe takes three decimals, the last of which must be 0.
THREE_DECIMAL = frozenset({"BHD", "JOD", "KWD", "OMR", "TND"})
# ISO 4217 has two decimals for it; Stripe counts whole units.
_WHOLE_UNITS = frozenset({"MGA"})
# Stripe's largest amount has eight digits, by default.
AMOUNT_MAX = 99_999_999


def to_stripe(money: money_pb2.Money, *, field: str = "amount") -> int:
    """Returns an amount in Stripe's units.

    Raises:
        InvalidRequest: Stripe can't take it; nothing was sent.
    """
    amount, code = money.amount_minor, money.currency_code
    if code in THREE_DECIMAL and amount % 10:
        raise _refused(field, f"Stripe takes {code} in steps of 10 minor units")
    if code in _WHOLE_UNITS:
        if amount % 100:
            raise _refused(field, f"Stripe takes whole {code} only")
        amount //= 100
    if code in _HUNDREDFOLD:
        amount *= 100
    if amount > AMOUNT_MAX:
        raise _refused(field, f"Stripe takes at most {AMOUNT_MAX} of its smallest units")
    return amount


def from_stripe(amount: int, currency: str) -> money_pb2.Money:
    """Returns an amount of Stripe's in minor units.

    Raises:
        ValueError: It is no number of minor units; Stripe booked what can't be.
    """
    return money_pb2.Money(amount_minor=minor(amount, currency), currency_code=currency.upper())


def minor(amount: int, currency: str) -> int:
    """Returns minor units of an amount of Stripe's.

    Raises:
        ValueError: It is no number of minor units.
    """
    code = currency.upper()
    if code in _WHOLE_UNITS:
        return amount * 100
    if code in _HUNDREDFOLD:
        if amount % 100:
            raise ValueError(f"{amount} {code} is no whole number of minor units")
        return amount // 100
    return amount


def _refused(field: str, text: str) -> errors.InvalidRequest:
    return errors.InvalidRequest(text, [(f"{field}.amount_minor", text)])

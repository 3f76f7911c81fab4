"""Which currencies are taken and how many minor digits each has, by hand from ISO 4217."""

import pytest

from payment_service.domain import money

NO_DIGITS = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF".split()
THREE_DIGITS = "BHD IQD JOD KWD LYD OMR TND".split()
TWO_DIGITS = (
    "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF "
    "CHF CNY COP CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD "
    "HKD HNL HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA "
    "MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN "
    "QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP "
    "TRY TTD TWD TZS UAH USD UYU UZS VED VES WST XCD XCG YER ZAR ZMW ZWG"
).split()
FUNDS = "BOV CHE CHW CLF COU MXV USN UYI UYW".split()
UNITS_OF_ACCOUNT = "XAD XDR XSU XUA XBA XBB XBC XBD".split()
METALS = "XAG XAU XPD XPT".split()
NO_CURRENCY = "XTS XXX".split()
WITHDRAWN = "BGN DEM FRF HRK ANG SLL ZWL".split()


@pytest.mark.parametrize(("codes", "digits"), [(NO_DIGITS, 0), (TWO_DIGITS, 2), (THREE_DIGITS, 3)])
def test_a_currency_has_the_minor_digits_of_iso_4217(codes: list[str], digits: int) -> None:
    """JPY has none, EUR two, KWD three: an amount means what the standard says."""
    wrong = {code: money.exponent(code) for code in codes if money.exponent(code) != digits}
    assert not wrong
    assert all(map(money.is_currency, codes))


def test_no_other_currency_is_taken() -> None:
    """The lists above are complete: a new edition of the standard is looked at by a person."""
    assert set(money._EXPONENTS) == {*NO_DIGITS, *TWO_DIGITS, *THREE_DIGITS}


@pytest.mark.parametrize("codes", [FUNDS, UNITS_OF_ACCOUNT, METALS, NO_CURRENCY, WITHDRAWN])
def test_what_nobody_pays_with_is_refused(codes: list[str]) -> None:
    """Funds, units of account, metals, testing codes and old money are no currencies."""
    assert not [code for code in codes if money.is_currency(code)]


@pytest.mark.parametrize("code", ["", "eur", "Eur", "EUR ", "EURO", "€", "978", "E\0R"])
def test_only_the_exact_code_is_a_currency(code: str) -> None:
    """Nothing is trimmed, raised to upper case or guessed."""
    assert not money.is_currency(code)


@pytest.mark.parametrize(
    ("amount_minor", "code", "text"),
    [
        (500, "EUR", "5.00 EUR"),
        (7, "EUR", "0.07 EUR"),
        (500, "JPY", "500 JPY"),
        (500, "KWD", "0.500 KWD"),
        (-1, "EUR", "-0.01 EUR"),
        (500, "eur", "500 minor units of eur"),
        (500, "", "500 minor units of no currency"),
    ],
)
def test_people_read_an_amount_in_the_unit_they_pay_in(
    amount_minor: int, code: str, text: str
) -> None:
    """A bare number in front of a currency is its major unit; what has none says so."""
    assert money.told(amount_minor, code) == text


def test_the_largest_amount_is_the_largest_int64() -> None:
    """What the contract can carry is what is accepted, to the last unit."""
    assert money.AMOUNT_MINOR_MAX == 9_223_372_036_854_775_807

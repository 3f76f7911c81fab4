"""What Stripe accepts as an amount.

Owns the currencies with their exponents, smallest and largest charges. Called by handlers that
take money. Never converts.
"""

from tests.stripe_double import errors, forms

ZERO_DECIMAL = frozenset("bif clp djf gnf jpy kmf krw mga pyg rwf ugx vnd vuv xaf xof xpf".split())
THREE_DECIMAL = frozenset("bhd jod kwd omr tnd".split())
TWO_DECIMAL = frozenset(
    "aed all amd ang ars aud awg azn bam bbd bdt bgn bmd bnd bob brl bsd bwp byn bzd cad cdf chf "
    "cny cop crc cve czk dkk dop dzd egp etb eur fjd fkp gbp gel gip gmd gtq gyd hkd hnl htg huf "
    "idr ils inr isk jmd kes kgs khr kyd kzt lak lbp lkr lrd lsl mad mdl mkd mmk mnt mop mur mvr "
    "mwk mxn myr mzn nad ngn nio nok npr nzd pab pen pgk php pkr pln qar ron rsd rub sar sbd scr "
    "sek sgd shp sle sos srd std szl thb tjs top try ttd twd tzs uah usd uyu uzs wst xcd yer zar "
    "zmw".split()
)
# The smallest charge in the minor unit of those currencies that name one.
SMALLEST = {
    "usd": 50, "eur": 50, "gbp": 30, "aud": 50, "cad": 50, "chf": 50, "jpy": 50, "dkk": 250,
    "nok": 300, "sek": 300, "pln": 200, "czk": 1500, "huf": 17500, "mxn": 1000, "hkd": 400,
    "nzd": 50, "sgd": 50, "inr": 50, "brl": 50, "aed": 200, "myr": 200, "ron": 200, "bgn": 100,
    "thb": 1000,
}  # fmt: skip
LARGEST = 99_999_999


def currency(params: forms.Params, name: str = "currency") -> str:
    """Returns a currency that Stripe charges in, in lower case."""
    code = params.needed(name).lower()
    if code not in ZERO_DECIMAL | THREE_DECIMAL | TWO_DECIMAL:
        raise errors.bad_parameter(
            f"Invalid currency: {code}. Stripe does not support it.", params.path(name)
        )
    return code


def shown(amount: int, code: str) -> str:
    """Returns an amount as people read it, for messages."""
    digits = 0 if code in ZERO_DECIMAL else 3 if code in THREE_DECIMAL else 2
    return f"{amount / 10**digits:.{digits}f} {code}"


def positive(params: forms.Params, name: str) -> int | None:
    """Returns an amount of at least 1, or None when the parameter is absent."""
    value = params.number(name)
    if value is not None and value < 1:
        raise errors.bad_parameter(
            "Invalid positive integer", params.path(name), "parameter_invalid_integer"
        )
    return value


def check_step(value: int, code: str, param: str) -> None:
    """Refuses three-decimal amounts that don't end with a zero."""
    if code in THREE_DECIMAL and value % 10:
        raise errors.bad_parameter(
            f"Invalid amount: amounts in {code} must be rounded to the nearest ten, so that the "
            "last digit is 0.",
            param,
            "parameter_invalid_integer",
        )


def chargeable(params: forms.Params, name: str, code: str) -> int:
    """Returns an amount that a charge in this currency may have."""
    value = positive(params, name)
    if value is None:
        raise params.missing(name)
    check_step(value, code, params.path(name))
    least = SMALLEST.get(code, 1)
    if value < least:
        raise errors.bad_parameter(
            f"Amount must be at least {shown(least, code)}", params.path(name), "amount_too_small"
        )
    if value > LARGEST:
        raise errors.bad_parameter(
            f"Amount must be no more than {shown(LARGEST, code)}",
            params.path(name),
            "amount_too_large",
        )
    return value

"""What an error says of amounts, in the unit that people type.

Owns the texts of refusals because of an amount, for which the services name minor units.
Called by `render`. Never guesses: what an error does not tell is left in the service's words.
"""

from collections.abc import Mapping

from payctl import money
from payhub_client import errors

_CURRENCY = "currency_code"


def told(found: errors.PayhubError) -> str:
    """Return an error's message, its amounts in major units; "" if it is about none."""
    if not isinstance(found, errors.AmountExceeded):
        return ""
    try:
        return _text(found.metadata)
    except (KeyError, ValueError):
        return ""


def is_told(name: str) -> bool:
    """Return whether a value of an error's metadata is in what `told` returns."""
    return name == _CURRENCY or name.endswith("_minor")


def _text(known: Mapping[str, str]) -> str:
    currency = known[_CURRENCY]

    def amount(minor: int | str) -> str:
        return money.show(int(minor), currency)

    if "max_amount_minor" in known:
        return f"no more than {amount(known['max_amount_minor'])} is possible now"
    limit_minor, wanted = int(known["limit_minor"]), amount(known["amount_minor"])
    if known["limit"] == "daily":
        left = amount(max(limit_minor - int(known["used_minor"]), 0))
        return (
            f"this binding takes {amount(limit_minor)} a day, and {left} is left of "
            f"{known['day']}, not {wanted}"
        )
    word = {"min": "least", "max": "most"}[known["limit"]]
    return f"the {word} that this binding takes at once is {amount(limit_minor)}, not {wanted}"

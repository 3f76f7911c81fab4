"""Values of requests, made from what Python callers write.

Owns the checks that protobuf would answer with a TypeError or not at all. Called by the API
modules. Never repeats a rule of the contract: the server checks those and names the field.
"""

import datetime
from collections.abc import Iterable, Mapping
from typing import TypeVar

from google.protobuf import duration_pb2, timestamp_pb2
from payhub.payments.v1 import payment_pb2
from payhub.type.v1 import money_pb2

from payhub_client import errors

_T = TypeVar("_T")

_INT64_MAX = 2**63 - 1
_UINT32_MAX = 2**32 - 1


def money(amount_minor: int, currency: str) -> money_pb2.Money:
    """Return `amount_minor` minor units of `currency`.

    Raises InvalidRequest for anything but a whole number that fits: 10.5 is a mistake of the
    caller's arithmetic, not 10.
    """
    if isinstance(amount_minor, bool) or not isinstance(amount_minor, int):
        raise _invalid("amount.amount_minor", "must be a whole number of minor units")
    if not -_INT64_MAX - 1 <= amount_minor <= _INT64_MAX:
        raise _invalid("amount.amount_minor", "does not fit 64 bits")
    return money_pb2.Money(amount_minor=amount_minor, currency_code=currency)


def money_or_all(amount_minor: int | None, currency: str) -> money_pb2.Money | None:
    """Return the amount, or None for all that is left; a currency alone is refused."""
    if amount_minor is None:
        if currency:
            raise _invalid("amount.amount_minor", "is needed beside currency")
        return None
    return money(amount_minor, currency)


def count(number: int, *, field: str) -> int:
    """Return `number` for a field that counts; one that does not fit is refused."""
    if isinstance(number, bool) or not isinstance(number, int):
        raise _invalid(field, "must be a whole number")
    if not 0 <= number <= _UINT32_MAX:
        raise _invalid(field, "must not be negative, and fit 32 bits")
    return number


def one_of(field: str, **given: object) -> None:
    """Refuse anything but one value among those that exclude each other; None is no value."""
    if sum(value is not None for value in given.values()) != 1:
        raise _invalid(field, f"needs exactly one of {' and '.join(given)}")


def duration(length: datetime.timedelta) -> duration_pb2.Duration:
    """Return `length` as a duration."""
    made = duration_pb2.Duration()
    made.FromTimedelta(length)
    return made


def several(values: Iterable[_T], *, field: str) -> tuple[_T, ...]:
    """Return `values` for use in more than one request; a single text is refused."""
    if isinstance(values, str):
        raise _invalid(field, f"needs a list, such as [{values!r}]")
    return tuple(values)


def references(
    *,
    customer_id: str,
    user_id: str,
    subscription_id: str,
    order_id: str,
    metadata: Mapping[str, str] | None,
) -> payment_pb2.References:
    """Return the caller's references of a payment."""
    return payment_pb2.References(
        customer_id=customer_id,
        user_id=user_id,
        subscription_id=subscription_id,
        order_id=order_id,
        metadata=dict(metadata or {}),
    )


def timestamp(moment: datetime.datetime | None, *, field: str) -> timestamp_pb2.Timestamp | None:
    """Return `moment` as a timestamp; a moment without a time zone is refused."""
    if moment is None:
        return None
    if moment.tzinfo is None:
        raise _invalid(field, "needs a time zone, for example datetime.UTC")
    stamp = timestamp_pb2.Timestamp()
    stamp.FromDatetime(moment)
    return stamp


def _invalid(path: str, text: str) -> errors.InvalidRequest:
    violation = errors.FieldViolation(path=path, description=text)
    return errors.InvalidRequest("the request was not sent", field_violations=[violation])

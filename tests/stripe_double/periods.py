"""Billing periods: adding intervals to a time as Stripe does.

Owns calendar arithmetic in UTC. Called by the life of subscriptions. Pure.
"""

import calendar
import datetime
from typing import Any

Json = dict[str, Any]

_DAYS = {"day": 1, "week": 7}


def after(start: int, recurring: Json, anchor: int) -> int:
    """Returns the end of the period that begins at *start*.

    Args:
        start: Seconds since 1970.
        recurring: interval and interval_count of a price.
        anchor: The billing anchor, whose day of the month is kept where the month has it.
    """
    count, interval = recurring["interval_count"], recurring["interval"]
    begun = datetime.datetime.fromtimestamp(start, datetime.UTC)
    if interval in _DAYS:
        return int((begun + datetime.timedelta(days=_DAYS[interval] * count)).timestamp())
    months = begun.month - 1 + count * (12 if interval == "year" else 1)
    year, month = begun.year + months // 12, months % 12 + 1
    wanted = datetime.datetime.fromtimestamp(anchor, datetime.UTC).day
    day = min(wanted, calendar.monthrange(year, month)[1])
    return int(begun.replace(year=year, month=month, day=day).timestamp())


def share(amount: int, start: int, end: int, now: int) -> int:
    """Returns the part of an amount that the rest of a period is worth, rounded half up."""
    whole = end - start
    if whole <= 0:
        return 0
    return (amount * max(end - now, 0) * 2 + whole) // (2 * whole)

"""When periods begin.

Owns the arithmetic of billing intervals. Called by subscriptions. Pure.
"""

import calendar
import datetime

from payhub.provider.v1 import provider_object_pb2

DAY_US = 86_400_000_000

_MONTHS: dict[int, int] = {
    provider_object_pb2.BILLING_INTERVAL_MONTH: 1,
    provider_object_pb2.BILLING_INTERVAL_YEAR: 12,
}


def after(anchor_us: int, *, interval: int, interval_count: int, periods: int) -> int:
    """Returns when the period after *periods* others begins, epoch microseconds.

    Counted from the anchor, so that one of the 31st is on the last day of shorter months and
    on the 31st again afterwards.
    """
    steps = interval_count * periods
    if interval == provider_object_pb2.BILLING_INTERVAL_DAY:
        return anchor_us + steps * DAY_US
    if interval == provider_object_pb2.BILLING_INTERVAL_WEEK:
        return anchor_us + steps * 7 * DAY_US
    anchor = datetime.datetime.fromtimestamp(anchor_us // 1_000_000, tz=datetime.UTC)
    years, month = divmod(anchor.month - 1 + steps * _MONTHS[interval], 12)
    year = anchor.year + years
    day = min(anchor.day, calendar.monthrange(year, month + 1)[1])
    begin = anchor.replace(year=year, month=month + 1, day=day)
    return int(begin.timestamp()) * 1_000_000 + anchor_us % 1_000_000

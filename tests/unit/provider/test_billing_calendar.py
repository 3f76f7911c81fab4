"""When the simulated provider's periods begin."""

import datetime

from payhub.provider.v1 import provider_object_pb2

from provider_mock.billing import calendar

MONTH = provider_object_pb2.BILLING_INTERVAL_MONTH


def _us(text: str) -> int:
    return round(datetime.datetime.fromisoformat(f"{text}+00:00").timestamp()) * 1_000_000


def test_a_month_of_the_31st_ends_with_shorter_months_and_does_not_drift() -> None:
    """January 31st, February 28th or 29th, March 31st: counted from the anchor, not the last."""
    anchor_us = _us("2027-01-31T10:00:00") + 7

    def after(periods: int) -> int:
        return calendar.after(anchor_us, interval=MONTH, interval_count=1, periods=periods)

    assert after(0) == anchor_us
    assert after(1) == _us("2027-02-28T10:00:00") + 7
    assert after(2) == _us("2027-03-31T10:00:00") + 7
    assert after(13) == _us("2028-02-29T10:00:00") + 7

"""The simulated provider's periods follow each other, whatever their interval."""

import hypothesis
from hypothesis import strategies
from payhub.provider.v1 import provider_object_pb2

from provider_mock.billing import calendar

INTERVALS = [
    provider_object_pb2.BILLING_INTERVAL_DAY,
    provider_object_pb2.BILLING_INTERVAL_WEEK,
    provider_object_pb2.BILLING_INTERVAL_MONTH,
    provider_object_pb2.BILLING_INTERVAL_YEAR,
]


@hypothesis.given(
    anchor_s=strategies.integers(0, 4_000_000_000),
    interval=strategies.sampled_from(INTERVALS),
    interval_count=strategies.integers(1, 12),
    periods=strategies.integers(0, 60),
)
def test_each_period_begins_after_the_one_before(
    anchor_s: int, interval: int, interval_count: int, periods: int
) -> None:
    """Time only goes forward, whatever the interval."""

    def after(number: int) -> int:
        return calendar.after(
            anchor_s * 1_000_000, interval=interval, interval_count=interval_count, periods=number
        )

    assert after(periods) < after(periods + 1)

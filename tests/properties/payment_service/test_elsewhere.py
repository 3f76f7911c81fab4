"""What others did to a payment, told in any order and twice."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from payment_service.domain import elsewhere
from payment_service.domain.mirrors import base
from tests.unit.payment_service import test_elsewhere

V = base.Verdict


@given(
    st.lists(st.tuples(st.integers(0, 1_000), st.integers(0, 500)), min_size=1, max_size=5).flatmap(
        lambda told: st.permutations([*enumerate(told, 1), *enumerate(told, 1)])
    )
)
def test_any_order_of_reports_ends_in_the_newest(
    reports: list[tuple[int, tuple[int, int]]],
) -> None:
    """Shuffled and repeated, the payment is as of the newest, with dense versions."""
    payment = test_elsewhere.sold().payment
    versions = itertools.count(payment.version + 1)
    for time, (refunded, foreign) in reports:
        verdict, change = elsewhere.absorb(
            payment, test_elsewhere.told(refunded, foreign, time), test_elsewhere.LATER_US
        )
        assert verdict is not V.AMBIGUOUS
        if change is not None:
            for step in change.steps:
                assert step.after.version == next(versions)
            payment = change.payment
    _, (refunded, foreign) = max(reports)
    assert payment.foreign_refunded_minor == max(refunded, foreign)
    assert payment.provider_time_us == max(reports)[0]

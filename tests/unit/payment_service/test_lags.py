"""How far the clocks of instances are behind, by what they told."""

import pytest

from payment_service.provider_client import lags

ASKED_US, ANSWERED_US = 10_000_000, 10_400_000


def note(told: lags.Lags, instance_id: str, told_us: int) -> float:
    """An answer that took 0.4 s."""
    return told.note(instance_id, asked_us=ASKED_US, told_us=told_us, answered_us=ANSWERED_US)


@pytest.mark.parametrize(
    ("told_us", "least_s", "longest_s"),
    [
        (7_000_000, 3.0, 3.4),
        (ASKED_US, 0.0, 0.0),
        (10_200_000, 0.0, 0.0),
        (13_000_000, -2.6, 0.0),
        (-(10**15), 1e9 + 10, lags.LAG_MAX_S),
    ],
    ids=["behind", "as it was asked", "between", "ahead", "never set"],
)
def test_it_is_behind_if_it_must_be(told_us: int, least_s: float, longest_s: float) -> None:
    """The time of the way counts against it only where it is behind anyway."""
    told = lags.Lags()
    assert note(told, "i", told_us) == pytest.approx(least_s)
    assert told.longest_s(ANSWERED_US) == pytest.approx(longest_s)


def test_the_furthest_counts_until_it_tells_another_time() -> None:
    """One that is gone may still act, so what it told last is kept."""
    told = lags.Lags()
    note(told, "a", ASKED_US - 5_000_000)
    note(told, "b", ASKED_US - 1_000_000)
    assert told.longest_s(ANSWERED_US) == pytest.approx(5.4)
    note(told, "a", ASKED_US)
    assert told.longest_s(ANSWERED_US) == pytest.approx(1.4)
    for number in range(lags.INSTANCES_MAX):
        note(told, f"other {number}", ASKED_US - 1)
    assert told.longest_s(ANSWERED_US) == pytest.approx(0.400001)


def test_one_that_is_gone_counts_until_what_it_was_sent_is_over() -> None:
    """By its own clock, which nobody hears of any more."""
    told = lags.Lags()
    note(told, "i", ASKED_US - 5_000_000)
    over_us = ANSWERED_US + round((5.4 + lags.GONE_FOR_S) * 1e6)
    assert told.longest_s(over_us - 1) == pytest.approx(5.4)
    assert told.longest_s(over_us) == 0.0


def test_a_step_back_of_our_own_clock_makes_no_fence_earlier() -> None:
    """A probe that ends before it began, by our clock, tells no less than it did at first."""
    known = lags.Lags()
    known.note("a", asked_us=100_000_000, told_us=99_900_000, answered_us=95_000_000)
    assert known.longest_s(95_000_000) == pytest.approx(0.1)

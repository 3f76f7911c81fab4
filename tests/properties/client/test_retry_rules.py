"""Backoff, however often something failed."""

from hypothesis import given
from hypothesis import strategies as st

from payhub_client import retries


@given(
    failures=st.integers(1, 100),
    chance=st.floats(0, 1, exclude_max=True),
    asked_s=st.none() | st.floats(0, 100),
)
def test_waits_stay_in_their_bounds(failures: int, chance: float, asked_s: float | None) -> None:
    """A wait is spread, but never shorter than the server asks and never without a limit."""
    backoff = retries.Backoff(first_s=0.1, longest_s=5.0)
    wait_s = backoff.wait_s(failures, chance=chance, asked_s=asked_s)
    if asked_s is None:
        assert 0.05 <= wait_s <= 5.0
    else:
        assert asked_s <= wait_s <= 1.5 * asked_s + 0.05

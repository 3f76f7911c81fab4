"""What HTTP headers say of time."""

import time
from collections.abc import Iterator

import pytest

from servicekit import http_dates

NOW_S = 1_800_000_000.0  # Fri, 15 Jan 2027 08:00:00 GMT


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """This machine's own time is not that of Greenwich."""
    monkeypatch.setenv("TZ", "UTC+5")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("elsewhere")
@pytest.mark.parametrize(
    "text",
    [
        "Fri, 15 Jan 2027 08:00:30 GMT",
        "Friday, 15-Jan-27 08:00:30 GMT",
        "Fri Jan 15 08:00:30 2027",
        "Fri, 15 Jan 2027 09:00:30 +0100",
        "Fri, 15 Jan 2027 08:00:30 -0000",
    ],
)
def test_a_date_without_a_zone_is_that_of_greenwich(text: str) -> None:
    """RFC 9110 has three forms of a date, one of which names no zone."""
    assert http_dates.epoch_s(text) == NOW_S + 30
    assert http_dates.retry_after_s(text, now_s=NOW_S) == 30.0


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0.0),
        ("7", 7.0),
        ("9" * 5_000, float("inf")),
        ("Fri, 15 Jan 2021 08:00:30 GMT", 0.0),
    ],
)
def test_retry_after_is_a_number_or_a_date(text: str, seconds: float) -> None:
    """A date that is over asks for no wait; whoever reads a number sets the limit."""
    assert http_dates.retry_after_s(text, now_s=NOW_S) == seconds


@pytest.mark.parametrize(
    "text",
    [
        "",
        "soon",
        "-3",
        "1.5",
        "٣",
        "Fri, 15 Jan 99999999999 08:00:30 GMT",
        "Fri, 15 Jan 2027 08:00:30 +99999999999999",
    ],
)
def test_what_is_neither_says_nothing(text: str) -> None:
    """Whatever others send, no reader fails."""
    assert http_dates.retry_after_s(text, now_s=NOW_S) is None

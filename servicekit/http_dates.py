"""Times in the headers of HTTP.

Owns reading a date, and both forms of Retry-After. Called by whoever calls others over HTTP,
providers among them. Never fails on what was sent: what says nothing is None.
"""

import datetime
import email.utils


def epoch_s(text: str) -> float | None:
    """Returns the moment of a date, epoch seconds; one that names no zone is GMT (RFC 9110)."""
    try:
        moment = email.utils.parsedate_to_datetime(text)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=datetime.UTC)
        return moment.timestamp()
    except (TypeError, ValueError, OverflowError):
        return None


def retry_after_s(text: str, *, now_s: float) -> float | None:
    """Returns for how long a Retry-After asks to be left alone, seconds of any size from 0 on.

    Args:
        text: A number of seconds or a date.
        now_s: Epoch seconds, which a date is compared with.
    """
    if text.isascii() and text.isdecimal():
        return float(text)
    until_s = epoch_s(text)
    return None if until_s is None else max(until_s - now_s, 0.0)

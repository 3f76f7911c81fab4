"""What has to be caught in the middle, on machines that are sometimes too slow for it.

Owns trying it again with longer times. Called by the tests of this folder. Never lets a rule
go: a try that saw it broken fails the test at once.
"""

import contextlib
from collections.abc import Awaitable, Callable

# The first is enough nearly always, and costs least.
STRETCHES = (1.0, 3.0, 10.0)


class Missed(Exception):
    """It was over before it could be looked at."""


async def caught(attempt: Callable[[float], Awaitable[None]]) -> None:
    """Runs *attempt*, which multiplies its times by what it is given, until it is not Missed."""
    for stretch in STRETCHES[:-1]:
        with contextlib.suppress(Missed):
            await attempt(stretch)
            return
    await attempt(STRETCHES[-1])

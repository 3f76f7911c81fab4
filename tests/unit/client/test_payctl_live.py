"""The line below the events that `payctl events tail` shows."""

from typing import Any

from payctl import live


def test_nothing_is_kept_for_a_line_that_nobody_sees() -> None:
    """`tail` into a file may go on for months: its events leave nothing behind."""
    subscription: Any = None
    view = live.View(subscription, wanted=False)
    for _ in range(1000):
        view.took()
    assert not view._seen

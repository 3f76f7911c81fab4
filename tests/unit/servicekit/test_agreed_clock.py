"""The clock that all processes of a database share."""

from collections.abc import Callable
from typing import Any

from servicekit.storage import agreed
from tests import fake_clock

FAR_US = 300_000_000


class Database:
    """Tells a time, after as long as it is told to take."""

    def __init__(self) -> None:
        self.now_us = fake_clock.FakeClock().now_us()
        self.steady_s = 0.0
        self.takes_s = 0.0

    def passes(self, seconds: float) -> None:
        """Moves time on, everywhere."""
        self.now_us += round(seconds * 1_000_000)
        self.steady_s += seconds

    async def read(self, fn: Callable[[Any], Any]) -> Any:
        """Runs *fn*."""
        return fn(self)

    def one(self, sql: object) -> tuple[int]:
        """Returns the time as it was when half of what it takes was over."""
        self.passes(self.takes_s / 2)
        said = self.now_us
        self.passes(self.takes_s / 2)
        return (said,)


async def test_the_clock_is_the_databases_whatever_the_machine_says() -> None:
    """Between two looks it counts on; one that took long counts only as long as none was better."""
    db: Any = Database()
    machine = fake_clock.FakeClock(start_us=db.now_us + FAR_US)
    time = agreed.AgreedClock(db, machine, lambda: db.steady_s)
    db.takes_s = 4.0
    await time.agree()
    assert time.now_us() == db.now_us
    db.takes_s = 0.1
    await time.agree()
    db.passes(7)
    machine.advance(3600)
    assert time.now_us() == db.now_us
    db.now_us -= FAR_US
    db.takes_s = 4.0
    await time.agree()
    assert time.now_us() == db.now_us + FAR_US
    db.takes_s = 0.1
    await time.agree()
    assert time.now_us() == db.now_us

"""When a load of a plugin's process begins, what it comes to, and what is told of it."""

import pytest

from payment_service.provider_client import loading
from tests import fake_clock

Outcome = loading.Outcome


class Loads:
    """A load on a clock of its own, and what it told."""

    def __init__(self) -> None:
        self.clock = fake_clock.FakeClock()
        self.told: list[tuple[str, float]] = []
        self.load = loading.Load(self.clock, lambda what, s: self.told.append((what.value, s)))

    def ready(self, instance_id: str) -> None:
        """It is let in and takes operations."""
        self.load.met(instance_id)
        self.load.ready()


@pytest.fixture
def loads() -> Loads:
    """A place that nothing was seen of."""
    return Loads()


def test_it_lasts_from_the_connection_until_it_takes_operations(loads: Loads) -> None:
    """A place where nobody is costs no time, and what is ready is not told again."""
    loads.clock.advance(3600)
    loads.load.lost()
    loads.load.connected()
    loads.load.ready()
    loads.clock.advance(3)
    loads.load.met("one")
    loads.clock.advance(4)
    loads.load.ready()
    loads.clock.advance(5)
    loads.load.ready()
    assert loads.told == [("ready", 7)]


def test_a_process_is_loaded_once_and_the_next_one_anew(loads: Loads) -> None:
    """A connection that is lost and made again loads nothing, though it drains by then."""
    loads.load.connected()
    loads.ready("one")
    loads.load.lost()
    loads.load.connected()
    loads.load.met("one")
    loads.load.lost()
    assert loads.told == [("ready", 0)]
    loads.load.connected()
    loads.load.met("two")
    loads.clock.advance(2)
    loads.load.ready()
    assert loads.told == [("ready", 0), ("ready", 2)]


def test_what_is_tried_again_is_told_once_and_counts_in_the_end(loads: Loads) -> None:
    """Else an instance that is refused for a night would be thousands of loads."""
    for outcome in (Outcome.FAILED, Outcome.REFUSED, Outcome.FAILED, Outcome.REFUSED):
        loads.load.connected()
        loads.clock.advance(1)
        loads.load.failed(outcome)
    assert loads.told == [("failed", 1), ("refused", 2)]
    loads.ready("one")
    assert loads.told[2:] == [("ready", 4)]


@pytest.mark.parametrize("was_refused", [False, True])
def test_who_is_gone_before_is_told_unless_it_is_known_why(
    loads: Loads, *, was_refused: bool
) -> None:
    """The next connection begins a load of its own."""
    loads.load.connected()
    if was_refused:
        loads.load.failed(Outcome.REFUSED)
    loads.clock.advance(3)
    loads.load.lost()
    assert loads.told == ([("refused", 0)] if was_refused else [("lost", 3)])
    loads.load.connected()
    loads.ready("one")
    assert loads.told[1:] == [("ready", 0)]


def test_nothing_is_told_of_a_place_that_is_closed(loads: Loads) -> None:
    """A connection that ends late brings nothing back of a plugin that is forgotten."""
    loads.load.connected()
    loads.load.close()
    assert loads.told == [("lost", 0)]
    loads.load.connected()
    loads.load.failed(Outcome.FAILED)
    loads.ready("one")
    loads.load.lost()
    assert loads.told == [("lost", 0)]

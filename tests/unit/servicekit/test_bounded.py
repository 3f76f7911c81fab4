"""What remembers something for each of who knows how many."""

from servicekit import bounded


def test_the_oldest_entry_makes_room() -> None:
    """Whatever is set, alone or many together, no more than the newest are kept."""
    held: bounded.Bounded[str, int] = bounded.Bounded(2)
    held["a"] = 1
    held["b"] = 2
    held["c"] = 3
    assert dict(held) == {"b": 2, "c": 3}
    held |= {"d": 4, "e": 5, "f": 6}
    assert dict(held) == {"e": 5, "f": 6}
    held.update({"g": 7})
    assert list(held) == ["f", "g"]


def test_an_entry_that_is_set_again_or_used_is_a_new_one() -> None:
    """What is asked for again and again stays, whoever comes in between."""
    held: bounded.Bounded[str, int] = bounded.Bounded(2)
    held["a"] = 1
    held["b"] = 2
    held["a"] = 3
    held["c"] = 4
    assert dict(held) == {"a": 3, "c": 4}
    held.move_to_end("a")
    held["d"] = 5
    assert dict(held) == {"a": 3, "d": 5}

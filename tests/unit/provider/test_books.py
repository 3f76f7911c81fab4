"""The arithmetic of one payment, over random histories."""

import contextlib
from dataclasses import replace

import hypothesis
import pytest
from hypothesis import strategies as st

from provider_mock import books
from provider_sdk import errors

AMOUNTS = st.integers(1, 60)
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["capture", "refund", "void"]),
        AMOUNTS,
        st.sampled_from(["now", "settle", "drop"]),
        st.booleans(),
    ),
    max_size=8,
)


def check(sums: books.Sums) -> None:
    """The ceilings that the table's CHECK constraints hold."""
    assert min(sums.capturable_minor, sums.refundable_minor) >= 0
    assert all(getattr(sums, name) >= 0 for name in books.Sums.__slots__)
    if sums.closed:
        assert sums.capturable_minor == 0


@hypothesis.given(authorized=AMOUNTS, sale=st.booleans(), steps=STEPS)
def test_no_history_breaks_a_ceiling(
    authorized: int, sale: bool, steps: list[tuple[str, int, str, bool]]
) -> None:
    """Whatever is asked, settled or dropped in whatever order, the sums stay within bounds."""
    sums = books.authorize(books.Sums(), authorized, sale=sale)
    later: list[tuple[str, int, str, bool]] = []
    for kind, amount, when, final in steps:
        with contextlib.suppress(errors.StateConflict):
            if kind == "capture":
                sums = books.reserve_capture(sums, amount)
            elif kind == "refund":
                sums = books.reserve_refund(sums, amount)
            else:
                held = sums.releasing_minor
                sums = books.reserve_void(sums)
                amount = sums.releasing_minor - held
            check(sums)
            if when == "now":
                sums = end(sums, (kind, amount, "settle", final))
                check(sums)
            else:
                later.append((kind, amount, when, final))
    for step in later:
        sums = end(sums, step)
        check(sums)
    assert sums.capturing_minor == sums.releasing_minor == sums.refunding_minor == 0


def end(sums: books.Sums, step: tuple[str, int, str, bool]) -> books.Sums:
    """Settles or drops what was reserved."""
    kind, amount, when, final = step
    match kind, when:
        case "capture", "settle":
            return books.settle_capture(sums, amount, final=final)
        case "capture", _:
            return books.drop_capture(sums, amount)
        case "refund", "settle":
            return books.settle_refund(sums, amount)
        case "refund", _:
            return books.drop_refund(sums, amount)
        case _, "settle":
            return books.settle_void(sums, amount)
        case _:
            return books.drop_void(sums, amount)


def test_a_final_capture_releases_the_remainder() -> None:
    """Nothing stays held after it, and what a late decline gives back is released too."""
    sums = books.authorize(books.Sums(), 100, sale=False)
    sums = books.reserve_capture(books.reserve_capture(sums, 30), 20)
    sums = books.settle_capture(sums, 20, final=True)
    assert (sums.captured_minor, sums.released_minor, sums.closed) == (20, 50, True)
    assert books.drop_capture(sums, 30) == replace(sums, capturing_minor=0, released_minor=80)


def test_a_void_of_what_is_all_captured_is_refused() -> None:
    """There is nothing to give back; an undone void may be undone again."""
    with pytest.raises(errors.StateConflict):
        books.reserve_void(books.authorize(books.Sums(), 100, sale=True))
    voided = books.settle_void(
        books.reserve_void(books.authorize(books.Sums(), 100, sale=False)), 100
    )
    assert books.reserve_void(voided) == voided

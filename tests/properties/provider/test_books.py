"""The arithmetic of one payment, over random histories."""

import contextlib

import hypothesis
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

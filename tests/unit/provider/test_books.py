"""The arithmetic of one payment."""

from dataclasses import replace

import pytest

from provider_mock import books
from provider_sdk import errors


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

"""Cursors and page tokens: what comes back, and what is refused."""

import pytest

from event_gateway import cursor


def test_padding_and_other_alphabets_are_refused() -> None:
    """There is one spelling of each cursor."""
    text = cursor.encode(1, 2)
    for other in (text + "=", text + "\n", " " + text, text + text, "", "é" * 20):
        with pytest.raises(cursor.MalformedError):
            cursor.decode(other)


def test_cursors_and_page_tokens_are_not_taken_for_each_other() -> None:
    """A page token is no cursor and a cursor no page token."""
    with pytest.raises(cursor.MalformedError):
        cursor.decode(cursor.encode_page(1, 2, b"12345678"))
    with pytest.raises(cursor.MalformedError):
        cursor.decode_page(cursor.encode(1, 2))

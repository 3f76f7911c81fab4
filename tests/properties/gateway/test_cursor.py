"""Cursors and page tokens: what comes back, and what is refused, for any place and text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from event_gateway import cursor

EPOCHS = st.integers(0, 2**32 - 1)
POSITIONS = st.integers(0, 2**64 - 1)
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


@given(EPOCHS, POSITIONS)
def test_a_cursor_comes_back_as_it_was_made(epoch: int, position: int) -> None:
    """Decoding an encoded place gives that place, in 20 characters safe in URLs."""
    text = cursor.encode(epoch, position)
    assert cursor.decode(text) == cursor.Cursor(epoch=epoch, position=position)
    assert len(text) == 20
    assert set(text) <= set(ALPHABET)


@given(EPOCHS, POSITIONS, st.sampled_from(ALPHABET))
def test_one_wrong_character_is_always_found(epoch: int, position: int, character: str) -> None:
    """A cursor with one character replaced is refused, never read as another place."""
    text = cursor.encode(epoch, position)
    for index in range(len(text)):
        damaged = text[:index] + character + text[index + 1 :]
        if damaged == text:
            continue
        with pytest.raises(cursor.MalformedError):
            cursor.decode(damaged)


@given(st.text(max_size=64))
def test_text_that_is_no_cursor_is_refused_as_malformed(text: str) -> None:
    """Whatever a caller sends is a cursor that encodes back to itself, or MalformedError."""
    try:
        place = cursor.decode(text)
    except cursor.MalformedError:
        return
    assert cursor.encode(place.epoch, place.position) == text


@given(EPOCHS, POSITIONS, st.binary(), st.binary())
def test_a_page_token_names_its_query(epoch: int, position: int, one: bytes, two: bytes) -> None:
    """A token comes back with its place and fingerprint; other queries have other ones."""
    query = cursor.fingerprint(one, two)
    token = cursor.decode_page(cursor.encode_page(epoch, position, query))
    assert token.cursor == cursor.Cursor(epoch=epoch, position=position)
    assert token.fingerprint == query
    if one:
        assert cursor.fingerprint(one + two) != query

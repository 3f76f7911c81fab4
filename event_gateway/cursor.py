"""Cursors and page tokens: places in the log as text that callers keep.

Owns both formats and their checks against forgery by accident (not by intent:
access is checked on every read). Called by the API and the streams. Never
looks at the log itself.
"""

import base64
import binascii
import dataclasses
import hashlib
import struct

VERSION = 1
PAGE_VERSION = 2

# version, log epoch, position; then two bytes of checksum.
_BODY = struct.Struct(">BIQ")
_CHECKSUM_BYTES = 2
# The same with the fingerprint of the query in between.
_PAGE_BODY = struct.Struct(">BIQ8s")
FINGERPRINT_BYTES = 8


class MalformedError(ValueError):
    """The text is no cursor or page token of ours."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Cursor:
    """A place: everything at or before `position`, in the log's life `epoch`."""

    epoch: int
    position: int


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PageToken:
    """Where a query's next page starts, and of which query."""

    cursor: Cursor
    fingerprint: bytes


def encode(epoch: int, position: int) -> str:
    """Returns the cursor of *position* (0 to 2**64 - 1) in *epoch* (0 to 2**32 - 1)."""
    return _seal(_BODY.pack(VERSION, epoch, position))


def decode(text: str) -> Cursor:
    """Reads a cursor.

    Raises:
        MalformedError: It is not one, or was damaged on its way.
    """
    version, epoch, position = _BODY.unpack(_open(text, _BODY.size))
    if version != VERSION:
        raise MalformedError("unknown version")
    return Cursor(epoch=epoch, position=position)


def encode_page(epoch: int, position: int, fingerprint: bytes) -> str:
    """Returns the token of the page after *position*, for one query."""
    return _seal(_PAGE_BODY.pack(PAGE_VERSION, epoch, position, fingerprint))


def decode_page(text: str) -> PageToken:
    """Reads a page token.

    Raises:
        MalformedError: It is not one, or was damaged on its way.
    """
    version, epoch, position, fingerprint = _PAGE_BODY.unpack(_open(text, _PAGE_BODY.size))
    if version != PAGE_VERSION:
        raise MalformedError("unknown version")
    return PageToken(cursor=Cursor(epoch=epoch, position=position), fingerprint=fingerprint)


def fingerprint(*parts: bytes) -> bytes:
    """Returns what ties a page token to the query made of *parts*."""
    digest = hashlib.blake2b(digest_size=FINGERPRINT_BYTES)
    for part in parts:
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.digest()


def epoch_text(epoch: int) -> str:
    """Returns an epoch as the contract shows it: eight hexadecimal digits."""
    return f"{epoch:08x}"


def _checksum(body: bytes) -> bytes:
    return binascii.crc_hqx(body, 0xFFFF).to_bytes(_CHECKSUM_BYTES, "big")


def _seal(body: bytes) -> str:
    return base64.urlsafe_b64encode(body + _checksum(body)).rstrip(b"=").decode("ascii")


def _open(text: str, size: int) -> bytes:
    try:
        raw = base64.b64decode(
            text.encode("ascii") + b"=" * (-len(text) % 4), altchars=b"-_", validate=True
        )
    except (UnicodeEncodeError, binascii.Error, ValueError):
        raise MalformedError("not base64url") from None
    body, checksum = raw[:-_CHECKSUM_BYTES], raw[-_CHECKSUM_BYTES:]
    if len(body) != size or _checksum(body) != checksum or _seal(body) != text:
        raise MalformedError("damaged")
    return body

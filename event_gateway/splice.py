"""Bytes of events and of responses, made once and joined as often as needed.

Owns how an event is stored, how it becomes a chunk of a response, and how a
response is joined from chunks. Called by publishing and by the streams. Never
reads or changes what an event says.
"""

from collections.abc import Iterable

from google.protobuf import timestamp_pb2
from payhub.events.v1 import event_pb2

Buffer = bytes | memoryview
# The three responses that hold events (Subscribe, QueryEvents and their chunks)
# have `repeated Event events = 1`; a test holds the contract to that.
_EVENTS_TAG = b"\x0a"
_APPEND_TIME_TAG = b"\x52"
_POSITION_TAG = b"\x58"
_ONE_BYTE = tuple(bytes((value,)) for value in range(0x80))
# Tag and length of events that are not large, made once.
_PREFIXED_MAX = 4096


def varint(value: int) -> bytes:
    """Returns *value*, which is not negative, as protobuf writes it."""
    if value < 0x80:
        return _ONE_BYTE[value]
    if value < 0x4000:
        return bytes((value & 0x7F | 0x80, value >> 7))
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def timestamp(moment_us: int) -> timestamp_pb2.Timestamp:
    """Returns epoch microseconds as the contract's timestamp."""
    seconds, micros = divmod(moment_us, 1_000_000)
    return timestamp_pb2.Timestamp(seconds=seconds, nanos=micros * 1000)


def append_time_field(append_us: int) -> bytes:
    """Returns `Event.append_time` with its tag, ready to be joined to an event."""
    encoded = timestamp(append_us).SerializeToString()
    return _APPEND_TIME_TAG + varint(len(encoded)) + encoded


def content(event: event_pb2.Event) -> bytes:
    """Returns what the producer says, the same bytes each time it says it.

    The event must not carry `position` or `append_time`.
    """
    return event.SerializeToString(deterministic=True)


def stored(body: bytes, append_time: bytes, position: int) -> bytes:
    """Returns the event as it is kept: *body* from `content`, *append_time* from
    `append_time_field`. Protobuf allows fields in any order, so nothing is parsed.
    """
    return body + append_time + _POSITION_TAG + varint(position)


_PREFIXES = tuple(_EVENTS_TAG + varint(size) for size in range(_PREFIXED_MAX))
# Sizes whose prefixes are equally long, and these prefixes, for a database that looks them up.
EVEN_SIZES = range(0x80, _PREFIXED_MAX)
EVEN_PREFIX_BYTES = 3
EVEN_PREFIXES = b"".join(_PREFIXES[size] for size in EVEN_SIZES)


def prefix(size: int) -> bytes:
    """Returns what precedes an event of *size* bytes in `repeated Event events = 1`."""
    return _PREFIXES[size] if size < _PREFIXED_MAX else _EVENTS_TAG + varint(size)


def chunk(event: bytes) -> bytes:
    """Returns a stored event as one element of `repeated Event events = 1`."""
    return prefix(len(event)) + event


def first(chunks: bytes) -> bytes:
    """Returns the first event of elements of `repeated Event events = 1`, one after the other."""
    size = shift = 0
    at = 1
    while True:
        size |= (chunks[at] & 0x7F) << shift
        at += 1
        if chunks[at - 1] < 0x80:
            return chunks[at : at + size]
        shift += 7


def stored_event(chunk_bytes: bytes) -> bytes:
    """Returns the stored event in one element of `repeated Event events = 1`."""
    start = 1
    while chunk_bytes[start] >= 0x80:
        start += 1
    return chunk_bytes[start + 1 :]


def append_us(event_bytes: bytes) -> int:
    """Returns when the log accepted a stored event, epoch microseconds."""
    return event_pb2.Event.FromString(event_bytes).append_time.ToMicroseconds()


def thin(event_bytes: bytes) -> bytes:
    """Returns a stored event without its data."""
    event = event_pb2.Event.FromString(event_bytes)
    event.ClearField("data")
    return event.SerializeToString()


def redacted(event_bytes: bytes) -> bool:
    """Returns whether `erased` made this stored event."""
    return event_pb2.Event.FromString(event_bytes).redacted


def erased(event_bytes: bytes) -> bytes | None:
    """Returns a stored event without what it says of a person; None if that was done before."""
    event = event_pb2.Event.FromString(event_bytes)
    if event.redacted:
        return None
    event.ClearField("data")
    event.ClearField("user_id")
    event.ClearField("labels")
    event.redacted = True
    return event.SerializeToString(deterministic=True)


def join(chunks: Iterable[Buffer], trailer: bytes) -> bytes:
    """Returns a response: *chunks*, or pieces of them, then *trailer*, which is the same
    message without events.
    """
    return b"".join((*chunks, trailer))

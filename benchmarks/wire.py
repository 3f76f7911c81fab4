"""Subscribe streams over raw HTTP/2: a reader that costs next to nothing.

Owns the few frames a gRPC subscriber needs. Called by `benchmarks.sink`. Looks into
what it receives only where it is told to, so that the server is what is measured.
"""

import selectors
import socket
import struct
import time
from collections.abc import Callable

from payhub.events.v1 import event_stream_service_pb2 as pb

from event_gateway import cursor

PATH = "/payhub.events.v1.EventStreamService/Subscribe"
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _SETTINGS, _PING, _GOAWAY, _WINDOW_UPDATE = 0, 1, 4, 6, 7, 8
_ACK = END_STREAM = 1
_END_HEADERS = 4
_WINDOW_MAX = 2**31 - 1
# What was read is given back to the sender in portions.
_GIVE_BACK_BYTES = 32 * 1024 * 1024
_READ_BYTES = 1024 * 1024
# The end of what a stream received, long enough for the trailer of a response.
_END_BYTES = 256
# In a response's trailer: the tag of `cursor`, and its length.
_CURSOR = b"\x12\x14"
CURSOR_BYTES = 20

Watch = Callable[[int, bytes, float], None]


class Stream:
    """What is known of one stream: how much came, and its end, where the cursor is."""

    __slots__ = ("bytes", "collected", "ended", "last", "messages", "watched")

    def __init__(self, *, watched: bool) -> None:
        self.bytes = 0
        self.messages = 0
        self.last = b""
        self.ended = False
        self.watched = watched
        self.collected = bytearray()

    def take(self, part: memoryview) -> None:
        """Counts a part of what came, and keeps its end."""
        self.bytes += len(part)
        end = bytes(part[-_END_BYTES:])
        self.last = end if len(end) == _END_BYTES else (self.last + end)[-_END_BYTES:]


class Connection:
    """One connection with several streams.

    Args:
        target: `host:port`.
        key: API key.
        watch: Given (stream, message, arrival) for watched streams.
    """

    def __init__(self, target: str, key: str, watch: Watch) -> None:
        host, _, port = target.rpartition(":")
        self.streams: dict[int, Stream] = {}
        self.socket = socket.create_connection((host, int(port)))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.closed = False
        self._authority = target
        self._key = key
        self._watch = watch
        self._next = 1
        self._unread = bytearray()
        self._given = 0
        # A frame that nobody looks into and what of it is still to come.
        self._open: tuple[Stream, int] | None = None
        settings = struct.pack(">HIHIHI", 2, 0, 4, _WINDOW_MAX, 5, 2**24 - 1)
        self.socket.sendall(
            _PREFACE
            + _frame(_SETTINGS, 0, 0, settings)
            + _frame(_WINDOW_UPDATE, 0, 0, struct.pack(">I", _WINDOW_MAX - 65_535))
        )
        self.socket.setblocking(False)

    def subscribe(self, request: pb.SubscribeRequest, *, watched: bool) -> None:
        """Opens a stream."""
        body = request.SerializeToString()
        headers = b"".join(
            _header(name, value)
            for name, value in (
                (":method", "POST"),
                (":scheme", "http"),
                (":path", PATH),
                (":authority", self._authority),
                ("te", "trailers"),
                ("content-type", "application/grpc"),
                ("authorization", f"Bearer {self._key}"),
            )
        )
        number = self._next
        self._next += 2
        self.streams[number] = Stream(watched=watched)
        message = struct.pack(">BI", 0, len(body)) + body
        self._send(
            _frame(_HEADERS, _END_HEADERS, number, headers)
            + _frame(_DATA, END_STREAM, number, message)
        )

    def read(self, buffer: memoryview) -> int:
        """Takes what has arrived; returns how many bytes."""
        try:
            count = self.socket.recv_into(buffer)
        except BlockingIOError:
            return 0
        if not count:
            self.closed = True
            return 0
        now_s = time.time()
        if self._unread:
            self._unread += buffer[:count]
            rest = self._take(memoryview(self._unread), now_s)
            self._unread = bytearray(rest)
        else:
            self._unread = bytearray(self._take(buffer[:count], now_s))
        self._given += count
        if self._given >= _GIVE_BACK_BYTES:
            self._send(_frame(_WINDOW_UPDATE, 0, 0, struct.pack(">I", self._given)))
            self._given = 0
        return count

    def _take(self, view: memoryview, now_s: float) -> bytes:
        """Handles whole frames, and what has come of a large one; returns the rest."""
        at, end = self._go_on(view), len(view)
        while end - at >= 9:
            size = int.from_bytes(view[at : at + 3], "big")
            kind, flags = view[at + 3], view[at + 4]
            number = int.from_bytes(view[at + 5 : at + 9], "big")
            there = min(size, end - at - 9)
            if there < size and not (kind == _DATA and not self.streams[number].watched):
                break
            payload = view[at + 9 : at + 9 + there]
            at += 9 + there
            if kind == _DATA:
                self._data(self.streams[number], number, payload, now_s)
                self._open = (self.streams[number], size - there) if there < size else None
            elif kind == _PING and not flags & _ACK:
                self._send(_frame(_PING, _ACK, 0, bytes(payload)))
            elif kind == _SETTINGS and not flags & _ACK:
                self._send(_frame(_SETTINGS, _ACK, 0, b""))
            elif kind == _GOAWAY:
                self.closed = True
            if kind in (_DATA, _HEADERS) and flags & END_STREAM:
                self.streams[number].ended = True
        return bytes(view[at:])

    def _go_on(self, view: memoryview) -> int:
        """Counts what comes of a frame that nobody looks into; returns where it ends."""
        if self._open is None:
            return 0
        stream, missing = self._open
        there = min(missing, len(view))
        stream.take(view[:there])
        self._open = (stream, missing - there) if there < missing else None
        return there

    def _data(self, stream: Stream, number: int, payload: memoryview, now_s: float) -> None:
        stream.take(payload)
        if not stream.watched:
            return
        collected = stream.collected
        collected += payload
        while len(collected) >= 5:
            size = int.from_bytes(collected[1:5], "big")
            if len(collected) < 5 + size:
                break
            stream.messages += 1
            self._watch(number, bytes(collected[5 : 5 + size]), now_s)
            del collected[: 5 + size]

    def _send(self, data: bytes) -> None:
        self.socket.setblocking(True)
        self.socket.sendall(data)
        self.socket.setblocking(False)


class Reader:
    """Reads several connections until told to stop."""

    def __init__(self, connections: list[Connection]) -> None:
        self._connections = connections
        self._selector = selectors.DefaultSelector()
        self._buffer = memoryview(bytearray(_READ_BYTES))
        for connection in connections:
            self._selector.register(connection.socket, selectors.EVENT_READ, connection)

    def read(self, timeout_s: float) -> int:
        """Takes what arrives within *timeout_s*, at least once; returns how many bytes."""
        return sum(key.data.read(self._buffer) for key, _ in self._selector.select(timeout_s))

    @property
    def ended(self) -> bool:
        """Whether every stream has come to its end."""
        return all(stream.ended for stream in self.streams)

    @property
    def streams(self) -> list[Stream]:
        """All streams."""
        return [one for each in self._connections for one in each.streams.values()]


def last_cursor(stream: Stream) -> str:
    """Returns the cursor in the last response of a stream, '' if none came."""
    at = stream.last.rfind(_CURSOR)
    return stream.last[at + 2 : at + 2 + CURSOR_BYTES].decode("ascii") if at >= 0 else ""


def head_cursor(stream: Stream) -> str:
    """Returns the cursor of the head, as the last response of a stream knows it."""
    place = cursor.decode(last_cursor(stream))
    at = stream.last.rfind(_CURSOR)
    response = pb.SubscribeResponse.FromString(stream.last[at:])
    return cursor.encode(place.epoch, response.head_position)


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return (
        len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload
    )


def _header(name: str, value: str) -> bytes:
    """Returns a header field as HPACK writes it literally, without an index."""
    assert max(len(name), len(value)) < 127, "a length takes one byte"
    return bytes((0, len(name))) + name.encode() + bytes((len(value),)) + value.encode()

"""The relay's way to the event gateway.

Owns the channel, the credential and the bytes of a request, spliced from
envelopes that were serialised when they were written. Called by the relay
only. Never parses an event that the gateway did not refuse.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from google.protobuf.message import DecodeError
from payhub.events.v1 import event_ingest_service_pb2 as ingest_pb
from payhub.events.v1 import event_pb2
from payhub.events.v1 import event_stream_service_pb2 as stream_pb

from servicekit import server, tls

PUBLISH = "/payhub.events.v1.EventIngestService/PublishEvents"
GET_LOG_INFO = "/payhub.events.v1.EventStreamService/GetLogInfo"

# The gateway takes 3 MiB in a batch; the rest is for tags and lengths.
BATCH_BYTES_MAX = 2_500_000
EVENT_BYTES_MAX = 3 * 1024 * 1024 - 16
# A commit serves a few hundred events as cheaply as a thousand, and sooner.
BATCH_ROWS_MAX = 500

_EVENTS_TAG = b"\x0a"
_FIRST_REMAINING_TAG = b"\x12"


class Newest(NamedTuple):
    """The newest event of this service in the log, and in which life of it that was appended;
    position 0 if there is none.
    """

    epoch: str
    position: int
    event_id: str


class Place(NamedTuple):
    """Where the gateway's log is; `newest` is None if the gateway does not tell."""

    epoch: str
    head: int
    newest: Newest | None = None


class Gateway:
    """Calls one gateway.

    Args:
        endpoint: `host:port`, or any other gRPC target.
        key: API key of the tenant `system` with the scopes events:publish, events:read.
        timeout_s: Deadline of each call.
        dialer: How it is called.
    """

    def __init__(
        self,
        endpoint: str,
        key: str,
        *,
        timeout_s: float,
        dialer: tls.Dialer = tls.IN_CLEAR,
    ) -> None:
        # A channel of its own: a reconnect here says something about this gateway.
        options = [*server.CHANNEL_OPTIONS, ("grpc.use_local_subchannel_pool", 1)]
        self._channel = dialer.dial(endpoint, options)
        self._metadata = (("authorization", f"Bearer {key}"),)
        self._timeout_s = timeout_s
        # No serializer: the request is bytes already.
        self._publish: Any = self._channel.unary_unary(
            PUBLISH, response_deserializer=ingest_pb.PublishEventsResponse.FromString
        )
        self._info: Any = self._channel.unary_unary(
            GET_LOG_INFO,
            request_serializer=stream_pb.GetLogInfoRequest.SerializeToString,
            response_deserializer=stream_pb.GetLogInfoResponse.FromString,
        )

    async def publish(
        self, envelopes: Sequence[bytes], first_remaining: Sequence[int] = ()
    ) -> ingest_pb.PublishEventsResponse:
        """Publishes a batch, one result per envelope.

        Args:
            envelopes: Serialised events.
            first_remaining: Indices of envelopes before which no event of their entity is left.

        Raises:
            grpc.aio.AioRpcError: It is not known whether anything was appended.
            ValueError: The answer does not fit the question.
        """
        response: ingest_pb.PublishEventsResponse = await self._publish(
            request(envelopes, first_remaining), timeout=self._timeout_s, metadata=self._metadata
        )
        if len(response.results) != len(envelopes):
            raise ValueError(
                f"the gateway answered {len(envelopes)} events with {len(response.results)} results"
            )
        return response

    async def place(self) -> Place:
        """Asks where the log is.

        Raises:
            grpc.aio.AioRpcError: The gateway did not say.
        """
        response = await self._info(
            stream_pb.GetLogInfoRequest(), timeout=self._timeout_s, metadata=self._metadata
        )
        return Place(response.log_epoch, response.head_position, newest(response))

    async def close(self) -> None:
        """Closes the channel; a call under way fails."""
        await self._channel.close()


def newest(response: stream_pb.GetLogInfoResponse) -> Newest | None:
    """Returns what a gateway tells of the newest event of this service; None if it does not."""
    if not response.HasField("payments_head"):
        return None
    told = response.payments_head
    return Newest(told.log_epoch, told.position, told.event_id)


def request(envelopes: Sequence[bytes], first_remaining: Sequence[int] = ()) -> bytes:
    """Returns the bytes of a PublishEventsRequest that holds *envelopes*."""
    parts: list[bytes] = []
    for envelope in envelopes:
        parts += (_EVENTS_TAG, _varint(len(envelope)), envelope)
    if first_remaining:
        packed = b"".join(map(_varint, first_remaining))
        parts += (_FIRST_REMAINING_TAG, _varint(len(packed)), packed)
    return b"".join(parts)


def problem(envelope: bytes) -> str:
    """Returns why no gateway can take *envelope*, or ''."""
    if len(envelope) > EVENT_BYTES_MAX:
        return f"the event takes {len(envelope)} bytes; at most {EVENT_BYTES_MAX} can be published"
    try:
        event_pb2.Event.FromString(envelope)
    except DecodeError:
        return "the stored bytes are no event"
    return ""


def _varint(value: int) -> bytes:
    if 0x80 <= value < 0x4000:
        return bytes((value & 0x7F | 0x80, value >> 7))
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)

"""How streams of events live: when one counts as dead, and when another is opened.

Owns these rules and the notices that tell of them. Called by `subscription` and
`consumption`, which open the streams. Never decides what is read on them.
"""

import enum
from dataclasses import dataclass

import grpc
from google.protobuf import duration_pb2
from payhub.events.v1 import event_stream_service_pb2

from payhub_client import errors

HEARTBEATS_UNTIL_DEAD = 2.5
# A stream that lived this long was healthy even if nothing happened in the log.
HEALTHY_AFTER_S = 5.0
# A bug in the gateway that every attempt meets again is not worth hiding for ever.
INTERNAL_ERRORS_MAX = 5

_REOPENING_CODES = frozenset(
    {
        grpc.StatusCode.ABORTED,
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.UNKNOWN,
    }
)


class NoticeKind(enum.Enum):
    """What a notice is about."""

    STARTED = "started"
    """A stream was opened, first or anew."""
    FELL_BEHIND = "fell_behind"
    """This reader is slower than the log grows; it is fed from storage."""
    CLOSING = "closing"
    """The server ends the stream in good order."""
    RECONNECTING = "reconnecting"
    """The stream is gone; the next one is opened after `wait_s`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """Something a subscriber may want to show or count; nothing needs to be done."""

    kind: NoticeKind
    text: str
    wait_s: float = 0.0
    sent: event_stream_service_pb2.Notice | None = None
    """The server's own message, unless the client made the notice."""


def behind(sent: event_stream_service_pb2.Notice.FellBehind) -> str:
    """Return what a slow reader is told."""
    text = f"{sent.entries_behind} entries behind the head of the log"
    if sent.HasField("retention_headroom"):
        text += f"; what comes next may be deleted in {seconds(sent.retention_headroom):.0f} s"
    return text


def may_reopen(failure: errors.PayhubError, failures: int) -> bool:
    """Return whether another stream may fare better than the one that ended with `failure`.

    `failures` is how many ended in a row, that one included, and brought nothing.
    """
    # Without a reason gRPC says it, of connections that broke too.
    bug = isinstance(failure, errors.Internal) and bool(failure.reason)
    if bug and failures > INTERNAL_ERRORS_MAX:
        return False
    lasting = failure.retry == "never" or errors.is_oversize(failure)
    return failure.code in _REOPENING_CODES and not lasting


def unavailable(text: str) -> errors.Unavailable:
    """Return what a stream ended with that the gateway did not end."""
    return errors.Unavailable(text, code=grpc.StatusCode.UNAVAILABLE, retry="same_key")


def seconds(duration: duration_pb2.Duration) -> float:
    """Return a length of time of the contract in seconds."""
    return duration.ToMicroseconds() / 1e6

"""Times and durations as core sends them, which may be out of every range.

Owns turning them into numbers. Called by the servicers. Never lets a malformed
one become a bug of the plugin.
"""

from google.protobuf import duration_pb2, timestamp_pb2

from provider_sdk import errors


def micros(sent: timestamp_pb2.Timestamp | duration_pb2.Duration, *, field: str) -> int:
    """Returns epoch microseconds, or those of a duration.

    Args:
        sent: What came.
        field: Its path in the request.

    Raises:
        InvalidRequest: Seconds or nanos are out of their range.
    """
    try:
        if isinstance(sent, duration_pb2.Duration):
            # Of a duration, to make a text of it is what looks at its range.
            sent.ToJsonString()
        return int(sent.ToMicroseconds())
    except ValueError as error:
        text = f"{field} is out of range; nanos are below 1,000,000,000 and years 1 to 9999"
        raise errors.InvalidRequest(text, [(field, text)]) from error

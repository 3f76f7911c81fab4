"""What a stream's notices say in words."""

from google.protobuf import duration_pb2
from payhub.events.v1 import event_stream_service_pb2

from payhub_client import streams

FellBehind = event_stream_service_pb2.Notice.FellBehind


def test_a_slow_reader_is_told_how_long_it_has() -> None:
    """How far behind it is, and where the gateway says so, when what comes next is deleted."""
    assert streams.behind(FellBehind(entries_behind=7)) == "7 entries behind the head of the log"
    near = FellBehind(entries_behind=7, retention_headroom=duration_pb2.Duration(seconds=90))
    assert streams.behind(near).endswith("; what comes next may be deleted in 90 s")

"""Times from outside are numbers or a refusal, never a bug."""

import pytest
from google.protobuf import duration_pb2, timestamp_pb2

from provider_sdk import errors, times


def test_proper_times_are_numbers() -> None:
    """Microseconds, below which the contract does not go."""
    at = timestamp_pb2.Timestamp(seconds=1_767_225_600, nanos=1_500)
    assert times.micros(at, field="context.not_after") == 1_767_225_600_000_001
    assert times.micros(duration_pb2.Duration(seconds=-1), field="x") == -1_000_000


@pytest.mark.parametrize(
    "sent",
    [
        timestamp_pb2.Timestamp(nanos=1_000_000_000),
        timestamp_pb2.Timestamp(nanos=-1),
        timestamp_pb2.Timestamp(seconds=2**63 - 1),
        timestamp_pb2.Timestamp(seconds=-(2**63)),
        duration_pb2.Duration(seconds=2**63 - 1),
        duration_pb2.Duration(seconds=1, nanos=-5),
    ],
)
def test_others_are_refused_with_their_field(
    sent: timestamp_pb2.Timestamp | duration_pb2.Duration,
) -> None:
    """The caller learns which field to correct."""
    with pytest.raises(errors.InvalidRequest) as refused:
        times.micros(sent, field="context.not_after")
    assert refused.value.violations[0][0] == "context.not_after"

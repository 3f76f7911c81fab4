"""What a status other than OK says, whatever the plugin behind it was written in."""

from dataclasses import dataclass

import grpc
import grpc.aio
import pytest
from google.protobuf import any_pb2
from google.rpc import error_details_pb2, status_pb2
from payhub.provider.v1 import failure_pb2, operation_pb2

from payment_service.domain import outcomes
from payment_service.provider_client import asking, reading
from tests.unit.payment_service import samples

FAILED_PRECONDITION = 9
WORDS = "no, 100 % captured"
FAILURE = failure_pb2.Failure(
    effect=failure_pb2.Failure.EFFECT_NONE, reason=failure_pb2.FAILURE_REASON_STATE_CONFLICT
)
INFO = error_details_pb2.ErrorInfo(reason="STATE_CONFLICT", domain="acme")


def packed(*details: error_details_pb2.ErrorInfo | failure_pb2.Failure) -> list[any_pb2.Any]:
    """Returns details as they travel."""
    made = [any_pb2.Any() for _ in details]
    for one, detail in zip(made, details, strict=True):
        one.Pack(detail)
    return made


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A call that failed with FAILED_PRECONDITION, and the details that came with it."""

    raw: bytes

    @property
    def error(self) -> grpc.aio.AioRpcError:
        """What gRPC raises of it."""
        trailing = grpc.aio.Metadata(("grpc-status-details-bin", self.raw))
        code = grpc.StatusCode.FAILED_PRECONDITION
        return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), trailing, WORDS)


def told(
    message: str, code: int = FAILED_PRECONDITION, details: list[any_pb2.Any] | None = None
) -> Told:
    """Returns a failed call whose `google.rpc.Status` says this."""
    status = status_pb2.Status(code=code, message=message, details=details or packed(INFO, FAILURE))
    return Told(raw=status.SerializeToString())


@pytest.mark.parametrize("message", [WORDS, "", "other words"])
def test_effect_none_is_believed_whatever_the_words_beside_it(message: str) -> None:
    """Words are for people: many a library leaves them out of the details or shortens them."""
    report = reading.failed_call(samples.OPERATION, told(message).error)
    assert report.outcome is outcomes.Outcome.NOT_SENT
    assert report.failure is not None
    assert report.failure.reason == "STATE_CONFLICT"
    assert reading.error_info_reason(told(message).error) == "STATE_CONFLICT"


BROKEN = any_pb2.Any(type_url=f"type.googleapis.com/{FAILURE.DESCRIPTOR.full_name}", value=b"\xff")
BROKEN_INFO = any_pb2.Any(
    type_url=f"type.googleapis.com/{INFO.DESCRIPTOR.full_name}", value=b"\xff"
)


@pytest.mark.parametrize(
    "answer",
    [
        Told(raw=b"\xff\xff"),
        told(WORDS, details=[BROKEN_INFO, BROKEN]),
        told(WORDS, code=14),
    ],
    ids=["no status", "no failure", "another code"],
)
def test_details_that_nobody_can_read_are_an_unknown_outcome(answer: Told) -> None:
    """They end no call and no look at a doubt: nothing is known, and that is said."""
    report = reading.failed_call(samples.OPERATION, answer.error)
    assert report.outcome is outcomes.Outcome.UNKNOWN
    assert reading.failure_of(answer.error) is None
    assert reading.error_info_reason(answer.error) == ""
    assert asking._details(answer.error) == ("", [])


def test_another_amount_is_told_as_people_write_it() -> None:
    """Who settles the doubt reads major units: `11 KWD` would be a thousand times as much."""
    asked = samples.OPERATION
    answer = operation_pb2.Operation(
        operation_id=asked.id, state=operation_pb2.Operation.STATE_SUCCEEDED
    )
    answer.amount.amount_minor = asked.amount_minor + 1
    answer.amount.currency_code = asked.currency
    report = reading.result(asked, answer)
    assert report.failure is not None
    assert report.failure.provider_code == "asked for 0.011 KWD, the provider booked 0.012 KWD"

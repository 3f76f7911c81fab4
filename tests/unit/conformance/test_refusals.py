"""What the suite makes of a status: no more of it than core does."""

import grpc
import grpc.aio
from google.protobuf import any_pb2
from google.rpc import error_details_pb2, status_pb2
from payhub.provider.v1 import failure_pb2

from provider_sdk.conformance import refusal


def refused(raw: bytes) -> refusal.Refused:
    """Returns what a call raises that ended with FAILED_PRECONDITION and these details."""
    trailing = grpc.aio.Metadata(("grpc-status-details-bin", raw))
    code = grpc.StatusCode.FAILED_PRECONDITION
    return refusal.Refused(grpc.aio.AioRpcError(code, grpc.aio.Metadata(), trailing, "no"))


def status(code: int) -> bytes:
    """Returns the details of a state conflict under that code."""
    details = [any_pb2.Any(), any_pb2.Any()]
    details[0].Pack(error_details_pb2.ErrorInfo(reason="STATE_CONFLICT", domain="acme"))
    details[1].Pack(
        failure_pb2.Failure(
            effect=failure_pb2.Failure.EFFECT_NONE,
            reason=failure_pb2.FAILURE_REASON_STATE_CONFLICT,
        )
    )
    made = status_pb2.Status(code=code, details=details)
    return bytes(made.SerializeToString())


def test_details_under_another_code_are_none() -> None:
    """Core does not believe them, so a provider that sends them is told."""
    right = refused(status(9))
    assert (right.effect, right.problems(domain="acme")) == ("NONE", [])
    for code, said in ((0, "OK"), (14, "UNAVAILABLE"), (99, "99")):
        wrong = refused(status(code))
        assert wrong.effect == "UNKNOWN"
        (problem,) = wrong.problems(domain="acme")
        assert said in problem
        assert "FAILED_PRECONDITION" in problem


def test_details_that_are_no_status_are_named() -> None:
    """Who encoded them wrongly is not told that there were none."""
    (problem,) = refused(b"\xff\xff").problems(domain="acme")
    assert "grpc-status-details-bin" in problem
    assert "grpc-status-details-bin" in refused(b"\xff\xff").shown()

"""Errors as google.rpc.Status: complete, typed and small enough for the wire."""

import grpc
import pytest
from google.protobuf import wrappers_pb2
from google.rpc import error_details_pb2, status_pb2

from servicekit import errors


def details(status: status_pb2.Status) -> dict[str, object]:
    """Return the unpacked details by message name."""
    found: dict[str, object] = {}
    for packed in status.details:
        for kind in (
            error_details_pb2.ErrorInfo,
            error_details_pb2.BadRequest,
            error_details_pb2.RetryInfo,
            wrappers_pb2.StringValue,
        ):
            if packed.Is(kind.DESCRIPTOR):
                message = kind()
                packed.Unpack(message)
                found[kind.DESCRIPTOR.name] = message
    assert len(found) == len(status.details)
    return found


def test_everything_the_caller_needs_is_in_the_status() -> None:
    """Reason, retry rule, facts, violations, delay and further details all travel."""
    error = errors.RpcError(
        grpc.StatusCode.ABORTED,
        "IDEMPOTENCY_KEY_IN_FLIGHT",
        "being worked on",
        retry="same_key",
        metadata={"resource_id": "pay_1"},
        violations=[("amount.amount_minor", "must be positive")],
        retry_after_s=1.5,
        details=[wrappers_pb2.StringValue(value="more")],
        domain="elsewhere",
    )
    status = errors.to_status(error)
    found = details(status)
    assert (status.code, status.message) == (10, "being worked on")
    assert found["ErrorInfo"] == error_details_pb2.ErrorInfo(
        reason="IDEMPOTENCY_KEY_IN_FLIGHT",
        domain="elsewhere",
        metadata={"resource_id": "pay_1", "retry": "same_key"},
    )
    bad_request = found["BadRequest"]
    assert isinstance(bad_request, error_details_pb2.BadRequest)
    assert bad_request.field_violations[0].field == "amount.amount_minor"
    retry_info = found["RetryInfo"]
    assert isinstance(retry_info, error_details_pb2.RetryInfo)
    assert retry_info.retry_delay.ToMilliseconds() == 1_500
    assert found["StringValue"] == wrappers_pb2.StringValue(value="more")


def test_a_status_stays_below_what_trailing_metadata_holds() -> None:
    """However much is wrong and however long the texts, the answer arrives."""
    error = errors.RpcError(
        grpc.StatusCode.INVALID_ARGUMENT,
        "INVALID_FIELD",
        "ü" * 10_000,
        metadata={"value": "ü" * 10_000},
        violations=[("ü" * 1_000, "ü" * 1_000)] * 1_000,
    )
    status = errors.to_status(error)
    assert status.ByteSize() <= errors.STATUS_BYTES_MAX + 64
    bad_request = details(status)["BadRequest"]
    assert isinstance(bad_request, error_details_pb2.BadRequest)
    assert bad_request.field_violations


@pytest.mark.parametrize(
    ("error", "code", "reason", "retry"),
    [
        (errors.invalid_field("a.b", "is wrong"), "INVALID_ARGUMENT", "INVALID_FIELD", "never"),
        (errors.malformed_message(), "INVALID_ARGUMENT", "INVALID_FIELD", "never"),
        (errors.not_found("payment", "pay_1"), "NOT_FOUND", "RESOURCE_NOT_FOUND", "never"),
        (errors.key_invalid("no key"), "UNAUTHENTICATED", "KEY_INVALID", "never"),
        (errors.scope_missing("admin"), "PERMISSION_DENIED", "SCOPE_MISSING", "never"),
        (errors.deadline_required(), "INVALID_ARGUMENT", "DEADLINE_REQUIRED", "same_key"),
        (errors.deadline_exceeded(), "DEADLINE_EXCEEDED", "DEADLINE_EXCEEDED", "same_key"),
        (errors.internal("req_1"), "INTERNAL", "INTERNAL", "same_key"),
        (errors.unavailable("down"), "UNAVAILABLE", "UNAVAILABLE", "same_key"),
        (
            errors.overloaded("busy", retry_after_s=1),
            "RESOURCE_EXHAUSTED",
            "OVERLOADED",
            "same_key",
        ),
    ],
    ids=repr,
)
def test_each_kind_has_its_code_reason_and_retry_rule(
    error: errors.RpcError, code: str, reason: str, retry: str
) -> None:
    """The table that callers program against."""
    assert (error.code.name, error.reason, error.retry) == (code, reason, retry)


def test_several_violations_are_summed_up_in_the_message() -> None:
    """The message names the first field and says that there are more."""
    error = errors.invalid_fields([("a", "is wrong"), ("b", "is too")])
    assert error.message == "a: is wrong (and 1 more)"

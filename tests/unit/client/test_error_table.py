"""The client's error table against the contract."""

from typing import Any

import grpc
import pytest
from google.protobuf import any_pb2, duration_pb2, message
from google.rpc import error_details_pb2
from payhub.events.v1 import event_pb2
from payhub.type.v1 import error_reason_pb2

from payhub_client import errors

REASONS = [
    name.removeprefix("ERROR_REASON_")
    for name, value in error_reason_pb2.ErrorReason.items()
    if value
]


def packed(message: message.Message) -> any_pb2.Any:
    """A status detail."""
    wrapped = any_pb2.Any()
    wrapped.Pack(message)
    return wrapped


def test_every_reason_of_the_contract_has_a_class() -> None:
    """A reason that is added to the contract must be added to the table."""
    values = set(error_reason_pb2.ErrorReason.values())
    assert set(errors.BY_REASON) == values - {error_reason_pb2.ERROR_REASON_UNSPECIFIED}


def test_every_status_code_has_a_class() -> None:
    """A status without a reason is mapped too, whatever its code."""
    assert set(errors.BY_CODE) == set(grpc.StatusCode)


@pytest.mark.parametrize("reason", REASONS)
def test_a_reason_decides_the_class_whatever_the_code(reason: str) -> None:
    """Reason, message and retry-safety of ErrorInfo arrive in the exception."""
    info = error_details_pb2.ErrorInfo(
        reason=reason, domain="payhub", metadata={"retry": "same_key", "extra": "1"}
    )
    made = errors.from_status(
        code=grpc.StatusCode.UNKNOWN, text="so it is", details=[packed(info)], request_id="req_1"
    )
    value: Any = error_reason_pb2.ErrorReason.Value(f"ERROR_REASON_{reason}")
    assert type(made) is errors.BY_REASON[value]
    assert (made.reason, made.message, made.retry) == (reason, "so it is", "same_key")
    assert made.metadata == {"extra": "1"}
    assert str(made) == "so it is [request req_1]"


def test_a_reason_of_a_newer_server_falls_back_on_the_code() -> None:
    """An unknown reason is kept, and the class is that of the status code."""
    info = error_details_pb2.ErrorInfo(reason="OF_TOMORROW", metadata={"retry": "sometimes"})
    made = errors.from_status(code=grpc.StatusCode.NOT_FOUND, text="gone", details=[packed(info)])
    assert type(made) is errors.NotFound
    assert (made.reason, made.retry) == ("OF_TOMORROW", "never")


def test_the_documented_tree_is_the_tree() -> None:
    """Each class is in the module's docstring, and each that is raised is reachable."""
    classes = {
        each
        for each in vars(errors).values()
        if isinstance(each, type) and issubclass(each, errors.PayhubError)
    }
    assert errors.__doc__ is not None
    assert all(each.__name__ in errors.__doc__ for each in classes)
    reachable = {*errors.BY_REASON.values(), *errors.BY_CODE.values()}
    assert classes - reachable == {errors.PayhubError, errors.CursorError, errors.OutcomeUnknown}


def test_a_wrong_field_is_told_once() -> None:
    """What the message tells already is not repeated in the text of the exception."""
    bad = errors.FieldViolation(path="amount", description="is zero")
    other = errors.FieldViolation(path="name", description="is too long")
    told = errors.InvalidRequest("amount: is zero", field_violations=[bad, other])
    assert str(told) == "amount: is zero (name: is too long)"


def test_details_become_attributes() -> None:
    """Amounts, scopes, resources, delays and cursors are readable without parsing text."""

    def made(reason: str, *details: any_pb2.Any, **metadata: str) -> errors.PayhubError:
        info = error_details_pb2.ErrorInfo(reason=reason, metadata=metadata)
        return errors.from_status(
            code=grpc.StatusCode.UNKNOWN, text="", details=[packed(info), *details]
        )

    exceeded = made("AMOUNT_EXCEEDED", max_amount_minor="40")
    assert isinstance(exceeded, errors.AmountExceeded)
    assert exceeded.max_amount_minor == 40
    silent = made("AMOUNT_EXCEEDED")
    assert isinstance(silent, errors.AmountExceeded)
    assert silent.max_amount_minor is None
    denied = made("SCOPE_MISSING", scope="admin")
    assert isinstance(denied, errors.PermissionDenied)
    assert denied.scope == "admin"
    reused = made("IDEMPOTENCY_KEY_REUSED", resource_id="pay_1")
    assert isinstance(reused, errors.KeyReused)
    assert reused.resource_id == "pay_1"
    unknown = made("PROVIDER_UNKNOWN", providers="mock, other")
    assert isinstance(unknown, errors.NotSupported)
    assert unknown.providers == ("mock", "other")
    pause = error_details_pb2.RetryInfo(retry_delay=duration_pb2.Duration(nanos=250_000_000))
    assert made("OVERLOADED", packed(pause)).retry_after_s == 0.25
    expired = made("CURSOR_EXPIRED", packed(event_pb2.CursorExpired(oldest_cursor="c")))
    assert isinstance(expired, errors.CursorExpired)
    assert expired.oldest_cursor == "c"

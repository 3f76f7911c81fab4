"""Reading answers: every way a call can end becomes one outcome.

Owns the mapping of results and failures, and the rule that whatever is not
understood is UNKNOWN. Called by the client. Pure.
"""

from collections.abc import Iterable

import grpc.aio
from google.protobuf import any_pb2
from google.protobuf.message import DecodeError, Message
from google.rpc import error_details_pb2, status_pb2
from payhub.provider.v1 import failure_pb2, operation_pb2

from payment_service.domain import model, money, outcomes
from payment_service.domain.mirrors import objects

Details = Iterable[any_pb2.Any]

_DETAILS_KEY = "grpc-status-details-bin"
_State = operation_pb2.Operation
_MONEY_KINDS = frozenset(
    {
        model.Kind.AUTHORIZE,
        model.Kind.SALE,
        model.Kind.CAPTURE,
        model.Kind.REFUND,
        model.Kind.INCREMENT,
    }
)
_RESULTS: dict[int, outcomes.Outcome] = {
    _State.STATE_PENDING: outcomes.Outcome.PENDING,
    _State.STATE_ACTION_REQUIRED: outcomes.Outcome.ACTION_REQUIRED,
    _State.STATE_SUCCEEDED: outcomes.Outcome.SUCCEEDED,
    _State.STATE_DECLINED: outcomes.Outcome.DECLINED,
    _State.STATE_VOIDED: outcomes.Outcome.VOIDED,
}


def result(
    operation: model.Operation,
    answer: operation_pb2.Operation,
    seen: tuple[objects.Seen, ...] = (),
) -> outcomes.Report:
    """Returns what an OK answer says of *operation*; *seen* are the objects beside.

    An answer about another operation, or that booked another amount, is an unknown
    outcome that only an operator may settle.
    """
    version = operation.version
    if answer.operation_id != operation.id:
        return mismatch(version, f"the answer is about operation {answer.operation_id[:64]!r}")
    outcome = _RESULTS.get(answer.state, outcomes.Outcome.UNKNOWN)
    if outcome is outcomes.Outcome.SUCCEEDED and operation.kind in _MONEY_KINDS:
        booked = (answer.amount.amount_minor, answer.amount.currency_code)
        if booked != (operation.amount_minor, operation.currency):
            return mismatch(
                version,
                f"asked for {money.told(operation.amount_minor, operation.currency)}, "
                f"the provider booked {money.told(booked[0], booked[1][:3])}",
            )
    return outcomes.Report(
        outcome=outcome,
        operation_version=version,
        provider_object_id=answer.provider_object_id,
        provider_operation_id=answer.provider_operation_id,
        failure=decline(answer.decline) if outcome is outcomes.Outcome.DECLINED else None,
        action=action(answer.action) if outcome is outcomes.Outcome.ACTION_REQUIRED else None,
        seen=seen,
        state_time_us=(
            max(answer.state_time.ToMicroseconds(), 0) if answer.HasField("state_time") else 0
        ),
    )


def mismatch(version: int, detail: str) -> outcomes.Report:
    """An answer that contradicts the question."""
    return outcomes.Report(
        outcome=outcomes.Outcome.UNKNOWN,
        operation_version=version,
        failure=model.Failure(
            kind=model.FailureKind.UNSPECIFIED, reason="ANSWER_MISMATCH", provider_code=detail
        ),
        detail=detail,
        needs_operator=True,
    )


def not_sent(version: int, reason: str, detail: str = "") -> outcomes.Report:
    """It is certain that nothing had an effect."""
    return outcomes.Report(
        outcome=outcomes.Outcome.NOT_SENT,
        operation_version=version,
        failure=model.Failure(kind=model.FailureKind.NOT_SENT, reason=reason, provider_code=detail),
        detail=detail,
    )


def unknown(version: int, detail: str) -> outcomes.Report:
    """Nobody can tell."""
    return outcomes.Report(
        outcome=outcomes.Outcome.UNKNOWN, operation_version=version, detail=detail
    )


def details_of(error: grpc.aio.AioRpcError) -> Details:
    """Returns what travels with a status: nothing if that can't be read, or is of another status.

    Its words are not compared, as `grpc_status` does: plugins in other languages leave them
    out, or a proxy has shortened theirs.
    """
    for key, value in error.trailing_metadata() or ():
        if key == _DETAILS_KEY and isinstance(value, bytes):
            status = status_pb2.Status()
            try:
                status.ParseFromString(value)
            except DecodeError:
                return ()
            return status.details if status.code == error.code().value[0] else ()
    return ()


def unpacked(detail: any_pb2.Any, into: Message) -> bool:
    """Reads a detail; returns whether it is a message of that type and can be read."""
    try:
        return detail.Unpack(into)
    except DecodeError:
        return False


def failure_of(error: grpc.aio.AioRpcError) -> failure_pb2.Failure | None:
    """Returns the Failure that travels with a status, or None if there is none."""
    failure = failure_pb2.Failure()
    return failure if _first(error, failure) else None


def reason_of(failure: failure_pb2.Failure) -> str:
    """Returns the name of a failure's reason without its prefix."""
    try:
        name = failure_pb2.FailureReason.Name(failure.reason)
    except ValueError:
        return f"REASON_{failure.reason}"
    return name.removeprefix("FAILURE_REASON_")


def error_info_reason(error: grpc.aio.AioRpcError) -> str:
    """Returns the reason of a status's ErrorInfo, or an empty text."""
    info = error_details_pb2.ErrorInfo()
    return info.reason if _first(error, info) else ""


def _first(error: grpc.aio.AioRpcError, into: Message) -> bool:
    """Reads the first detail of a type; a second one does not stand in for it."""
    of_type = (each for each in details_of(error) if each.TypeName() == into.DESCRIPTOR.full_name)
    detail = next(of_type, None)
    return detail is not None and unpacked(detail, into)


def failed_call(operation: model.Operation, error: grpc.aio.AioRpcError) -> outcomes.Report:
    """Returns what a status other than OK says of *operation*.

    Only a Failure that states effect none is believed; a missing one is unknown.
    """
    failure = failure_of(error)
    code = error.code().name
    if failure is not None and failure.effect == failure_pb2.Failure.EFFECT_NONE:
        detail = failure.upstream_code[:256].replace("\0", "") or code
        return not_sent(operation.version, reason_of(failure), detail)
    why = reason_of(failure) if failure is not None else "no failure detail"
    return unknown(operation.version, f"{code}: {why}")


def decline(found: operation_pb2.Decline) -> model.Failure:
    """Returns a refusal in the domain's form."""
    try:
        name = operation_pb2.DeclineReason.Name(found.reason)
    except ValueError:
        name = "DECLINE_REASON_OTHER"
    reason = name.removeprefix("DECLINE_REASON_")
    return model.Failure(
        kind=model.FailureKind.DECLINED,
        reason="OTHER" if reason == "UNSPECIFIED" else reason,
        provider_code=found.provider_code,
        retryable_later=found.retryable_later,
    )


def action(found: operation_pb2.CustomerAction) -> model.CustomerAction:
    """Returns what the payer must do in the domain's form."""
    return model.CustomerAction(
        redirect_url=found.redirect_url,
        client_secret=found.client_secret,
        expire_us=found.expire_time.ToMicroseconds() if found.HasField("expire_time") else 0,
    )

"""What a reply tells of the one who gave it, beside the outcome of the operation.

Owns which failures are an outage, which break the contract, and which another instance may
make good. Called by the client for every reply; `pool` draws the conclusions. Pure.
"""

import enum
from collections.abc import Sequence
from dataclasses import dataclass

import grpc
import grpc.aio
from payhub.plugin.v1 import capability_pb2
from payhub.provider.v1 import failure_pb2, operation_pb2

from payment_service.domain import model, outcomes
from payment_service.domain.mirrors import objects
from payment_service.provider_client import reading, requests
from servicekit import errors, validation

_State = operation_pb2.Operation
_F = failure_pb2

# What a kind of operation rests on: core asks for nothing else, so a plugin that answers
# NOT_SUPPORTED and offers this has claimed what it hasn't.
OFFERS: dict[model.Kind, int] = {
    model.Kind.AUTHORIZE: capability_pb2.CAPABILITY_MANUAL_CAPTURE,
    model.Kind.SALE: capability_pb2.CAPABILITY_SALE,
    model.Kind.CAPTURE: capability_pb2.CAPABILITY_MANUAL_CAPTURE,
    model.Kind.INCREMENT: capability_pb2.CAPABILITY_INCREMENTAL_AUTHORIZATION,
    model.Kind.VOID: capability_pb2.CAPABILITY_VOID,
    model.Kind.REFUND: capability_pb2.CAPABILITY_REFUND,
    model.Kind.CREATE_CUSTOMER: capability_pb2.CAPABILITY_CUSTOMERS,
    model.Kind.UPDATE_CUSTOMER: capability_pb2.CAPABILITY_CUSTOMERS,
    model.Kind.ATTACH_PAYMENT_METHOD: capability_pb2.CAPABILITY_PAYMENT_METHODS,
    model.Kind.DETACH_PAYMENT_METHOD: capability_pb2.CAPABILITY_PAYMENT_METHODS,
    model.Kind.SET_DEFAULT_PAYMENT_METHOD: capability_pb2.CAPABILITY_PAYMENT_METHODS,
    model.Kind.CREATE_PLAN: capability_pb2.CAPABILITY_PLANS,
    model.Kind.ARCHIVE_PLAN: capability_pb2.CAPABILITY_PLANS,
    model.Kind.CREATE_SUBSCRIPTION: capability_pb2.CAPABILITY_SUBSCRIPTIONS,
    model.Kind.CHANGE_SUBSCRIPTION: capability_pb2.CAPABILITY_SUBSCRIPTIONS,
    model.Kind.CANCEL_SUBSCRIPTION: capability_pb2.CAPABILITY_SUBSCRIPTIONS,
    model.Kind.REACTIVATE_SUBSCRIPTION: capability_pb2.CAPABILITY_SUBSCRIPTIONS,
    model.Kind.CREATE_CHECKOUT: capability_pb2.CAPABILITY_CHECKOUT,
    model.Kind.EXPIRE_CHECKOUT: capability_pb2.CAPABILITY_CHECKOUT,
    model.Kind.SUBMIT_EVIDENCE: capability_pb2.CAPABILITY_DISPUTES,
    model.Kind.ACCEPT_DISPUTE: capability_pb2.CAPABILITY_DISPUTES,
}


class Sign(enum.Enum):
    """What a reply says of the instance, its version or the provider behind it."""

    # It works, whatever the result.
    GOOD = enum.auto()
    # Nothing can be told: core did not send it, the process is gone, or it is limited for the
    # moment.
    NEUTRAL = enum.auto()
    # The provider behind it, or the plugin itself, does not get its work done.
    OUTAGE = enum.auto()
    # Nothing was done and this instance takes nothing now; another one may.
    ELSEWHERE = enum.auto()
    # The provider refuses the credentials of the binding.
    CREDENTIALS = enum.auto()
    # The version breaks the contract.
    CONTRACT = enum.auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An outcome and its sign. `text` says what breaks the contract, or is the reason of an
    outage; `draining` says that the instance takes nothing new any more.
    """

    report: outcomes.Report
    sign: Sign
    text: str = ""
    draining: bool = False


def broken(
    operation: model.Operation, answer: _State | None, seen: Sequence[objects.Seen] = ()
) -> str:
    """Returns how an OK answer breaks the contract, or ''; *seen* are the objects beside.

    A wrong amount is not among it: what was booked is a fact that an operator must see,
    whoever is to blame for it.
    """
    if answer is None:
        return "the answer is not a message of the contract"
    if answer.operation_id != operation.id:
        return "the answer is about another operation"
    try:
        validation.validate(answer)
    except errors.RpcError as error:
        return f"the answer breaks the contract: {error.message}"[:256]
    if answer.state not in _KNOWN_STATES:
        return "the answer has no state that the contract knows"
    return (
        _unstorable(answer)
        or _untimely(answer)
        or _incomplete(operation, answer)
        or (_untold(operation, seen) if answer.state == _State.STATE_SUCCEEDED else "")
    )


_KNOWN_STATES = frozenset(
    {
        _State.STATE_PENDING,
        _State.STATE_ACTION_REQUIRED,
        _State.STATE_SUCCEEDED,
        _State.STATE_DECLINED,
        _State.STATE_VOIDED,
    }
)


# What can't be used without its id at the provider.
_NAMED: dict[model.Kind, str] = {
    model.Kind.AUTHORIZE: "payment",
    model.Kind.SALE: "payment",
    model.Kind.CREATE_CUSTOMER: "customer",
}


def _unstorable(answer: _State) -> str:
    """PostgreSQL takes no NUL, and a payment that can't be stored never leaves its state."""
    texts = (
        answer.provider_object_id,
        answer.provider_operation_id,
        answer.decline.provider_code,
        answer.action.redirect_url,
        answer.action.client_secret,
    )
    return "a text in the answer holds NUL" if any("\0" in text for text in texts) else ""


def _untimely(answer: _State) -> str:
    """Only the years 1 to 9999 can be told on."""
    try:
        name = "state_time"
        answer.state_time.ToMicroseconds()
        name = "expire_time"
        if answer.HasField("action"):
            answer.action.expire_time.ToMicroseconds()
    except ValueError:
        return f"{name} is out of range"
    return ""


def _incomplete(operation: model.Operation, answer: _State) -> str:
    if answer.state == _State.STATE_DECLINED and not answer.HasField("decline"):
        return "declined without a decline"
    if answer.state == _State.STATE_ACTION_REQUIRED and not (
        answer.action.redirect_url or answer.action.client_secret
    ):
        return "asks for an action without saying which"
    made = _NAMED.get(operation.kind)
    if made and answer.state == _State.STATE_SUCCEEDED and not answer.provider_object_id:
        return f"succeeded without the {made}'s id at the provider"
    return ""


def _untold(operation: model.Operation, seen: Sequence[objects.Seen]) -> str:
    """What was made and not told of can't be found again, so nobody knows what was made."""
    wanted = requests.MUST_TELL.get(operation.kind)
    if wanted is None:
        return ""
    ids = {operation.entity_id} if operation.kind in requests.CREATES else {operation.entity_id, ""}
    if any(one.kind is wanted and one.core_id in ids for one in seen):
        return ""
    return f"succeeded without the {wanted.name.lower()} it is about"


_OUTAGES = frozenset(
    {
        _F.FAILURE_REASON_UPSTREAM_UNREACHABLE,
        _F.FAILURE_REASON_UPSTREAM_NO_ANSWER,
        _F.FAILURE_REASON_PLUGIN_BUG,
    }
)
_NEUTRAL = frozenset(
    {
        _F.FAILURE_REASON_UPSTREAM_RATE_LIMITED,
        _F.FAILURE_REASON_TOO_LATE,
        _F.FAILURE_REASON_OPERATION_IN_PROGRESS,
        _F.FAILURE_REASON_LOOKUP_INCONCLUSIVE,
        _F.FAILURE_REASON_BINDING_NOT_CONFIGURED,
    }
)
_ELSEWHERE = frozenset({_F.FAILURE_REASON_DRAINING, _F.FAILURE_REASON_PLUGIN_BUSY})


def of_failure(
    operation: model.Operation,
    report: outcomes.Report,
    failure: failure_pb2.Failure | None,
    code: grpc.StatusCode,
    capabilities: frozenset[int],
    *,
    is_lost: bool = False,
) -> Reply:
    """Returns the reply that a status other than OK makes.

    Args:
        operation: What was sent.
        report: What the status says of it.
        failure: The detail that came with it, if one did.
        code: The status.
        capabilities: What the instance claims to do.
        is_lost: Whether the connection to the instance is gone. Then one process has ended, and
            another may take its place: it says nothing of the provider behind it.
    """
    if failure is None:
        if code is grpc.StatusCode.UNIMPLEMENTED:
            return _lie(operation, report, capabilities)
        if is_lost:
            return Reply(report=report, sign=Sign.NEUTRAL)
        return Reply(report=report, sign=Sign.OUTAGE, text=code.name)
    reason = failure.reason
    if reason == _F.FAILURE_REASON_NOT_SUPPORTED:
        return _lie(operation, report, capabilities)
    if reason in _ELSEWHERE and failure.effect == _F.Failure.EFFECT_NONE:
        draining = reason == _F.FAILURE_REASON_DRAINING
        return Reply(report=report, sign=Sign.ELSEWHERE, draining=draining)
    if reason == _F.FAILURE_REASON_CREDENTIALS_REJECTED:
        return Reply(report=report, sign=Sign.CREDENTIALS)
    if reason in _OUTAGES:
        return Reply(report=report, sign=Sign.OUTAGE, text=reading.reason_of(failure))
    return Reply(report=report, sign=Sign.NEUTRAL if reason in _NEUTRAL else Sign.GOOD)


def _lie(
    operation: model.Operation, report: outcomes.Report, capabilities: frozenset[int]
) -> Reply:
    claimed = OFFERS[operation.kind]
    if claimed not in capabilities:
        return Reply(report=report, sign=Sign.NEUTRAL)
    name = capability_pb2.Capability.Name(claimed)
    return Reply(
        report=report, sign=Sign.CONTRACT, text=f"it claims {name} and answers NOT_SUPPORTED"
    )

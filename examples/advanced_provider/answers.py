"""What upstream's answers mean in the terms of the contract.

Owns the translation, and its doubts: whatever is not certain is NoAnswer.
Called by `provider`. Never puts anything of an answer's body into a message.
"""

import json
import time
import urllib.parse
from collections.abc import Mapping
from typing import Any

from payhub.provider.v1 import operation_pb2

from provider_sdk import errors, http_client
from servicekit import http_dates

REFUSED = (401, 403)
RETRY_AFTER_S = 1.0
RETRY_AFTER_MAX_S = 3_600.0
CODE_CHARS_MAX = 64

_STATES = {
    "pending": operation_pb2.Operation.STATE_PENDING,
    "action_required": operation_pb2.Operation.STATE_ACTION_REQUIRED,
    "succeeded": operation_pb2.Operation.STATE_SUCCEEDED,
    "declined": operation_pb2.Operation.STATE_DECLINED,
    "voided": operation_pb2.Operation.STATE_VOIDED,
}
_DECLINES = {
    "authentication_failed": operation_pb2.DECLINE_REASON_AUTHENTICATION_FAILED,
    "instrument_invalid": operation_pb2.DECLINE_REASON_INSTRUMENT_INVALID,
    "insufficient_funds": operation_pb2.DECLINE_REASON_INSUFFICIENT_FUNDS,
    "not_allowed": operation_pb2.DECLINE_REASON_NOT_ALLOWED,
    "suspected_fraud": operation_pb2.DECLINE_REASON_SUSPECTED_FRAUD,
}
# What upstream calls a parameter, and what the contract does.
_FIELDS = {
    "amount_minor": "amount.amount_minor",
    "currency": "amount.currency_code",
    "instrument": "payment_method",
    "object": "provider_payment_id",
    "target": "target_operation_id",
}
_REFUSALS: Mapping[str, type[errors.ProviderError]] = {
    "not_found": errors.NotFound,
    "mismatch": errors.Mismatch,
    "in_progress": errors.InProgress,
    "state_conflict": errors.StateConflict,
}


def key(operation_id: str) -> str:
    """Returns the idempotency key: the operation id, fit for a header and a path."""
    return urllib.parse.quote(operation_id, safe="")


def header_safe(secret: bytes) -> str:
    """Returns a secret fit for a header, whatever bytes it has."""
    return urllib.parse.quote_from_bytes(secret, safe="!#$&'()*+,/:;=?@[]^`{|}~\"<>\\%")


def body(params: Mapping[str, Any]) -> bytes:
    """Returns the parameters of an operation as JSON."""
    return json.dumps(params).encode()


def over_the_limit(limit_minor: int) -> operation_pb2.Operation:
    """Returns the decline of an amount that upstream was never asked about."""
    answer = operation_pb2.Operation(state=operation_pb2.Operation.STATE_DECLINED)
    answer.decline.reason = operation_pb2.DECLINE_REASON_LIMIT_EXCEEDED
    answer.decline.provider_code = f"limit_{limit_minor}"
    answer.state_time.GetCurrentTime()
    return answer


def operation(response: http_client.Response, operation_id: str) -> operation_pb2.Operation:
    """Returns what became of an operation that was sent.

    Raises:
        errors.ProviderError: Nothing was done, or nobody knows.
    """
    if response.status != 200:
        raise _refusal(response)
    told = _parsed(response)
    try:
        if told["key"] != key(operation_id):
            raise errors.NoAnswer("Acme answered for another operation")
        return _operation(told, operation_id)
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
        raise errors.NoAnswer("Acme's answer is not an operation") from error


def found(response: http_client.Response, operation_id: str) -> operation_pb2.Operation:
    """Returns an operation that was asked for.

    Raises:
        NotFound: It did not take place.
        LookupInconclusive, NoAnswer: Whatever else came does not say whether it did.
    """
    if response.status == 200:
        return operation(response, operation_id)
    if response.status == 404 and _cause(response)[0] == "not_found":
        raise errors.NotFound("no such operation")
    raise errors.LookupInconclusive("Acme did not say", upstream_code=f"http_{response.status}")


def _operation(told: Mapping[str, Any], operation_id: str) -> operation_pb2.Operation:
    answer = operation_pb2.Operation(
        operation_id=operation_id,
        state=_STATES[told["state"]],
        provider_object_id=told["object"],
        provider_operation_id=told["id"],
    )
    answer.state_time.FromMicroseconds(told["state_us"])
    if told["amount_minor"] is not None:
        answer.amount.amount_minor = told["amount_minor"]
        answer.amount.currency_code = told["currency"]
    if told["state"] == "declined":
        code = str(told["decline"]["code"])[:CODE_CHARS_MAX]
        answer.decline.reason = _DECLINES.get(code, operation_pb2.DECLINE_REASON_OTHER)
        answer.decline.provider_code = code
        answer.decline.retryable_later = told["decline"]["retryable_later"]
    if told["state"] == "action_required":
        answer.action.redirect_url = told["action"]["url"]
        answer.action.client_secret = told["action"]["client_secret"]
        answer.action.expire_time.FromMicroseconds(told["action"]["expire_us"])
    return answer


def _refusal(response: http_client.Response) -> errors.ProviderError:
    """Returns what an answer other than 200 means for an operation that was sent."""
    code = f"http_{response.status}"
    if response.status in REFUSED:
        return errors.CredentialsRejected("Acme refuses the key", upstream_code=code)
    if response.status == 429:
        return errors.RateLimited(
            "Acme limits the rate of calls",
            retry_after_s=_retry_after_s(response.headers.get("retry-after", "")),
            upstream_code=code,
        )
    if response.status not in (400, 404, 409, 422):
        return errors.NoAnswer("Acme failed; what it did is unknown", upstream_code=code)
    cause, field = _cause(response)
    if cause == "invalid":
        text = "Acme does not take this value"
        return errors.InvalidRequest(text, [(_FIELDS.get(field, field), text)])
    kind = _REFUSALS.get(cause, errors.NoAnswer)
    return kind("Acme refuses the operation", upstream_code=cause)


def _cause(response: http_client.Response) -> tuple[str, str]:
    """Returns code and field of a refusal.

    Raises:
        NoAnswer: It is not in upstream's form: something on the way answered instead.
    """
    error = _parsed(response).get("error")
    if not isinstance(error, dict) or not isinstance(error.get("code"), str):
        raise errors.NoAnswer("Acme's refusal is not in its form")
    return error["code"][:CODE_CHARS_MAX], str(error.get("field", ""))


def _parsed(response: http_client.Response) -> Mapping[str, Any]:
    try:
        parsed = json.loads(response.body)
    except (ValueError, RecursionError) as error:
        raise errors.NoAnswer("Acme's answer is not JSON") from error
    if not isinstance(parsed, dict):
        raise errors.NoAnswer("Acme's answer is not a JSON object")
    return parsed


def _retry_after_s(text: str) -> float:
    """Returns how long to wait, seconds: what a Retry-After says, within bounds."""
    asked_s = http_dates.retry_after_s(text, now_s=time.time())
    return RETRY_AFTER_S if asked_s is None else min(asked_s, RETRY_AFTER_MAX_S)

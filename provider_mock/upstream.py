"""Upstream mode: another system decides, as with a real provider.

Owns telling every HTTP answer, and every way in which none comes, in the terms
of the contract. Used instead of the ledger when PROVIDER_MOCK_UPSTREAM_URL is
set; imported only then. Never repeats a request: core decides about that.

docs/upstream-double.md describes the protocol it speaks.
"""

import json
import urllib.parse
from collections.abc import Mapping, Sequence
from typing import Any

from payhub.plugin.v1 import capability_pb2
from payhub.provider.v1 import operation_pb2
from payhub.provider.v1 import payment_provider_service_pb2 as pps

from provider_mock import clock, provider, settings
from provider_sdk import errors, http_client, tracing
from provider_sdk import provider as sdk
from servicekit import http_dates, logs

PROBE_MAX_S = 1.0
CHECK_MAX_S = 5.0
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
# What an upstream refusal calls a parameter, and what the contract does.
_FIELDS = {
    "amount_minor": "amount.amount_minor",
    "currency": "amount.currency_code",
    "instrument": "payment_method",
    "object": "provider_payment_id",
    "target": "target_operation_id",
}

_log = logs.get_logger(__name__)

Json = Mapping[str, Any]
Call = sdk.Call[provider.MockConfig]
Binding = sdk.Binding[provider.MockConfig]


class UpstreamMock(provider.MockProvider):
    """A provider that asks an upstream system, and remembers nothing itself.

    Args:
        config: Settings of the process; `upstream_url` is set.
        time: The machine's time; an upstream system has a clock of its own.
    """

    capabilities = provider.MockProvider.capabilities | {capability_pb2.CAPABILITY_CREDENTIAL_CHECK}

    def __init__(self, config: settings.MockSettings, *, time: clock.MockClock) -> None:
        super().__init__(config, time=time)
        self._client = http_client.Client(config.upstream_url)
        # A caller that gives up does not end its request: the answer still counts.
        self.upstream_request_max_s = config.upstream_request_max_s

    async def start(self) -> None:
        """Needs no ledger."""

    async def close(self) -> None:
        """Has nothing open."""

    async def validate(
        self, config: provider.MockConfig, secrets: Mapping[str, Sequence[sdk.Secret]]
    ) -> Sequence[sdk.Diagnostic]:
        """Refuses what only the ledger understands."""
        if config.force:
            text = "an upstream system decides the outcomes; leave `force` out"
            return [sdk.Diagnostic(summary=text, json_pointer="/force")]
        return ()

    async def check_credentials(
        self, config: provider.MockConfig, secrets: Mapping[str, Sequence[sdk.Secret]]
    ) -> Sequence[sdk.Diagnostic]:
        """Asks for the account that the key belongs to."""
        response = await self._client.send(
            "GET", "/v1/account", timeout_s=CHECK_MAX_S, headers=_credentials(secrets)
        )
        if response.status in (401, 403):
            return [sdk.Diagnostic(summary="the upstream system refuses the secret api_key")]
        if response.status != 200:
            code = f"http_{response.status}"
            raise errors.NoAnswer("the upstream system did not say", upstream_code=code)
        return ()

    async def probe(self) -> sdk.Health:
        """Says whether the upstream system answers."""
        try:
            response = await self._client.send("GET", "/v1/account", timeout_s=PROBE_MAX_S)
        except errors.ProviderError as error:
            return sdk.Health(reasons=[error.message])
        # Refused credentials are one binding's trouble; the system itself is there.
        if response.status >= 500:
            return sdk.Health(reasons=[f"the upstream system answers {response.status}"])
        return sdk.Health()

    async def authorize(
        self, request: pps.AuthorizePaymentRequest, call: Call
    ) -> operation_pb2.Operation:
        """Sends the instrument; the upstream system decides what it is worth."""
        sale = request.capture_method == pps.CAPTURE_METHOD_AUTOMATIC
        return await self._operate(
            call,
            {
                "kind": "sale" if sale else "authorize",
                "amount_minor": request.amount.amount_minor,
                "currency": request.amount.currency_code,
                "instrument": request.payment_method,
                "return_url": request.return_url,
                "reference": request.payment_id,
                "customer": request.provider_customer_id,
                "description": request.description,
                "customer_action": call.customer_action_allowed,
            },
        )

    async def capture(
        self, request: pps.CapturePaymentRequest, call: Call
    ) -> operation_pb2.Operation:
        """Sends the capture."""
        return await self._operate(
            call,
            {
                "kind": "capture",
                "object": request.provider_payment_id,
                "amount_minor": request.amount.amount_minor,
                "currency": request.amount.currency_code,
                "final": request.final,
            },
        )

    async def void(self, request: pps.VoidPaymentRequest, call: Call) -> operation_pb2.Operation:
        """Sends the void, by payment and by the key of its authorization."""
        return await self._operate(
            call,
            {
                "kind": "void",
                "object": request.provider_payment_id,
                "target": _key(request.target_operation_id),
            },
        )

    async def refund(
        self, request: pps.RefundPaymentRequest, call: Call
    ) -> operation_pb2.Operation:
        """Sends the refund."""
        return await self._operate(
            call,
            {
                "kind": "refund",
                "object": request.provider_payment_id,
                "amount_minor": request.amount.amount_minor,
                "currency": request.amount.currency_code,
                "reason": request.reason,
            },
        )

    async def create_customer(
        self, request: pps.CreateCustomerRequest, call: Call
    ) -> operation_pb2.Operation:
        """Sends the new customer."""
        details = _details(request.details)
        return await self._operate(call, {"kind": "create_customer", "details": details})

    async def update_customer(
        self, request: pps.UpdateCustomerRequest, call: Call
    ) -> operation_pb2.Operation:
        """Sends the customer's new details."""
        return await self._operate(
            call,
            {
                "kind": "update_customer",
                "object": request.provider_customer_id,
                "details": _details(request.details),
            },
        )

    async def get_operation(
        self, operation_id: str, binding: Binding, *, timeout_s: float
    ) -> operation_pb2.Operation:
        """Asks for the operation; only an answer that says "none of this key" is NOT_FOUND."""
        path = f"/v1/operations/{urllib.parse.quote(_key(operation_id), safe='')}"
        try:
            response = await self._client.send(
                "GET", path, timeout_s=timeout_s, headers=_headers(binding)
            )
            if response.status == 404 and _refusal(response)[0] == "not_found":
                raise errors.NotFound("no such operation")
            if response.status == 200:
                return _operation(response, operation_id)
        except (errors.Unreachable, errors.NoAnswer) as error:
            raise errors.LookupInconclusive(error.message) from error
        # Whatever else it says, it does not say whether the operation took place.
        raise errors.LookupInconclusive(
            "the upstream system did not say", upstream_code=f"http_{response.status}"
        )

    async def _operate(self, call: Call, params: Json) -> operation_pb2.Operation:
        await self._pause(call)
        response = await self._client.send(
            "POST",
            "/v1/operations",
            timeout_s=self.upstream_request_max_s,
            headers=[
                ("idempotency-key", _key(call.operation_id)),
                ("content-type", "application/json"),
                *_headers(call.binding),
            ],
            body=json.dumps(params).encode(),
            before_sending=call.ensure_in_time,
        )
        _log.info("upstream answered", status=response.status)
        if response.status != 200:
            raise _refused(response, now_s=self.time.now_us() / 1e6)
        return _operation(response, call.operation_id)


def _key(operation_id: str) -> str:
    """Returns the idempotency key of an operation: its id, fit for a header."""
    return urllib.parse.quote(operation_id, safe="")


def _headers(binding: Binding) -> list[tuple[str, str]]:
    headers = [("account", binding.binding_id), *_credentials(binding.secrets)]
    traceparent = tracing.current()
    if traceparent:
        headers.append(("traceparent", traceparent))
    return headers


def _credentials(secrets: Mapping[str, Sequence[sdk.Secret]]) -> list[tuple[str, str]]:
    """Returns the header with the newest version of the key; none without one."""
    versions = secrets.get("api_key")
    if not versions:
        return []
    # Quoted where a header can't hold it, as binary keys are.
    return [("authorization", f"Bearer {urllib.parse.quote_from_bytes(versions[0].reveal())}")]


def _details(details: pps.CustomerDetails) -> Json:
    return {
        "reference": details.customer_id,
        "name": details.name,
        "email": details.email,
        "phone": details.phone,
    }


def _parsed(response: http_client.Response) -> Json:
    """Returns the JSON object that came; what came is never part of a message."""
    try:
        parsed = json.loads(response.body)
    except (ValueError, RecursionError) as error:
        raise errors.NoAnswer("the upstream system's answer is not JSON") from error
    if not isinstance(parsed, dict):
        raise errors.NoAnswer("the upstream system's answer is not a JSON object")
    return parsed


def _operation(response: http_client.Response, operation_id: str) -> operation_pb2.Operation:
    """Returns the operation that came.

    Raises:
        NoAnswer: It is not one, or another one; what happened is unknown.
    """
    told = _parsed(response)
    try:
        if told["key"] != _key(operation_id):
            raise errors.NoAnswer("the upstream system answered for another operation")
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
            answer.decline.reason = _decline_reason(told["decline"]["code"])
            answer.decline.provider_code = str(told["decline"]["code"])[:CODE_CHARS_MAX]
            answer.decline.retryable_later = told["decline"]["retryable_later"]
        if told["state"] == "action_required":
            answer.action.redirect_url = told["action"]["url"]
            answer.action.client_secret = told["action"]["client_secret"]
            answer.action.expire_time.FromMicroseconds(told["action"]["expire_us"])
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
        raise errors.NoAnswer("the upstream system's answer is not an operation") from error
    return answer


def _decline_reason(code: str) -> operation_pb2.DeclineReason:
    name = f"DECLINE_REASON_{code.upper()}"
    try:
        return operation_pb2.DeclineReason.Value(name)  # type: ignore[return-value]
    except ValueError:
        return operation_pb2.DECLINE_REASON_OTHER


def _refusal(response: http_client.Response) -> tuple[str, str]:
    """Returns code and field of a refusal in the upstream system's own words.

    Raises:
        NoAnswer: They are not its words: something on the way answered in its place.
    """
    error = _parsed(response).get("error")
    if not isinstance(error, dict) or not isinstance(error.get("code"), str):
        raise errors.NoAnswer("the upstream system's refusal is not in its form")
    return error["code"][:CODE_CHARS_MAX], str(error.get("field", ""))


def _refused(response: http_client.Response, *, now_s: float) -> errors.ProviderError:
    """Returns what an answer other than 200 means for an operation.

    Args:
        response: The answer.
        now_s: Epoch seconds.
    """
    status = response.status
    code = f"http_{status}"
    if status in (401, 403):
        text = "the upstream system refuses the credentials"
        return errors.CredentialsRejected(text, upstream_code=code)
    if status == 429:
        return errors.RateLimited(
            "the upstream system limits the rate",
            retry_after_s=_retry_after_s(response.headers.get("retry-after", ""), now_s=now_s),
            upstream_code=code,
        )
    if status not in (400, 404, 409, 422):
        text = "the upstream system failed; what it did is unknown"
        return errors.NoAnswer(text, upstream_code=code)
    cause, field = _refusal(response)
    match cause:
        case "not_found":
            return errors.NotFound("nothing of that identifier exists", upstream_code=cause)
        case "mismatch":
            text = "the operation id was used with other parameters"
            return errors.Mismatch(text, upstream_code=cause)
        case "in_progress":
            return errors.InProgress("the operation is being worked on", upstream_code=cause)
        case "state_conflict":
            text = "the state of the payment forbids it"
            return errors.StateConflict(text, upstream_code=cause)
        case "invalid":
            text = "the upstream system does not take this value"
            return errors.InvalidRequest(text, [(_FIELDS.get(field, field), text)])
        case _:
            return errors.NoAnswer("an unknown refusal", upstream_code=code)


def _retry_after_s(text: str, *, now_s: float) -> float:
    """Returns how long to wait, seconds: what a Retry-After says, within bounds."""
    asked_s = http_dates.retry_after_s(text, now_s=now_s)
    return RETRY_AFTER_S if asked_s is None else min(asked_s, RETRY_AFTER_MAX_S)

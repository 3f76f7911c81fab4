"""What Stripe's errors mean: one table, and what is never taken for certain.

Owns the mapping of every exception the SDK and its transport raise. Called by `calling`.
Never puts a message of Stripe's into one of ours: it may quote what was sent.
Source: Stripe's documentation, "Error handling", "Error codes", "Low-level errors".
"""

from collections.abc import Mapping
from typing import Any

import aiohttp
import stripe
from payhub.provider.v1 import operation_pb2

from provider_sdk import errors
from provider_stripe import declines

# What the SDK and its transport raise, all of which `of` knows the meaning of.
TURNED_INTO = (stripe.StripeError, aiohttp.ClientError, OSError, ValueError)
RETRY_AFTER_S = 1.0
RETRY_AFTER_MAX_S = 3_600.0

# An authorization that came to its end: a refusal by whoever held the money.
_EXPIRED = frozenset(
    {
        "authorization_expired",
        "capture_charge_authorization_expired",
        "charge_expired_for_capture",
    }
)
# The object's state forbids it, and nothing was done.
_FORBIDDEN = frozenset(
    {
        "amount_too_large",
        "charge_already_captured",
        "charge_already_refunded",
        "charge_disputed",
        "charge_invalid_parameter",
        "charge_not_refundable",
        "dispute_already_closed",
        "intent_invalid_state",
        "invoice_not_editable",
        "payment_intent_unexpected_state",
        "payment_method_not_available",
        "refund_disputed_payment",
        "resource_already_exists",
        "subscription_canceled",
    }
)
# What Stripe calls a parameter, and what the contract does.
_FIELDS: Mapping[str, str] = {
    "amount": "amount.amount_minor",
    "amount_to_capture": "amount.amount_minor",
    "currency": "amount.currency_code",
    "payment_method": "payment_method",
    "payment_method_data[card][token]": "payment_method",
    "return_url": "return_url",
    "customer": "provider_customer_id",
    "intent": "provider_payment_id",
    "payment_intent": "provider_payment_id",
    "success_url": "success_url",
    "cancel_url": "cancel_url",
    "expires_at": "expire_time",
    "email": "details.email",
}


class Declined(Exception):
    """Stripe or a bank refused: a result of the operation, not a failure of the call.

    Args:
        decline: Why.
        object_id: The object it was about, if Stripe named one.
    """

    def __init__(self, decline: operation_pb2.Decline, *, object_id: str = "") -> None:
        super().__init__(decline.provider_code)
        self.decline = decline
        self.object_id = object_id


def repeat_at_once(error: Exception) -> bool:
    """Whether Stripe itself asks for the same request again, with the same key."""
    return (
        isinstance(error, stripe.StripeError)
        and not isinstance(error, stripe.APIConnectionError)
        and _header(error, "stripe-should-retry") == "true"
    )


def is_replayed(error: BaseException | None) -> bool:
    """Whether it is what Stripe answered to the same idempotency key before."""
    return isinstance(error, stripe.StripeError) and _header(error, "idempotent-replayed") == "true"


def is_unknown(meant: errors.ProviderError | Declined) -> bool:
    """Whether what was sent may have had an effect, now or later."""
    return isinstance(meant, errors.ProviderError) and (
        errors.wire_of(meant).effect == errors.UNKNOWN
    )


def of(error: Exception) -> errors.ProviderError | Declined:
    """Returns what an exception of the SDK or its transport means for what was sent."""
    if isinstance(error, stripe.APIConnectionError):
        return _connection(error)
    if isinstance(error, stripe.CardError):
        told = _body(error)
        intent = told.get("payment_intent")
        object_id = str(intent.get("id", "")) if isinstance(intent, Mapping) else ""
        return Declined(declines.of_error(told), object_id=object_id)
    if not isinstance(error, stripe.StripeError) or not error.http_status:
        # A body that broke off or is no JSON; a bug of ours looks the same from here.
        return errors.NoAnswer("Stripe's answer did not arrive whole")
    return _answered(error, error.http_status)


def _answered(error: stripe.StripeError, status: int) -> errors.ProviderError | Declined:
    told = _body(error)
    code = str(error.code or told.get("code") or f"http_{status}")
    if status < 300 or status >= 500 or not told:
        # Without an error of Stripe's form, something on the way answered instead.
        return errors.NoAnswer("Stripe failed; what it did is unknown", upstream_code=code)
    if isinstance(error, stripe.IdempotencyError):
        return errors.Mismatch(
            "the operation id was used with other parameters", upstream_code=code
        )
    if status == 409:
        return errors.InProgress("Stripe is still working on the operation", upstream_code=code)
    if status in (401, 403):
        return errors.CredentialsRejected("Stripe refuses the key", upstream_code=code)
    if status == 429:
        return errors.RateLimited(
            "Stripe limits the rate of calls",
            retry_after_s=_retry_after_s(_header(error, "retry-after")),
            upstream_code=code,
        )
    if status not in (400, 404) or told.get("type") == "api_error":
        # 424, say: something outside Stripe failed, and nobody says how far it had come.
        return errors.NoAnswer("Stripe failed; what it did is unknown", upstream_code=code)
    if code in _EXPIRED:
        return Declined(declines.not_allowed(code))
    if code in _FORBIDDEN:
        return errors.StateConflict("the object's state at Stripe forbids it", upstream_code=code)
    if code in declines.TABLE:
        return Declined(declines.of_error(told))
    if status == 404 or code == "resource_missing":
        return errors.NotFound("Stripe has no such object", upstream_code=code)
    param = str(told.get("param") or "")
    text = f"Stripe does not take this value ({code})"
    field = _FIELDS.get(param, param or "request")
    return errors.InvalidRequest(text, [(field[:128], text)])


def _connection(error: stripe.APIConnectionError) -> errors.ProviderError:
    """Only a connection that never came to be is certain to have carried nothing."""
    cause = error.__cause__
    never = isinstance(
        cause,
        aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError | aiohttp.InvalidURL,
    )
    if never:
        return errors.Unreachable(
            "no connection to Stripe could be made", upstream_code=type(cause).__name__
        )
    return errors.NoAnswer(
        "the connection to Stripe broke before it answered",
        upstream_code=type(cause).__name__ if cause else "",
    )


def _body(error: stripe.StripeError) -> Mapping[str, Any]:
    body = error.json_body
    told = body.get("error") if isinstance(body, dict) else None
    return told if isinstance(told, dict) else {}


def _header(error: stripe.StripeError, name: str) -> str:
    for key, value in (error.headers or {}).items():
        if key.lower() == name:
            return str(value)
    return ""


def _retry_after_s(text: str) -> float:
    try:
        return min(max(float(text), 0.0), RETRY_AFTER_MAX_S)
    except ValueError:
        return RETRY_AFTER_S

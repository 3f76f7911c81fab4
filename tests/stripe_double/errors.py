"""The errors that the double answers with.

Owns the exception that carries an answer, and its makers by type. Raised by the handlers,
turned into HTTP by server. Never decides whether something is an error.
"""

from typing import Any

Json = dict[str, Any]

DOC_URL = "https://stripe.com/docs/error-codes/"


class Refusal(Exception):
    """An answer that is an error.

    Args:
        status: The HTTP status.
        error: The error object of the body, with at least its type and message.
        stored: Whether an idempotency key keeps this answer. Stripe keeps what an endpoint
            answered once it began its work, and forgets refused parameters and conflicts.
        headers: Further response headers.
    """

    def __init__(
        self, status: int, error: Json, *, stored: bool = False, headers: Json | None = None
    ) -> None:
        super().__init__(error.get("message", ""))
        self.status = status
        self.error = error
        self.stored = stored
        self.headers = headers or {}


def _error(kind: str, message: str, code: str | None, param: str | None, more: Json) -> Json:
    error: Json = {"type": kind, "message": message}
    if code is not None:
        error |= {"code": code, "doc_url": DOC_URL + code.replace("_", "-")}
    if param is not None:
        error["param"] = param
    return error | more


def bad_parameter(message: str, param: str | None = None, code: str | None = None) -> Refusal:
    """Returns the refusal of a parameter; nothing has begun, so no key keeps it."""
    return Refusal(400, _error("invalid_request_error", message, code, param, {}))


def wrong_state(
    message: str, *, code: str | None = None, param: str | None = None, **more: Any
) -> Refusal:
    """Returns the refusal of a request that the state of its object forbids."""
    error = _error("invalid_request_error", message, code, param, more)
    return Refusal(400, error, stored=True)


def no_such(kind: str, identifier: str, param: str = "id") -> Refusal:
    """Returns the refusal of an id that names nothing here: 404 in the path, else 400."""
    message = f"No such {kind}: '{identifier}'"
    error = _error("invalid_request_error", message, "resource_missing", param, {})
    return Refusal(404 if param in ("id", "intent") else 400, error, stored=True)


def card_declined(message: str, *, code: str, **more: Any) -> Refusal:
    """Returns the refusal of a charge or a set-up by the issuer."""
    found = {name: value for name, value in more.items() if value is not None}
    return Refusal(402, _error("card_error", message, code, None, found), stored=True)


def unauthorized(message: str, code: str | None = None) -> Refusal:
    """Returns the refusal of an API key."""
    error = _error("invalid_request_error", message, code, None, {})
    return Refusal(401, error, headers={"WWW-Authenticate": 'Bearer realm="Stripe"'})


def not_permitted(message: str, code: str | None = None) -> Refusal:
    """Returns the refusal of what this API key may not do."""
    return Refusal(403, _error("invalid_request_error", message, code, None, {}))


def idempotency_mismatch(message: str) -> Refusal:
    """Returns the refusal of a key that was used for something else."""
    return Refusal(400, _error("idempotency_error", message, None, None, {}))


def idempotency_conflict(key: str) -> Refusal:
    """Returns the refusal of a key whose first request is still being worked on."""
    message = (
        "There is currently another in-progress request using this Idempotent Key "
        "(that probably means you submitted twice, and the other request is still going through): "
        f"{key}. Please try again later."
    )
    error = _error("invalid_request_error", message, "idempotency_key_in_use", None, {})
    return Refusal(409, error, headers={"Stripe-Should-Retry": "true"})


def rate_limited(retry_after_s: int) -> Refusal:
    """Returns the refusal of a request beyond the rate limit; nothing has begun."""
    error = _error("invalid_request_error", "Request rate limit exceeded.", "rate_limit", None, {})
    headers = {"Retry-After": str(retry_after_s), "Stripe-Should-Retry": "true"}
    return Refusal(429, error, headers=headers)


def locked() -> Refusal:
    """Returns the refusal of a request to an object that another one is working on."""
    message = (
        "This object cannot be accessed right now because another API request or Stripe process "
        "is currently accessing it. If you see this error intermittently, retry the request."
    )
    error = _error("invalid_request_error", message, "lock_timeout", None, {})
    return Refusal(429, error, headers={"Stripe-Should-Retry": "true"})


def internal(*, stored: bool) -> Refusal:
    """Returns the failure of Stripe itself, which tells nothing about the effect."""
    message = "An unknown error occurred. The double was told to fail."
    headers = {"Stripe-Should-Retry": "false"} if stored else {}
    return Refusal(
        500, _error("api_error", message, None, None, {}), stored=stored, headers=headers
    )

"""What Stripe did not plainly refuse is unknown."""

import json
from typing import Any

import pytest
import stripe

from provider_sdk import errors
from provider_stripe import failures


def _answered(status: int, error: dict[str, Any]) -> errors.ProviderError | failures.Declined:
    body = {"error": error}
    # The SDK has classes of its own for some of these, all of them with these attributes.
    raised = stripe.APIError(error.get("message"), json.dumps(body).encode(), status, body, {})
    return failures.of(raised)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        # Something outside Stripe failed, and nobody says how far it had come.
        (424, "api_error"),
        (424, "invalid_request_error"),
        (408, "invalid_request_error"),
        (400, "api_error"),
        (500, "api_error"),
        (503, "invalid_request_error"),
    ],
)
def test_a_failure_that_is_no_refusal_is_unknown(status: int, kind: str) -> None:
    """Only statuses that say the request was not acted on are certain."""
    meant = _answered(status, {"type": kind, "message": "failed"})
    assert isinstance(meant, errors.NoAnswer)


@pytest.mark.parametrize(
    ("status", "code", "meant"),
    [
        (400, "parameter_invalid_integer", errors.InvalidRequest),
        (400, "payment_intent_unexpected_state", errors.StateConflict),
        (404, "resource_missing", errors.NotFound),
        (409, "idempotency_key_in_use", errors.InProgress),
        (429, "lock_timeout", errors.RateLimited),
    ],
)
def test_a_refusal_is_told_as_one(
    status: int, code: str, meant: type[errors.ProviderError]
) -> None:
    """What Stripe says it did not act on is no doubt, but for a key that is in use."""
    error = {"type": "invalid_request_error", "code": code, "message": "no"}
    assert type(_answered(status, error)) is meant

"""What callers ask of payments.

Owns the input of the use cases of payments. Made by the API, which has checked it. Holds
payment methods, which are secrets: never to be logged.
"""

from dataclasses import dataclass

from payment_service.domain import model
from payment_service.usecases import intents


@dataclass(frozen=True, slots=True, kw_only=True)
class Create:
    """A payment to create; both payment methods may be empty unless `confirm`."""

    request: intents.Request
    amount_minor: int
    currency: str
    capture_method: model.CaptureMethod
    payment_method: str
    payment_method_id: str
    off_session: bool
    saves_method: bool
    provider: str
    references: model.References
    description: str
    return_url: str
    confirm: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirm:
    """A payment to send to its provider."""

    request: intents.Request
    payment_id: str
    payment_method: str
    payment_method_id: str
    return_url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Capture:
    """An amount to capture; `amount_minor` None for all that is left."""

    request: intents.Request
    payment_id: str
    amount_minor: int | None
    currency: str
    final: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Increment:
    """How much more to authorize, minor units."""

    request: intents.Request
    payment_id: str
    amount_minor: int
    currency: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancel:
    """A payment to cancel."""

    request: intents.Request
    payment_id: str

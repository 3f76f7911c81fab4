"""The tables that read Stripe know everything its SDK of the pinned version declares."""

import typing

import pytest
import stripe

from provider_stripe import statuses, transport, webhooks


def _declared(annotation: object) -> set[str]:
    """Returns the texts of every Literal inside an annotation."""
    if typing.get_origin(annotation) is typing.Literal:
        return {value for value in typing.get_args(annotation) if isinstance(value, str)}
    found: set[str] = set()
    for inner in typing.get_args(annotation):
        found |= _declared(inner)
    return found


@pytest.mark.parametrize(
    ("kind", "table"),
    [
        (stripe.PaymentIntent, statuses.PAYMENT_INTENT),
        (stripe.Subscription, statuses.SUBSCRIPTION),
        (stripe.Invoice, statuses.INVOICE),
        (stripe.checkout.Session, statuses.CHECKOUT),
        (stripe.Dispute, statuses.DISPUTE),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_every_status_has_a_meaning(kind: type, table: typing.Mapping[str, int]) -> None:
    """A status that Stripe's SDK knows is never read as unknown."""
    assert set(table) == _declared(kind.__annotations__["status"])


def test_the_pinned_version_is_the_one_the_sdk_declares() -> None:
    """Shapes are read as the SDK declares them, so both must be of one version."""
    assert stripe.api_version == transport.API_VERSION


def test_every_event_asked_for_is_one_of_stripe() -> None:
    """The table of webhooks names types that the SDK's events have."""
    unknown = set(webhooks.EVENTS) - _declared(stripe.Event.__annotations__["type"])
    # Kept for accounts of before 2024-10-28, which still send it.
    assert unknown <= {"charge.refund.updated"}

"""The tables that read Stripe know everything its SDK of the pinned version declares."""

import typing

import pytest
import stripe
from payhub.provider.v1 import operation_pb2

from provider_stripe import calling, payments, statuses, transport, webhooks


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


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("processing", operation_pb2.Operation.STATE_PENDING),
        # Each capture is the last one, so what can still be captured was not.
        ("requires_capture", operation_pb2.Operation.STATE_PENDING),
        ("succeeded", operation_pb2.Operation.STATE_SUCCEEDED),
        ("requires_payment_method", operation_pb2.Operation.STATE_DECLINED),
        ("canceled", operation_pb2.Operation.STATE_DECLINED),
    ],
)
def test_a_capture_is_told_by_how_its_payment_stands(
    status: str, state: operation_pb2.Operation.State
) -> None:
    """A capture that was taken on and then came to nothing is a refusal, not a success."""
    told = {
        "id": "pi_1",
        "status": status,
        "currency": "eur",
        "metadata": {"op_1": "capture:700"},
        "last_payment_error": {"code": "card_declined", "decline_code": "insufficient_funds"},
    }
    operation = payments.of_step(calling.Reply(told, 1.0), "op_1")
    assert (operation.state, operation.amount.amount_minor) == (state, 700)
    refused = state == operation_pb2.Operation.STATE_DECLINED
    assert operation.HasField("decline") is refused
    # An increment that was taken on stays one.
    told["metadata"] = {"op_1": "increment:700"}
    raised = payments.of_step(calling.Reply(told, 1.0), "op_1")
    assert raised.state == operation_pb2.Operation.STATE_SUCCEEDED


def test_a_capture_is_told_with_what_was_booked() -> None:
    """The mark says what was asked for; what Stripe received is another thing."""
    told = {
        "id": "pi_1",
        "status": "succeeded",
        "currency": "eur",
        "amount_received": 500,
        "metadata": {"op_1": "capture:700"},
    }
    operation = payments.of_step(calling.Reply(told, 1.0), "op_1")
    assert operation.amount.amount_minor == 500

"""What a mail says: from an event to a template's name and values.

Owns which events are mailed about, for whom, and what is told. Called by `notifier`. Pure: it
looks nothing up. Never passes on text of others but as one line of limited length.
"""

import datetime
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from google.protobuf import message, timestamp_pb2
from payhub.events.v1 import event_pb2
from payhub.payments.v1 import (
    billing_events_pb2,
    payment_events_pb2,
    subscription_service_pb2,
)
from payhub.type.v1 import money_pb2

from subscribers.email_notifier import money

LINE_CHARS_MAX = 200
NAME_CHARS_MAX = 100
# What text that headers hold encoded begins with; the library decodes it, line ends included.
ENCODED = "=?"


class Unreadable(ValueError):
    """The event is none that this version understands; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """A mail without its recipient."""

    template: str
    customer_id: str
    """Who gets it, `cus_…`; empty where the event names nobody."""
    values: Mapping[str, str]
    """Values of the template, as plain text."""
    details: tuple[tuple[str, str], ...]
    """Rows of name and value below the text; rows without a value are left out."""


def of(event: event_pb2.Event) -> Content | None:
    """Return what to mail about `event`; None for a type that nobody is mailed about.

    Raises Unreadable if it is of such a type and its payload is not as the contract says.
    """
    compose = _COMPOSERS.get(event.type)
    if compose is None:
        return None
    if event.type_version != 1 or event.content_type != "application/protobuf":
        text = f"version {event.type_version} as {line(event.content_type)} is not understood"
        raise Unreadable(text)
    try:
        return compose(event.data)
    except (message.DecodeError, ValueError) as failure:
        raise Unreadable(f"the payload of {event.type} can't be used: {failure}") from None


def line(text: str) -> str:
    """Return `text` as one line of at most 200 printable characters."""
    shown = "".join(char if char.isprintable() else " " for char in text)
    shown = " ".join(shown.split())
    return shown if len(shown) <= LINE_CHARS_MAX else f"{shown[: LINE_CHARS_MAX - 1]}…"


def usable_name(name: str) -> str:
    """Return a customer's name, or nothing for one that looks like an attempt at something.

    Line ends would reach for the headers, and so would what the library takes for encoded
    (`=?utf-8?q?=0A?=`); addresses of sites make of a receipt somebody else's advertisement.
    """
    name = name.strip()
    wrong = not name.isprintable() or len(name) > NAME_CHARS_MAX
    return "" if wrong or any(each in name for each in ("//", "@", ENCODED)) else name


def _receipt(data: bytes) -> Content:
    payment = payment_events_pb2.PaymentEvent.FromString(data).payment
    captured_minor = payment.amounts.captured_minor or payment.amount.amount_minor
    return Content(
        template="receipt",
        customer_id=payment.references.customer_id,
        values={"amount": money.show(captured_minor, payment.amount.currency_code)},
        details=(
            ("Order", payment.references.order_id),
            ("For", payment.description),
            ("Date", _day(payment.update_time)),
            ("Payment", payment.id),
        ),
    )


def _failed(data: bytes) -> Content:
    payment = payment_events_pb2.PaymentEvent.FromString(data).payment
    again = _day(payment.next_retry_time) if payment.HasField("next_retry_time") else ""
    return Content(
        template="payment_failed",
        customer_id=payment.references.customer_id,
        values={"amount": _amount(payment.amount)},
        details=(
            ("Order", payment.references.order_id),
            ("For", payment.description),
            ("We try again on", again),
            ("Payment", payment.id),
        ),
    )


def _welcome(data: bytes) -> Content:
    subscription = billing_events_pb2.SubscriptionEvent.FromString(data).subscription
    state = subscription_service_pb2.Subscription.State
    pending = subscription.state not in (state.STATE_TRIALING, state.STATE_ACTIVE)
    standing = "is being set up" if pending else "is active"
    return Content(
        template="welcome",
        customer_id=subscription.customer_id,
        values={"standing": standing},
        details=(
            ("Trial until", _day(subscription.trial_end)),
            ("Paid until", "" if pending else _day(subscription.current_period_end)),
            ("Subscription", subscription.id),
        ),
    )


def _invoice(data: bytes) -> Content:
    invoice = billing_events_pb2.InvoiceEvent.FromString(data).invoice
    due = _amount(invoice.amount_due) if invoice.HasField("amount_due") else "nothing to pay"
    return Content(
        template="invoice",
        customer_id=invoice.customer_id,
        values={"number": line(invoice.number) or invoice.id, "amount": due},
        details=(
            ("From", _day(invoice.period_start)),
            ("To", _day(invoice.period_end)),
            ("Due", _day(invoice.due_time)),
            ("Invoice", invoice.id),
        ),
    )


_COMPOSERS: Mapping[str, Callable[[bytes], Content]] = {
    "payment.succeeded": _receipt,
    "payment.failed": _failed,
    "subscription.created": _welcome,
    "invoice.generated": _invoice,
}


def _amount(amount: money_pb2.Money) -> str:
    return money.show(amount.amount_minor, amount.currency_code)


def _day(moment: timestamp_pb2.Timestamp) -> str:
    if not moment.seconds:
        return ""
    return moment.ToDatetime(datetime.UTC).strftime("%Y-%m-%d")

"""Events of a shop, and the mails that are made of them.

Owns what tests of mails start from. Called by those tests and properties. Never sends
anything.
"""

import email
import email.policy
from email.message import EmailMessage

from google.protobuf import message
from payhub.events.v1 import event_pb2
from payhub.payments.v1 import payment_events_pb2

from subscribers.email_notifier import contents, mails

COMPOSER = mails.Composer(
    templates=mails.load(None), from_address="billing@shop.test", from_name="The Shop"
)
CUSTOMER = f"cus_{'0' * 32}"


def event(kind: str, payload: message.Message, **over: object) -> event_pb2.Event:
    """Returns an event of a type with its payload."""
    fields = {
        "id": "evt_0123456789",
        "type": kind,
        "type_version": 1,
        "content_type": "application/protobuf",
        "data": payload.SerializeToString(),
        "occur_time": {"seconds": 1_700_000_000},
        **over,
    }
    return event_pb2.Event(**fields)  # type: ignore[arg-type]


def payment(minor: int = 1250, currency: str = "EUR", **over: object) -> message.Message:
    """Returns what events of a payment carry, its amount in minor units."""
    return payment_events_pb2.PaymentEvent(
        payment={
            "id": "pay_1",
            "amount": {"amount_minor": minor, "currency_code": currency},
            "references": {"customer_id": CUSTOMER, "order_id": "o-1"},
            **over,
        }
    )


def mail(event: event_pb2.Event, name: str = "Ada", address: str = "ada@x.test") -> EmailMessage:
    """Returns the mail about *event* as its recipient parses it."""
    content = contents.of(event)
    assert content is not None
    made = COMPOSER.compose(event, content, name=name, address=address)
    parsed = email.message_from_bytes(made.as_bytes(), policy=email.policy.SMTP)
    assert isinstance(parsed, EmailMessage)
    return parsed


def body(mail: EmailMessage, kind: str) -> str:
    """Returns the part of *mail* that is `plain` or `html`."""
    part = mail.get_body((kind,))
    assert part is not None
    return str(part.get_content())

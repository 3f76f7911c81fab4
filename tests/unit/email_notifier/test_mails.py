"""What the notifier's mails say, to whom, and what no input can make of them."""

import email
import email.policy
import pathlib
from email.message import EmailMessage

import aiosmtplib
import hypothesis
import pytest
from google.protobuf import message
from hypothesis import strategies as st
from payhub.events.v1 import event_pb2
from payhub.payments.v1 import billing_events_pb2, payment_events_pb2

from servicekit import settings as kit_settings
from subscribers.email_notifier import contents, mails, money, settings, smtp

COMPOSER = mails.Composer(
    templates=mails.load(None), from_address="billing@shop.test", from_name="The Shop"
)
CUSTOMER = f"cus_{'0' * 32}"


def _event(kind: str, payload: message.Message, **over: object) -> event_pb2.Event:
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


def _payment(minor: int = 1250, currency: str = "EUR", **over: object) -> message.Message:
    return payment_events_pb2.PaymentEvent(
        payment={
            "id": "pay_1",
            "amount": {"amount_minor": minor, "currency_code": currency},
            "references": {"customer_id": CUSTOMER, "order_id": "o-1"},
            **over,
        }  # type: ignore[arg-type]
    )


def _mail(event: event_pb2.Event, name: str = "Ada", address: str = "ada@x.test") -> EmailMessage:
    content = contents.of(event)
    assert content is not None
    made = COMPOSER.compose(event, content, name=name, address=address)
    parsed = email.message_from_bytes(made.as_bytes(), policy=email.policy.SMTP)
    assert isinstance(parsed, EmailMessage)
    return parsed


def _body(mail: EmailMessage, kind: str) -> str:
    part = mail.get_body((kind,))
    assert part is not None
    return str(part.get_content())


@pytest.mark.parametrize(
    ("kind", "payload", "subject", "told"),
    [
        ("payment.succeeded", _payment(), "Receipt for 12.50 EUR", "o-1"),
        (
            "payment.succeeded",
            _payment(amounts={"captured_minor": 1000}),
            "Receipt for 10.00 EUR",
            "pay_1",
        ),
        (
            "payment.failed",
            _payment(1250, "JPY", next_retry_time={"seconds": 1_700_000_000}),
            "Your payment of 1250 JPY did not go through",
            "We try again on: 2023-11-14",
        ),
        (
            "subscription.created",
            billing_events_pb2.SubscriptionEvent(
                subscription={"id": "sub_1", "customer_id": CUSTOMER, "state": "STATE_ACTIVE"}
            ),
            "Welcome",
            "is active",
        ),
        (
            "subscription.created",
            billing_events_pb2.SubscriptionEvent(
                subscription={"id": "sub_1", "customer_id": CUSTOMER, "state": "STATE_PENDING"}
            ),
            "Welcome",
            "is being set up",
        ),
        (
            "invoice.generated",
            billing_events_pb2.InvoiceEvent(
                invoice={
                    "id": "inv_1",
                    "customer_id": CUSTOMER,
                    "number": "A-7",
                    "amount_due": {"amount_minor": 1250, "currency_code": "KWD"},
                }
            ),
            "Invoice A-7",
            "1.250 KWD",
        ),
    ],
)
def test_each_type_has_its_mail(
    kind: str, payload: message.Message, subject: str, told: str
) -> None:
    """Each type that is mailed about tells its amount and ids, in text and in HTML alike."""
    mail = _mail(_event(kind, payload))
    assert mail["Subject"] == subject
    assert mail["To"] == "Ada <ada@x.test>"
    assert mail["From"] == "The Shop <billing@shop.test>"
    assert mail["Message-ID"] == "<evt_0123456789@shop.test>"
    assert told in _body(mail, "plain")
    assert told.rpartition(": ")[2] in _body(mail, "html")
    assert "$" not in _body(mail, "plain") + _body(mail, "html")


def test_other_types_are_not_mailed_about() -> None:
    """Every other type is left alone, whatever is in it."""
    for kind in ("payment.created", "payment.in_doubt", "payment.authorized", "invoice.paid"):
        assert contents.of(_event(kind, _payment())) is None


@pytest.mark.parametrize(
    "event",
    [
        _event("payment.succeeded", _payment(), data=b"\xff\xff"),
        _event("payment.succeeded", _payment(), type_version=2),
        _event("payment.succeeded", _payment(), content_type="application/json"),
        _event("payment.succeeded", _payment(currency="XXX")),
        _event("payment.failed", _payment(currency="nonsense")),
    ],
)
def test_what_is_not_understood_is_said_so(event: event_pb2.Event) -> None:
    """A payload of another version, format or currency makes no mail."""
    with pytest.raises(contents.Unreadable):
        contents.of(event)


def test_amounts_have_the_decimals_of_their_currency() -> None:
    """Zero, two and three decimals, below one unit too."""
    shown = [money.show(5, code) for code in ("JPY", "EUR", "KWD")]
    assert shown == ["5 JPY", "0.05 EUR", "0.005 KWD"]
    assert money.show(-123456, "EUR") == "-1234.56 EUR"


@hypothesis.given(st.text(max_size=150), st.text(max_size=300), st.text(min_size=8, max_size=64))
@hypothesis.example("Ada\r\nBcc: all@x.test", "a\nBcc: all@x.test", "evt_1\r\nBcc: all@x.test")
@hypothesis.example("<script>alert(1)</script>", "<img src=x onerror=y>", "evt_>@evil, <x>")
def test_no_text_of_others_reaches_headers_or_markup(name: str, order: str, event_id: str) -> None:
    """Names, references and ids can neither add a header or recipient nor markup."""
    hypothesis.assume(all(text.isascii() or _encodes(text) for text in (name, order, event_id)))
    payload = _payment(references={"customer_id": CUSTOMER, "order_id": order})
    mail = _mail(_event("payment.succeeded", payload, id=event_id), name=name)
    assert set(mail.keys()) == {
        "From",
        "To",
        "Subject",
        "Date",
        "Message-ID",
        "Auto-Submitted",
        "MIME-Version",
        "Content-Type",
    }
    assert [each.addr_spec for each in mail["To"].addresses] == ["ada@x.test"]
    assert mail["Message-ID"].count("@") == 1
    page = _body(mail, "html")
    assert "<script" not in page
    assert "<img" not in page


def _encodes(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def test_the_message_id_follows_from_the_event_alone() -> None:
    """The same event has the same id in every attempt, another one another, whatever it holds."""
    ids = [mails.message_id(each, "s.test") for each in ("evt_1", "evt_1", "a b", "a b", "a>b")]
    assert ids[0] == ids[1] == "<evt_1@s.test>"
    assert ids[2] == ids[3] != ids[4]


@pytest.mark.parametrize("name", ["Ada\nBcc: x@y", "Win http://evil.test", "a@b", "x" * 101])
def test_a_name_that_is_none_is_left_out(name: str) -> None:
    """A name with line ends, an address or no end is neither greeted nor put into a header."""
    mail = _mail(_event("payment.succeeded", _payment()), name=name)
    assert mail["To"] == "ada@x.test"
    assert _body(mail, "plain").splitlines()[0] == "Hello,"


@pytest.mark.parametrize(
    "address", ["", "ada", "a@x.test, b@x.test", "a@x.test\nBcc: b@x", "é@x.y"]
)
def test_an_address_that_is_none_is_refused(address: str) -> None:
    """Nothing but one plain address is mailed to, and the refusal does not repeat it."""
    with pytest.raises(mails.BadAddress) as refused:
        _mail(_event("payment.succeeded", _payment()), address=address)
    assert not address or address not in str(refused.value)


def test_own_templates_replace_ours_and_are_checked(tmp_path: pathlib.Path) -> None:
    """A file of the folder replaces the one of its name; a wrong one is named at the start."""
    (tmp_path / "receipt.txt").write_text("Subject: Paid $amount\n\nBye $greeting\n")
    made = mails.load(tmp_path)["receipt"]
    assert made.subject.template == "Paid $amount"
    for wrong in ("Subject: $nonsense\n", "no subject\n", "Subject: 5 $\n"):
        (tmp_path / "receipt.txt").write_text(wrong)
        with pytest.raises(mails.TemplateProblem, match=r"receipt\.txt"):
            mails.load(tmp_path)


@pytest.mark.parametrize(
    ("failure", "kind", "text"),
    [
        (aiosmtplib.SMTPRecipientRefused(550, "5.1.1 <a@x> no", "a@x"), smtp.Refused, "550 5.1.1"),
        (aiosmtplib.SMTPRecipientRefused(451, "greylisted", "a@x"), smtp.TryLater, "451"),
        (aiosmtplib.SMTPDataError(554, "spam from a@x"), smtp.Refused, "mail refused: SMTP 554"),
        (aiosmtplib.SMTPDataError(452, "full"), smtp.TryLater, "452"),
        (aiosmtplib.SMTPAuthenticationError(535, "no"), smtp.TryLater, "535"),
        (aiosmtplib.SMTPSenderRefused(550, "no", "b@x"), smtp.TryLater, "550"),
        (aiosmtplib.SMTPConnectError("a@x"), smtp.TryLater, "SMTPConnectError"),
        (ConnectionResetError("a@x"), smtp.TryLater, "ConnectionResetError"),
    ],
)
def test_answers_mean_later_or_never(failure: Exception, kind: type, text: str) -> None:
    """Only what is wrong with this recipient or mail is final; no answer's text is passed on."""
    meaning = smtp._meaning(failure)
    assert type(meaning) is kind
    assert text in str(meaning)
    assert "a@x" not in str(meaning)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("FROM_ADDRESS", "a@x\nBcc: b@x"),
        ("FROM_NAME", "a\nb"),
        ("SMTP_PASSWORD", "alone"),
        ("EVENT_TYPES", '["payment.created"]'),
        ("RETRY_BACKOFF_S", "[]"),
        ("KEY", "one\nother"),
    ],
)
def test_wrong_settings_are_refused(variable: str, value: str) -> None:
    """What can't work is said at the start, with its variable."""
    env = {"EMAIL_NOTIFIER_KEY": "k", "EMAIL_NOTIFIER_SMTP_HOST": "h"}
    env["EMAIL_NOTIFIER_FROM_ADDRESS"] = "a@x.test"
    assert kit_settings.check(settings.Settings, env)[0] is not None
    told, problems = kit_settings.check(
        settings.Settings, env | {f"EMAIL_NOTIFIER_{variable}": value}
    )
    assert told is None
    assert any(variable in problem for problem in problems)


def test_a_password_is_never_sent_readable() -> None:
    """Credentials without TLS are refused at the start."""
    env = {
        "EMAIL_NOTIFIER_KEY": "k",
        "EMAIL_NOTIFIER_SMTP_HOST": "h",
        "EMAIL_NOTIFIER_FROM_ADDRESS": "a@x.test",
        "EMAIL_NOTIFIER_SMTP_USERNAME": "u",
        "EMAIL_NOTIFIER_SMTP_PASSWORD": "p",
    }
    assert kit_settings.check(settings.Settings, env)[0] is not None
    told, problems = kit_settings.check(
        settings.Settings, env | {"EMAIL_NOTIFIER_SMTP_TLS": "none"}
    )
    assert told is None
    assert "readable" in problems[0]

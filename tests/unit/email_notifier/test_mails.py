"""What the notifier's mails say, to whom, and what no input can make of them."""

import pathlib

import aiosmtplib
import pytest
from google.protobuf import message
from payhub.events.v1 import event_pb2
from payhub.payments.v1 import billing_events_pb2

from servicekit import settings as kit_settings
from subscribers.email_notifier import contents, mails, money, settings, smtp
from tests.unit.email_notifier import samples


@pytest.mark.parametrize(
    ("kind", "payload", "subject", "told"),
    [
        ("payment.succeeded", samples.payment(), "Receipt for 12.50 EUR", "o-1"),
        (
            "payment.succeeded",
            samples.payment(amounts={"captured_minor": 1000}),
            "Receipt for 10.00 EUR",
            "pay_1",
        ),
        (
            "payment.failed",
            samples.payment(1250, "JPY", next_retry_time={"seconds": 1_700_000_000}),
            "Your payment of 1250 JPY did not go through",
            "We try again on: 2023-11-14",
        ),
        (
            "subscription.created",
            billing_events_pb2.SubscriptionEvent(
                subscription={
                    "id": "sub_1",
                    "customer_id": samples.CUSTOMER,
                    "state": "STATE_ACTIVE",
                }
            ),
            "Welcome",
            "is active",
        ),
        (
            "subscription.created",
            billing_events_pb2.SubscriptionEvent(
                subscription={
                    "id": "sub_1",
                    "customer_id": samples.CUSTOMER,
                    "state": "STATE_PENDING",
                }
            ),
            "Welcome",
            "is being set up",
        ),
        (
            "invoice.generated",
            billing_events_pb2.InvoiceEvent(
                invoice={
                    "id": "inv_1",
                    "customer_id": samples.CUSTOMER,
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
    mail = samples.mail(samples.event(kind, payload))
    assert mail["Subject"] == subject
    assert mail["To"] == "Ada <ada@x.test>"
    assert mail["From"] == "The Shop <billing@shop.test>"
    assert mail["Message-ID"] == "<evt_0123456789@shop.test>"
    assert told in samples.body(mail, "plain")
    assert told.rpartition(": ")[2] in samples.body(mail, "html")
    assert "$" not in samples.body(mail, "plain") + samples.body(mail, "html")


def test_other_types_are_not_mailed_about() -> None:
    """Every other type is left alone, whatever is in it."""
    for kind in ("payment.created", "payment.in_doubt", "payment.authorized", "invoice.paid"):
        assert contents.of(samples.event(kind, samples.payment())) is None


@pytest.mark.parametrize(
    "event",
    [
        samples.event("payment.succeeded", samples.payment(), data=b"\xff\xff"),
        samples.event("payment.succeeded", samples.payment(), type_version=2),
        samples.event("payment.succeeded", samples.payment(), content_type="application/json"),
        samples.event("payment.succeeded", samples.payment(currency="XXX")),
        samples.event("payment.failed", samples.payment(currency="nonsense")),
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


def test_the_message_id_follows_from_the_event_alone() -> None:
    """The same event has the same id in every attempt, another one another, whatever it holds."""
    ids = [mails.message_id(each, "s.test") for each in ("evt_1", "evt_1", "a b", "a b", "a>b")]
    assert ids[0] == ids[1] == "<evt_1@s.test>"
    assert ids[2] == ids[3] != ids[4]


@pytest.mark.parametrize(
    "name",
    ["Ada\nBcc: x@y", "Win http://evil.test", "a@b", "x" * 101, "=?utf-8?q?a=0D=0ABcc=3A_x=40y?="],
)
def test_a_name_that_is_none_is_left_out(name: str) -> None:
    """A name with line ends, an address or no end is neither greeted nor put into a header, also
    where it is written as headers encode it.
    """
    mail = samples.mail(samples.event("payment.succeeded", samples.payment()), name=name)
    assert mail["To"] == "ada@x.test"
    assert "Bcc" not in mail
    assert samples.body(mail, "plain").splitlines()[0] == "Hello,"


def test_a_subject_is_what_it_says_and_no_header() -> None:
    """Text of others in a subject is not read as an encoding, which could hide line ends."""
    number = "=?utf-8?q?7=0D=0ABcc=3A_x=40y?="
    invoice = {"id": "inv_1", "customer_id": samples.CUSTOMER, "number": number}
    payload = billing_events_pb2.InvoiceEvent(invoice=invoice)
    mail = samples.mail(samples.event("invoice.generated", payload))
    assert "Bcc" not in mail
    assert "Bcc=3A" in mail["Subject"]


def test_a_mail_is_ascii_on_the_wire() -> None:
    """Names beyond ASCII are encoded: a server need not take eight bits, and is not told of any."""
    event = samples.event("payment.succeeded", samples.payment(description="Žluťoučký"))
    content = contents.of(event)
    assert content is not None
    made = samples.COMPOSER.compose(event, content, name="Zoë", address="ada@x.test")
    assert made.as_bytes().isascii()
    mail = samples.mail(event, name="Zoë")
    assert mail["To"] == "Zoë <ada@x.test>"
    for kind in ("plain", "html"):
        assert "Zoë" in samples.body(mail, kind)
        assert "Žluťoučký" in samples.body(mail, kind)


@pytest.mark.parametrize(
    "address", ["", "ada", "a@x.test, b@x.test", "a@x.test\nBcc: b@x", "é@x.y"]
)
def test_an_address_that_is_none_is_refused(address: str) -> None:
    """Nothing but one plain address is mailed to, and the refusal does not repeat it."""
    with pytest.raises(mails.BadAddress) as refused:
        samples.mail(samples.event("payment.succeeded", samples.payment()), address=address)
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
        ("FROM_ADDRESS", "a..b@x.test"),
        ("FROM_ADDRESS", ".a@x.test"),
        ("FROM_ADDRESS", f"{65 * 'a'}@x.test"),
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

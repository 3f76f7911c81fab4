"""No secret passes: messages, values, free text, and snapshots for events."""

import json

import pytest
from google.protobuf import any_pb2, descriptor_pb2, struct_pb2
from payhub.options.v1 import options_pb2
from payhub.payments.v1 import payment_events_pb2, payment_pb2, payment_service_pb2
from payhub.provider.v1 import operation_pb2
from payhub.type.v1 import money_pb2

from servicekit import auth, sanitizer

SENSITIVE = options_pb2.sensitive
CANARY = "canary-4f1c"


def a_payment() -> payment_pb2.Payment:
    """Return a payment whose secrets are canaries."""
    payment = payment_pb2.Payment(id="pay_1")
    payment.action.redirect_url = f"https://psp.example/{CANARY}"
    payment.action.client_secret = CANARY
    return payment


def test_marked_fields_are_masked_however_deep() -> None:
    """A marked field shows that it is set, and nothing more."""
    request = payment_service_pb2.CreatePaymentRequest(payment_method=CANARY, provider="mock")
    shown = sanitizer.sanitize_message(request, SENSITIVE)
    assert shown == {"payment_method": "***", "provider": "mock"}
    nested = payment_service_pb2.CreatePaymentResponse(payment=a_payment())
    text = json.dumps(sanitizer.sanitize_message(nested, SENSITIVE))
    assert CANARY not in text
    assert "pay_1" in text


def test_unmarked_text_that_looks_like_a_key_is_masked() -> None:
    """A key typed into a description is still a key."""
    _, key = auth.new_key()
    request = payment_service_pb2.CreatePaymentRequest(description=f"pay with {key} please")
    assert sanitizer.sanitize_message(request, SENSITIVE) == {"description": "pay with *** please"}


def test_what_is_shown_of_a_message_is_bounded() -> None:
    """Long texts, long lists and bytes do not fill the log."""
    struct = struct_pb2.ListValue()
    struct.extend(range(100))
    shown = sanitizer.sanitize_message(struct, None)
    assert len(shown["values"]) == sanitizer.ITEMS_MAX + 1
    long = payment_service_pb2.CreatePaymentRequest(description="x" * 5_000)
    assert len(sanitizer.sanitize_message(long, SENSITIVE)["description"]) == 257
    packed = any_pb2.Any(type_url="t/x", value=CANARY.encode())
    assert sanitizer.sanitize_message(packed, SENSITIVE)["value"] == "<11 bytes>"
    assert CANARY not in str(sanitizer.sanitize_value({"inner": packed.value}))


def test_a_snapshot_loses_marked_fields_and_nothing_else() -> None:
    """What an event carries equals the payment without its secrets."""
    event = payment_events_pb2.PaymentEvent(payment=a_payment())
    event.payment.amount.CopyFrom(money_pb2.Money(currency_code="EUR", amount_minor=5))
    sanitizer.strip_sensitive(event, SENSITIVE)
    assert CANARY.encode() not in event.SerializeToString()
    assert event.payment.id == "pay_1"
    assert event.payment.amount.amount_minor == 5
    assert event.payment.HasField("action")


def test_a_packed_message_is_opened_and_an_unknown_one_emptied() -> None:
    """Any is no hiding place."""
    known = any_pb2.Any()
    known.Pack(a_payment())
    unknown = any_pb2.Any(type_url="type.googleapis.com/not.Known", value=CANARY.encode())
    harmless = any_pb2.Any()
    harmless.Pack(money_pb2.Money(currency_code="EUR"))
    for packed in (known, unknown, harmless):
        sanitizer._strip_inner(packed, SENSITIVE)
        assert CANARY.encode() not in packed.value
    payment = payment_pb2.Payment()
    assert known.Unpack(payment)
    assert payment.id == "pay_1"
    assert harmless.value


def test_a_type_without_secrets_has_an_empty_plan() -> None:
    """Stripping such a message walks nothing."""
    assert sanitizer._plan(money_pb2.Money.DESCRIPTOR, SENSITIVE) == ()
    assert sanitizer._plan(operation_pb2.CustomerAction.DESCRIPTOR, SENSITIVE)


def test_types_that_contain_themselves_end() -> None:
    """A recursive type is walked once."""
    sanitizer.strip_sensitive(struct_pb2.Value(string_value="x"), SENSITIVE)
    sanitizer.strip_sensitive(descriptor_pb2.FileDescriptorProto(name="x"), SENSITIVE)


@pytest.mark.parametrize(
    "text",
    [
        f"password={CANARY}",
        f"the api_key: '{CANARY}' was refused",
        f'{{"client_secret": "{CANARY}", "a": 1}}',
        f"Authorization: Bearer {CANARY}",
        f"headers: bearer {CANARY}",
        f'payment_method: "{CANARY}"',
        f"CreatePaymentRequest(payment_method='{CANARY}')",
        f"PASSWORD = {CANARY}",
        f"sk_live_{CANARY.replace('-', '')}",
    ],
)
def test_free_text_is_scrubbed(text: str) -> None:
    """Tracebacks and messages of libraries may quote what they were given."""
    scrubbed = sanitizer.scrub_text(text)
    assert CANARY not in scrubbed
    assert CANARY.replace("-", "") not in scrubbed


def test_free_text_hides_given_values() -> None:
    """A request's own secrets are hidden wherever they turn up."""
    request = payment_service_pb2.CreatePaymentRequest(payment_method=CANARY)
    hidden = sanitizer.sensitive_values(request, SENSITIVE)
    assert hidden == [CANARY]
    assert sanitizer.scrub_text(f"no such card {CANARY}", tuple(hidden)) == "no such card ***"


def test_names_that_sound_secret() -> None:
    """Masked by name: secrets; shown: cursors and ids."""
    for name in ("client_secret", "apiKey", "api_key", "Authorization", "payment_method", "token"):
        assert sanitizer.is_secret_name(name), name
    for name in ("page_token", "payment_method_id", "payment_id", "key_id", "reason"):
        assert not sanitizer.is_secret_name(name), name

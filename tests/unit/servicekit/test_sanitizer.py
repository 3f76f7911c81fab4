"""No secret passes: messages, values, free text, and snapshots for events."""

import json
import time
from typing import Any

import pytest
from google.protobuf import (
    any_pb2,
    descriptor_pb2,
    descriptor_pool,
    duration_pb2,
    message_factory,
    struct_pb2,
)
from payhub.options.v1 import options_pb2
from payhub.payments.v1 import payment_events_pb2, payment_pb2, payment_service_pb2
from payhub.plugin.v1 import plugin_service_pb2
from payhub.provider.v1 import operation_pb2
from payhub.type.v1 import money_pb2

from servicekit import auth, sanitizer

SENSITIVE: Any = options_pb2.sensitive
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


def test_maps_and_lists_of_messages_are_stripped_too() -> None:
    """A secret inside a list's or a map's message goes as well; its neighbours stay."""
    holder = a_holder_type()()
    holder.items.add(open="shown", secret=CANARY)
    holder.named["a"].secret = CANARY
    holder.named["a"].open = "shown"
    holder.packed.add().Pack(a_payment())
    holder.secrets.append(CANARY)
    shown = sanitizer.sanitize_message(holder, SENSITIVE)
    assert shown["items"] == [{"open": "shown", "secret": "***"}]
    assert shown["named"] == {"a": {"open": "shown", "secret": "***"}}
    assert shown["secrets"] == "***"
    assert sanitizer.sensitive_values(holder, SENSITIVE) == [CANARY] * 3
    sanitizer.strip_sensitive(holder, SENSITIVE)
    assert CANARY.encode() not in holder.SerializeToString()
    assert holder.items[0].open == holder.named["a"].open == "shown"


def a_holder_type() -> Any:
    """Build a message type with marked fields in lists, maps and Any."""
    file = descriptor_pb2.FileDescriptorProto(
        name="holder_test.proto",
        package="holder_test",
        syntax="proto3",
        dependency=["google/protobuf/any.proto", "payhub/options/v1/options.proto"],
    )
    kinds = descriptor_pb2.FieldDescriptorProto
    item = file.message_type.add(name="Item")
    item.field.add(name="open", number=1, type=kinds.TYPE_STRING, label=kinds.LABEL_OPTIONAL)
    secret = item.field.add(
        name="secret", number=2, type=kinds.TYPE_STRING, label=kinds.LABEL_OPTIONAL
    )
    secret.options.Extensions[SENSITIVE] = True
    holder = file.message_type.add(name="Holder")
    repeated: dict[str, Any] = {"label": kinds.LABEL_REPEATED, "type": kinds.TYPE_MESSAGE}
    holder.field.add(name="items", number=1, type_name=".holder_test.Item", **repeated)
    entry = holder.nested_type.add(name="NamedEntry")
    entry.options.map_entry = True
    entry.field.add(name="key", number=1, type=kinds.TYPE_STRING, label=kinds.LABEL_OPTIONAL)
    entry.field.add(
        name="value",
        number=2,
        type=kinds.TYPE_MESSAGE,
        label=kinds.LABEL_OPTIONAL,
        type_name=".holder_test.Item",
    )
    holder.field.add(name="named", number=2, type_name=".holder_test.Holder.NamedEntry", **repeated)
    holder.field.add(name="packed", number=3, type_name=".google.protobuf.Any", **repeated)
    secrets = holder.field.add(
        name="secrets", number=4, type=kinds.TYPE_STRING, label=kinds.LABEL_REPEATED
    )
    secrets.options.Extensions[SENSITIVE] = True
    pool = descriptor_pool.DescriptorPool()
    for known in (descriptor_pb2.DESCRIPTOR, duration_pb2.DESCRIPTOR, any_pb2.DESCRIPTOR):
        pool.AddSerializedFile(known.serialized_pb)
    pool.AddSerializedFile(options_pb2.DESCRIPTOR.serialized_pb)
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("holder_test.Holder"))


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
        f"a='b', my_token_2={CANARY}",
        f"said='token={CANARY}'",
        f"token: bearer {CANARY}",
        f"größe_token = {CANARY}",
    ],
)
def test_free_text_is_scrubbed(text: str) -> None:
    """Tracebacks and messages of libraries may quote what they were given."""
    scrubbed = sanitizer.scrub_text(text)
    assert CANARY not in scrubbed
    assert CANARY.replace("-", "") not in scrubbed


@pytest.mark.parametrize(
    "text",
    ["a", "token", "token ", "token=", "token: '", "token" + " " * 50, "bearer" + " " * 50],
)
def test_no_text_takes_long_to_scrub(text: str) -> None:
    """Nothing else runs meanwhile, and whoever answers us decides what it is."""
    begun_s = time.process_time()
    scrubbed = sanitizer.scrub_text(text * (20_000 // len(text)) + f" password={CANARY}")
    assert time.process_time() - begun_s < 2.0
    assert CANARY not in scrubbed


def test_free_text_is_bounded() -> None:
    """What a provider or a library quotes does not fill the log, nor does half a secret show."""
    longest = sanitizer.TEXT_CHARS_MAX
    assert sanitizer.scrub_text("x " * longest) == "x " * (longest // 2) + "…"
    text = "x" * (longest - 10) + f" token='{CANARY} {CANARY}'"
    assert CANARY[:4] not in sanitizer.scrub_text(text)


def test_free_text_hides_given_values() -> None:
    """A request's own secrets are hidden wherever they turn up."""
    request = payment_service_pb2.CreatePaymentRequest(payment_method=CANARY)
    hidden = sanitizer.sensitive_values(request, SENSITIVE)
    assert hidden == [CANARY]
    assert sanitizer.scrub_text(f"no such card {CANARY}", tuple(hidden)) == "no such card ***"


def test_secrets_that_are_bytes_are_hidden_too() -> None:
    """As core sends them to plugins; what is no text is hidden as Python shows it."""
    request = plugin_service_pb2.ConfigureRequest()
    for value in (CANARY.encode(), b"\xff" + CANARY.encode()):
        request.config.secrets.add(slot="api_key", version=1, value=value)
    hidden = tuple(sanitizer.sensitive_values(request, SENSITIVE))
    for text in (CANARY, repr(CANARY.encode()), repr(b"\xff" + CANARY.encode())):
        assert CANARY not in sanitizer.scrub_text(f"no such header: {text}", hidden)


def test_names_that_sound_secret() -> None:
    """Masked by name: secrets; shown: cursors and ids."""
    for name in ("client_secret", "apiKey", "api_key", "Authorization", "payment_method", "token"):
        assert sanitizer.is_secret_name(name), name
    for name in ("page_token", "payment_method_id", "payment_id", "key_id", "reason"):
        assert not sanitizer.is_secret_name(name), name

"""What payctl shows of an event."""

import json

import pytest
from google.protobuf import message
from payhub.events.v1 import event_pb2
from payhub.payments.v1 import payment_events_pb2
from payhub.plugin.v1 import binding_pb2, plugin_events_pb2, plugin_pb2

from payctl import events


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (plugin_events_pb2.PluginEvent(plugin=plugin_pb2.Plugin(id="mock")), ("plugin", "mock")),
        (plugin_events_pb2.BindingEvent(binding=binding_pb2.Binding(id="b")), ("binding", "b")),
    ],
)
def test_what_core_tells_of_plugins_is_decoded(
    told: message.Message, expected: tuple[str, str]
) -> None:
    """Events of plugins and bindings show their payload, not bytes."""
    event = event_pb2.Event(
        content_type="application/protobuf",
        data_schema=told.DESCRIPTOR.full_name,
        data=told.SerializeToString(),
    )
    shown = events.to_dict(event)
    assert "data" not in shown
    payload = shown["payload"]
    assert isinstance(payload, dict)
    assert payload[expected[0]]["id"] == expected[1]


def test_objects_of_json_are_shown() -> None:
    """Events in JSON, such as those of webhook endpoints, show what they say; what is no object
    that can be written again stays as it came.
    """
    event = event_pb2.Event(content_type="application/json", data=b'{"endpoint":{"id":"whe_1"}}')
    assert events.to_dict(event)["payload"] == {"endpoint": {"id": "whe_1"}}
    for data in (b"", b"[1]", b"{", b'{"a":NaN}', b'{"a":"\\ud800"}', b"[" * 100_000):
        event.data = data
        shown = events.to_dict(event)
        assert "payload" not in shown
        json.dumps(shown)


def test_a_line_of_what_has_no_amount_says_who_did_it(capsys: pytest.CaptureFixture[str]) -> None:
    """Who made a key or moved a consumer is read without JSON; payments show their amount."""
    event = event_pb2.Event(type="consumer.sought", entity_id="receipts", entity_version=2)
    event.cause.actor = "key:zo54tr3vuu2w4rnb"
    events._write_line(event)
    assert capsys.readouterr().out.split()[-1] == "key:zo54tr3vuu2w4rnb"
    told = payment_events_pb2.PaymentEvent()
    told.payment.amount.amount_minor, told.payment.amount.currency_code = 1250, "EUR"
    event.content_type, event.data_schema = "application/protobuf", told.DESCRIPTOR.full_name
    event.data = told.SerializeToString()
    events._write_line(event)
    assert capsys.readouterr().out.rstrip().endswith("12.50 EUR")

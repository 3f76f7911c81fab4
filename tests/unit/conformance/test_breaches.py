"""What is noted of answers, and what is not."""

import pytest
from google.protobuf.message import DecodeError
from payhub.plugin.v1 import plugin_service_pb2 as ps
from payhub.provider.v1 import payment_provider_service_pb2 as pps

from provider_sdk.conformance import breaches

METHOD = "/payhub.provider.v1.PaymentProviderService/AuthorizePayment"


def answer(**operation: object) -> bytes:
    """Returns an answer as it travels."""
    made = pps.AuthorizePaymentResponse()
    made.operation.operation_id = "operation_1"
    for name, value in operation.items():
        setattr(made.operation, name, value)
    return bytes(made.SerializeToString())


def test_each_breach_is_noted_once_with_its_place() -> None:
    """Rules beside the fields, times, texts and what can't be read at all; never a value."""
    watch = breaches.Breaches()
    late = pps.AuthorizePaymentResponse()
    late.operation.state_time.seconds = 1_800_000_000_000
    read = pps.AuthorizePaymentResponse.FromString
    for raw in (answer(), answer(provider_object_id="p" * 256), answer(provider_object_id="p\0")):
        for _ in range(2):
            watch.decoded(METHOD, raw, read)
    watch.decoded(METHOD, late.SerializeToString(), read)
    with pytest.raises(DecodeError):
        watch.decoded(METHOD, b"\xff", read)
    handshake = ps.HandshakeResponse()
    handshake.upstream_idempotency_retention.seconds = 86_400 * 10**9
    watch.decoded("/x/Handshake", handshake.SerializeToString(), ps.HandshakeResponse.FromString)

    long, nul, time, unread, *rest = watch.seen()
    assert long.startswith("AuthorizePayment: operation.provider_object_id ")
    assert nul == "AuthorizePayment: operation.provider_object_id holds NUL"
    assert time == "AuthorizePayment: operation.state_time is not of the years 1 to 9999"
    assert unread == "AuthorizePayment: an answer that can't be decoded"
    assert any(one.startswith("Handshake: identity ") for one in rest)
    what = "upstream_idempotency_retention is no duration of at most 10,000 years"
    assert f"Handshake: {what}" in rest


def test_answers_to_nonsense_are_overlooked() -> None:
    """Whoever is sent NUL may repeat it; after that everything counts again."""
    watch = breaches.Breaches()
    bad, read = answer(provider_object_id="p\0"), pps.AuthorizePaymentResponse.FromString
    with watch.overlooked():
        watch.decoded(METHOD, bad, read)
    assert watch.seen() == []
    watch.decoded(METHOD, bad, read)
    assert len(watch.seen()) == 1

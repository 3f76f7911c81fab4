"""What an instance is taken to be able to do."""

from payhub.plugin.v1 import capability_pb2 as cap
from payhub.plugin.v1 import plugin_service_pb2 as pb

from payment_service.provider_client import introduction

PAYMENTS = "payhub.provider.v1.PaymentProviderService"


def test_a_capability_needs_the_service_that_it_rests_on() -> None:
    """What is claimed and not served, or not enabled, is not asked for."""
    claimed = (
        cap.CAPABILITY_SALE,
        cap.CAPABILITY_PLANS,
        cap.CAPABILITY_PAYMENT_METHODS,
        cap.CAPABILITY_OBJECT_FETCH,
    )
    handshake = pb.HandshakeResponse(
        services=[PAYMENTS, "payhub.provider.v1.BillingProviderService"],
        capabilities=[
            *(cap.CapabilityStatus(capability=each, enabled=True) for each in claimed),
            cap.CapabilityStatus(capability=cap.CAPABILITY_SUBSCRIPTIONS, disabled_reason="x"),
        ],
    )
    known = introduction.known_of(handshake)
    assert known.capabilities == {cap.CAPABILITY_SALE, cap.CAPABILITY_PLANS}

"""What is sent to a provider about checkouts and disputes, as it is stored.

Owns the requests without the context. Called by use cases when they make an intent. Pure.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from payhub.provider.v1 import checkout_provider_service_pb2, dispute_provider_service_pb2
from payhub.type.v1 import money_pb2

from payment_service.domain.mirrors import checkouts

_checkouts = checkout_provider_service_pb2
_disputes = dispute_provider_service_pb2


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a checkout tells the provider beside what core shows of it."""

    provider_customer_id: str
    provider_price_id: str
    trial_days: int
    success_url: str
    cancel_url: str
    embedded: bool


def create_checkout(checkout: checkouts.Checkout, terms: Terms) -> bytes:
    """Returns the request of a CREATE_CHECKOUT."""
    request = _checkouts.CreateCheckoutRequest(
        checkout_id=checkout.id,
        provider_customer_id=terms.provider_customer_id,
        quantity=checkout.quantity,
        trial_days=terms.trial_days,
        success_url=terms.success_url,
        cancel_url=terms.cancel_url,
        description=checkout.description,
        embedded=terms.embedded,
    )
    if checkout.amount_minor:
        request.amount.CopyFrom(
            money_pb2.Money(amount_minor=checkout.amount_minor, currency_code=checkout.currency)
        )
    else:
        request.provider_price_id = terms.provider_price_id
    request.expire_time.FromMicroseconds(checkout.expire_us)
    return request.SerializeToString()


def expire_checkout(provider_checkout_id: str) -> bytes:
    """Returns the request of an EXPIRE_CHECKOUT."""
    return _checkouts.ExpireCheckoutRequest(
        provider_checkout_id=provider_checkout_id
    ).SerializeToString()


def submit_evidence(provider_dispute_id: str, evidence: Mapping[str, str]) -> bytes:
    """Returns the request of a SUBMIT_EVIDENCE; the texts may be personal."""
    return _disputes.SubmitEvidenceRequest(
        provider_dispute_id=provider_dispute_id, evidence=evidence
    ).SerializeToString()


def accept_dispute(provider_dispute_id: str) -> bytes:
    """Returns the request of an ACCEPT_DISPUTE."""
    return _disputes.AcceptDisputeRequest(
        provider_dispute_id=provider_dispute_id
    ).SerializeToString()

"""Idempotency keys: which requests are the same, however they are written."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from google.protobuf import message_factory
from payhub.payments.v1 import (
    checkout_service_pb2,
    customer_service_pb2,
    dispute_service_pb2,
    payment_method_service_pb2,
    payment_service_pb2,
    plan_service_pb2,
    refund_service_pb2,
    subscription_service_pb2,
)

from payment_service.api import normal, reading
from payment_service.db import idempotency
from payment_service.domain import model
from payment_service.usecases import intents

FILES = (
    checkout_service_pb2,
    customer_service_pb2,
    dispute_service_pb2,
    payment_method_service_pb2,
    payment_service_pb2,
    plan_service_pb2,
    refund_service_pb2,
    subscription_service_pb2,
)
Fields = dict[str, Any]


class Same(NamedTuple):
    """Fields of one request in several spellings, the normal one first, and of other requests."""

    ways: tuple[Fields, ...]
    others: tuple[Fields, ...] = ()


PAYMENT: Fields = {"amount": {"amount_minor": 5, "currency_code": "EUR"}, "payment_method": "tok"}
PLAN: Fields = {"amount": PAYMENT["amount"], "name": "Gold", "interval": 3}
CHECKOUT: Fields = {"plan_id": "plan_1", "user_id": "u"}
PROFILE: Fields = {"name": "Ada", "email": "a@b.c", "metadata": {"k": "v"}}
ALL = ["name", "email", "phone", "user_id", "metadata"]


def mask(*paths: str) -> Fields:
    """Returns the mask of an update."""
    return {"update_mask": {"paths": paths}}


def only(*names: str, **values: Any) -> Fields:
    """Returns a profile with some of its values."""
    return {"profile": {name: PROFILE[name] for name in names} | values}


SAME: dict[str, Same] = {
    "CreatePayment": Same(
        (
            {**PAYMENT, "capture_method": 1, "references": {}},
            PAYMENT,
            {**PAYMENT, "capture_method": 1},
            {**PAYMENT, "references": {"metadata": {}}},
        ),
        (
            {**PAYMENT, "capture_method": 2},
            {**PAYMENT, "references": {"order_id": "o"}},
            {**PAYMENT, "provider": "mock"},
            {**PAYMENT, "confirm": True},
        ),
    ),
    "ConfirmPayment": Same(({"payment_method": "tok"},), ({"payment_method": "other"},)),
    "CapturePayment": Same(
        ({},), ({"amount": PAYMENT["amount"]}, {"more_to_follow": True}, {"payment_id": "pay_2"})
    ),
    "IncrementAuthorization": Same(
        ({"amount": PAYMENT["amount"]},),
        ({"amount": {"amount_minor": 6, "currency_code": "EUR"}},),
    ),
    "CancelPayment": Same(({},), ({"reason": "why"},)),
    "CreateRefund": Same(({},), ({"amount": PAYMENT["amount"]}, {"reason": 1})),
    "CreateCustomer": Same(
        (
            {"profile": {"metadata": {"a": "1", "b": "2"}}},
            {"profile": {"metadata": {"b": "2", "a": "1"}}},
        ),
        ({"profile": {"metadata": {"a": "1"}}},),
    ),
    "UpdateCustomer": Same(
        (
            {**only("name", "email"), **mask("name", "email")},
            {**only("name", "email"), **mask("email", "name")},
            {**only("name", "email"), **mask("name", "email", "name")},
            {**only("name", "email", "metadata", phone="1"), **mask("email", "name")},
        ),
        (
            {**only("name", "email"), **mask("name")},
            {**only("name"), **mask("name", "email")},
            {**only("name", "email"), **mask("name", "email", "phone")},
            only("name", "email"),
        ),
    ),
    "UpdateCustomer, all of it": Same(
        (
            {**only(*PROFILE), **mask(*ALL)},
            only(*PROFILE),
            {**only(*PROFILE), "update_mask": {}},
            {**only(*PROFILE), **mask(*reversed(ALL))},
        ),
        ({**only(*PROFILE), **mask("name", "email", "metadata")},),
    ),
    "AttachPaymentMethod": Same(({"token": "t"},), ({"token": "t", "set_default": True},)),
    "SetDefaultPaymentMethod": Same(({},), ({"payment_method_id": "pmt_1"},)),
    "DetachPaymentMethod": Same(({},), ({"payment_method_id": "pmt_1"},)),
    "CreatePlan": Same(
        ({**PLAN, "interval_count": 1}, PLAN),
        ({**PLAN, "interval_count": 2}, {**PLAN, "trial_days": 1}),
    ),
    "ArchivePlan": Same(({},), ({"plan_id": "plan_1"},)),
    "AddPlanPrice": Same(({},), ({"provider_price_id": "price"},)),
    "CreateSubscription": Same(
        ({"quantity": 1}, {}),
        ({"quantity": 2}, {"quantity": 1, "trial_days": 0}),
    ),
    "ChangeSubscriptionPlan": Same(
        ({"quantity": 2}, {"quantity": 2, "proration": 1}),
        ({"quantity": 2, "proration": 2}, {"quantity": 1}, {}),
    ),
    "CancelSubscription": Same(({},), ({"at_period_end": True},)),
    "ReactivateSubscription": Same(({},), ({"subscription_id": "sub_1"},)),
    "CreateCheckout": Same(
        (
            CHECKOUT,
            {**CHECKOUT, "quantity": 1},
            {**CHECKOUT, "open_for": {"seconds": 86400}},
            {**CHECKOUT, "quantity": 1, "open_for": {"seconds": 86400}},
        ),
        (
            {**CHECKOUT, "quantity": 2},
            {**CHECKOUT, "trial_days": 0},
            {**CHECKOUT, "open_for": {"seconds": 3600}},
        ),
    ),
    "ExpireCheckout": Same(({},), ({"checkout_id": "chk_1"},)),
    "SubmitDisputeEvidence": Same(
        ({"evidence": {"a": "1", "b": "2"}}, {"evidence": {"b": "2", "a": "1"}}),
        ({"evidence": {"a": "1", "b": ""}}, {"evidence": {"a": "1"}}),
    ),
    "AcceptDispute": Same(({},), ({"dispute_id": "dsp_1"},)),
}


def requests() -> Iterator[tuple[str, Any]]:
    """Every RPC of the payment services that takes an idempotency key, with its request."""
    for file in FILES:
        for service in file.DESCRIPTOR.services_by_name.values():
            for method in service.methods:
                if "idempotency_key" in method.input_type.fields_by_name:
                    yield method.name, message_factory.GetMessageClass(method.input_type)


REQUESTS = dict(requests())


def keyed(name: str, fields: Fields) -> intents.Request:
    """Returns what a request is told by."""
    rpc = name.partition(",")[0]
    return reading.keyed(rpc, REQUESTS[rpc](idempotency_key="k", **fields))


def stored(fingerprint: bytes) -> idempotency.Found:
    """Returns a key as it is stored."""
    return idempotency.Found(
        fingerprint=fingerprint, resource_id="pay_1", operation_id="", leased=False
    )


def as_given(name: str, fields: Fields) -> bytes:
    """Returns the fingerprint that versions without normal forms stored."""
    content = REQUESTS[name.partition(",")[0]](**fields).SerializeToString(deterministic=True)
    return intents.fingerprint(content)


def test_every_rpc_with_a_key_is_looked_at() -> None:
    """A new mutation, or a normal form of nothing, is noticed."""
    assert {name.partition(",")[0] for name in SAME} == set(REQUESTS)
    assert set(REQUESTS) > set(normal.FORMS)
    assert set(normal.PROFILE_PATHS) == set(model.Profile.__dataclass_fields__)


@pytest.mark.parametrize("name", SAME)
def test_the_same_request_in_other_words_has_the_same_fingerprint(name: str) -> None:
    """Defaults that are written out, empty messages and the order of paths make no difference;
    everything else does.
    """
    same = SAME[name]
    prints = [keyed(name, fields).fingerprint for fields in same.ways]
    assert len(set(prints)) == 1
    others = {keyed(name, fields).fingerprint for fields in same.others}
    assert len(others) == len(same.others)
    assert prints[0] not in others


@pytest.mark.parametrize("name", SAME)
def test_what_older_versions_stored_is_of_the_very_same_request(name: str) -> None:
    """A repeat after an upgrade finds its key, in whatever words, and no other request does."""
    same = SAME[name]
    for fields in (*same.ways, *same.others):
        assert keyed(name, fields).is_of(stored(as_given(name, fields)))
    for fields in same.ways:
        request = keyed(name, fields)
        assert not any(request.is_of(stored(as_given(name, other))) for other in same.others)
        assert request.is_of(stored(keyed(name, same.ways[0]).fingerprint))


@pytest.mark.parametrize("name", SAME)
def test_a_request_in_its_normal_form_is_stored_as_ever(name: str) -> None:
    """Replicas that know no normal forms take it for the same, and nothing is kept beside."""
    fields = SAME[name].ways[0]
    request = keyed(name, fields)
    assert request.fingerprint == as_given(name, fields)
    assert request.given is None

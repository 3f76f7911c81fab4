"""Snapshots as they come from a provider: what is believed, and what is not."""

from typing import Any

import pytest
from payhub.provider.v1 import operation_pb2, provider_object_pb2
from payhub.type.v1 import money_pb2

from payment_service.domain import model
from payment_service.domain.mirrors import objects
from payment_service.provider_client import requests, seeing, signs
from tests.unit.payment_service import build

_P = provider_object_pb2
_O = operation_pb2.Operation
EUR = money_pb2.Money(amount_minor=900, currency_code="EUR")
# The least of each kind that can be believed.
LEAST: dict[str, dict[str, Any]] = {
    "payment": {"amount": EUR, "state": _O.STATE_SUCCEEDED},
    "payment_method": {},
    "plan": {"amount": EUR, "interval": _P.BILLING_INTERVAL_MONTH, "active": True},
    "subscription": {"state": _P.SubscriptionObject.STATE_ACTIVE},
    "invoice": {"state": _P.InvoiceObject.STATE_OPEN},
    "checkout": {"state": _P.CheckoutObject.STATE_OPEN},
    "dispute": {"state": _P.DisputeObject.STATE_WON},
}


def _object(name: str, **content: Any) -> _P.ProviderObject:
    made = _P.ProviderObject(provider_object_id="there", core_id="sub_1")
    made.state_time.FromMicroseconds(1_700_000_000_123_456)
    part = getattr(made, name)
    part.SetInParent()
    part.MergeFrom(type(part)(**content))
    return made


@pytest.mark.parametrize("name", LEAST)
def test_every_kind_is_read(name: str) -> None:
    """Its name, moment and kind; one without a state that core knows is not understood."""
    read = seeing.read(_object(name, **LEAST[name]))
    assert read.kind is objects.ObjectKind[name.upper()]
    assert (read.provider_object_id, read.state_time_us) == ("there", 1_700_000_000_123_456)
    assert seeing.reference(seeing.refer(read.reference)) == read.reference
    if "state" not in LEAST[name]:
        return
    for state in (0, 77):
        odd = _object(name, **LEAST[name] | {"state": state})
        with pytest.raises(seeing.NotUnderstood) as caught:
            seeing.read(odd)
        assert caught.value.reference == read.reference


@pytest.mark.parametrize("broken", ["moment", "far", "name", "nothing", "nul"])
def test_what_breaks_the_contract_is_not_understood(broken: str) -> None:
    """Nothing is guessed, and nothing is kept that a database can't hold."""
    made = _object("invoice", **LEAST["invoice"])
    match broken:
        case "moment":
            made.ClearField("state_time")
        case "far":
            made.state_time.seconds = 10**15
        case "name":
            made.ClearField("provider_object_id")
        case "nothing":
            made.ClearField("invoice")
        case _:
            made.invoice.number = "1\0"
    with pytest.raises(seeing.NotUnderstood) as caught:
        seeing.read(made)
    assert caught.value.reference is None


@pytest.mark.parametrize("kind", sorted(requests.MUST_TELL))
def test_success_without_its_object_breaks_the_contract(kind: model.Kind) -> None:
    """What was made and not told of is unknown; the object of something else is no answer."""
    wanted = requests.MUST_TELL[kind]
    operation = build.operation(kind, entity_id="sub_1")
    answer = _O(operation_id=operation.id, state=_O.STATE_SUCCEEDED)
    name = wanted.name.lower()
    told = seeing.read(_object(name, **LEAST[name]))
    assert signs.broken(operation, answer)
    assert not signs.broken(operation, answer, [told])
    stranger = _object(name, **LEAST[name])
    stranger.core_id = "sub_2"
    assert signs.broken(operation, answer, [seeing.read(stranger)])
    nameless = _object(name, **LEAST[name])
    nameless.core_id = ""
    creates = kind in requests.CREATES
    assert bool(signs.broken(operation, answer, [seeing.read(nameless)])) is creates
    declined = _O(operation_id=operation.id, state=_O.STATE_DECLINED)
    declined.decline.reason = operation_pb2.DECLINE_REASON_OTHER
    assert not signs.broken(operation, declined)


@pytest.mark.parametrize("field", ["state_time", "expire_time"])
def test_a_time_that_is_none_breaks_the_contract(field: str) -> None:
    """It is the plugin's fault and counts as such, not as one of core."""
    operation = build.operation(model.Kind.SALE)
    answer = _O(operation_id=operation.id, state=_O.STATE_ACTION_REQUIRED)
    answer.action.redirect_url = "https://bank.example/"
    time = answer.state_time if field == "state_time" else answer.action.expire_time
    time.seconds = 1_800_000_000
    assert not signs.broken(operation, answer)
    time.seconds = 10**15
    assert field in signs.broken(operation, answer)

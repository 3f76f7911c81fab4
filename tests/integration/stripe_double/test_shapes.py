"""The double held against the official SDK, and the holding itself."""

from typing import Any

import pytest
import stripe
from stripe import params as declared
from stripe.params import checkout as declared_checkout

from tests.integration.stripe_double import asking
from tests.stripe_double import (
    checkout,
    customers,
    payment_intents,
    running,
    shapes,
    store,
    subscriptions,
)


async def test_shapes_are_noticed_when_they_are_wrong(double: running.Double, client: Any) -> None:
    """A field that is unknown, missing, ill-typed or of an undeclared value is reported."""
    intent = await asking.pay(client)
    right = double.world.get(store.MAIN_ACCOUNT, "payment_intent", intent.id)
    assert not shapes.problems(right)
    missing = {name: value for name, value in right.items() if name != "amount"}
    for wrong, said in (
        ({**right, "amout": 1}, "payment_intent.amout: not declared"),
        (missing, "payment_intent.amount: missing"),
        ({**right, "amount": "1000"}, "payment_intent.amount: str"),
        ({**right, "amount": None}, "payment_intent.amount: null"),
        ({**right, "amount": True}, "payment_intent.amount: bool"),
        ({**right, "status": "paid"}, "payment_intent.status: 'paid'"),
        ({**right, "metadata": {"k": 1}}, "payment_intent.metadata.k: int"),
        ({**right, "next_action": {"kind": "x"}}, "payment_intent.next_action"),
        ({**right, "object": "gold"}, "gold: the SDK declares no such object"),
    ):
        found = shapes.problems(wrong)
        assert any(one.startswith(said) for one in found), (said, found)


@pytest.mark.parametrize(
    ("accepted", "known"),
    [
        (payment_intents.CREATE_PARAMS, declared.PaymentIntentCreateParams),
        (payment_intents.UPDATE_PARAMS, declared.PaymentIntentUpdateParams),
        (payment_intents.CONFIRM_PARAMS, declared.PaymentIntentConfirmParams),
        (customers.PARAMS, declared.CustomerCreateParams),
        (customers.PARAMS - {"payment_method"}, declared.CustomerUpdateParams),
        (subscriptions.CREATE_PARAMS, declared.SubscriptionCreateParams),
        (subscriptions.UPDATE_PARAMS, declared.SubscriptionUpdateParams),
        (checkout.PARAMS, declared_checkout.SessionCreateParams),
    ],
)
def test_parameters_are_those_of_the_pinned_version(accepted: set[str], known: type) -> None:
    """The double takes no parameter that the SDK doesn't declare for its version."""
    assert accepted <= set(known.__annotations__)


def test_the_pinned_version_is_that_of_the_sdk() -> None:
    """The double speaks the version that the installed SDK asks for."""
    assert stripe.api_version == store.API_VERSION

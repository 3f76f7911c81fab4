"""Requests that most tests of the double make."""

from typing import Any

import aiohttp
import stripe

from tests import polling

Json = dict[str, Any]
until = polling.until


def payment(method: str | None = "pm_card_visa", **more: Any) -> Json:
    """Returns the parameters of a card payment that is confirmed at once."""
    paid: Json = {} if method is None else {"payment_method": method, "confirm": True}
    return {
        "amount": 1000,
        "currency": "usd",
        "allowed_payment_method_types": ["card"],
        **paid,
        **more,
    }


async def pay(client: Any, method: str = "pm_card_visa", **more: Any) -> Any:
    """Makes a card payment that is confirmed at once."""
    return await client.payment_intents.create_async(params=payment(method, **more))


async def refused(call: Any) -> Any:
    """Returns the error that a call ends with.

    That is a stripe.StripeError, except for half a body: the SDK passes on what its transport
    raises while it reads.
    """
    try:
        answer = await call
    except (stripe.StripeError, aiohttp.ClientPayloadError) as error:
        return error
    raise AssertionError(f"not refused: {answer}")


async def customer_with(client: Any, method: str = "pm_card_visa") -> tuple[str, str]:
    """Makes a customer with a saved method, which is its default, and returns both ids."""
    customer = await client.customers.create_async(params={"email": "ada@example.com"})
    saved = await client.payment_methods.attach_async(method, params={"customer": customer.id})
    settings = {"default_payment_method": saved.id}
    await client.customers.update_async(customer.id, params={"invoice_settings": settings})
    return customer.id, saved.id


async def happened(client: Any, identifier: str) -> list[str]:
    """Returns the types of the events about an object, oldest first."""
    events = await client.events.list_async(params={"limit": 100})
    return [event.type for event in reversed(events.data) if event.data.object["id"] == identifier]

"""Checkout Sessions at Stripe.

Owns what is sent for them. Called by `provider`. Never decides what a session led to: its
webhook and a fetch tell.
"""

from typing import Any

from payhub.provider.v1 import checkout_provider_service_pb2 as cps

from provider_sdk import calls, errors
from provider_stripe import answers, calling, marks, money, objects, transport


async def create(
    account: transport.Account, request: cps.CreateCheckoutRequest, call: calling.Call
) -> calls.Answer:
    """Makes a Session in payment or subscription mode."""
    params = _params(request, call.operation_id)
    return await answers.send(
        account,
        calling.Deadline(calling.REQUEST_MAX_S),
        call,
        lambda: account.api.checkout.sessions.create_async(
            params, {"idempotency_key": call.operation_id}
        ),
        objects.checkout,
        retrieve=account.api.checkout.sessions.retrieve_async,
    )


def _params(request: cps.CreateCheckoutRequest, operation_id: str) -> dict[str, Any]:
    metadata = marks.made_by(operation_id, request.checkout_id)
    params: dict[str, Any] = {"client_reference_id": request.checkout_id, "metadata": metadata}
    # What the session makes is not made by an operation of core, so it carries no operation.
    made = {"payhub_checkout_id": request.checkout_id}
    if request.WhichOneof("subject") == "amount":
        product = {"name": request.description or "Payment"}
        price = {
            "currency": request.amount.currency_code.lower(),
            "unit_amount": money.to_stripe(request.amount),
            "product_data": product,
        }
        params |= {
            "mode": "payment",
            "line_items": [{"price_data": price, "quantity": 1}],
            "payment_intent_data": {"metadata": made, "description": product["name"]},
        }
    else:
        subscription: dict[str, Any] = {"metadata": made}
        if request.trial_days:
            subscription["trial_period_days"] = request.trial_days
        item = {"price": request.provider_price_id, "quantity": request.quantity or 1}
        params |= {
            "mode": "subscription",
            "line_items": [item],
            "subscription_data": subscription,
        }
    if request.provider_customer_id:
        params["customer"] = request.provider_customer_id
    if request.HasField("expire_time"):
        params["expires_at"] = request.expire_time.seconds
    _say_where(params, request)
    return params


def _say_where(params: dict[str, Any], request: cps.CreateCheckoutRequest) -> None:
    if not request.success_url:
        text = "Stripe asks where the payer goes afterwards"
        raise errors.InvalidRequest(text, [("success_url", text)])
    if request.embedded:
        params |= {"ui_mode": "embedded_page", "return_url": request.success_url}
        return
    params["success_url"] = request.success_url
    if request.cancel_url:
        params["cancel_url"] = request.cancel_url


async def expire(
    account: transport.Account, request: cps.ExpireCheckoutRequest, call: calling.Call
) -> calls.Answer:
    """Ends an open Session; one that has expired stays as it is."""
    deadline = calling.Deadline(calling.REQUEST_MAX_S)
    session_id = request.provider_checkout_id
    now = await calling.read(
        account, deadline, lambda: account.api.checkout.sessions.retrieve_async(session_id)
    )
    if now.told.get("status") == "expired":
        return answers.done(call.operation_id, objects.checkout(now.told, now.at_s))
    return await answers.send(
        account,
        deadline,
        call,
        lambda: account.api.checkout.sessions.expire_async(
            session_id, {}, {"idempotency_key": call.operation_id}
        ),
        objects.checkout,
        object_id=session_id,
        retrieve=account.api.checkout.sessions.retrieve_async,
    )

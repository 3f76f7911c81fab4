"""Plans and subscriptions at Stripe Billing.

Owns what is sent for them: a plan is a recurring Price with a Product of its own. Called by
`provider`. Never computes what a period costs: Stripe's invoices say it.
"""

from collections.abc import Mapping
from typing import Any

from payhub.provider.v1 import billing_provider_service_pb2 as bps
from payhub.provider.v1 import provider_object_pb2 as pb

from provider_sdk import calls, errors
from provider_stripe import answers, calling, failures, marks, money, objects, transport

# With these, a Subscription says which payment its newest invoice waits for.
EXPANDED = ["latest_invoice.confirmation_secret", "latest_invoice.payments"]
INVOICE_EXPANDED = ["payments"]
_INTERVALS = {
    pb.BILLING_INTERVAL_DAY: "day",
    pb.BILLING_INTERVAL_WEEK: "week",
    pb.BILLING_INTERVAL_MONTH: "month",
    pb.BILLING_INTERVAL_YEAR: "year",
}
_PRORATIONS = {
    bps.PRORATION_NEXT_INVOICE: "create_prorations",
    bps.PRORATION_NOW: "always_invoice",
    bps.PRORATION_NONE: "none",
}


async def create_plan(
    account: transport.Account, request: bps.CreatePlanRequest, call: calling.Call
) -> calls.Answer:
    """Makes a Price and its Product in one request; the lookup key finds it again."""
    params = {
        "currency": request.amount.currency_code.lower(),
        "unit_amount": money.to_stripe(request.amount),
        "recurring": {
            "interval": _INTERVALS[request.interval],
            "interval_count": request.interval_count,
        },
        "product_data": {"name": request.name or request.plan_id},
        "lookup_key": call.operation_id,
        "metadata": marks.made_by(call.operation_id, request.plan_id),
    }
    return await answers.send(
        account,
        calling.Deadline(calling.REQUEST_MAX_S),
        call,
        lambda: account.api.prices.create_async(params, {"idempotency_key": call.operation_id}),
        objects.plan,
        retrieve=account.api.prices.retrieve_async,
    )


async def archive_plan(
    account: transport.Account, request: bps.ArchivePlanRequest, call: calling.Call
) -> calls.Answer:
    """Makes a Price inactive."""
    params = {"active": False, "metadata": marks.changed(call.operation_id, "archive")}
    return await answers.send(
        account,
        calling.Deadline(calling.REQUEST_MAX_S),
        call,
        lambda: account.api.prices.update_async(
            request.provider_price_id, params, {"idempotency_key": call.operation_id}
        ),
        objects.plan,
        object_id=request.provider_price_id,
        retrieve=account.api.prices.retrieve_async,
    )


async def create_subscription(
    account: transport.Account, request: bps.CreateSubscriptionRequest, call: calling.Call
) -> calls.Answer:
    """Makes a Subscription, which tries its first payment at once unless there is a trial."""
    params: dict[str, Any] = {
        "customer": request.provider_customer_id,
        "items": [{"price": request.provider_price_id, "quantity": request.quantity}],
        "payment_behavior": "allow_incomplete",
        "payment_settings": {"save_default_payment_method": "on_subscription"},
        "metadata": marks.made_by(call.operation_id, request.subscription_id),
        "expand": EXPANDED,
    }
    if request.trial_days:
        params["trial_period_days"] = request.trial_days
    if request.provider_payment_method_id:
        params["default_payment_method"] = request.provider_payment_method_id
    return await _subscription(
        account,
        calling.Deadline(calling.REQUEST_MAX_S),
        call,
        lambda: account.api.subscriptions.create_async(
            params, {"idempotency_key": call.operation_id}
        ),
    )


async def change_subscription(
    account: transport.Account, request: bps.ChangeSubscriptionRequest, call: calling.Call
) -> calls.Answer:
    """Replaces the one item of a Subscription."""
    deadline = calling.Deadline(calling.REQUEST_MAX_S)
    subscription_id = request.provider_subscription_id
    now = await calling.read(
        account, deadline, lambda: account.api.subscriptions.retrieve_async(subscription_id)
    )
    items = (now.told.get("items") or {}).get("data") or []
    item: dict[str, Any] = {"price": request.provider_price_id, "quantity": request.quantity}
    if items:
        item["id"] = items[0]["id"]
    params = {
        "items": [item],
        "proration_behavior": _PRORATIONS[request.proration],
        "metadata": marks.changed(call.operation_id, "change"),
        "expand": EXPANDED,
    }
    return await _update(account, deadline, call, subscription_id, params)


async def cancel_subscription(
    account: transport.Account, request: bps.CancelSubscriptionRequest, call: calling.Call
) -> calls.Answer:
    """Ends a Subscription now or with its period; one that has ended stays as it is."""
    deadline = calling.Deadline(calling.REQUEST_MAX_S)
    subscription_id = request.provider_subscription_id
    now = await calling.read(
        account, deadline, lambda: account.api.subscriptions.retrieve_async(subscription_id)
    )
    if now.told.get("status") in ("canceled", "incomplete_expired"):
        return answers.done(call.operation_id, objects.subscription(now.told, now.at_s))
    if request.at_period_end:
        params = {
            "cancel_at_period_end": True,
            "metadata": marks.changed(call.operation_id, "cancel"),
            "expand": EXPANDED,
        }
        return await _update(account, deadline, call, subscription_id, params)
    return await _subscription(
        account,
        deadline,
        call,
        lambda: account.api.subscriptions.cancel_async(
            subscription_id, {"expand": EXPANDED}, {"idempotency_key": call.operation_id}
        ),
        subscription_id,
    )


async def reactivate_subscription(
    account: transport.Account, request: bps.ReactivateSubscriptionRequest, call: calling.Call
) -> calls.Answer:
    """Takes back a cancellation at the end of the period."""
    params = {
        "cancel_at_period_end": False,
        "metadata": marks.changed(call.operation_id, "reactivate"),
        "expand": EXPANDED,
    }
    deadline = calling.Deadline(calling.REQUEST_MAX_S)
    return await _update(account, deadline, call, request.provider_subscription_id, params)


async def _update(
    account: transport.Account,
    deadline: calling.Deadline,
    call: calling.Call,
    subscription_id: str,
    params: dict[str, Any],
) -> calls.Answer:
    return await _subscription(
        account,
        deadline,
        call,
        lambda: account.api.subscriptions.update_async(
            subscription_id, params, {"idempotency_key": call.operation_id}
        ),
        subscription_id,
    )


async def _subscription(
    account: transport.Account,
    deadline: calling.Deadline,
    call: calling.Call,
    request: answers.Sent,
    subscription_id: str = "",
) -> calls.Answer:
    async def retrieve(identifier: str) -> Any:
        return await account.api.subscriptions.retrieve_async(identifier, {"expand": EXPANDED})

    try:
        reply = await calling.send(account, deadline, call, request, retrieve)
    except failures.Declined as declined:
        return answers.refused(declined, subscription_id)
    found = await with_invoice(account, deadline, reply)
    return answers.done(call.operation_id, *found)


async def with_invoice(
    account: transport.Account, deadline: calling.Deadline, reply: calling.Reply
) -> list[pb.ProviderObject]:
    """Returns a Subscription with its newest invoice and its payment, if it came with them."""
    told = reply.told
    invoice = told.get("latest_invoice")
    if not isinstance(invoice, Mapping):
        return [objects.subscription(told, reply.at_s)]
    intent = await paying(account, deadline, invoice)
    found = [objects.subscription(told, reply.at_s, intent=intent.told if intent else None)]
    found.append(objects.invoice(invoice, reply.at_s, intent=intent.told if intent else None))
    if intent is not None:
        found.append(objects.payment(intent.told, intent.at_s, invoice_id=str(invoice["id"])))
    return found


async def paying(
    account: transport.Account, deadline: calling.Deadline, invoice: calling.Json
) -> calling.Reply | None:
    """Returns the PaymentIntent that pays an invoice; None if there is none or time is short.

    It says more than the invoice does, but nothing rests on it: it is told again.
    """
    intent_id = objects.paying_intent_id(invoice)
    if not intent_id:
        return None
    try:
        return await calling.read(
            account,
            deadline,
            lambda: account.api.payment_intents.retrieve_async(
                intent_id, {"expand": ["latest_charge"]}
            ),
        )
    except errors.ProviderError:
        return None

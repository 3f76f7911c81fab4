"""The payer's side of checkout: what completing a session makes, and its expiry.

Owns the states of sessions: a customer, a payment, a subscription or a saved method come of them.
Called by the control API, timers and checkout.
"""

from typing import Any

from tests.stripe_double import (
    calls,
    clock,
    customers,
    errors,
    forms,
    intents,
    invoicing,
    payment_methods,
    payments,
    setup_intents,
    store,
    subscribing,
    subscription_params,
    subscriptions,
)

Json = dict[str, Any]


def inner_call(world: store.World, account: str, values: Json) -> calls.Call:
    """Returns a call that the double makes to itself."""
    return calls.Call(
        world=world, account=account, path={}, params=forms.Params(dict(values)), url="/v1"
    )


def complete(world: store.World, account: str, session: Json, name: str, email: str) -> Json:
    """Completes an open session with a payment method, as the payer does on the page.

    Raises:
        errors.Refusal: The session is not open, or the issuer declines; it stays open then.
    """
    if session["status"] != "open":
        raise errors.wrong_state(f"The session is {session['status']}.")
    behind = world.behind(session["id"])
    email = session["customer_email"] or email
    if session["customer"] is None and (
        session["mode"] != "payment" or session["customer_creation"] == "always"
    ):
        made = customers.create(inner_call(world, account, {"email": email}))
        session["customer"] = made["id"]
    behind["email"] = email
    method = payment_methods.resolve(world, account, name)
    if session["mode"] == "payment":
        _pay(world, account, session, method)
    elif session["mode"] == "subscription":
        _subscribe(world, account, session, method)
    else:
        _set_up(world, account, session, method)
    return session


def _pay(world: store.World, account: str, session: Json, method: Json) -> None:
    behind = world.behind(session["id"])
    intent = world.find(account, "payment_intent", session["payment_intent"])
    if intent is None:
        given = {"capture_method": "automatic_async", **behind["data"]}
        intent = intents.make(
            world,
            account,
            amount=session["amount_total"],
            currency=session["currency"],
            customer=session["customer"],
            payment_method_types=session["payment_method_types"],
            **given,
        )
        world.behind(intent["id"])["session"] = session["id"]
        session["payment_intent"] = intent["id"]
    url = session["success_url"] or session["return_url"]
    refusal = payments.attempt(world, account, intent, method, return_url=url)
    if refusal is not None:
        raise refusal
    if intent["status"] in ("processing", "requires_capture"):
        _complete(world, session, "unpaid")


def _subscribe(world: store.World, account: str, session: Json, method: Json) -> None:
    behind = world.behind(session["id"])
    data = behind["data"]
    call = inner_call(world, account, {})
    customer = world.get(account, "customer", session["customer"])
    if method["customer"] is None:
        payment_methods.usable(world, method, customer["id"])
        payment_methods.attach_to(world, method, customer["id"])
    identifier = store.mint("sub")
    items = [
        subscription_params.make_item(identifier, one["price"], one["quantity"], world.clock.now())
        for one in behind["items"]
        if one["price"]["recurring"]
    ]
    days = data.get("trial_days")
    until = world.clock.now() + days * clock.DAY_S if days else data.get("trial_end")
    given = {"description": data.get("description"), "metadata": data.get("metadata") or {}}
    if "trial_settings" in data:
        given["trial_settings"] = data["trial_settings"]
    given |= {"default_payment_method": method["id"], "trial_end": until}
    known = set(world.hidden)
    subscription = subscriptions.make(call, customer, items, identifier, **given)
    refusal = None
    if until is None:
        world.behind(identifier)["session"] = session["id"]
        refusal = subscribing.first_payment(world, account, subscription, off_session=False)
    if refusal is not None:
        subscriptions.undo(world, account, known)
        raise refusal
    session |= {"subscription": identifier, "invoice": subscription["latest_invoice"]}
    if subscription["status"] != "incomplete":
        paid = "no_payment_required" if until else "paid"
        _complete(world, session, paid)


def _set_up(world: store.World, account: str, session: Json, method: Json) -> None:
    values = {"customer": session["customer"], "payment_method": method["id"], "confirm": "true"}
    intent = setup_intents.create(inner_call(world, account, values))
    session["setup_intent"] = intent["id"]
    if intent["status"] == "succeeded":
        _complete(world, session, "no_payment_required")


def _complete(world: store.World, session: Json, paid: str) -> None:
    customer = world.find(world.behind(session["id"])["account"], "customer", session["customer"])
    details = {
        "address": None,
        "email": customer["email"] if customer else world.behind(session["id"])["email"],
        "name": customer["name"] if customer else None,
        "phone": None,
        "tax_exempt": "none",
        "tax_ids": None,
    }
    changes = {"status": "complete", "payment_status": paid, "customer_details": details}
    world.update(session, {**changes, "url": None})
    world.clock.cancel("checkout.expire", session["id"])
    world.record("checkout.completed", session)
    world.emit("checkout.session.completed", session)


def settled(world: store.World, account: str, intent: Json) -> None:
    """Follows the payment of a session that waited for the payer or the bank."""
    behind = world.behind(intent["id"])
    session = world.find(account, "checkout.session", behind.get("session"))
    if session is None:
        return
    succeeded = intent["status"] == "succeeded"
    if session["status"] == "open" and succeeded:
        _complete(world, session, "paid")
    elif session["status"] == "complete" and session["payment_status"] == "unpaid":
        if succeeded:
            world.update(session, {"payment_status": "paid"})
        # Only debits are charged as payments rather than charges.
        if (intent["latest_charge"] or "").startswith("py_"):
            end = "succeeded" if succeeded else "failed"
            world.emit(f"checkout.session.async_payment_{end}", session)


def subscription_tried(world: store.World, account: str, invoice: Json, paid: bool) -> None:
    """Completes the session of a subscription whose payer had to authenticate."""
    for session in world.all(account, "checkout.session"):
        waits = session["status"] == "open" and session["invoice"] == invoice["id"]
        if waits and paid:
            _complete(world, session, "paid")


def expire(world: store.World, session: Json) -> None:
    """Ends an open session unpaid."""
    world.update(session, {"status": "expired", "url": None})
    world.clock.cancel("checkout.expire", session["id"])
    world.record("checkout.expired", session)
    world.emit("checkout.session.expired", session)


def expire_due(world: store.World, account: str, identifier: str) -> None:
    """Expires a session that nobody completed."""
    session = world.get(account, "checkout.session", identifier)
    if session["status"] == "open":
        expire(world, session)


payments.SETTLED.append(settled)
invoicing.TRIED.append(subscription_tried)
TIMERS = {"checkout.expire": expire_due}

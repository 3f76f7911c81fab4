"""What happens to a payment intent: attempts, captures, releases and their events.

Owns its state machine behind the API. Called by payment_intents, invoices, checkout and timers.
Never reads request parameters.
"""

from collections.abc import Callable
from typing import Any

from tests.stripe_double import cards, charges, errors, payment_methods, store

Json = dict[str, Any]

# Called with (world, account, intent) when an intent succeeds, fails or is canceled.
SETTLED: list[Callable[[store.World, str, Json], None]] = []

CANCELABLE = frozenset(
    ("requires_payment_method", "requires_confirmation", "requires_action", "requires_capture")
)


def manual(intent: Json) -> bool:
    """Tells whether this payment is captured apart from its authorization."""
    card = (intent["payment_method_options"] or {}).get("card", {})
    return "manual" in (intent["capture_method"], card.get("capture_method"))


def _settled(world: store.World, account: str, intent: Json) -> None:
    for hook in SETTLED:
        hook(world, account, intent)


def _needs_action(
    world: store.World, method: Json, behaviour: cards.Behaviour, off_session: bool
) -> bool:
    if behaviour.authentication == "none":
        return False
    if behaviour.authentication == "on_setup" and off_session:
        return not world.behind(method["id"])["set_up"]
    return True


def _next_action(world: store.World, intent: Json, return_url: str | None) -> Json:
    url = f"{world.address}/_double/authenticate/{intent['id']}"
    if return_url is not None:
        action = {"return_url": return_url, "url": url}
        return {"type": "redirect_to_url", "redirect_to_url": action}
    return {
        "type": "use_stripe_sdk",
        "use_stripe_sdk": {"type": "three_d_secure_redirect", "stripe_js": url},
    }


def attempt(
    world: store.World,
    account: str,
    intent: Json,
    method: Json,
    *,
    off_session: bool = False,
    error_on_action: bool = False,
    return_url: str | None = None,
) -> errors.Refusal | None:
    """Tries to pay an intent with a method and returns the decline, if there is one."""
    behaviour = payment_methods.behaviour(world, method)
    world.update(
        intent, {"payment_method": method["id"], "next_action": None, "last_payment_error": None}
    )
    world.behind(intent["id"])["off_session"] = off_session
    if behaviour.type != "card":
        _debit(world, account, intent, method)
        return None
    if _needs_action(world, method, behaviour, off_session):
        if off_session or error_on_action:
            return _fail(world, account, intent, method, cards.DECLINES["authentication_required"])
        action = _next_action(world, intent, return_url)
        world.update(intent, {"status": "requires_action", "next_action": action})
        world.emit("payment_intent.requires_action", intent)
        return None
    return _charge(world, account, intent, method, behaviour, authenticated=False)


def authenticate(world: store.World, account: str, intent: Json, agreed: bool) -> None:
    """Ends the authentication that an intent waits for, as the payer decided."""
    if intent["status"] != "requires_action":
        raise errors.wrong_state(f"{intent['id']} waits for no action.")
    method = world.get(account, "payment_method", intent["payment_method"])
    world.update(intent, {"next_action": None})
    if not agreed:
        failure = cards.Decline(
            code="payment_intent_authentication_failure",
            decline_code=None,
            message="We are unable to authenticate your payment method. Please choose a "
            "different payment method and try again.",
            network_decline_code=None,
        )
        _fail(world, account, intent, method, failure, charged=False)
        return
    if intent["confirmation_method"] == "manual":
        world.behind(intent["id"])["authenticated"] = True
        world.update(intent, {"status": "requires_confirmation"})
        return
    behaviour = payment_methods.behaviour(world, method)
    _charge(world, account, intent, method, behaviour, authenticated=True)


def _charge(
    world: store.World,
    account: str,
    intent: Json,
    method: Json,
    behaviour: cards.Behaviour,
    *,
    authenticated: bool,
) -> errors.Refusal | None:
    decline = behaviour.decline
    if world.declines:
        forced = world.declines.pop(0)
        decline = None if forced == "none" else cards.DECLINES[forced]
    if decline is not None:
        return _fail(world, account, intent, method, decline)
    captured = not manual(intent)
    charge = charges.make(
        world,
        account,
        intent,
        method,
        status="succeeded",
        captured=captured,
        authenticated=authenticated,
    )
    _keep_method(world, intent, method, authenticated)
    effect = "charged" if captured else "authorized"
    world.record(effect, intent, amount=intent["amount"], currency=intent["currency"])
    world.emit("charge.succeeded", charge)
    if captured:
        _succeed(world, account, intent, charge)
    else:
        changes = {
            "status": "requires_capture",
            "latest_charge": charge["id"],
            "amount_capturable": intent["amount"],
        }
        world.update(intent, changes)
        world.emit("payment_intent.amount_capturable_updated", intent)
        due_s = world.clock.exact_s() + charges.AUTHORIZATION_S
        world.clock.at(due_s, "authorization.expire", account, intent["id"])
    if behaviour.dispute is not None:
        world.clock.at(world.clock.exact_s(), "dispute.open", account, charge["id"])
    return None


def _keep_method(world: store.World, intent: Json, method: Json, authenticated: bool) -> None:
    behind = world.behind(method["id"])
    if intent["setup_future_usage"] and intent["customer"] and method["customer"] is None:
        payment_methods.attach_to(world, method, intent["customer"])
    if intent["setup_future_usage"] and authenticated:
        behind["set_up"] = True
    behind["used"] = True


def _succeed(world: store.World, account: str, intent: Json, charge: Json) -> None:
    changes = {
        "status": "succeeded",
        "latest_charge": charge["id"],
        "amount_capturable": 0,
        "amount_received": charge["amount_captured"],
        "next_action": None,
    }
    world.update(intent, changes)
    world.emit("payment_intent.succeeded", intent)
    _settled(world, account, intent)


def _fail(
    world: store.World,
    account: str,
    intent: Json,
    method: Json,
    decline: cards.Decline,
    *,
    charged: bool = True,
) -> errors.Refusal:
    charge = None
    if charged:
        charge = charges.make(
            world, account, intent, method, status="failed", captured=False, decline=decline
        )
    details = {
        "advice_code": decline.advice_code,
        "decline_code": decline.decline_code,
        "network_decline_code": decline.network_decline_code,
        "charge": charge["id"] if charge else None,
    }
    refusal = errors.card_declined(
        decline.message,
        code=decline.code,
        **details,
        payment_method=payment_methods.shown(method),
    )
    changes: Json = {
        "status": "requires_payment_method",
        "payment_method": None,
        "last_payment_error": dict(refusal.error),
        "latest_charge": charge["id"] if charge else intent["latest_charge"],
    }
    world.update(intent, changes)
    world.record("declined", intent, code=decline.code, decline_code=decline.decline_code)
    if charge is not None:
        world.emit("charge.failed", charge)
    world.emit("payment_intent.payment_failed", intent)
    _settled(world, account, intent)
    refusal.error["payment_intent"] = dict(intent)
    return refusal


# Bank debits take time.


def _debit(world: store.World, account: str, intent: Json, method: Json) -> None:
    if manual(intent):
        raise errors.bad_parameter(
            "The capture method manual is not supported for us_bank_account.", "capture_method"
        )
    charge = charges.make(world, account, intent, method, status="pending", captured=False)
    world.update(intent, {"status": "processing", "latest_charge": charge["id"]})
    _keep_method(world, intent, method, authenticated=False)
    world.record("debited", intent, amount=intent["amount"], currency=intent["currency"])
    world.emit("charge.pending", charge)
    world.emit("payment_intent.processing", intent)
    due_s = world.clock.exact_s() + world.settings.settle_s
    world.clock.at(due_s, "debit.settle", account, intent["id"])


def settle_debit(world: store.World, account: str, identifier: str) -> None:
    """Ends a bank debit that is processing."""
    intent = world.get(account, "payment_intent", identifier)
    if intent["status"] != "processing":
        return
    charge = world.get(account, "charge", intent["latest_charge"])
    method = world.get(account, "payment_method", charge["payment_method"])
    decline = payment_methods.behaviour(world, method).decline
    if decline is None:
        amount = charge["amount"]
        changes = {"status": "succeeded", "paid": True, "captured": True, "amount_captured": amount}
        world.update(charge, changes)
        charges.book(world, account, charge, amount)
        world.record("charged", intent, amount=amount, currency=intent["currency"])
        world.emit("charge.succeeded", charge)
        _succeed(world, account, intent, charge)
        return
    changes = {"status": "failed", "failure_code": decline.code, "failure_message": decline.message}
    world.update(charge, changes)
    error: Json = {"type": "card_error", "code": decline.code, "message": decline.message}
    error |= {"charge": charge["id"], "payment_method": payment_methods.shown(method)}
    changes = {
        "status": "requires_payment_method",
        "payment_method": None,
        "last_payment_error": error,
    }
    world.update(intent, changes)
    world.record("declined", intent, code=decline.code, decline_code=decline.decline_code)
    world.emit("charge.failed", charge)
    world.emit("payment_intent.payment_failed", intent)
    _settled(world, account, intent)


# What follows an authorization.


def capture(world: store.World, account: str, intent: Json, amount: int, final: bool) -> None:
    """Captures part of an authorization; a final capture releases the remainder."""
    charge = world.get(account, "charge", intent["latest_charge"])
    captured = charge["amount_captured"] + amount
    world.update(charge, {"amount_captured": captured, "captured": True})
    charges.book(world, account, charge, amount)
    world.record("captured", intent, amount=amount, currency=intent["currency"])
    world.emit("charge.captured", charge)
    if final:
        world.clock.cancel("authorization.expire", intent["id"])
        _succeed(world, account, intent, charge)
        return
    left = intent["amount_capturable"] - amount
    world.update(intent, {"amount_capturable": left, "amount_received": captured})
    world.emit("payment_intent.amount_capturable_updated", intent)


def cancel(world: store.World, account: str, intent: Json, reason: str | None) -> None:
    """Cancels an intent and releases what it had authorized; no refund, since 2025-03-31."""
    held = intent["status"] == "requires_capture"
    if held:
        charge = world.get(account, "charge", intent["latest_charge"])
        released = charge["amount"] - charge["amount_captured"]
        world.record("released", intent, amount=released, currency=intent["currency"])
        world.emit("charge.expired", charge)
        world.clock.cancel("authorization.expire", intent["id"])
    changes = {
        "status": "canceled",
        "canceled_at": world.clock.now(),
        "cancellation_reason": reason,
        "amount_capturable": 0,
        "next_action": None,
    }
    world.update(intent, changes)
    world.record("canceled", intent)
    world.emit("payment_intent.canceled", intent)
    _settled(world, account, intent)


def expire(world: store.World, account: str, identifier: str) -> None:
    """Lets an authorization run out; what had been captured of it stays captured."""
    intent = world.get(account, "payment_intent", identifier)
    if intent["status"] != "requires_capture":
        return
    charge = world.get(account, "charge", intent["latest_charge"])
    if charge["amount_captured"]:
        world.record("released", intent, amount=charge["amount"] - charge["amount_captured"])
        _succeed(world, account, intent, charge)
        return
    cancel(world, account, intent, "expired")


def increment(world: store.World, account: str, intent: Json, amount: int) -> errors.Refusal | None:
    """Raises an authorization to *amount* and returns the decline, if there is one."""
    charge = world.get(account, "charge", intent["latest_charge"])
    if world.declines and (forced := world.declines.pop(0)) != "none":
        decline = cards.DECLINES[forced]
        world.record("declined", intent, code=decline.code, decline_code=decline.decline_code)
        return errors.card_declined(
            decline.message,
            code=decline.code,
            decline_code=decline.decline_code,
            advice_code=decline.advice_code,
            network_decline_code=decline.network_decline_code,
            charge=charge["id"],
            payment_intent=dict(intent),
        )
    added = amount - intent["amount"]
    world.update(intent, {"amount": amount, "amount_capturable": amount})
    world.update(charge, {"amount": amount})
    charge["payment_method_details"]["card"]["amount_authorized"] = amount
    world.record("incremented", intent, amount=added, currency=intent["currency"])
    world.emit("payment_intent.amount_capturable_updated", intent)
    return None


TIMERS = {"authorization.expire": expire, "debit.settle": settle_debit}

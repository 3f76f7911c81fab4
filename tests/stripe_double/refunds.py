"""Refunds and their ceilings.

Owns what may still be given back of a charge. Timers end those that are pending or fail later.
"""

from typing import Any

from tests.stripe_double import amounts, calls, charges, clock, errors, payment_methods, store

Json = dict[str, Any]

_REASONS = {"duplicate", "fraudulent", "requested_by_customer"}
SETTLES_S = clock.HOUR_S


def _charge(call: calls.Call) -> Json:
    intent_id, charge_id = call.params.text("payment_intent"), call.params.text("charge")
    if intent_id is not None:
        intent = call.world.get(call.account, "payment_intent", intent_id, "payment_intent")
        charge = call.world.find(call.account, "charge", intent["latest_charge"])
        if charge is None or not charge["captured"]:
            raise errors.wrong_state(
                f"This PaymentIntent ({intent_id}) does not have a successful charge to refund.",
                code="payment_intent_unexpected_state",
                param="payment_intent",
            )
        if charge_id not in (None, charge["id"]):
            raise errors.bad_parameter("The charge is not that of the PaymentIntent.", "charge")
        return charge
    if charge_id is None:
        raise errors.bad_parameter(
            "One of the following params should be provided for this request: payment_intent or "
            "charge.",
            None,
            "parameter_missing",
        )
    charge = call.world.get(call.account, "charge", charge_id, "charge")
    if not charge["captured"]:
        raise errors.wrong_state(
            f"Charge {charge_id} has not been captured. Cancel its PaymentIntent instead.",
            code="charge_not_refundable",
            param="charge",
        )
    return charge


def create(call: calls.Call) -> Json:
    """POST /v1/refunds."""
    params = call.params.only({"amount", "charge", "metadata", "payment_intent", "reason"})
    reason = params.choice("reason", _REASONS)
    asked = amounts.positive(params, "amount")
    metadata = params.metadata()
    charge = _charge(call)
    left = charge["amount_captured"] - charge["amount_refunded"]
    if left <= 0:
        raise errors.wrong_state(
            f"Charge {charge['id']} has already been refunded.", code="charge_already_refunded"
        )
    if charge["disputed"]:
        disputes = call.world.all(call.account, "dispute")
        if not all(
            one["is_charge_refundable"] for one in disputes if one["charge"] == charge["id"]
        ):
            raise errors.wrong_state(
                f"Charge {charge['id']} has been charged back; cannot issue a refund.",
                code="charge_disputed",
            )
    amount = left if asked is None else asked
    code = charge["currency"]
    amounts.check_step(amount, code, "amount")
    if amount > left:
        raise errors.wrong_state(
            f"Refund amount ({amounts.shown(amount, code)}) is greater than unrefunded amount on "
            f"charge ({amounts.shown(left, code)})",
            code="amount_too_large",
            param="amount",
        )
    return make(call.world, call.account, charge, amount, reason, metadata)


def make(
    world: store.World, account: str, charge: Json, amount: int, reason: str | None, metadata: Json
) -> Json:
    """Refunds part of a charge, as its payment method behaves."""
    method = world.get(account, "payment_method", charge["payment_method"])
    how = payment_methods.behaviour(world, method).refund
    refund: Json = {
        "id": store.mint("re" if method["type"] == "card" else "pyr"),
        "object": "refund",
        "amount": amount,
        "balance_transaction": None,
        "charge": charge["id"],
        "created": world.clock.now(),
        "currency": charge["currency"],
        "customer": charge["customer"],
        "destination_details": {
            "type": method["type"],
            method["type"]: {
                "reference_status": "pending",
                "reference_type": "acquirer_reference_number",
                "type": "refund",
            }
            if method["type"] == "card"
            else {},
        },
        "failure_balance_transaction": None,
        "metadata": metadata,
        "payment_intent": charge["payment_intent"],
        "payment_method": method["id"],
        "pending_reason": "processing" if how == "pending" else None,
        "reason": reason,
        "receipt_number": None,
        "source_transfer_reversal": None,
        "status": "pending" if how == "pending" else "succeeded",
        "transfer_reversal": None,
    }
    if method["type"] != "card":
        refund["destination_details"] = {"type": "us_bank_transfer", "us_bank_transfer": {}}
    world.add(account, refund)
    moved = charges.balance_transaction(
        world,
        account,
        amount=-amount,
        currency=charge["currency"],
        kind="refund",
        source=refund["id"],
    )
    refund["balance_transaction"] = moved["id"]
    _count(world, charge, amount)
    world.record("refunded", refund, amount=amount, currency=charge["currency"])
    world.emit("refund.created", refund)
    world.emit("charge.refunded", charge)
    if how != "ok":
        due_s = world.clock.exact_s() + SETTLES_S
        world.clock.at(due_s, "refund.settle", account, refund["id"])
    return refund


def _count(world: store.World, charge: Json, amount: int) -> None:
    refunded = charge["amount_refunded"] + amount
    changes = {"amount_refunded": refunded, "refunded": refunded >= charge["amount_captured"]}
    world.update(charge, changes)


def settle(world: store.World, account: str, identifier: str) -> None:
    """Ends a refund that was pending, or fails one that had looked like a success."""
    refund = world.get(account, "refund", identifier)
    charge = world.get(account, "charge", refund["charge"])
    if refund["status"] == "pending":
        previous = world.update(refund, {"status": "succeeded", "pending_reason": None})
        world.emit("refund.updated", refund, previous)
        world.emit("charge.refund.updated", refund, previous)
        return
    if refund["status"] != "succeeded":
        return
    moved = charges.balance_transaction(
        world,
        account,
        amount=refund["amount"],
        currency=refund["currency"],
        kind="refund_failure",
        source=refund["id"],
    )
    changes = {
        "status": "failed",
        "failure_reason": "lost_or_stolen_card",
        "failure_balance_transaction": moved["id"],
    }
    previous = world.update(refund, changes)
    _count(world, charge, -refund["amount"])
    world.record("refund_failed", refund, amount=refund["amount"], currency=refund["currency"])
    world.emit("refund.failed", refund, previous)
    world.emit("charge.refund.updated", refund, previous)


def retrieve(call: calls.Call) -> Json:
    """GET /v1/refunds/{id}."""
    call.params.only(())
    return call.world.get(call.account, "refund", call.path["id"])


def update(call: calls.Call) -> Json:
    """POST /v1/refunds/{id}."""
    params = call.params.only({"metadata"})
    refund = call.world.get(call.account, "refund", call.path["id"])
    previous = call.world.update(refund, {"metadata": params.metadata(refund["metadata"])})
    call.world.emit("refund.updated", refund, previous)
    return refund


def cancel(call: calls.Call) -> Json:
    """POST /v1/refunds/{id}/cancel; only refunds that wait for the customer can be canceled."""
    call.params.only(())
    refund = call.world.get(call.account, "refund", call.path["id"])
    if refund["status"] != "requires_action":
        raise errors.wrong_state(
            f"Refund {refund['id']} has a status of {refund['status']}; only a refund with the "
            "status requires_action can be canceled.",
            code="refund_unexpected_state",
        )
    previous = call.world.update(refund, {"status": "canceled"})
    charge = call.world.get(call.account, "charge", refund["charge"])
    _count(call.world, charge, -refund["amount"])
    call.world.record("refund_canceled", refund, amount=refund["amount"])
    call.world.emit("refund.updated", refund, previous)
    return refund


def list_all(call: calls.Call) -> Json:
    """GET /v1/refunds."""
    return call.listed("refund", equal=("charge", "payment_intent"))


def _of_charge(world: store.World, account: str, charge: Json) -> Json:
    found = [one for one in world.all(account, "refund") if one["charge"] == charge["id"]]
    return calls.whole_list(f"/v1/charges/{charge['id']}/refunds", found)


calls.INCLUDABLE["charge", "refunds"] = _of_charge
TIMERS = {"refund.settle": settle}
ROUTES = [
    ("POST", "/v1/refunds", create),
    ("GET", "/v1/refunds", list_all),
    ("GET", "/v1/refunds/{id}", retrieve),
    ("POST", "/v1/refunds/{id}", update),
    ("POST", "/v1/refunds/{id}/cancel", cancel),
]

"""Disputes: opened by test cards or tests, answered with evidence, decided by the network.

Owns their states, deadlines and movements of balance. A dispute that isn't an inquiry takes the
money at once and forbids refunds.
"""

from collections.abc import Callable
from typing import Any

from tests.stripe_double import calls, charges, clock, errors, payment_methods, store

Json = dict[str, Any]

DUE_S = 7 * clock.DAY_S
DECIDED_S = clock.HOUR_S
EVIDENCE_CHARS_MAX = 150_000
REASONS = frozenset(
    "bank_cannot_process check_returned credit_not_processed customer_initiated "
    "debit_not_authorized duplicate fraudulent general incorrect_account_details "
    "insufficient_funds noncompliant product_not_received product_unacceptable "
    "subscription_canceled unrecognized".split()
)
_TEXTS = (
    "access_activity_log",
    "billing_address",
    "cancellation_policy_disclosure",
    "cancellation_rebuttal",
    "customer_email_address",
    "customer_name",
    "customer_purchase_ip",
    "duplicate_charge_explanation",
    "duplicate_charge_id",
    "product_description",
    "refund_policy_disclosure",
    "refund_refusal_explanation",
    "service_date",
    "shipping_address",
    "shipping_carrier",
    "shipping_date",
    "shipping_tracking_number",
    "uncategorized_text",
)
_FILES = (
    "cancellation_policy",
    "customer_communication",
    "customer_signature",
    "duplicate_charge_documentation",
    "receipt",
    "refund_policy",
    "service_documentation",
    "shipping_documentation",
    "uncategorized_file",
)
_OPEN = ("needs_response", "warning_needs_response")


def make(world: store.World, account: str, charge: Json, *, reason: str, inquiry: bool) -> Json:
    """Opens a dispute over what is left of a charge."""
    amount = charge["amount_captured"] - charge["amount_refunded"]
    brand = charge["payment_method_details"].get("card", {}).get("brand", "visa")
    dispute: Json = {
        "id": store.mint("du"),
        "object": "dispute",
        "amount": amount,
        "balance_transactions": [],
        "charge": charge["id"],
        "created": world.clock.now(),
        "currency": charge["currency"],
        "enhanced_eligibility_types": [],
        "evidence": {
            **dict.fromkeys(_TEXTS),
            **dict.fromkeys(_FILES),
            "enhanced_evidence": {},
        },
        "evidence_details": {
            "due_by": world.clock.now() + DUE_S,
            "enhanced_eligibility": {},
            "has_evidence": False,
            "past_due": False,
            "submission_count": 0,
            "submission_method": "not_submitted",
        },
        "is_charge_refundable": inquiry,
        "livemode": False,
        "metadata": {},
        "payment_intent": charge["payment_intent"],
        "payment_method_details": {
            "type": "card",
            "card": {
                "brand": brand,
                "case_type": "inquiry" if inquiry else "chargeback",
                "network": brand,
                "network_reason_code": "10.4" if reason == "fraudulent" else "13.1",
            },
        },
        "reason": reason,
        "status": "warning_needs_response" if inquiry else "needs_response",
    }
    world.add(account, dispute)
    world.update(charge, {"disputed": True})
    world.record("disputed", dispute, amount=amount, currency=charge["currency"])
    world.emit("charge.dispute.created", dispute)
    if not inquiry:
        _move(world, account, dispute, -amount)
        world.emit("charge.dispute.funds_withdrawn", dispute)
    due_s = world.clock.exact_s() + DUE_S
    world.clock.at(due_s, "dispute.overdue", account, dispute["id"])
    return dispute


def _move(world: store.World, account: str, dispute: Json, amount: int) -> None:
    moved = charges.balance_transaction(
        world,
        account,
        amount=amount,
        currency=dispute["currency"],
        kind="adjustment",
        source=dispute["id"],
    )
    dispute["balance_transactions"].append(store.copied(moved))


def open_for(world: store.World, account: str, identifier: str) -> None:
    """Opens the dispute that a test card announces."""
    charge = world.get(account, "charge", identifier)
    if not charge["captured"] or charge["disputed"]:
        return
    method = world.get(account, "payment_method", charge["payment_method"])
    behaviour = payment_methods.behaviour(world, method)
    reason = behaviour.dispute or "general"
    make(world, account, charge, reason=reason, inquiry=behaviour.inquiry)


def _update(world: store.World, dispute: Json, changes: Json) -> None:
    previous = world.update(dispute, changes)
    world.emit("charge.dispute.updated", dispute, previous)


def decide(world: store.World, account: str, identifier: str, won: bool) -> None:
    """Closes a dispute as the network decides."""
    dispute = world.get(account, "dispute", identifier)
    inquiry = dispute["status"].startswith("warning_")
    status = "warning_closed" if inquiry else "won" if won else "lost"
    if dispute["status"] in ("won", "lost", "warning_closed"):
        return
    world.update(dispute, {"status": status})
    world.clock.cancel("dispute.overdue", identifier)
    world.clock.cancel("dispute.decide", identifier)
    if won and not inquiry:
        _move(world, account, dispute, dispute["amount"])
        world.emit("charge.dispute.funds_reinstated", dispute)
    if won or inquiry:
        dispute["is_charge_refundable"] = True
    world.record(f"dispute_{status}", dispute, amount=dispute["amount"])
    world.emit("charge.dispute.closed", dispute)


def overdue(world: store.World, account: str, identifier: str) -> None:
    """Loses a dispute that nobody answered in time; an unanswered inquiry just ends."""
    dispute = world.get(account, "dispute", identifier)
    if dispute["status"] in _OPEN:
        dispute["evidence_details"]["past_due"] = True
        decide(world, account, identifier, won=False)


def update(call: calls.Call) -> Json:
    """POST /v1/disputes/{id}; evidence is submitted unless `submit` is false."""
    params = call.params.only({"evidence", "metadata", "submit"})
    dispute = call.world.get(call.account, "dispute", call.path["id"])
    given = params.group("evidence")
    submit = params.flag("submit", given is not None)
    changes: Json = {"metadata": params.metadata(dispute["metadata"])}
    if given is not None or submit:
        if dispute["status"] not in _OPEN:
            raise errors.wrong_state(
                f"This dispute has a status of {dispute['status']} and takes no more evidence.",
            )
        details = dict(dispute["evidence_details"])
        if given is not None:
            given.only({*_TEXTS, *_FILES})
            texts = {name: str(text) for name, text in given.values.items()}
            if sum(map(len, texts.values())) > EVIDENCE_CHARS_MAX:
                raise errors.bad_parameter(
                    f"Evidence holds up to {EVIDENCE_CHARS_MAX} characters.", "evidence"
                )
            changes["evidence"] = dispute["evidence"] | {n: t or None for n, t in texts.items()}
            details["has_evidence"] = any(changes["evidence"][name] for name in _TEXTS + _FILES)
        if submit:
            details |= {
                "submission_count": details["submission_count"] + 1,
                "submission_method": "manual",
            }
            changes["status"] = dispute["status"].replace("needs_response", "under_review")
        changes["evidence_details"] = details
    _update(call.world, dispute, changes)
    if submit:
        call.world.record("evidence_submitted", dispute)
        text = dispute["evidence"]["uncategorized_text"]
        # Stripe decides at once by these words in test mode, otherwise when the bank does.
        if text in ("winning_evidence", "losing_evidence"):
            due_s = call.world.clock.exact_s() + DECIDED_S
            call.world.clock.at(
                due_s, "dispute.decide", call.account, dispute["id"], won=text[0] == "w"
            )
    return dispute


def close(call: calls.Call) -> Json:
    """POST /v1/disputes/{id}/close: accepts it, for good."""
    call.params.only(())
    dispute = call.world.get(call.account, "dispute", call.path["id"])
    if dispute["status"] not in _OPEN:
        raise errors.wrong_state(f"This dispute is already {dispute['status']}.")
    decide(call.world, call.account, dispute["id"], won=False)
    return dispute


def retrieve(call: calls.Call) -> Json:
    """GET /v1/disputes/{id}."""
    call.params.only(())
    return call.world.get(call.account, "dispute", call.path["id"])


def list_all(call: calls.Call) -> Json:
    """GET /v1/disputes."""
    return call.listed("dispute", equal=("charge", "payment_intent"))


TIMERS: dict[str, Callable[..., None]] = {
    "dispute.open": open_for,
    "dispute.overdue": overdue,
    "dispute.decide": decide,
}
ROUTES = [
    ("GET", "/v1/disputes", list_all),
    ("GET", "/v1/disputes/{id}", retrieve),
    ("POST", "/v1/disputes/{id}", update),
    ("POST", "/v1/disputes/{id}/close", close),
]

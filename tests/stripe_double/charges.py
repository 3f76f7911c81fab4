"""Charges and the movements of balance behind them.

Owns the shape of a charge and its retrieve and list calls. Made by payments, changed by
captures, refunds and disputes. Never decides whether an issuer agrees.
"""

from typing import Any

from tests.stripe_double import calls, cards, clock, store

Json = dict[str, Any]

AUTHORIZATION_S = 7 * clock.DAY_S


def balance_transaction(
    world: store.World, account: str, *, amount: int, currency: str, kind: str, source: str
) -> Json:
    """Makes a movement of the account's balance: positive in, negative out."""
    category = {"payment": "charge", "adjustment": "dispute"}.get(kind, kind)
    return world.add(
        account,
        {
            "id": store.mint("txn"),
            "object": "balance_transaction",
            "amount": amount,
            "available_on": world.clock.now() + 2 * clock.DAY_S,
            "balance_type": "payments",
            "created": world.clock.now(),
            "currency": currency,
            "description": None,
            "exchange_rate": None,
            "fee": 0,
            "fee_details": [],
            "net": amount,
            "reporting_category": category,
            "source": source,
            "status": "pending",
            "type": kind,
        },
    )


def _method_details(
    world: store.World, intent: Json, method: Json, captured: bool, authenticated: bool
) -> Json:
    if method["type"] != "card":
        bank = method["us_bank_account"]
        names = ("account_holder_type", "account_type", "bank_name", "fingerprint", "last4")
        details = {name: bank[name] for name in names}
        details |= {"routing_number": bank["routing_number"], "mandate": None}
        return {"type": method["type"], method["type"]: details}
    card = method["card"]
    options = (intent["payment_method_options"] or {}).get("card", {})

    def offered(name: str) -> Json:
        asked = options.get(f"request_{name}") == "if_available"
        return {"status": "available" if asked and not captured else "unavailable"}

    secure = {
        "authentication_flow": "challenge",
        "electronic_commerce_indicator": "05",
        "exemption_indicator": None,
        "result": "authenticated",
        "result_reason": None,
        "transaction_id": store.mint("tds", 12),
        "version": "2.2.0",
    }
    details = {
        "amount_authorized": intent["amount"],
        "authorization_code": None,
        "brand": card["brand"],
        "checks": card["checks"],
        "country": card["country"],
        "exp_month": card["exp_month"],
        "exp_year": card["exp_year"],
        "extended_authorization": {"status": "disabled"},
        "fingerprint": card["fingerprint"],
        "funding": card["funding"],
        "incremental_authorization": offered("incremental_authorization"),
        "installments": None,
        "last4": card["last4"],
        "mandate": None,
        "multicapture": offered("multicapture"),
        "network": card["brand"],
        "network_token": {"used": False},
        "network_transaction_id": store.mint("nti", 15),
        "overcapture": {
            "maximum_amount_capturable": intent["amount"],
            "status": "unavailable",
        },
        "regulated_status": "unregulated",
        "setup_credential_usage": None,
        "stored_credential_usage": None,
        "three_d_secure": secure if authenticated else None,
        "wallet": None,
    }
    if not captured:
        details["capture_before"] = world.clock.now() + AUTHORIZATION_S
    return {"type": "card", "card": details}


def make(
    world: store.World,
    account: str,
    intent: Json,
    method: Json,
    *,
    status: str,
    captured: bool,
    decline: cards.Decline | None = None,
    authenticated: bool = False,
) -> Json:
    """Makes the charge of an attempt: succeeded, pending or failed."""
    amount = intent["amount"]
    agreed = decline is None
    identifier = store.mint("ch" if method["type"] == "card" else "py")
    charge = {
        "id": identifier,
        "object": "charge",
        "amount": amount,
        "amount_captured": amount if captured and status == "succeeded" else 0,
        "amount_refunded": 0,
        "application": None,
        "application_fee": None,
        "application_fee_amount": None,
        "balance_transaction": None,
        "billing_details": method["billing_details"],
        "calculated_statement_descriptor": "PAYHUB DOUBLE" if agreed else None,
        "captured": captured and status == "succeeded",
        "created": world.clock.now(),
        "currency": intent["currency"],
        "customer": intent["customer"],
        "description": intent["description"],
        "disputed": False,
        "failure_balance_transaction": None,
        "failure_code": decline.code if decline else None,
        "failure_message": decline.message if decline else None,
        "fraud_details": {},
        "livemode": False,
        "metadata": dict(intent["metadata"]),
        "on_behalf_of": intent["on_behalf_of"],
        "outcome": {
            "advice_code": decline.advice_code if decline else None,
            "network_advice_code": None,
            "network_decline_code": decline.network_decline_code if decline else None,
            "network_status": "declined_by_network" if decline else "approved_by_network",
            "reason": (decline.decline_code or decline.code) if decline else None,
            "risk_level": "normal",
            "risk_score": 20,
            "rule": None,
            "seller_message": decline.message if decline else "Payment complete.",
            "type": "issuer_declined" if decline else "authorized",
        },
        "paid": agreed and status == "succeeded",
        "payment_intent": intent["id"],
        "payment_method": method["id"],
        "payment_method_details": _method_details(world, intent, method, captured, authenticated),
        "radar_options": {},
        "receipt_email": intent["receipt_email"],
        "receipt_number": None,
        "receipt_url": f"{world.address}/_double/receipts/{identifier}" if agreed else None,
        "refunded": False,
        "review": None,
        "shipping": intent["shipping"],
        "source": None,
        "source_transfer": None,
        "statement_descriptor": intent["statement_descriptor"],
        "statement_descriptor_suffix": intent["statement_descriptor_suffix"],
        "status": status,
        "transfer": None,
        "transfer_data": None,
        "transfer_group": intent["transfer_group"],
    }
    world.add(account, charge)
    if charge["captured"]:
        book(world, account, charge, amount)
    return charge


def book(world: store.World, account: str, charge: Json, amount: int) -> None:
    """Moves captured money into the balance."""
    kind = "charge" if charge["id"].startswith("ch_") else "payment"
    moved = balance_transaction(
        world,
        account,
        amount=amount,
        currency=charge["currency"],
        kind=kind,
        source=charge["id"],
    )
    charge["balance_transaction"] = moved["id"]


def retrieve(call: calls.Call) -> Json:
    """GET /v1/charges/{id}."""
    call.params.only(())
    return call.world.get(call.account, "charge", call.path["id"])


def list_all(call: calls.Call) -> Json:
    """GET /v1/charges."""
    return call.listed("charge", equal=("customer", "payment_intent"))


def retrieve_balance_transaction(call: calls.Call) -> Json:
    """GET /v1/balance_transactions/{id}."""
    call.params.only(())
    return call.world.get(call.account, "balance_transaction", call.path["id"])


ROUTES = [
    ("GET", "/v1/charges", list_all),
    ("GET", "/v1/charges/{id}", retrieve),
    ("GET", "/v1/balance_transactions/{id}", retrieve_balance_transaction),
]

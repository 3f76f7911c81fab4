"""What payers, banks and networks do, ordered by tests or by a click on a page.

Owns the actions behind the control API that merchants can't take: authentication, completing a
checkout, settling a debit, opening and deciding disputes. Never speaks to the merchant.
"""

from collections.abc import Callable
from typing import Any

from starlette import requests, responses, routing

from tests.stripe_double import (
    cards,
    completing,
    disputes,
    errors,
    payments,
    setup_intents,
    store,
    timeline,
)

Json = dict[str, Any]
Action = tuple[str, str, Callable[[Json, Json], Json]]

_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Payhub double</title>
<form method="post"><button name="agreed" value="true">Complete</button>
<button name="agreed" value="false">Fail</button></form></html>
"""
# The smallest file that is a PDF.
_PDF = b"""%PDF-1.4
1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj
2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj
3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]>>endobj
trailer<</Root 1 0 R>>
%%EOF
"""


def owner(world: store.World, identifier: str) -> str:
    """Returns the account that an object is in.

    Raises:
        errors.Refusal: There is no such object.
    """
    if identifier not in world.hidden:
        raise errors.no_such("object", identifier)
    return str(world.hidden[identifier]["account"])


def item(world: store.World, kind: str, identifier: str) -> tuple[str, Json]:
    """Returns the account and the object of an id, whichever account it is in."""
    account = owner(world, identifier)
    return account, world.get(account, kind, identifier)


def actions(world: store.World) -> list[Action]:
    """Returns method, path and action of each order."""

    def authenticate(path: Json, body: Json) -> Json:
        agreed = bool(body.get("agreed", True))
        if path["id"].startswith("seti_"):
            account, intent = item(world, "setup_intent", path["id"])
            setup_intents.authenticate(world, account, intent, agreed)
        else:
            account, intent = item(world, "payment_intent", path["id"])
            payments.authenticate(world, account, intent, agreed)
        timeline.run(world)
        return intent

    def settle(path: Json, body: Json) -> Json:
        account, intent = item(world, "payment_intent", path["id"])
        world.clock.cancel("debit.settle", intent["id"])
        payments.settle_debit(world, account, intent["id"])
        return intent

    def method(path: Json, body: Json) -> Json:
        _, found = item(world, "payment_method", path["id"])
        code = body.get("decline")
        if code is not None and code != "none" and code not in cards.DECLINES:
            raise errors.bad_parameter(f"{code}: no such decline code", "decline")
        behind = world.behind(found["id"])
        behind |= {name: body[name] for name in ("decline", "set_up") if name in body}
        return behind

    def complete(path: Json, body: Json) -> Json:
        account, session = item(world, "checkout.session", path["id"])
        name = body.get("payment_method", "pm_card_visa")
        email = body.get("email", "payer@example.com")
        completing.complete(world, account, session, name, email)
        timeline.run(world)
        return session

    def dispute(path: Json, body: Json) -> Json:
        account, charge = item(world, "charge", body["charge"])
        reason = body.get("reason", "fraudulent")
        if reason not in disputes.REASONS or not charge["captured"] or charge["disputed"]:
            raise errors.wrong_state("that charge can't be disputed for that reason")
        inquiry = bool(body.get("inquiry", False))
        return disputes.make(world, account, charge, reason=reason, inquiry=inquiry)

    def decide(path: Json, body: Json) -> Json:
        account, found = item(world, "dispute", path["id"])
        disputes.decide(world, account, found["id"], won=bool(body["won"]))
        return found

    return [
        ("POST", "/payment_intents/{id}/authenticate", authenticate),
        ("POST", "/setup_intents/{id}/authenticate", authenticate),
        ("POST", "/payment_intents/{id}/settle", settle),
        ("POST", "/payment_methods/{id}", method),
        ("POST", "/checkout/{id}/complete", complete),
        ("POST", "/disputes", dispute),
        ("POST", "/disputes/{id}/decide", decide),
    ]


def pages(world: store.World) -> list[routing.BaseRoute]:
    """Returns what the URLs inside of objects lead to."""
    does = {path: action for _, path, action in actions(world)}

    async def click(request: requests.Request) -> responses.Response:
        if request.method == "GET":
            return responses.HTMLResponse(_PAGE)
        agreed = b"agreed=false" not in await request.body()
        identifier = request.path_params["id"]
        checkout = identifier.startswith("cs_")
        path = "/checkout/{id}/complete" if checkout else "/payment_intents/{id}/authenticate"
        try:
            if agreed or not checkout:
                does[path]({"id": identifier}, {"agreed": agreed})
            if checkout:
                _, session = item(world, "checkout.session", identifier)
                back = session["success_url"] if agreed else session["cancel_url"]
            else:
                back = world.behind(identifier).get("return_url")
        except errors.Refusal as refusal:
            return responses.JSONResponse({"error": refusal.error}, refusal.status)
        if back is None:
            return responses.HTMLResponse("<!doctype html><p>Done.</p>")
        return responses.RedirectResponse(back, status_code=303)

    async def invoice(request: requests.Request) -> responses.Response:
        try:
            _, found = item(world, "invoice", request.path_params["id"])
        except errors.Refusal as refusal:
            return responses.JSONResponse({"error": refusal.error}, refusal.status)
        if request.url.path.endswith("/pdf"):
            return responses.Response(_PDF, media_type="application/pdf")
        return responses.HTMLResponse(f"<!doctype html><p>Invoice {found['number']}</p>")

    async def receipt(request: requests.Request) -> responses.Response:
        identifier = request.path_params["id"]
        if identifier not in world.hidden:
            return responses.HTMLResponse("<!doctype html><p>No such receipt.</p>", status_code=404)
        return responses.HTMLResponse(f"<!doctype html><p>Receipt {identifier}</p>")

    return [
        routing.Route("/authenticate/{id}", click, methods=["GET", "POST"]),
        routing.Route("/checkout/{id}", click, methods=["GET", "POST"]),
        routing.Route("/invoices/{id}", invoice),
        routing.Route("/invoices/{id}/pdf", invoice),
        routing.Route("/receipts/{id}", receipt),
    ]

"""What tests and people order the double to do, under `/_double`.

Owns the control API: clock, faults, declines, webhooks, settings, keys, the ledger and the payer's
side of authentication. JSON in and out. Stripe has nothing like it.
"""

import dataclasses
import json
from collections.abc import Awaitable, Callable
from typing import Any

from starlette import applications, requests, responses, routing

from tests.stripe_double import (
    cards,
    errors,
    faults,
    payments,
    reports,
    store,
    timeline,
    webhooks,
)

Json = dict[str, Any]
Action = Callable[[Json, Json], Any]

ADVANCE_MAX_S = 10 * 366 * 86_400
_KEY_STATES = ("active", "expired", "revoked", "restricted")
_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Bank of the double</title>
<form method="post"><button name="agreed" value="true">Complete</button>
<button name="agreed" value="false">Fail</button></form></html>
"""


class Control:
    """The actions of the control API on one world."""

    def __init__(
        self,
        world: store.World,
        deliverer: webhooks.Deliverer,
        refuse: Callable[[float], Awaitable[None]],
    ) -> None:
        self.world = world
        self._deliverer = deliverer
        self._refuse = refuse

    def _owner(self, identifier: str) -> str:
        if identifier not in self.world.hidden:
            raise errors.no_such("object", identifier)
        return str(self.world.hidden[identifier]["account"])

    def item(self, kind: str, identifier: str) -> tuple[str, Json]:
        """Returns the account and the object of an id, whichever account it is in."""
        account = self._owner(identifier)
        return account, self.world.get(account, kind, identifier)

    # Time and disorder.

    def advance(self, path: Json, body: Json) -> Json:
        """Moves the clock by `seconds` and runs what comes due."""
        seconds = body.get("seconds", 0)
        if not isinstance(seconds, int | float) or not 0 <= seconds <= ADVANCE_MAX_S:
            raise errors.bad_parameter(f"seconds must be from 0 to {ADVANCE_MAX_S}", "seconds")
        ran = timeline.advance(self.world, seconds)
        return {"now": self.world.clock.now(), "ran": ran}

    def fault(self, path: Json, body: Json) -> Json:
        """Orders a fault."""
        return faults.order(self.world, body)

    def clear_faults(self, path: Json, body: Json) -> Json:
        """Drops all orders that were not used."""
        left, self.world.faults = self.world.faults, []
        self.world.declines = []
        return {"dropped": len(left)}

    def decline(self, path: Json, body: Json) -> Json:
        """Decides the next card charges: `decline_codes`, each a decline code or `none`."""
        for code in body["decline_codes"]:
            if code != "none" and code not in cards.DECLINES:
                raise errors.bad_parameter(f"{code}: no such decline code", "decline_codes")
        self.world.declines += body["decline_codes"]
        return {"decline_codes": self.world.declines}

    async def refuse(self, path: Json, body: Json) -> Json:
        """Refuses connections for `for_s` real seconds and cuts those that are open."""
        await self._refuse(float(body["for_s"]))
        return {}

    def change(self, path: Json, body: Json) -> Json:
        """Changes settings."""
        for name, value in body.items():
            if name not in {one.name for one in dataclasses.fields(store.Settings)}:
                raise errors.bad_parameter(f"{name}: no such setting", name)
            setattr(self.world.settings, name, value)
        return dataclasses.asdict(self.world.settings)

    def key(self, path: Json, body: Json) -> Json:
        """Adds an API `key` or changes its `state`: active, expired, revoked or restricted."""
        if body.get("state", "active") not in _KEY_STATES:
            raise errors.bad_parameter(f"state must be one of {', '.join(_KEY_STATES)}", "state")
        account = body.get("account", store.MAIN_ACCOUNT)
        known = {"account": account, "state": body.get("state", "active")}
        self.world.keys[body["key"]] = known
        return known

    # Webhooks.

    def webhook(self, path: Json, body: Json) -> Json:
        """Adds or changes a webhook endpoint."""
        return webhooks.configure(self.world, body)

    def drop_webhooks(self, path: Json, body: Json) -> Json:
        """Removes all endpoints."""
        self.world.endpoints.clear()
        return {}

    async def flush(self, path: Json, body: Json) -> Json:
        """Delivers what the endpoints hold back."""
        sent = [await self._deliverer.flush(one) for one in list(self.world.endpoints)]
        return {"sent": sum(sent)}

    def resend(self, path: Json, body: Json) -> Json:
        """Queues an event again for all endpoints."""
        _, event = self.item("event", path["id"])
        for endpoint in self.world.endpoints:
            webhooks.enqueue(endpoint, event)
        return event

    def deliveries(self, path: Json, body: Json) -> Json:
        """Returns every delivery that was tried, and how many wait."""
        waiting = sum(len(one["queue"]) for one in self.world.endpoints)
        return {"data": self.world.deliveries, "waiting": waiting + len(self.world.outbox)}

    # The payer and the bank.

    def authenticate(self, path: Json, body: Json) -> Json:
        """Ends an authentication: `agreed` true or false."""
        account, intent = self.item("payment_intent", path["id"])
        payments.authenticate(self.world, account, intent, bool(body.get("agreed", True)))
        timeline.run(self.world)
        return intent

    def settle(self, path: Json, body: Json) -> Json:
        """Ends a bank debit that is processing, before its time."""
        account, intent = self.item("payment_intent", path["id"])
        self.world.clock.cancel("debit.settle", intent["id"])
        payments.settle_debit(self.world, account, intent["id"])
        return intent

    def method(self, path: Json, body: Json) -> Json:
        """Changes what the bank says about a payment method: `decline`, `set_up`."""
        _, method = self.item("payment_method", path["id"])
        code = body.get("decline")
        if code is not None and code != "none" and code not in cards.DECLINES:
            raise errors.bad_parameter(f"{code}: no such decline code", "decline")
        self.world.behind(method["id"]).update(body)
        return self.world.behind(method["id"])

    # What happened.

    def ledger(self, path: Json, body: Json) -> Json:
        """Returns the effects, filtered by the query."""
        return reports.ledger(self.world, body)

    def arrived(self, path: Json, body: Json) -> Json:
        """Returns the requests that arrived, oldest first."""
        return {"data": self.world.requests}

    def find(self, path: Json, body: Json) -> Json:
        """Returns an object of any kind and account."""
        account = self._owner(path["id"])
        return self.world.objects[account][path["id"]]

    def health(self, path: Json, body: Json) -> Json:
        """Returns the double's time and address."""
        return {"now": self.world.clock.now(), "address": self.world.address}

    def application(self) -> applications.Starlette:
        """Returns the application behind `/_double`."""
        return applications.Starlette(
            routes=[
                routing.Mount(
                    "/_double",
                    routes=[
                        self._route("GET", "/health", self.health),
                        self._route("POST", "/advance", self.advance),
                        self._route("POST", "/faults", self.fault),
                        self._route("DELETE", "/faults", self.clear_faults),
                        self._route("POST", "/declines", self.decline),
                        self._route("POST", "/refuse", self.refuse),
                        self._route("POST", "/settings", self.change),
                        self._route("POST", "/keys", self.key),
                        self._route("POST", "/webhooks", self.webhook),
                        self._route("DELETE", "/webhooks", self.drop_webhooks),
                        self._route("POST", "/webhooks/flush", self.flush),
                        self._route("GET", "/deliveries", self.deliveries),
                        self._route("POST", "/events/{id}/resend", self.resend),
                        routing.Route("/authenticate/{id}", self._bank, methods=["GET", "POST"]),
                        self._route(
                            "POST", "/payment_intents/{id}/authenticate", self.authenticate
                        ),
                        self._route("POST", "/payment_intents/{id}/settle", self.settle),
                        self._route("POST", "/payment_methods/{id}", self.method),
                        self._route("GET", "/ledger", self.ledger),
                        self._route("GET", "/requests", self.arrived),
                        self._route("GET", "/objects/{id}", self.find),
                        routing.Route("/receipts/{id}", _receipt),
                    ],
                )
            ]
        )

    def _route(self, method: str, path: str, action: Any) -> routing.Route:
        async def endpoint(request: requests.Request) -> responses.Response:
            raw = await request.body()
            try:
                body = json.loads(raw) if raw else dict(request.query_params)
                answer = action(request.path_params, body)
                if not isinstance(answer, dict):
                    answer = await answer
            except errors.Refusal as refusal:
                return responses.JSONResponse({"error": refusal.error}, refusal.status)
            except (KeyError, TypeError, ValueError) as error:
                message = f"{type(error).__name__}: {error}"
                return responses.JSONResponse({"error": {"message": message}}, 400)
            return responses.JSONResponse(answer)

        return routing.Route(path, endpoint, methods=[method])

    async def _bank(self, request: requests.Request) -> responses.Response:
        if request.method == "GET":
            return responses.HTMLResponse(_PAGE)
        agreed = b"agreed=false" not in await request.body()
        identifier = request.path_params["id"]
        try:
            self.authenticate({"id": identifier}, {"agreed": agreed})
        except errors.Refusal as refusal:
            return responses.JSONResponse({"error": refusal.error}, refusal.status)
        back = self.world.behind(identifier)["return_url"]
        if back is None:
            return responses.HTMLResponse("<!doctype html><p>Done.</p>")
        return responses.RedirectResponse(back, status_code=303)


async def _receipt(request: requests.Request) -> responses.Response:
    return responses.HTMLResponse(f"<!doctype html><p>Receipt {request.path_params['id']}</p>")

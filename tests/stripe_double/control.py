"""What tests and people order the double to do, under `/_double`.

Owns the control API: clock, faults, declines, webhooks, settings, keys and the ledger.
JSON in and out. Stripe has nothing like it.
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
    payer,
    reports,
    store,
    timeline,
    webhooks,
)

Json = dict[str, Any]

ADVANCE_MAX_S = 10 * 366 * 86_400
_KEY_STATES = ("active", "expired", "revoked", "restricted")


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
        """Drops all orders that were not used, and lets slow requests go on."""
        for fault in self.world.pausing:
            fault["delay_s"] = 0.0
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
        _, event = payer.item(self.world, "event", path["id"])
        for endpoint in self.world.endpoints:
            webhooks.enqueue(endpoint, event)
        return event

    def deliveries(self, path: Json, body: Json) -> Json:
        """Returns every delivery that was tried, and how many wait."""
        waiting = sum(len(one["queue"]) for one in self.world.endpoints)
        return {"data": self.world.deliveries, "waiting": waiting + len(self.world.outbox)}

    # What happened.

    def ledger(self, path: Json, body: Json) -> Json:
        """Returns the effects, filtered by the query."""
        return reports.ledger(self.world, body)

    def arrived(self, path: Json, body: Json) -> Json:
        """Returns the requests that arrived, oldest first."""
        return {"data": self.world.requests}

    def find(self, path: Json, body: Json) -> Json:
        """Returns an object of any kind and account."""
        account = payer.owner(self.world, path["id"])
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
                        route("GET", "/health", self.health),
                        route("POST", "/advance", self.advance),
                        route("POST", "/faults", self.fault),
                        route("DELETE", "/faults", self.clear_faults),
                        route("POST", "/declines", self.decline),
                        route("POST", "/refuse", self.refuse),
                        route("POST", "/settings", self.change),
                        route("POST", "/keys", self.key),
                        route("POST", "/webhooks", self.webhook),
                        route("DELETE", "/webhooks", self.drop_webhooks),
                        route("POST", "/webhooks/flush", self.flush),
                        route("GET", "/deliveries", self.deliveries),
                        route("POST", "/events/{id}/resend", self.resend),
                        *(route(*one) for one in payer.actions(self.world)),
                        *payer.pages(self.world),
                        route("GET", "/ledger", self.ledger),
                        route("GET", "/requests", self.arrived),
                        route("GET", "/objects/{id}", self.find),
                    ],
                )
            ]
        )


def route(method: str, path: str, action: Any) -> routing.Route:
    """Returns the route of an action: JSON or a query in, JSON out."""

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

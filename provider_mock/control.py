"""What happens at the provider without core, on command.

Owns the HTTP switches of tests and demos: disputes, refunds made elsewhere,
pauses, checkouts, webhooks. Mounted on the process's HTTP port. Never asked by
core; anybody who reaches the port may press them, so it listens on loopback.
"""

import dataclasses
import json
from collections.abc import Awaitable, Callable
from typing import Any

from starlette import requests, responses, routing

from provider_mock import bank, commands
from provider_mock.webhooks import journal, sender
from provider_sdk import errors

EVENTS_MAX = 1_000
_SHARES = ("duplicate_share", "wrong_signature_share")

Handler = Callable[[requests.Request], Awaitable[responses.Response]]


def routes(mock: bank.Bank, sending: sender.Sender | None) -> list[routing.BaseRoute]:
    """Returns the switches that act on *mock*."""
    switches = _Switches(commands.Commands(mock), sending)
    return [
        routing.Route(
            "/control/payments/{id:str}/dispute", _safe(switches.dispute), methods=["POST"]
        ),
        routing.Route(
            "/control/payments/{id:str}/refund", _safe(switches.refund), methods=["POST"]
        ),
        routing.Route(
            "/control/disputes/{id:str}/{verdict:str}", _safe(switches.decide), methods=["POST"]
        ),
        routing.Route(
            "/control/subscriptions/{id:str}/{switch:str}", _safe(switches.pause), methods=["POST"]
        ),
        routing.Route("/control/invoices/{id:str}/pay", _safe(switches.pay), methods=["POST"]),
        routing.Route("/control/payment_methods/{id:str}", _safe(switches.spend), methods=["POST"]),
        routing.Route("/control/webhooks", _safe(switches.webhooks), methods=["GET", "POST"]),
        routing.Route("/control/webhooks/{id:str}/send", _safe(switches.send), methods=["POST"]),
        routing.Route("/control/effects", _safe(switches.effects), methods=["GET"]),
        routing.Route(
            "/checkouts/{token:str}/complete", _safe(switches.complete), methods=["POST"]
        ),
    ]


class _Switches:
    """What each switch does; the answers are for whoever pressed it."""

    def __init__(self, acting: commands.Commands, sending: sender.Sender | None) -> None:
        self._acting = acting
        self._sending = sending

    async def dispute(self, request: requests.Request) -> dict[str, Any]:
        """Has the payer's bank open a dispute."""
        query = request.query_params
        return await self._acting.open_dispute(
            request.path_params["id"],
            amount_minor=int(query["amount_minor"]) if "amount_minor" in query else None,
            reason=query.get("reason", "fraudulent"),
            inquiry=query.get("inquiry", "") == "1",
        )

    async def decide(self, request: requests.Request) -> dict[str, Any]:
        """Has the bank decide one."""
        won = {"win": True, "lose": False}[request.path_params["verdict"]]
        return await self._acting.decide_dispute(request.path_params["id"], won=won)

    async def refund(self, request: requests.Request) -> dict[str, Any]:
        """Refunds in the dashboard."""
        amount_minor = int(request.query_params["amount_minor"])
        return await self._acting.refund_elsewhere(request.path_params["id"], amount_minor)

    async def pause(self, request: requests.Request) -> dict[str, Any]:
        """Pauses a subscription, or resumes it."""
        paused = {"pause": True, "resume": False}[request.path_params["switch"]]
        return await self._acting.pause(request.path_params["id"], paused=paused)

    async def pay(self, request: requests.Request) -> dict[str, Any]:
        """Pays an open invoice."""
        return await self._acting.pay_invoice(request.path_params["id"])

    async def spend(self, request: requests.Request) -> dict[str, Any]:
        """Has a kept method behave like another token from now on."""
        token = request.query_params["token"]
        return await self._acting.change_method(request.path_params["id"], token)

    async def complete(self, request: requests.Request) -> dict[str, Any]:
        """Has the payer complete a checkout."""
        token = request.query_params.get("token", "tok_approve")
        return await self._acting.complete_checkout(request.path_params["token"], token)

    async def webhooks(self, request: requests.Request) -> dict[str, Any]:
        """Shows the webhooks, and how they are sent; sets that first if it is asked to."""
        if self._sending is None:
            raise errors.NotFound("PROVIDER_MOCK_WEBHOOK_URL is not set")
        if request.method == "POST":
            self._sending.behave(**_manners(request))
        events = await self._acting.webhooks(EVENTS_MAX)
        return {
            "manners": dataclasses.asdict(self._sending.manners),
            "waiting": await self._acting.waiting(),
            "events": [_told(event) for event in events],
        }

    async def send(self, request: requests.Request) -> dict[str, Any]:
        """Sends one webhook again, so many times, with a right signature or a wrong one."""
        event = await self._acting.webhook(request.path_params["id"])
        if event is None or self._sending is None:
            raise errors.NotFound("no such event")
        forged = request.query_params.get("wrong_signature", "") == "1"
        times = min(int(request.query_params.get("times", "1")), 100)
        return {
            "statuses": [
                await self._sending.send(event, wrong_signature=forged) for _ in range(times)
            ]
        }

    async def effects(self, request: requests.Request) -> dict[str, Any]:
        """Counts operations and objects, by kind and state."""
        return await self._acting.effects()


def _safe(act: Callable[[requests.Request], Awaitable[dict[str, Any]]]) -> Handler:
    async def handle(request: requests.Request) -> responses.Response:
        try:
            return responses.JSONResponse(await act(request))
        except errors.NotFound as error:
            return responses.JSONResponse({"error": error.message}, status_code=404)
        except errors.StateConflict as error:
            told = {"error": error.message, "code": error.upstream_code}
            return responses.JSONResponse(told, status_code=409)
        except (KeyError, ValueError) as error:
            return responses.JSONResponse({"error": f"bad request: {error}"}, status_code=400)

    return handle


def _manners(request: requests.Request) -> dict[str, Any]:
    """Returns the switches that a request names.

    Raises:
        ValueError: One is unknown or out of its range.
    """
    changes: dict[str, Any] = {}
    for name, text in request.query_params.items():
        if name in _SHARES and 0 <= float(text) <= 1:
            changes[name] = float(text)
        elif name == "sign_with" and text in ("newest", "oldest", "all"):
            changes[name] = text
        elif name == "held" and text in ("0", "1"):
            changes[name] = text == "1"
        else:
            raise ValueError(f"{name}: not a switch, or out of its range")
    return changes


def _told(event: journal.Event) -> dict[str, Any]:
    return {
        "event_id": event.event_id,
        "binding_id": event.binding_id,
        "type": event.type,
        "attempts": event.attempts,
        "status": event.status,
        "waiting": event.due_us is not None,
        "body": json.loads(event.body),
    }

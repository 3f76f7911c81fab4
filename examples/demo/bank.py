"""The simulated provider's control port: its clock, payers' cards, payers' banks.

Owns the HTTP requests that make it do by itself what real providers do. Called by `pay` and
`billing`. Never tells Payhub: it has to hear of it by webhook, or ask.
"""

import asyncio
import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from typing import Any, Literal, Protocol

from examples.demo import payer
from payhub_client import Dispute, Payment

# Moving the clock over months bills everything that is due in between.
TIMEOUT_S = 20.0
DAY_S = 86_400


class BankError(Exception):
    """The provider could not be told, or refused."""


class Provider(Protocol):
    """What payers and their banks do at a provider."""

    async def answer(self, payment: Payment, what: Literal["approve", "decline"]) -> None:
        """The payer answers what the provider asks."""

    async def dispute(
        self, payment: Payment, *, reason: str, amount_minor: int | None, inquiry: bool
    ) -> None:
        """The payer's bank disputes an amount, or all that is left."""

    async def decide(self, dispute: Dispute, *, won: bool) -> None:
        """The payer's bank decides a dispute."""


class Bank:
    """The control port of one provider.

    Args:
        url: Its HTTP address, without a slash at the end.
    """

    def __init__(self, url: str) -> None:
        self._url = url

    async def answer(self, payment: Payment, what: Literal["approve", "decline"]) -> None:
        """The payer presses a button on the page that the payment redirects to."""
        await payer.answer(payment.action.redirect_url, what)

    async def dispute(
        self, payment: Payment, *, reason: str, amount_minor: int | None, inquiry: bool
    ) -> None:
        """The payer's bank disputes an amount, or all that is left."""
        query: dict[str, object] = {"reason": reason, "inquiry": int(inquiry)}
        if amount_minor is not None:
            query["amount_minor"] = amount_minor
        await self.press(f"/control/payments/{payment.provider_payment_id}/dispute", **query)

    async def decide(self, dispute: Dispute, *, won: bool) -> None:
        """The payer's bank decides a dispute."""
        there = dispute.mirror.provider_object_id
        await self.press(f"/control/disputes/{there}/{'win' if won else 'lose'}")

    async def advance(self, days: float) -> None:
        """Moves the provider's clock; returns once everything due by then has happened."""
        await self.press("/clock", advance_s=days * DAY_S)

    async def press(self, path: str, **query: object) -> dict[str, Any]:
        """Presses a switch and returns what the provider says.

        Raises:
            BankError: it does not answer, or refuses.
        """
        return await self._send("POST", path, query)

    async def webhooks_waiting(self) -> int:
        """Returns how many webhooks Payhub has not taken yet."""
        told = await self._send("GET", "/control/effects", {})
        return int(told["webhooks_waiting"])

    async def _send(self, method: str, path: str, query: Mapping[str, object]) -> dict[str, Any]:
        url = f"{self._url}{path}"
        if query:
            url += f"?{urllib.parse.urlencode(query)}"
        return await send(urllib.request.Request(url, method=method))


async def send(request: urllib.request.Request) -> dict[str, Any]:
    """Sends a request to a control port; returns the JSON that it answers.

    Raises:
        BankError: it does not answer, or refuses.
    """

    def exchange() -> dict[str, Any]:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as response:
            answer: dict[str, Any] = json.loads(response.read())
            return answer

    try:
        return await asyncio.to_thread(exchange)
    except urllib.error.HTTPError as error:
        with error:
            told = error.read(1_000).decode(errors="replace")
        raise BankError(f"{request.full_url}: {error}: {told}") from None
    except (urllib.error.URLError, OSError, ValueError) as error:
        raise BankError(f"{request.full_url}: {error}") from None

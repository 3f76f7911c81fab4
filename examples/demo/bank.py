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
from typing import Any

# Moving the clock over months bills everything that is due in between.
TIMEOUT_S = 20.0
DAY_S = 86_400


class BankError(Exception):
    """The provider could not be told, or refused."""


class Bank:
    """The control port of one provider.

    Args:
        url: Its HTTP address, without a slash at the end.
    """

    def __init__(self, url: str) -> None:
        self._url = url

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
        request = urllib.request.Request(url, method=method)

        def send() -> dict[str, Any]:
            with urllib.request.urlopen(request, timeout=TIMEOUT_S) as response:
                answer: dict[str, Any] = json.loads(response.read())
                return answer

        try:
            return await asyncio.to_thread(send)
        except (urllib.error.URLError, OSError, ValueError) as error:
            raise BankError(f"{path}: {error}") from None

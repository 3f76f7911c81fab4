"""The payer: answers what the provider asks on the page it was sent to.

Owns the HTTP request behind the simulated bank's two buttons. Called by `pay`. Never
tells Payhub: it has to find out from the provider.
"""

import asyncio
import urllib.error
import urllib.request
from typing import Literal

TIMEOUT_S = 5.0
BUTTONS = {"approve": "complete", "decline": "fail"}


class PayerError(Exception):
    """There is no page to answer on, or it refused the answer."""


async def answer(redirect_url: str, what: Literal["approve", "decline"]) -> None:
    """Presses a button on the page a payment redirects to.

    Raises:
        PayerError: the payment asks for nothing, or the page did not take the answer.
    """
    if not redirect_url.startswith(("http://", "https://")):
        raise PayerError(f"the payment redirects to {redirect_url!r}, nothing to answer")
    request = urllib.request.Request(f"{redirect_url}/{BUTTONS[what]}", method="POST")

    def press() -> None:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S):
            pass

    try:
        await asyncio.to_thread(press)
    except urllib.error.HTTPError as error:
        error.close()
        raise PayerError(f"{redirect_url}: {error}") from None
    except OSError as error:
        raise PayerError(f"{redirect_url}: {error}") from None

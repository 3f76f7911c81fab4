"""A receiver of webhooks, as a tenant would run it.

Owns a real HTTP server on a port of its own, what it was sent and how it answers.
Called by the tests of webhooks. Verifies signatures with the library of Standard
Webhooks, which shares no code with the gateway.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import standardwebhooks
from aiohttp import web

Answer = int | Callable[["Got"], web.StreamResponse | int]


class Got:
    """One request."""

    def __init__(self, headers: dict[str, str], body: bytes) -> None:
        self.headers = headers
        self.raw = body
        self.body: Any = json.loads(body)
        self.at_s = asyncio.get_running_loop().time()

    @property
    def event_id(self) -> str:
        """Which event it is about."""
        return self.headers["webhook-id"]

    def verified(self, secret: str) -> bool:
        """Whether the signature is good, by the reference library."""
        try:
            standardwebhooks.Webhook(secret).verify(self.raw, self.headers)
        except standardwebhooks.WebhookVerificationError:
            return False
        return True


class Receiver:
    """An HTTP server that keeps what it gets."""

    def __init__(self) -> None:
        self.got: list[Got] = []
        self.answers: list[Answer] = []
        self.answer: Answer = 200
        self.port = 0
        self.hold: asyncio.Event | None = None
        self.open = self.most_open = 0

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}/hook"

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Keeps a request and answers as told."""
        got = Got(
            {name.lower(): value for name, value in request.headers.items()}, await request.read()
        )
        self.got.append(got)
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        try:
            if self.hold is not None:
                await self.hold.wait()
        finally:
            self.open -= 1
        told = self.answers.pop(0) if self.answers else self.answer
        answer = told if isinstance(told, int) else told(got)
        return (
            web.Response(status=answer, text="thanks\x07 a lot")
            if isinstance(answer, int)
            else answer
        )


@contextlib.asynccontextmanager
async def receiver() -> AsyncIterator[Receiver]:
    """A running receiver."""
    made = Receiver()
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", made.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    made.port = runner.addresses[0][1]
    try:
        yield made
    finally:
        if made.hold is not None:
            made.hold.set()
        await runner.cleanup()

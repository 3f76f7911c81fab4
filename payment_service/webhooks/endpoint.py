"""`POST /webhooks/{provider}/{binding}`: the one door that providers come in by.

Owns reading a request within its limits and answering it. Served by the process's HTTP
server. Never decides whether a request is believed.
"""

import asyncio
import re
from collections.abc import Sequence

from starlette import requests, responses, routing

from payment_service.usecases import standing
from payment_service.usecases.webhooks import receiving
from servicekit import errors, storage, turns

READ_TIMEOUT_S = 10.0
# Anybody may send slowly, and keep others out no longer than this.
SLOW_S = 2.0
RETRY_AFTER_S = 5
# A burst waits for its turn, its bodies unread. With what is taken at once by default it stays
# below the connections that the HTTP server has.
WAITING_MAX = 128
PATIENCE_S = 5.0
_PROVIDER = re.compile(r"[a-z][a-z0-9.-]{1,61}[a-z0-9]")


class Endpoint:
    """Serves webhooks.

    Args:
        receiver: What takes them.
        standing_: Says whether anything may be done; while not, they are told to come back.
        body_bytes_max: Largest body read.
        concurrency_max: Most requests at once; WAITING_MAX more wait up to PATIENCE_S, and
            are told to come back then. For each that waits, one whose body takes longer
            than SLOW_S is sent away.
    """

    def __init__(
        self,
        receiver: receiving.Receiver,
        standing_: standing.Standing,
        *,
        body_bytes_max: int,
        concurrency_max: int,
    ) -> None:
        self.receiver = receiver
        self._standing = standing_
        self._body_bytes_max = body_bytes_max
        self._concurrency_max = concurrency_max
        self._turns = turns.Turns(concurrency_max, waiting_max=WAITING_MAX)
        # Whose bodies are on their way and may take READ_TIMEOUT_S, the oldest first, with the
        # time at which each began.
        self._reading: dict[asyncio.Timeout, float] = {}

    def routes(self) -> Sequence[routing.BaseRoute]:
        """Returns what the HTTP server serves beside health and metrics."""
        return [
            routing.Route("/webhooks/{provider}/{binding:uuid}", self.receive, methods=["POST"])
        ]

    async def receive(self, request: requests.Request) -> responses.Response:
        """Takes one webhook; the body of the answer is its id, nothing of what was sent."""
        provider = str(request.path_params["provider"])
        if _PROVIDER.fullmatch(provider) is None:
            return _answer(receiving.UNKNOWN, "")
        if self._turns.held >= self._concurrency_max:
            self._hurry()
        async with self._turns.turn(PATIENCE_S) as taken:
            if not taken or not await self._standing.opens(PATIENCE_S):
                return _answer(receiving.LATER, "")
            return await self._receive(request, provider)

    async def _receive(self, request: requests.Request, provider: str) -> responses.Response:
        begun_s = asyncio.get_running_loop().time()
        patient = not self._turns.waiting
        limit = asyncio.timeout_at(begun_s + (READ_TIMEOUT_S if patient else SLOW_S))
        try:
            async with limit:
                if patient:
                    self._reading[limit] = begun_s
                body, size = await self._body(request)
        except TimeoutError:
            # Who gave way to others may come back.
            return _answer(408 if limit in self._reading else receiving.LATER, "", ends=True)
        except requests.ClientDisconnect:
            return _answer(receiving.BAD, "")
        finally:
            self._reading.pop(limit, None)
        wanted = receiving.Request(
            provider=provider,
            binding_id=str(request.path_params["binding"]),
            headers=tuple((name.lower(), value) for name, value in request.headers.items()),
            body=body,
            body_bytes=size,
        )
        try:
            webhook = await self.receiver.receive(wanted)
        except storage.StorageError:
            # Not kept, so not taken: the provider sends it again.
            return _answer(receiving.LATER, "")
        except errors.RpcError as refused:
            if refused.reason != errors.OVERLOADED:
                raise
            return _answer(receiving.LATER, "")
        return _answer(webhook.http_status, webhook.id)

    def _hurry(self) -> None:
        """Leaves SLOW_S in all to whoever has been sending its body for longest."""
        now_s = asyncio.get_running_loop().time()
        for limit, begun_s in self._reading.items():
            if not limit.expired():
                del self._reading[limit]
                limit.reschedule(max(now_s, begun_s + SLOW_S))
                return

    async def _body(self, request: requests.Request) -> tuple[bytes | None, int]:
        """Returns the body, None if it is too large, and how much of it was read."""
        chunks: list[bytes] = []
        size = 0
        async for chunk in request.stream():
            size += len(chunk)
            if size > self._body_bytes_max:
                return None, size
            chunks.append(chunk)
        return b"".join(chunks), size


def _answer(status: int, webhook_id: str, *, ends: bool = False) -> responses.Response:
    headers = {"Retry-After": str(RETRY_AFTER_S)} if status == receiving.LATER else {}
    if ends:
        headers["Connection"] = "close"
    return responses.JSONResponse({"webhook": webhook_id}, status, headers)

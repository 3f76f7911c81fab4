"""The upstream double: a small HTTP payment service provider that can go wrong.

Owns the HTTP side of `psp`, the log of `exchanges`, and the faults a check asks for.
Started by the suite, which points the provider under test at its `url`. Listens on
loopback only; every body, wait and number of connections is bounded.

    POST /v1/operations        Idempotency-Key, Account, JSON body: 200 and the operation
    GET  /v1/operations/{key}  Account: 200 and the operation; 404: it did not take place
    GET  /v1/account           200 if the credentials are right; has no effect

docs/upstream-double.md tells the whole protocol.
"""

import asyncio
import collections
import contextlib
import http
import json
import socket
import time
import urllib.parse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import h11

from provider_sdk.conformance import exchanges, link, psp

HOST = "127.0.0.1"
BACKLOG = 1_024
CONNECTIONS_MAX = 2_048
EXCHANGES_MAX = 50_000
FAREWELL_MAX_S = 1.0

INSTRUMENTS: Mapping[str, str] = {
    "approve": "tok_approve",
    "decline": "tok_decline",
    "action_required": "tok_action_required",
    "pending": "tok_pending",
}

Headers = Sequence[tuple[str, str]]
Effect = psp.Effect


@dataclass(frozen=True, slots=True, kw_only=True)
class _Fault:
    """What goes wrong, in this order: act, wait, then one of the three endings."""

    only: exchanges.Sort
    amount_minor: int | None = None
    acts: bool = False
    held: bool = False
    delay_s: float = 0.0
    raw: bytes | None = None
    """Written instead of an answer; then the connection is closed."""
    status: int = 0
    headers: Headers = ()
    body: bytes = b""
    lifted: asyncio.Event = field(default_factory=asyncio.Event)

    def strikes(self, exchange: exchanges.Exchange) -> bool:
        if self.only not in (exchanges.EVERYTHING, exchange.what):
            return False
        return self.amount_minor in (None, exchange.params.get("amount_minor"))


class Upstream:
    """One upstream double.

    One fault is in force at a time; setting another lifts the one before.

    Args:
        instruments: Token of each kind of instrument, see `psp.Psp`.
    """

    def __init__(self, instruments: Mapping[str, str] = INSTRUMENTS) -> None:
        self.psp = psp.Psp(instruments)
        self.exchanges: collections.deque[exchanges.Exchange] = collections.deque(
            maxlen=EXCHANGES_MAX
        )
        self.request_count = 0
        self.mutation_count = 0
        self._port = 0
        self._keeper: socket.socket | None = None
        self._listener: socket.socket | None = None
        self._links: dict[asyncio.Task[None], socket.socket] = {}
        self._fault: _Fault | None = None

    @property
    def url(self) -> str:
        """Where providers reach it."""
        return f"http://{HOST}:{self._port}"

    async def start(self) -> None:
        """Listens on a free port, which it keeps while it is down."""
        self._keeper = _bound(0)
        self._port = self._keeper.getsockname()[1]
        self.come_up()

    async def close(self) -> None:
        """Ends every connection and gives the port back."""
        self.lift()
        self.go_down()
        await asyncio.gather(*self._links, return_exceptions=True)
        if self._keeper is not None:
            self._keeper.close()

    # What happened.

    def effects(self, operation_id: str = "") -> list[Effect]:
        """Returns what was booked since `reset`.

        Args:
            operation_id: Only what was sent under a key that contains it. A provider
                may derive its keys; if no key contains it, everything is returned.
        """
        booked = self.psp.effects
        named = [effect for effect in booked if operation_id in urllib.parse.unquote(effect.key)]
        return list(named or booked)

    def mutations(self) -> list[exchanges.Exchange]:
        """Returns the operations sent since `reset`, in the order of their arrival."""
        return [exchange for exchange in self.exchanges if exchange.what is exchanges.MUTATIONS]

    # What goes wrong.

    def reset(self) -> None:
        """Is well again and forgets what it saw; what was booked stays booked."""
        for task in self._links:
            task.cancel()
        self.lift()
        self.exchanges.clear()
        self.psp.effects.clear()
        self.request_count = self.mutation_count = 0

    def lift(self) -> None:
        """Ends the fault; what is held goes on to its end."""
        if self._fault is not None:
            self._fault.lifted.set()
            self._fault = None
        if self._listener is None and self._keeper is not None:
            self.come_up()

    release = lift

    def hang(self, *, only: exchanges.Sort = exchanges.EVERYTHING) -> None:
        """Requests are read, not acted on, and never answered."""
        self._set(_Fault(only=only, held=True, raw=b""))

    def close_after_reading(
        self, *, acts: bool = False, only: exchanges.Sort = exchanges.MUTATIONS
    ) -> None:
        """Requests are read, acted on or not, and the connection is closed."""
        self._set(_Fault(only=only, acts=acts, raw=b""))

    def fail(
        self,
        status: int,
        *,
        acts: bool = False,
        headers: Headers = (),
        body: bytes = b"",
        only: exchanges.Sort = exchanges.MUTATIONS,
    ) -> None:
        """Requests get this status."""
        self._set(_Fault(only=only, acts=acts, status=status, headers=headers, body=body))

    def answer_raw(
        self, raw: bytes, *, acts: bool = True, only: exchanges.Sort = exchanges.MUTATIONS
    ) -> None:
        """Requests get these bytes instead of an HTTP answer, and the connection is closed."""
        self._set(_Fault(only=only, acts=acts, raw=raw))

    def slow(
        self,
        delay_s: float,
        *,
        only: exchanges.Sort = exchanges.MUTATIONS,
        amount_minor: int | None = None,
    ) -> None:
        """Requests are acted on at once and answered later.

        Args:
            delay_s: Seconds between.
            only: Which requests.
            amount_minor: Only operations with this amount.
        """
        self._set(_Fault(only=only, acts=True, delay_s=delay_s, amount_minor=amount_minor))

    def pause(self, *, acts: bool = False, only: exchanges.Sort = exchanges.MUTATIONS) -> None:
        """Requests wait for `release`.

        Args:
            acts: Whether they act before they wait, or after; a request whose sender
                hangs up while it waits never acts after.
            only: Which requests.
        """
        self._set(_Fault(only=only, acts=acts, held=True))

    def reject_credentials(self, status: int = 401) -> None:
        """Every request is refused with 401 or 403."""
        body = b'{"error": {"code": "credentials_rejected", "message": "wrong key"}}'
        self.fail(status, body=body, only=exchanges.EVERYTHING)

    def limit_rate(self, retry_after: str = "7") -> None:
        """Every operation is refused with 429."""
        body = b'{"error": {"code": "rate_limited", "message": "slow down"}}'
        self.fail(429, headers=[("retry-after", retry_after)], body=body)

    def go_down(self) -> None:
        """Connections are refused; those that exist are closed."""
        if self._listener is not None:
            asyncio.get_running_loop().remove_reader(self._listener)
            self._listener.close()
            self._listener = None
        for task in self._links:
            task.cancel()

    async def hang_up(self) -> None:
        """Ends every connection, and waits until the other side has too, at most a second.

        What is only closed here may still be used there: such a request was sent and
        lost, which is another rule than that of a refused connection.
        """
        for accepted in self._links.values():
            with contextlib.suppress(OSError):
                accepted.shutdown(socket.SHUT_WR)
        if self._links:
            await asyncio.wait(tuple(self._links), timeout=FAREWELL_MAX_S)

    def come_up(self) -> None:
        """Connections are accepted."""
        if self._listener is None:
            self._listener = _bound(self._port)
            self._listener.listen(BACKLOG)
            asyncio.get_running_loop().add_reader(self._listener, self._accept)

    def _set(self, fault: _Fault) -> None:
        self.lift()
        self._fault = fault

    # HTTP.

    def _accept(self) -> None:
        assert self._listener is not None
        try:
            accepted, _ = self._listener.accept()
        except BlockingIOError:
            return
        accepted.setblocking(False)
        if len(self._links) >= CONNECTIONS_MAX:
            accepted.close()
            return
        task = asyncio.get_running_loop().create_task(self._serve(accepted))
        self._links[task] = accepted
        task.add_done_callback(lambda done: self._links.pop(done, None))

    async def _serve(self, accepted: socket.socket) -> None:
        async with link.accepted(accepted) as connection:
            while True:
                asked = await connection.request()
                if asked is None or not await self._exchange(connection, *asked):
                    return

    async def _exchange(self, connection: link.Link, request: h11.Request, body: bytes) -> bool:
        """Answers one request; False if the connection can't be used any more."""
        exchange = self.read(request, body)
        self.exchanges.append(exchange)
        self.request_count += 1
        self.mutation_count += exchange.what is exchanges.MUTATIONS
        fault = self._fault if self._fault and self._fault.strikes(exchange) else None
        if fault is None:
            return await self._respond(connection, exchange, self.act(exchange))
        answer = self.act(exchange) if fault.acts else None
        if fault.held or fault.delay_s:
            until = fault.lifted.wait() if fault.held else asyncio.sleep(fault.delay_s)
            if not await connection.wait(until):
                exchange.aborted = True
                return False
        if fault.raw is not None:
            exchange.answered = bool(fault.raw)
            await connection.write(fault.raw)
            return False
        if fault.status:
            return await self._respond(
                connection, exchange, (fault.status, fault.body), headers=fault.headers
            )
        return await self._respond(connection, exchange, answer or self.act(exchange))

    def read(self, request: h11.Request, body: bytes) -> exchanges.Exchange:
        """Returns what a request is; a double with another API reads it otherwise."""
        return exchanges.read(request, body)

    def act(self, exchange: exchanges.Exchange) -> tuple[int, bytes]:
        """Does what a request asks, at once and whole; returns status and body.

        A double with another API does it otherwise: it sets `acted`, and adds to
        `psp.effects` what was booked, once per key.
        """
        try:
            match exchange.what:
                case exchanges.Sort.MUTATIONS:
                    told = self.psp.act(
                        account=exchange.account, key=exchange.key, params=exchange.params
                    )
                case exchanges.Sort.LOOKUPS:
                    told = self.psp.find(account=exchange.account, key=exchange.key)
                case exchanges.Sort.CHECKS:
                    told = {"account": exchange.account}
                case _:
                    raise psp.Refusal(404, "no_such_path", "see docs/upstream-double.md")
        except psp.Refusal as refusal:
            return refusal.status, json.dumps(refusal.body).encode()
        exchange.acted = True
        return http.HTTPStatus.OK, json.dumps(told).encode()

    async def _respond(
        self,
        connection: link.Link,
        exchange: exchanges.Exchange,
        answer: tuple[int, bytes],
        *,
        headers: Headers = (),
    ) -> bool:
        exchange.answered = True
        exchange.took_s = time.monotonic() - exchange.arrived_s
        return await connection.respond(*answer, headers=headers)


def _bound(port: int) -> socket.socket:
    # Both the keeper and the listener are bound to the port, which Linux allows as long
    # as only one of them listens; so nobody takes it while the double is down.
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.setblocking(False)
    bound.bind((HOST, port))
    return bound

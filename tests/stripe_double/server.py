"""The HTTP face of the double: from a request to an answer, a fault or silence.

Owns authentication, versions, routing, idempotency around the handlers, and what faults do to
the connection. Handlers run without a pause, so each request is atomic.
"""

import asyncio
import email.utils
import json
import re
import sys
import time
import traceback
from typing import Any

from tests.stripe_double import (
    calls,
    errors,
    faults,
    forms,
    idempotency,
    routes,
    store,
    timeline,
)

Json = dict[str, Any]

BODY_MAX = 1_000_000
REQUESTS_MAX = 20_000
_ABORT_WAIT_S = 5.0
_STEP_S = 0.01


def _pattern(path: str) -> re.Pattern[str]:
    return re.compile("^" + re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", path) + "$")


_ROUTES = [(method, _pattern(path), handler) for method, path, handler in routes.ROUTES]


class Exchange:
    """One request on its way through the double."""

    def __init__(self, scope: Json, body: bytes) -> None:
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.query: str = scope["query_string"].decode()
        self.headers = {name.decode().lower(): text.decode() for name, text in scope["headers"]}
        self.body = body
        self.request_id = store.mint("req", 14)
        self.key = self.headers.get("idempotency-key") if self.method == "POST" else None
        self.account = store.MAIN_ACCOUNT
        self.version = store.API_VERSION
        self.fault: Json | None = None
        self.replayed: str | None = None
        self.params: Json = {}


class Application:
    """The ASGI application.

    Args:
        world: The state that requests act on.
        control: The application behind `/_double`.
    """

    def __init__(self, world: store.World, control: Any) -> None:
        self._world = world
        self._control = control

    async def __call__(self, scope: Json, receive: Any, send: Any) -> None:
        """Answers one request."""
        if scope["type"] != "http":
            return
        if scope["path"].startswith("/_double"):
            await self._control(scope, receive, send)
            return
        body = await _body(receive)
        exchange = Exchange(scope, body)
        status, answer, headers = await self._answer(exchange)
        self._note(exchange, status)
        fault = (exchange.fault or {}).get("kind")
        if status is None or fault == "drop_after_commit":
            await _abort(send, receive)
            return
        if fault == "slow_after_commit":
            await self._pause(exchange.fault)
        encoded = json.dumps(answer, indent=2).encode()
        await _respond(
            send, receive, status, self._headers(exchange, headers), encoded, fault == "truncate"
        )

    async def _pause(self, fault: Json | None) -> None:
        """Waits for the delay of a fault, or until the faults are cleared."""
        if fault is None:
            return
        self._world.pausing.append(fault)
        begun_s = time.monotonic()
        while True:
            # The delay is cut short by whoever clears the faults.
            if time.monotonic() - begun_s >= fault["delay_s"]:
                break
            await asyncio.sleep(_STEP_S)
        self._world.pausing.remove(fault)

    def _note(self, exchange: Exchange, status: int | None) -> None:
        self._world.requests.append(
            {
                "method": exchange.method,
                "path": exchange.path,
                "params": exchange.params,
                "account": exchange.account,
                "idempotency_key": exchange.key,
                "stripe_version": exchange.headers.get("stripe-version"),
                "status": status,
                "replayed": exchange.replayed is not None,
                "fault": (exchange.fault or {}).get("kind"),
                "request": exchange.request_id,
            }
        )
        del self._world.requests[:-REQUESTS_MAX]

    def _headers(self, exchange: Exchange, more: Json) -> Json:
        headers = {
            "Content-Type": "application/json",
            "Date": email.utils.formatdate(self._world.clock.now(), usegmt=True),
            "Request-Id": exchange.request_id,
            "Stripe-Version": exchange.version,
            **more,
        }
        if exchange.account != store.MAIN_ACCOUNT:
            headers["Stripe-Account"] = exchange.account
        if exchange.key is not None:
            headers["Idempotency-Key"] = exchange.key
            headers["Original-Request"] = exchange.replayed or exchange.request_id
        if exchange.replayed is not None:
            headers["Idempotent-Replayed"] = "true"
        should_retry = (exchange.fault or {}).get("should_retry")
        if should_retry is not None:
            headers["Stripe-Should-Retry"] = should_retry
        return headers

    async def _answer(self, exchange: Exchange) -> tuple[int | None, Json, Json]:
        """Returns status, body and headers; no status means silence."""
        world = self._world
        entry: Json | None = None
        try:
            handler, call = self._prepare(exchange)
            fault = exchange.fault or {}
            kind = fault.get("kind")
            if kind == "drop_before_commit":
                return None, {}, {}
            _fail_early(fault)
            if exchange.key is not None:
                entry = idempotency.begin(
                    world, exchange.account, exchange.key, exchange.path, exchange.params
                )
                if entry["done"]:
                    exchange.replayed = entry["request_id"]
                    return entry["status"], json.loads(entry["body"]), entry["headers"]
            if kind == "slow":
                await self._pause(exchange.fault)
            if kind == "error_500_stored":
                raise errors.internal(stored=True)
            status, answer, headers = 200, self._run(exchange, handler, call), {}
            if kind == "error_500_after_commit":
                raise errors.internal(stored=True)
        except errors.Refusal as refusal:
            status, headers = refusal.status, refusal.headers
            error = refusal.error | {"request_log_url": _log_url(exchange.request_id)}
            answer = {"error": error}
            if entry is not None and not refusal.stored:
                idempotency.forget(world, exchange.account, exchange.key or "")
                entry = None
        except Exception:
            # A fault of the double, not an answer of Stripe: seen in the test's output.
            traceback.print_exc(file=sys.stderr)
            if entry is not None:
                idempotency.forget(world, exchange.account, exchange.key or "")
            broken = {"type": "api_error", "message": traceback.format_exc()}
            return 500, {"error": broken}, {}
        if entry is not None:
            idempotency.keep(
                entry,
                status=status,
                body=answer,
                headers=headers,
                request_id=exchange.request_id,
            )
        timeline.run(world)
        return status, answer, headers

    def _run(self, exchange: Exchange, handler: calls.Handler, call: calls.Call) -> Json:
        metadata = exchange.params.get("metadata")
        cause = store.Cause(
            request_id=exchange.request_id,
            key=exchange.key,
            metadata=metadata if isinstance(metadata, dict) else {},
        )
        with self._world.caused_by(cause):
            answer = handler(call)
        return calls.expand(self._world, exchange.account, answer, call.params)

    def _prepare(self, exchange: Exchange) -> tuple[calls.Handler, calls.Call]:
        exchange.account = self._account(exchange)
        version = exchange.headers.get("stripe-version")
        if version is not None:
            if version not in self._world.settings.api_versions:
                raise errors.bad_parameter(f"Invalid Stripe API version: {version}")
            exchange.version = version
        if len(exchange.body) > BODY_MAX:
            raise errors.bad_parameter("The request body is too large.")
        kind = exchange.headers.get("content-type", "")
        if exchange.body and not kind.startswith("application/x-www-form-urlencoded"):
            raise errors.bad_parameter(f"Invalid request: Content-Type {kind} is not supported.")
        text = exchange.body.decode() if exchange.method == "POST" else exchange.query
        exchange.params = forms.decode(text)
        metadata = exchange.params.get("metadata")
        exchange.fault = faults.take(
            self._world,
            method=exchange.method,
            path=exchange.path,
            key=exchange.key,
            metadata=metadata if isinstance(metadata, dict) else {},
            header=exchange.headers.get(faults.HEADER),
        )
        for method, pattern, handler in _ROUTES:
            match = pattern.match(exchange.path)
            if match is not None and method == exchange.method:
                call = calls.Call(
                    world=self._world,
                    account=exchange.account,
                    path=match.groupdict(),
                    params=forms.Params(json.loads(json.dumps(exchange.params))),
                    url=exchange.path,
                    key=exchange.key,
                )
                return handler, call
        raise errors.Refusal(
            404,
            {
                "type": "invalid_request_error",
                "message": f"Unrecognized request URL ({exchange.method}: {exchange.path}). The "
                "double implements only a part of Stripe's API.",
            },
        )

    def _account(self, exchange: Exchange) -> str:
        given = exchange.headers.get("authorization", "")
        key = given.removeprefix("Bearer ").strip()
        if not key:
            raise errors.unauthorized(
                "You did not provide an API key. You need to provide your API key in the "
                "Authorization header, using Bearer auth (e.g. 'Authorization: Bearer YOUR_KEY')."
            )
        known = self._world.keys.get(key)
        shown = f"{key[:8]}{'*' * 12}{key[-4:]}"
        if known is None or known["state"] == "revoked":
            raise errors.unauthorized(f"Invalid API Key provided: {shown}")
        if known["state"] == "expired":
            raise errors.unauthorized(f"Expired API Key provided: {shown}", "api_key_expired")
        if known["state"] == "restricted" and exchange.method != "GET":
            raise errors.not_permitted(
                f"The provided key '{shown}' does not have the required permissions for this "
                f"endpoint on account '{known['account']}'."
            )
        wanted = exchange.headers.get("stripe-account")
        if wanted is None or wanted == known["account"]:
            return str(known["account"])
        if wanted not in self._world.connected:
            raise errors.not_permitted(
                f"The provided key '{shown}' does not have access to account '{wanted}' (or that "
                "account does not exist). Application access may have been revoked.",
                "account_invalid",
            )
        return str(wanted)


def _fail_early(fault: Json) -> None:
    """Raises what a fault answers with before anything has begun."""
    kind = fault.get("kind")
    if kind == "rate_limit":
        raise errors.rate_limited(int(fault["retry_after_s"]))
    if kind == "lock_timeout":
        raise errors.locked()
    if kind == "error_500":
        raise errors.internal(stored=False)


def _log_url(request_id: str) -> str:
    return f"https://dashboard.stripe.com/test/logs/{request_id}"


async def _body(receive: Any) -> bytes:
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if not message.get("more_body") or size > BODY_MAX:
            return b"".join(parts)


async def _respond(
    send: Any, receive: Any, status: int, headers: Json, body: bytes, truncated: bool
) -> None:
    lines = [(name.encode(), str(text).encode()) for name, text in headers.items()]
    lines.append((b"Content-Length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": status, "headers": lines})
    if not truncated:
        await send({"type": "http.response.body", "body": body})
        return
    await send({"type": "http.response.body", "body": body[: len(body) // 2], "more_body": True})
    send.__self__.transport.close()
    await _gone(receive)


async def _abort(send: Any, receive: Any) -> None:
    """Resets the connection under a request."""
    send.__self__.transport.abort()
    await _gone(receive)


async def _gone(receive: Any) -> None:
    """Waits until the connection is closed, so that uvicorn doesn't answer after all."""
    while (await asyncio.wait_for(receive(), _ABORT_WAIT_S))["type"] != "http.disconnect":
        pass

"""The strict double behind the faults of the conformance suite.

Owns reading Stripe's requests as the suite's three sorts, and running them by the double's own
rules. Named by the profile of provider_stripe (`upstream.double`). Faults, log and connections
are the suite's.
"""

import json
import urllib.parse
from collections.abc import Mapping
from typing import Any

import h11

from provider_sdk.conformance import exchanges, psp, upstream
from tests.stripe_double import server, store

_KINDS: tuple[tuple[str, psp.Kind], ...] = (
    ("/capture", psp.Kind.CAPTURE),
    ("/cancel", psp.Kind.VOID),
    ("/v1/refunds", psp.Kind.REFUND),
    ("/v1/customers", psp.Kind.CREATE_CUSTOMER),
    ("/v1/payment_intents", psp.Kind.AUTHORIZE),
)


class StripeUpstream(upstream.Upstream):
    """See the module; every API key that begins with sk_test_ is an account of its own."""

    def __init__(self, instruments: Mapping[str, str] = upstream.INSTRUMENTS) -> None:
        super().__init__(instruments)
        self._world = store.World()
        self._world.settings.settle_s = 0.3
        self._app = server.Application(self._world, None)

    def read(self, request: h11.Request, body: bytes) -> exchanges.Exchange:
        """Returns what a request is: a change, a question, or a look at the account."""
        exchange = super().read(request, body)
        target = request.target.decode("latin-1")
        method = request.method.decode("latin-1")
        key = exchange.headers.get("authorization", "").removeprefix("Bearer ")
        exchange.account = key
        if method == "POST":
            exchange.what = exchanges.MUTATIONS
            exchange.key = exchange.headers.get("idempotency-key", "")
        elif target == "/v1/payment_intents?limit=1":
            exchange.what = exchanges.CHECKS
        else:
            exchange.what = exchanges.LOOKUPS
        form = dict(urllib.parse.parse_qsl(body.decode()))
        amount = form.get("amount") or form.get("amount_to_capture") or ""
        exchange.params = {
            "kind": _kind(exchange.path).value,
            "amount_minor": int(amount) if amount.isdecimal() else None,
            "currency": form.get("currency", "").upper(),
            "_asked": (method, target, body),
        }
        return exchange

    def act(self, exchange: exchanges.Exchange) -> tuple[int, bytes]:
        """Runs a request by the double's rules."""
        method, target, body = exchange.params["_asked"]
        path, _, query = target.partition("?")
        if exchange.account.startswith("sk_test_"):
            known = {"account": f"acct_{exchange.account[-16:]}", "state": "active"}
            self._world.keys.setdefault(exchange.account, known)
        scope = {
            "method": method,
            "path": path,
            "query_string": query.encode(),
            "headers": [(k.encode(), v.encode()) for k, v in exchange.headers.items()],
        }
        asked = server.Exchange(scope, body)
        status, answer, _ = _at_once(self._app._answer(asked))
        if status == 200:
            exchange.acted = True
            if method == "POST" and asked.replayed is None:
                self._book(exchange)
        return status or 500, json.dumps(answer).encode()

    def _book(self, exchange: exchanges.Exchange) -> None:
        """Notes an effect, once per operation: steps of one have keys that go on from its own."""
        key = exchange.key.partition(":")[0]
        if any(effect.key == key for effect in self.psp.effects):
            return
        self.psp.effects.append(
            upstream.Effect(
                key=key,
                kind=_kind(exchange.path),
                account=exchange.account,
                amount_minor=exchange.params["amount_minor"],
                currency=exchange.params["currency"],
            )
        )


def _kind(path: str) -> psp.Kind:
    return next((kind for part, kind in _KINDS if part in path), psp.Kind.UPDATE_CUSTOMER)


def _at_once(answering: Any) -> tuple[int | None, Any, Any]:
    """Runs a coroutine that waits for nothing, for no fault was ordered, to its end."""
    try:
        answering.send(None)
    except StopIteration as done:
        result: tuple[int | None, Any, Any] = done.value
        return result
    answering.close()
    raise RuntimeError("the double waited in the middle of a request")

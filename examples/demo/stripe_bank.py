"""Stripe, as the demo needs it: the strict double of the tests, and what happens there.

Owns the double's process, its control API and its ledger. Called by the demo. Never stands for
Stripe itself: what it proves is in docs/stripe-doubles.md.
"""

import contextlib
import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from typing import Any, Literal

from deploy import stack
from examples.demo import bank, stripe_orders, verify
from payhub_client import Dispute, Payment

API_KEY = "sk_test_payhub_double"
STOP_TIMEOUT_S = 10.0
OPERATION = "payhub_operation_id"
EFFECTS = {
    "authorized": "AUTHORIZE",
    "charged": "SALE",
    "captured": "CAPTURE",
    "refunded": "REFUND",
}
# Stripe's units of one minor unit of ISO 4217; 1 for all others that orders are in.
UNITS = {"isk": 100}


class StripeError(Exception):
    """There is nothing to pay at: no double, or a key that is not for tests."""


@contextlib.contextmanager
def running() -> Iterator[str]:
    """Runs the double; gives its address."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.stripe_double"],
        cwd=stack.ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    try:
        address = process.stdout.readline().strip()
        if not address:
            raise StripeError("the double of Stripe did not start")
        yield address
    finally:
        process.terminate()
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()


class Double:
    """The control API of a running double.

    Args:
        address: Its base address.
    """

    def __init__(self, address: str) -> None:
        self._address = address

    async def order(self, what: str, verb: str = "POST", /, **body: object) -> dict[str, Any]:
        """Orders something and returns the answer; raises bank.BankError if it is refused."""
        data = json.dumps(body).encode() if verb == "POST" else None
        request = urllib.request.Request(
            f"{self._address}/_double/{what}",
            data=data,
            headers={"content-type": "application/json"},
            method=verb,
        )
        return await bank.send(request)

    async def settings(self) -> None:
        """Has searches lag no longer than a demo wants to wait."""
        await self.order("settings", search_lag_s=0.5)

    async def fail(self, fault: stripe_orders.Fault) -> None:
        """Has something go wrong with the next request of a path."""
        body = {"kind": fault.kind, "method": "POST", "path": fault.path}
        # Else the sidecar repeats what was refused, and the payer never notices.
        await self.order("faults", should_retry="false", **body)

    async def answer(self, payment: Payment, what: Literal["approve", "decline"]) -> None:
        """The payer answers the issuer's question."""
        path = f"payment_intents/{payment.provider_payment_id}/authenticate"
        await self.order(path, agreed=what == "approve")

    async def dispute(
        self, payment: Payment, *, reason: str, amount_minor: int | None, inquiry: bool
    ) -> None:
        """The payer's bank disputes a charge, or a part of it."""
        intent = await self.order(f"objects/{payment.provider_payment_id}", "GET")
        body: dict[str, object] = {"charge": intent["latest_charge"], "reason": reason}
        if amount_minor is not None:
            body["amount"] = amount_minor
        await self.order("disputes", inquiry=inquiry, **body)

    async def decide(self, dispute: Dispute, *, won: bool) -> None:
        """The payer's bank decides a dispute."""
        await self.order(f"disputes/{dispute.mirror.provider_object_id}/decide", won=won)

    async def webhooks_waiting(self) -> int:
        """Returns how many webhooks Payhub has not taken yet."""
        return int((await self.order("deliveries", "GET"))["waiting"])

    async def ledger(self) -> list[verify.LedgerEntry]:
        """Returns every effect on money, by the operation that caused it."""
        told = (await self.order("ledger", "GET"))["data"]
        failed = {one["object"] for one in told if one["effect"] == "refund_failed"}
        entries = [
            _entry(one, EFFECTS[one["effect"]])
            for one in told
            if one["effect"] in EFFECTS and one["object"] not in failed
        ]
        known = {each.operation_id for each in entries}
        # What a final capture releases is not an effect of its own.
        return entries + [
            _entry(one, "VOID")
            for one in told
            if one["effect"] == "released" and one["idempotency_key"] not in known
        ]


def _entry(one: dict[str, Any], kind: str) -> verify.LedgerEntry:
    made = kind in ("AUTHORIZE", "SALE")
    operation_id = one["metadata"].get(OPERATION) if made else one["idempotency_key"]
    currency = one["currency"]
    return verify.LedgerEntry(
        operation_id=operation_id or one["object"],
        kind=kind,
        amount_minor=one["amount"] // UNITS.get(currency, 1),
        currency=currency.upper(),
        provider_payment_id=one["object"],
    )

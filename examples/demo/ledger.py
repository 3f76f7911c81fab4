"""Reads the simulated provider's own books: what really happened to the money.

Owns the call of `python -m provider_mock ledger`. Called by the demo at the end. Never
asks Payhub.
"""

import json
import subprocess
import sys

from deploy import stack
from examples.demo import verify

TIMEOUT_S = 20.0
BOOKS_DIFFER = 1
MONEY_KINDS = frozenset({"AUTHORIZE", "SALE", "CAPTURE", "VOID", "REFUND"})


class LedgerError(Exception):
    """The ledger could not be read."""


def read(running: stack.Stack) -> tuple[list[verify.LedgerEntry], list[str]]:
    """Returns every effect that took place, and where the books contradict themselves."""
    result = subprocess.run(
        [sys.executable, "-m", stack.MOCK, "ledger", "--json", "--operations"],
        cwd=stack.ROOT,
        env=running.environment(stack.MOCK),
        capture_output=True,
        text=True,
        check=False,
        timeout=TIMEOUT_S,
    )
    if result.returncode not in (0, BOOKS_DIFFER):
        raise LedgerError(f"the provider's ledger can't be read: {result.stderr.strip()}")
    report = json.loads(result.stdout)
    entries = [
        verify.LedgerEntry(
            operation_id=row["operation_id"],
            kind=row["kind"],
            amount_minor=row["amount_minor"] or 0,
            currency=row["currency"],
            provider_payment_id=row["provider_object_id"],
        )
        for row in report["operations"]
        if row["state"] == "SUCCEEDED" and row["kind"] in MONEY_KINDS
    ]
    return entries, [f"the provider's books: {text}" for text in report["differences"]]

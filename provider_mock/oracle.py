"""What really happened, for whoever has to compare.

Owns reading a ledger file from outside: totals per currency, every effect, and
whether the books add up. Called by `python -m provider_mock ledger` and by
tests. Opens the file read-only, whether the provider runs or not.
"""

import collections
import pathlib
import sqlite3
from typing import Any

from provider_mock import schema

BUSY_TIMEOUT_S = 5.0

_PAYMENT_SUMS = (
    "authorized_minor",
    "captured_minor",
    "refunded_minor",
    "released_minor",
    "capturing_minor",
    "refunding_minor",
    "releasing_minor",
)
# What an operation that succeeded adds to the sums of its payment. Releases are
# left out: final captures make them too.
_ADDS = {
    "AUTHORIZE": ("authorized_minor",),
    "SALE": ("authorized_minor", "captured_minor"),
    "CAPTURE": ("captured_minor",),
    "REFUND": ("refunded_minor",),
    "FOREIGN_REFUND": ("refunded_minor",),
    "INCREMENT": ("authorized_minor",),
}


_OBJECT_NAMES = ("object_id", "kind", "state", "core_id", "operation_id", "parent_id")
_OBJECTS = f"select {', '.join(_OBJECT_NAMES)} from objects order by created_us, object_id"


class LedgerMissing(Exception):
    """There is no readable ledger at the path."""


def read(path: pathlib.Path, *, operations: bool = False) -> dict[str, Any]:
    """Returns totals of the ledger at *path*, as JSON can hold them.

    Args:
        path: The SQLite file.
        operations: Whether to list every operation too.

    Raises:
        LedgerMissing: There is no file, or it is no ledger.
    """
    if not path.is_file():
        raise LedgerMissing(f"no ledger at {path}; has the provider been started?")
    uri = f"{path.resolve().as_uri()}?mode=ro"
    try:
        connection = sqlite3.connect(uri, uri=True, timeout=BUSY_TIMEOUT_S, isolation_level=None)
    except sqlite3.Error as error:
        raise LedgerMissing(f"can't open {path}: {error}") from error
    try:
        connection.execute("begin")
        rows = [
            schema.OperationRow._make(row)
            for row in connection.execute(
                f"select {', '.join(schema.OperationRow._fields)} from operations "
                "order by created_us, operation_id"
            )
        ]
        payments = [
            schema.PaymentRow._make(row)
            for row in connection.execute(
                f"select {', '.join(schema.PaymentRow._fields)} from payments order by object_id"
            )
        ]
        kept = connection.execute(_OBJECTS).fetchall() if _has_objects(connection) else []
        (customers,) = connection.execute("select count(*) from customers").fetchone()
    except sqlite3.Error as error:
        raise LedgerMissing(f"{path} is not a readable ledger: {error}") from error
    finally:
        connection.close()
    report = {
        "ledger": str(path),
        "currencies": _currencies(payments, rows),
        "customers": customers,
        "objects": _object_counts(kept),
        "open_operations": sum(row.state in ("PENDING", "ACTION_REQUIRED") for row in rows),
        "differences": differences(payments, rows),
    }
    if operations:
        report["operations"] = [_told(row) for row in rows]
        report["kept"] = [dict(zip(_OBJECT_NAMES, each, strict=True)) for each in kept]
    return report


def _has_objects(connection: sqlite3.Connection) -> bool:
    found = connection.execute("select 1 from sqlite_master where name = 'objects'").fetchone()
    return found is not None


def _object_counts(kept: list[tuple[Any, ...]]) -> dict[str, dict[str, int]]:
    counts: dict[str, dict[str, int]] = {}
    for _, kind, state, *_ in kept:
        by_state = counts.setdefault(kind, {})
        by_state[state] = by_state.get(state, 0) + 1
    return counts


def _currencies(
    payments: list[schema.PaymentRow], rows: list[schema.OperationRow]
) -> dict[str, Any]:
    totals: dict[str, Any] = {}
    for payment in payments:
        total = totals.setdefault(payment.currency, _empty())
        total["payments"] += 1
        for name in _PAYMENT_SUMS:
            total[name] += getattr(payment, name)
    for row in rows:
        if row.currency:
            counts = totals.setdefault(row.currency, _empty())["operations"]
            by_state = counts.setdefault(row.kind, {})
            by_state[row.state] = by_state.get(row.state, 0) + 1
    return dict(sorted(totals.items()))


def _empty() -> dict[str, Any]:
    return {"payments": 0, **dict.fromkeys(_PAYMENT_SUMS, 0), "operations": {}}


def differences(payments: list[schema.PaymentRow], rows: list[schema.OperationRow]) -> list[str]:
    """Returns what does not add up: sums against effects, and releases against the rest."""
    effects: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    for row in rows:
        if row.state == "SUCCEEDED":
            for name in _ADDS.get(row.kind, ()):
                effects[row.object_id][name] += row.amount_minor or 0
    found = []
    for payment in payments:
        for name in ("authorized_minor", "captured_minor", "refunded_minor"):
            booked, done = getattr(payment, name), effects[payment.object_id][name]
            if booked != done:
                found.append(f"{payment.object_id}: {name} is {booked}, effects make {done}")
        sums = payment.sums()
        if sums.closed and sums.capturable_minor:
            found.append(f"{payment.object_id}: closed, yet {sums.capturable_minor} is held")
    return found


def _told(row: schema.OperationRow) -> dict[str, Any]:
    return {
        "operation_id": row.operation_id,
        "binding_id": row.binding_id,
        "kind": row.kind,
        "state": row.state,
        "reference": row.reference,
        "provider_object_id": row.object_id,
        "target_operation_id": row.target_id,
        "amount_minor": row.amount_minor,
        "currency": row.currency,
        "final": bool(row.final),
        "state_us": row.state_us,
        "created_us": row.created_us,
    }

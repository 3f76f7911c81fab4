"""The same rate with a million payments stored.

Owns `create_payment_1m_vs_empty*`. The payments are written by the payment
service's own statements, settled sales with their operation, key and marked
events, straight into its database; then an empty and the full installation take
turns in one run.
"""

import asyncio
import statistics

from benchmarks import report, running
from deploy import stack
from payment_service.db import idempotency, operations, outbox, payments
from payment_service.domain import model
from payment_service.provider_client import registry
from servicekit import ids, storage

STORED = 1_000_000
CHUNK = 2_000
ROUNDS = 3
_MARK_ALL = storage.Statement(
    "update outbox set log_epoch = :epoch, log_position = id where log_epoch = ''"
)


def measure(board: report.Board, seconds: float) -> None:
    """Measures both databases; the plain name is that of SQLite."""
    for database in running.DATABASES:
        name = "create_payment_1m_vs_empty" + ("" if database == "sqlite" else f"_{database}")
        if board.wants(name):
            board.figure(name, _measure(board, database, seconds))


def _measure(board: report.Board, database: str, seconds: float) -> float:
    with running.payhub(database) as empty, running.payhub(database) as full:
        url = full.environment(stack.PAYMENTS)["PAYMENT_SERVICE_DATABASE_URL"]
        full.stop_one(stack.PAYMENTS)
        asyncio.run(_fill(board, database, url))
        full.restart(stack.PAYMENTS)
        rates: dict[str, list[float]] = {"empty": [], "full": []}
        for number in range(ROUNDS):
            for name, payhub in (("empty", empty), ("full", full)):
                board.progress(f"create_payment_1m {database}: {name}, round {number + 1}")
                figures = running.load(
                    payhub.target(stack.PAYMENTS), payhub.dev_key(), callers=32, seconds=seconds
                )
                rates[name].append(figures["per_s"])
        board.note(f"create_payment_per_s_1m_stored_{database}", statistics.median(rates["full"]))
        return statistics.median(rates["full"]) / statistics.median(rates["empty"])


async def _fill(board: report.Board, database: str, url: str) -> None:
    db = await storage.open_database(url, statement_timeout_s=600)
    try:
        with board.bar(f"storing {STORED:,} payments in {database}", STORED) as advance:
            for begin in range(0, STORED, CHUNK):
                await db.write(lambda conn, begin=begin: _store(conn, begin))  # type: ignore[misc]
                advance(CHUNK)
    finally:
        await db.close()


def _store(conn: storage.Connection, begin: int) -> None:
    made = [_payment(begin + number) for number in range(CHUNK)]
    conn.run_many(payments.INSERT, [payments.params(p) for p, _ in made])
    conn.run_many(operations.INSERT, [operations.params(o) for _, o in made])
    conn.run_many(idempotency.CLAIM, [idempotency.params(_claim(p, o)) for p, o in made])
    entries = [_event(p, version) for p, _ in made for version in (1, 2)]
    conn.run_many(outbox.APPEND_IF_FIRST, [outbox.params(entry) for entry in entries])
    conn.run(_MARK_ALL, {"epoch": "stored"})


def _payment(number: int) -> tuple[model.Payment, model.Operation]:
    payment = model.Payment(
        id=ids.new_id("pay"),
        tenant_id="default",
        state=model.PaymentState.SUCCEEDED,
        amount_minor=1000 + number % 900,
        currency="EUR",
        capture_method=model.CaptureMethod.AUTOMATIC,
        provider="mock",
        binding_id=registry.binding_id("default", "mock"),
        provider_payment_id=ids.new_id("mpay"),
        references=model.References(user_id=f"user-{number % 5000}", order_id=f"o-{number}"),
        authorized_minor=1000 + number % 900,
        captured_minor=1000 + number % 900,
        version=2,
        created_us=1_700_000_000_000_000 + number,
        updated_us=1_700_000_000_000_000 + number,
    )
    operation = model.Operation(
        id=ids.new_id("op"),
        tenant_id="default",
        entity_id=payment.id,
        kind=model.Kind.SALE,
        state=model.OperationState.SUCCEEDED,
        amount_minor=payment.amount_minor,
        currency="EUR",
        provider="mock",
        binding_id=payment.binding_id,
        request=bytes(120),
        version=2,
        created_us=payment.created_us,
        updated_us=payment.updated_us,
    )
    return payment, operation


def _claim(payment: model.Payment, operation: model.Operation) -> idempotency.Claim:
    return idempotency.Claim(
        tenant_id="default",
        rpc="CreatePayment",
        key=ids.new_id("key"),
        fingerprint=bytes(32),
        resource_id=payment.id,
        operation_id=operation.id,
        lease_us=0,
        created_us=payment.created_us,
    )


def _event(payment: model.Payment, version: int) -> outbox.Entry:
    return outbox.Entry(
        event_id=ids.new_id("evt"),
        tenant_id="default",
        entity_type="payment",
        entity_id=payment.id,
        entity_version=version,
        envelope=bytes(600),
        created_us=payment.created_us,
    )

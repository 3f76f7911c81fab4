"""The same rate with a million payments stored.

Owns `create_payment_1m_vs_empty*`. Settled sales with their operation, key and
marked events are written by the processes' own statements straight into both
databases, the log holding every event; then an empty and the full installation
take turns in one run.
"""

import asyncio
import contextlib
import statistics
import time

from payhub.events.v1 import event_pb2

from benchmarks import report, running
from deploy import stack
from event_gateway.api import ingest
from event_gateway.db import append
from payment_service.db import idempotency, operations, outbox, payments
from payment_service.domain import bindings, model
from servicekit import ids, storage

STORED = 1_000_000
CHUNK = 2_000
ROUNDS = 3
# Of now: what is older than the outbox keeps would be deleted while it is measured.
_NOW_US = time.time_ns() // 1000
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
        urls = (
            full.environment(stack.PAYMENTS)["PAYMENT_SERVICE_DATABASE_URL"],
            full.environment(stack.GATEWAY)["EVENT_GATEWAY_DATABASE_URL"],
        )
        for process in (stack.PAYMENTS, stack.GATEWAY):
            full.stop_one(process)
        asyncio.run(_fill(board, database, *urls))
        for process in (stack.GATEWAY, stack.PAYMENTS):
            full.restart(process)
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


async def _fill(board: report.Board, database: str, payments_url: str, events_url: str) -> None:
    async with contextlib.AsyncExitStack() as cleanup:
        db = await storage.open_database(payments_url, statement_timeout_s=600)
        cleanup.push_async_callback(db.close)
        log = await storage.open_database(events_url, statement_timeout_s=600)
        cleanup.push_async_callback(log.close)
        with board.bar(f"storing {STORED:,} payments in {database}", STORED) as advance:
            for begin in range(0, STORED, CHUNK):
                made = [_payment(begin + number) for number in range(CHUNK)]
                events = [_event(payment, version) for payment, _ in made for version in (1, 2)]
                epoch = await log.write(lambda conn, events=events: _publish(conn, events))  # type: ignore[misc]
                await db.write(
                    lambda conn, made=made, events=events, epoch=epoch: _store(  # type: ignore[misc]
                        conn, made, events, epoch
                    )
                )
                advance(CHUNK)


def _publish(conn: storage.Connection, events: list[event_pb2.Event]) -> str:
    result = append.append(conn, [ingest.candidate(event) for event in events], _NOW_US)
    assert result.head - result.head_before == len(events)
    return str(result.epoch)


def _store(
    conn: storage.Connection,
    made: list[tuple[model.Payment, model.Operation]],
    events: list[event_pb2.Event],
    epoch: str,
) -> None:
    conn.run_many(payments.INSERT, [payments.params(p) for p, _ in made])
    conn.run_many(operations.INSERT, [operations.params(o) for _, o in made])
    conn.run_many(idempotency.CLAIM, [idempotency.params(_claim(p, o)) for p, o in made])
    conn.run_many(outbox.APPEND_IF_FIRST, [outbox.params(_entry(event)) for event in events])
    # Both were empty and are filled in one order, so ids and positions are the same.
    conn.run(_MARK_ALL, {"epoch": epoch})


def _payment(number: int) -> tuple[model.Payment, model.Operation]:
    payment = model.Payment(
        id=ids.new_id("pay"),
        tenant_id="default",
        state=model.PaymentState.SUCCEEDED,
        amount_minor=1000 + number % 900,
        currency="EUR",
        capture_method=model.CaptureMethod.AUTOMATIC,
        provider="mock",
        binding_id=bindings.binding_id("default", "mock"),
        provider_payment_id=ids.new_id("mpay"),
        references=model.References(user_id=f"user-{number % 5000}", order_id=f"o-{number}"),
        authorized_minor=1000 + number % 900,
        captured_minor=1000 + number % 900,
        version=2,
        created_us=_NOW_US,
        updated_us=_NOW_US,
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


def _event(payment: model.Payment, version: int) -> event_pb2.Event:
    event = event_pb2.Event(
        id=ids.new_id("evt"),
        type="payment.created" if version == 1 else "payment.succeeded",
        type_version=1,
        source="payments",
        tenant_id="default",
        entity_type="payment",
        entity_id=payment.id,
        entity_version=version,
        content_type="application/protobuf",
        data=bytes(500),
        user_id=payment.references.user_id,
    )
    event.occur_time.FromMicroseconds(payment.created_us)
    return event


def _entry(event: event_pb2.Event) -> outbox.Entry:
    return outbox.Entry(
        event_id=event.id,
        tenant_id=event.tenant_id,
        entity_type=event.entity_type,
        entity_id=event.entity_id,
        entity_version=event.entity_version,
        envelope=event.SerializeToString(),
        created_us=_NOW_US,
    )

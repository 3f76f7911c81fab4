"""A small installation at rest, made by hand, for planting violations in.

Owns three files that tell one consistent story: a sale with a refund, an
authorization captured in part and released, a payment that never arrived, a
customer. Called by the tests of this folder. No service ever ran on them.
"""

import contextlib
import copy
import pathlib
import shutil
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from payhub.events.v1 import event_pb2
from payhub.payments.v1 import customer_service_pb2, payment_events_pb2, payment_pb2

from provider_mock import schema
from tests import invariants, stored

_P = payment_pb2.Payment
_O = payment_pb2.Operation
_C = customer_service_pb2.Customer

EPOCH = 0xABCDEF
DAY = "2026-01-01"
NEVER_ARRIVED = '[2, "NEVER_ARRIVED", "", false]'
_TABLES: dict[str, type[Any]] = {
    "payments": stored.Payment,
    "operations": stored.Operation,
    "refunds": stored.Refund,
    "customers": stored.Customer,
    "mirrors": stored.Mirror,
    "inbound_webhooks": stored.Webhook,
    "idempotency_keys": stored.Key,
    "plugins": stored.Plugin,
    "bindings": stored.Binding,
    "api_keys": stored.ApiKey,
    "retry_policies": stored.RetryPolicy,
    "default_provider_versions": stored.DefaultProvider,
    "binding_usage": stored.Used,
    "outbox": stored.Outboxed,
}


class Told(NamedTuple):
    """One event of a payment: what it says of it, beside its version."""

    type: str
    operation_id: str
    state: Any
    authorized: int = 0
    captured: int = 0
    refunded: int = 0


SALE = (
    Told("payment.created", "op_sale", _P.STATE_PROCESSING),
    Told("payment.succeeded", "op_sale", _P.STATE_SUCCEEDED, 1000, 1000),
    Told("refund.created", "op_refund", _P.STATE_SUCCEEDED, 1000, 1000),
    Told("refund.succeeded", "op_refund", _P.STATE_SUCCEEDED, 1000, 1000, 300),
)
PARTS = (
    Told("payment.created", "op_hold", _P.STATE_PROCESSING),
    Told("payment.authorized", "op_hold", _P.STATE_AUTHORIZED, 500),
    Told("payment.captured", "op_part", _P.STATE_AUTHORIZED, 500, 200),
    Told("payment.succeeded", "op_void", _P.STATE_SUCCEEDED, 500, 200),
)
LOST = (
    Told("payment.created", "op_lost", _P.STATE_PROCESSING),
    Told("payment.in_doubt", "op_lost", _P.STATE_IN_DOUBT),
    Told("payment.failed", "op_lost", _P.STATE_FAILED),
)


class Installation:
    """The files, and what a subscriber has got of them.

    Args:
        folder: An empty one.
    """

    def __init__(self, folder: pathlib.Path) -> None:
        self.payments = folder / "payments.db"
        self.log = folder / "events.db"
        self.ledger = folder / "mock_ledger.db"
        self.printed = folder / "payment_service.log"
        self.printed.write_text('{"event": "rpc"}\n')
        self.seen: list[event_pb2.Event] = []
        self._events: list[event_pb2.Event] = []
        self._make_payments()
        self._make_log()
        self._make_ledger()

    def copied(self, folder: pathlib.Path) -> "Installation":
        """Returns another one that can be changed, in an empty *folder*."""
        other = copy.copy(self)
        other.seen = copy.deepcopy(self.seen)
        for name in ("payments", "log", "ledger", "printed"):
            file: pathlib.Path = getattr(self, name)
            setattr(other, name, pathlib.Path(shutil.copy(file, folder)))
        return other

    def violations(self, **over: Any) -> list[str]:
        """Returns what `invariants` finds."""
        return invariants.check(
            payments=f"sqlite:///{self.payments}",
            log=f"sqlite:///{self.log}",
            ledger=self.ledger,
            seen=self.seen,
            printed=[self.printed],
            **over,
        )

    def change(self, file: pathlib.Path, statement: str, *values: Any) -> None:
        """Changes a database; fails if nothing is changed."""
        with _writing(file) as connection:
            assert connection.execute(statement, values).rowcount > 0, statement

    def retell(
        self, entity_id: str, version: int, change: Callable[[event_pb2.Event], None]
    ) -> None:
        """Changes an event wherever it is stored."""
        places = (
            (self.payments, "outbox", "envelope"),
            (self.log, "event_log", "event"),
        )
        for file, table, column in places:
            where = "where entity_id = ? and entity_version = ?"
            with _writing(file) as connection:
                found = connection.execute(
                    f"select {column} from {table} {where}", (entity_id, version)
                ).fetchone()
                event = event_pb2.Event.FromString(found[0])
                change(event)
                connection.execute(
                    f"update {table} set {column} = ? {where}",
                    (event.SerializeToString(), entity_id, version),
                )

    def _make_payments(self) -> None:
        for payment_id, story in (("pay_sale", SALE), ("pay_parts", PARTS), ("pay_lost", LOST)):
            self._events += [
                _payment_event(payment_id, number, told) for number, told in enumerate(story, 1)
            ]
        self._events += [
            _customer_event(1, "customer.created", _C.SYNC_STATE_PENDING),
            _customer_event(2, "customer.updated", _C.SYNC_STATE_SYNCED),
        ]
        done, never = _O.STATE_SUCCEEDED, _O.STATE_NOT_SENT
        rows: dict[str, Sequence[tuple[Any, ...]]] = {
            "payments": [
                _payment("pay_sale", "EUR", 1000, SALE),
                _payment("pay_parts", "JPY", 500, PARTS),
                _payment("pay_lost", "EUR", 70, LOST),
            ],
            "operations": [
                _operation("op_sale", "pay_sale", _O.KIND_SALE, done, 1000, "EUR", "k1"),
                _operation("op_refund", "pay_sale", _O.KIND_REFUND, done, 300, "EUR", "k2"),
                _operation("op_hold", "pay_parts", _O.KIND_AUTHORIZE, done, 500, "JPY", "k3"),
                _operation("op_part", "pay_parts", _O.KIND_CAPTURE, done, 200, "JPY", "k4"),
                _operation("op_void", "pay_parts", _O.KIND_VOID, done, 300, "JPY", "k5"),
                _operation("op_lost", "pay_lost", _O.KIND_SALE, never, 70, "EUR", "k6"),
                _operation("op_customer", "cus_one", _O.KIND_CREATE_CUSTOMER, done, 0, "", "k7"),
            ],
            "refunds": [("default", "ref_one", "pay_sale", "op_refund", 300, "EUR", 2)],
            "customers": [("default", "cus_one", _C.SYNC_STATE_SYNCED, 2)],
            "mirrors": [],
            "inbound_webhooks": [],
            "idempotency_keys": [
                ("default", "Create", "k1", "pay_sale"),
                ("default", "Refund", "k2", "ref_one"),
                ("default", "Create", "k3", "pay_parts"),
                ("default", "Capture", "k4", "pay_parts"),
                ("default", "Cancel", "k5", "pay_parts"),
                ("default", "Create", "k6", "pay_lost"),
                ("default", "Customer", "k7", "cus_one"),
            ],
            "plugins": [],
            "bindings": [],
            "api_keys": [stored.ApiKey(id="k-1", version=0)],
            "retry_policies": [stored.RetryPolicy(tenant_id="default", version=0)],
            "default_provider_versions": [stored.DefaultProvider(tenant_id="", version=0)],
            "binding_usage": [
                stored.Used(binding_id="b-1", day=DAY, currency="EUR", used_minor=1000),
                stored.Used(binding_id="b-1", day=DAY, currency="JPY", used_minor=500),
            ],
            "outbox": [
                (number, *_key(event), event.SerializeToString(), f"{EPOCH:08x}", number)
                for number, event in enumerate(self._events, 1)
            ],
        }
        for table, content in rows.items():
            _fill(self.payments, table, _TABLES[table]._fields, content)

    def _make_log(self) -> None:
        rows = []
        for position, event in enumerate(self._events, 1):
            logged = event_pb2.Event()
            logged.CopyFrom(event)
            logged.position = position
            logged.append_time.seconds = 1
            self.seen.append(logged)
            identity, tenant, kind, entity, version = _key(event)
            content = logged.SerializeToString()
            row = (position, identity, tenant, event.type, kind, entity, version, content)
            rows.append(row)
        _fill(self.log, "event_log", stored.Entry._fields, rows)
        _fill(self.log, "log_head", stored.Head._fields, [(EPOCH, len(rows))])

    def _make_ledger(self) -> None:
        operations = [
            _booked("op_sale", "SALE", 1000, "EUR", "mpay_sale"),
            _booked("op_refund", "REFUND", 300, "EUR", "mpay_sale"),
            _booked("op_hold", "AUTHORIZE", 500, "JPY", "mpay_parts"),
            _booked("op_part", "CAPTURE", 200, "JPY", "mpay_parts"),
            _booked("op_void", "VOID", 300, "JPY", "mpay_parts"),
            _booked("op_customer", "CREATE_CUSTOMER", None, "", "mcus_one"),
        ]
        sums = {"capturing_minor": 0, "releasing_minor": 0, "refunding_minor": 0, "closed": 1}
        payments = [
            _row(
                schema.PaymentRow._fields,
                object_id="mpay_sale",
                currency="EUR",
                authorized_minor=1000,
                captured_minor=1000,
                released_minor=0,
                refunded_minor=300,
                **sums,
            ),
            _row(
                schema.PaymentRow._fields,
                object_id="mpay_parts",
                currency="JPY",
                authorized_minor=500,
                captured_minor=200,
                released_minor=300,
                refunded_minor=0,
                **sums,
            ),
        ]
        _fill(self.ledger, "operations", schema.OperationRow._fields, operations)
        _fill(self.ledger, "payments", schema.PaymentRow._fields, payments)
        _fill(self.ledger, "customers", ("object_id",), [("mcus_one",)])


@contextlib.contextmanager
def _writing(file: pathlib.Path) -> Iterator[sqlite3.Connection]:
    with contextlib.closing(sqlite3.connect(file)) as connection, connection:
        # Nobody needs these files after a crash.
        connection.execute("pragma synchronous = off")
        connection.execute("pragma journal_mode = off")
        yield connection


def _payment(payment_id: str, currency: str, amount: int, story: Sequence[Told]) -> tuple[Any, ...]:
    last = story[-1]
    return stored.Payment(
        tenant_id="default",
        id=payment_id,
        state=last.state,
        amount_minor=amount,
        currency=currency,
        cancel_requested=0,
        authorized_minor=last.authorized,
        captured_minor=last.captured,
        capture_reserved_minor=0,
        refunded_minor=last.refunded,
        refund_reserved_minor=0,
        version=len(story),
    )


def _operation(
    operation_id: str, entity_id: str, kind: int, state: int, amount: int, currency: str, key: str
) -> tuple[Any, ...]:
    return stored.Operation(
        id=operation_id,
        tenant_id="default",
        entity_id=entity_id,
        kind=kind,
        state=state,
        amount_minor=amount,
        currency=currency,
        reserved_minor=0,
        refund_id="ref_one" if kind == _O.KIND_REFUND else "",
        failure=NEVER_ARRIVED if state == _O.STATE_NOT_SENT else "",
        idempotency_key=key,
        created_us=1,
        binding_id="b-1",
        counted_day=DAY if kind in invariants.INITIAL else "",
        actor="key:1",
    )


def _payment_event(payment_id: str, version: int, told: Told) -> event_pb2.Event:
    payload = payment_events_pb2.PaymentEvent(
        payment=_P(
            id=payment_id,
            state=told.state,
            version=version,
            amounts=payment_pb2.Amounts(
                authorized_minor=told.authorized,
                captured_minor=told.captured,
                refunded_minor=told.refunded,
            ),
        ),
        operation_id=told.operation_id,
    )
    content = payload.SerializeToString()
    return _event("payment", payment_id, version, told.type, told.operation_id, content)


def _customer_event(version: int, kind: str, sync: Any) -> event_pb2.Event:
    customer = _C(id="cus_one", sync_state=sync, version=version)
    payload = payment_events_pb2.CustomerEvent(customer=customer)
    content = payload.SerializeToString()
    return _event("customer", "cus_one", version, kind, "op_customer", content)


def _event(
    entity_type: str, entity_id: str, version: int, kind: str, operation_id: str, content: bytes
) -> event_pb2.Event:
    return event_pb2.Event(
        id=f"evt_{entity_id}_{version}",
        type=kind,
        source="payments",
        tenant_id="default",
        entity_type=entity_type,
        entity_id=entity_id,
        entity_version=version,
        data=content,
        cause=event_pb2.Cause(causation_id=operation_id),
    )


def _key(event: event_pb2.Event) -> tuple[str, str, str, str, int]:
    identity = (event.id, event.tenant_id, event.entity_type, event.entity_id)
    return (*identity, event.entity_version)


def _booked(
    operation_id: str, kind: str, amount: int | None, currency: str, object_id: str
) -> tuple[Any, ...]:
    return _row(
        schema.OperationRow._fields,
        operation_id=operation_id,
        kind=kind,
        state="SUCCEEDED",
        amount_minor=amount,
        currency=currency,
        object_id=object_id,
        final=0,
        state_us=1,
        created_us=1,
    )


def _row(fields: Sequence[str], **values: Any) -> tuple[Any, ...]:
    return tuple(values.get(field, "") for field in fields)


def _fill(
    file: pathlib.Path, table: str, fields: Sequence[str], rows: Sequence[tuple[Any, ...]]
) -> None:
    with _writing(file) as connection:
        connection.execute(f"create table {table} ({', '.join(fields)})")
        marks = ", ".join("?" for _ in fields)
        connection.executemany(f"insert into {table} values ({marks})", rows)

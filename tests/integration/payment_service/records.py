"""What is stored: the service's tables and the provider's ledger, read from outside.

Owns reading both databases beside the running processes. Called by the tests
of this folder. Never writes.
"""

import contextlib
import pathlib
import sqlite3
from typing import Any

import psycopg
from payhub.events.v1 import event_pb2
from payhub.options.v1 import options_pb2
from payhub.payments.v1 import billing_events_pb2, payment_events_pb2

from provider_mock import oracle
from servicekit import sanitizer

TABLES = (
    "api_keys",
    "customers",
    "idempotency_keys",
    "operations",
    "outbox",
    "payments",
    "refunds",
    "reports",
)
# Only calls write these, nothing in the background does.
CALLERS_TABLES = ("api_keys", "customers", "idempotency_keys", "payments")


class Records:
    """The database of one payment service.

    Args:
        url: As given to the service.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection: psycopg.Connection[Any] | None = None

    def close(self) -> None:
        """Gives up the connection to PostgreSQL, if there is one."""
        if self._connection is not None:
            self._connection.close()

    def rows(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """Returns every row; `?` stands for a value."""
        if self._url.startswith("sqlite:///"):
            path = pathlib.Path(self._url.removeprefix("sqlite:///")).resolve()
            connection = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=5)
            with contextlib.closing(connection):
                return connection.execute(sql, values).fetchall()
        if self._connection is None:
            self._connection = psycopg.connect(self._url, autocommit=True)
        return self._connection.execute(sql.replace("?", "%s"), values).fetchall()

    def of_tenant(self, *tenants: str) -> dict[str, list[tuple[Any, ...]]]:
        """Returns every row of some tenants in every table."""
        found = {}
        for table in TABLES:
            marks = ", ".join("?" for _ in tenants)
            rows = self.rows(f"select * from {table} where tenant_id in ({marks})", *tenants)
            found[table] = sorted(rows, key=repr)
        return found

    def counts(self) -> dict[str, int]:
        """Returns how many rows callers have brought about, of all tenants together."""
        return {table: self.rows(f"select count(*) from {table}")[0][0] for table in CALLERS_TABLES}

    def events(self, entity_id: str) -> list[event_pb2.Event]:
        """Returns what the outbox holds of an entity, in the order it was written."""
        rows = self.rows("select envelope from outbox where entity_id = ? order by id", entity_id)
        return [event_pb2.Event.FromString(bytes(row[0])) for row in rows]

    def of_binding(self, binding_id: str) -> bytes:
        """Returns every value that is kept of bindings, and every event about one."""
        rows = [
            *self.rows("select * from bindings"),
            *self.rows("select * from binding_versions"),
            *self.rows("select * from plugin_history"),
            *self.rows("select * from outbox where entity_id = ?", binding_id),
            *self.rows("select * from outbox where tenant_id = 'system'"),
        ]
        return b"".join(
            bytes(value) if isinstance(value, bytes | memoryview) else str(value).encode()
            for row in rows
            for value in row
        )

    def all_events(self) -> list[event_pb2.Event]:
        """Returns everything the outbox holds, in the order it was written."""
        rows = self.rows("select envelope from outbox order by id")
        return [event_pb2.Event.FromString(bytes(row[0])) for row in rows]

    def payment_events(self, payment_id: str) -> list[payment_events_pb2.PaymentEvent]:
        """Returns the payloads of a payment's events."""
        decode = payment_events_pb2.PaymentEvent.FromString
        return [decode(event.data) for event in self.events(payment_id)]

    def payload(self, event: event_pb2.Event) -> Any:
        """Returns the payload of an event of a mirrored entity."""
        name = event.data_schema.rpartition(".")[2]
        return getattr(billing_events_pb2, name).FromString(event.data)

    def story(self, entity: Any) -> list[str]:
        """Returns the types of an entity's events after checking that they tell it all.

        One event per version, dense from 1; the newest tells the entity as it stands.
        """
        events = self.events(entity.id)
        assert [event.entity_version for event in events] == list(range(1, len(events) + 1))
        assert len({event.id for event in events}) == len(events)
        assert entity.version == len(events)
        for event in events:
            assert event.source == "payments"
            assert event.type_version == 1
            assert event.content_type == "application/protobuf"
        if entity.id.startswith("pay_"):
            last = self.payment_events(entity.id)[-1].payment
            assert _payment_as_told(last) == _payment_as_told(entity)
        elif entity.id.startswith("cus_"):
            told = payment_events_pb2.CustomerEvent.FromString(events[-1].data).customer
            assert told == entity
        else:
            payload = self.payload(events[-1])
            assert _as_told(getattr(payload, events[-1].entity_type)) == _as_told(entity)
        return [event.type for event in events]


def _payment_as_told(payment: Any) -> Any:
    """Returns a payment without what an event leaves out, or may tell late."""
    bare = type(payment)()
    bare.CopyFrom(payment)
    for operation in bare.operations:
        operation.ClearField("attempts")
    sanitizer.strip_sensitive(bare, options_pb2.sensitive)
    return bare


def _as_told(entity: Any) -> Any:
    """Returns a mirrored entity without what an event leaves out, or may tell late."""
    bare = type(entity)()
    bare.CopyFrom(entity)
    for place in bare.prices if hasattr(bare, "prices") else [bare.mirror]:
        place.ClearField("operations")
        place.ClearField("provider_time")
    sanitizer.strip_sensitive(bare, options_pb2.sensitive)
    return bare


class Ledger:
    """The books of one simulated provider.

    Args:
        path: Its SQLite file.
    """

    def __init__(self, path: pathlib.Path) -> None:
        self._path = path

    def of(self, reference: str) -> list[dict[str, Any]]:
        """Returns every operation on a payment or customer, after checking that all adds up."""
        report = oracle.read(self._path, operations=True)
        assert report["differences"] == []
        return [row for row in report["operations"] if row["reference"] == reference]

    def effects(self, reference: str) -> list[tuple[str, str, int | None]]:
        """Returns kind, state and amount of every operation on a payment or customer."""
        return sorted(
            (row["kind"], row["state"], row["amount_minor"]) for row in self.of(reference)
        )

"""What an installation has stored, read from outside as plain rows.

Owns opening its databases read-only and the columns that tests look at. Called
by `invariants` and by tests that wait for an installation to come to rest.
Never writes, and shares no code with the services.
"""

import contextlib
import pathlib
import sqlite3
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, TypeVar

import psycopg

BUSY_TIMEOUT_S = 10.0

Select = Callable[[str], list[tuple[Any, ...]]]
_Row = TypeVar("_Row", bound=tuple[Any, ...])


class Payment(NamedTuple):
    """Of the table `payments`."""

    tenant_id: str
    id: str
    state: int
    amount_minor: int
    currency: str
    cancel_requested: int
    authorized_minor: int
    captured_minor: int
    capture_reserved_minor: int
    refunded_minor: int
    refund_reserved_minor: int
    version: int


class Operation(NamedTuple):
    """Of the table `operations`."""

    id: str
    tenant_id: str
    entity_id: str
    kind: int
    state: int
    amount_minor: int
    currency: str
    reserved_minor: int
    refund_id: str
    failure: str
    idempotency_key: str
    created_us: int
    binding_id: str
    counted_day: str
    actor: str


class Refund(NamedTuple):
    """Of the table `refunds`."""

    tenant_id: str
    id: str
    payment_id: str
    operation_id: str
    amount_minor: int
    currency: str
    state: int


class Customer(NamedTuple):
    """Of the table `customers`."""

    tenant_id: str
    id: str
    sync_state: int
    version: int


class Mirror(NamedTuple):
    """Of the table `mirrors`."""

    tenant_id: str
    kind: int
    id: str
    state: int
    version: int


class Webhook(NamedTuple):
    """Of the table `inbound_webhooks`."""

    id: str
    tenant_id: str
    state: int


class Key(NamedTuple):
    """Of the table `idempotency_keys`."""

    tenant_id: str
    rpc: str
    key: str
    resource_id: str


class Plugin(NamedTuple):
    """Of the table `plugins`."""

    plugin_id: str
    revision: int


class Binding(NamedTuple):
    """Of the table `bindings`."""

    binding_id: str
    tenant_id: str
    revision: int


class ApiKey(NamedTuple):
    """Of the table `api_keys`."""

    id: str
    version: int


class RetryPolicy(NamedTuple):
    """Of the table `retry_policies`."""

    tenant_id: str
    version: int


class DefaultProvider(NamedTuple):
    """Of the table `default_provider_versions`."""

    tenant_id: str
    version: int


class Used(NamedTuple):
    """Of the table `binding_usage`."""

    binding_id: str
    day: str
    currency: str
    used_minor: int


class Outboxed(NamedTuple):
    """Of the table `outbox`, whether it was published or not."""

    id: int
    event_id: str
    tenant_id: str
    entity_type: str
    entity_id: str
    entity_version: int
    envelope: bytes
    log_epoch: str
    log_position: int


class Entry(NamedTuple):
    """Of the gateway's table `event_log`."""

    position: int
    event_id: str
    tenant_id: str
    type: str
    entity_type: str
    entity_id: str
    entity_version: int
    event: bytes


class Head(NamedTuple):
    """Of the gateway's table `log_head`."""

    epoch: int
    head: int


class Payments(NamedTuple):
    """Everything payment_service has stored, in one snapshot."""

    payments: list[Payment]
    operations: list[Operation]
    refunds: list[Refund]
    customers: list[Customer]
    mirrors: list[Mirror]
    webhooks: list[Webhook]
    keys: list[Key]
    plugins: list[Plugin]
    bindings: list[Binding]
    api_keys: list[ApiKey]
    retry_policies: list[RetryPolicy]
    default_providers: list[DefaultProvider]
    used: list[Used]
    outbox: list[Outboxed]


class Log(NamedTuple):
    """Everything event_gateway has stored, in one snapshot, oldest first."""

    head: Head
    entries: list[Entry]


@contextlib.contextmanager
def snapshot(url: str) -> Iterator[Select]:
    """Opens a database read-only; every select in it sees the same moment."""
    if url.startswith("sqlite:///"):
        path = pathlib.Path(url.removeprefix("sqlite:///")).resolve()
        connection = sqlite3.connect(
            f"{path.as_uri()}?mode=ro", uri=True, timeout=BUSY_TIMEOUT_S, isolation_level=None
        )
        with contextlib.closing(connection):
            connection.execute("begin")
            yield lambda sql: connection.execute(sql).fetchall()
        return
    with psycopg.connect(url) as session:
        session.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        session.read_only = True
        yield lambda sql: session.execute(sql.encode()).fetchall()


def payments(url: str) -> Payments:
    """Reads the database of payment_service."""
    with snapshot(url) as select:
        return Payments(
            payments=_all(select, "payments", Payment, "id"),
            operations=_all(select, "operations", Operation, "id"),
            refunds=_all(select, "refunds", Refund, "id"),
            customers=_all(select, "customers", Customer, "id"),
            mirrors=_all(select, "mirrors", Mirror, "id"),
            webhooks=_all(select, "inbound_webhooks", Webhook, "id"),
            keys=_all(select, "idempotency_keys", Key, "key"),
            plugins=_all(select, "plugins", Plugin, "plugin_id"),
            bindings=_all(select, "bindings", Binding, "binding_id"),
            api_keys=_all(select, "api_keys", ApiKey, "id"),
            retry_policies=_all(select, "retry_policies", RetryPolicy, "tenant_id"),
            default_providers=_all(
                select, "default_provider_versions", DefaultProvider, "tenant_id"
            ),
            used=_all(select, "binding_usage", Used, "binding_id"),
            outbox=_all(select, "outbox", Outboxed, "id"),
        )


def log(url: str) -> Log:
    """Reads the database of event_gateway."""
    with snapshot(url) as select:
        (head,) = _all(select, "log_head", Head, "head")
        return Log(head=head, entries=_all(select, "event_log", Entry, "position"))


def unfinished(url: str) -> dict[str, int]:
    """Returns how much payment_service still has to do, by what it is; empty at rest."""
    with snapshot(url) as select:
        counts = {
            "open operations": "operations where state <= 4",
            "wishes to cancel": "payments where cancel_requested = 1",
            "events not in the log": "outbox where log_epoch = ''",
        }
        found = {
            what: select(f"select count(*) from {where}")[0][0] for what, where in counts.items()
        }
    return {what: count for what, count in found.items() if count}


def count(url: str, table: str) -> int:
    """Returns how many rows a table has."""
    with snapshot(url) as select:
        return int(select(f"select count(*) from {table}")[0][0])


def _all(select: Select, table: str, row: type[_Row], order: str) -> list[_Row]:
    columns: tuple[str, ...] = row._fields  # type: ignore[attr-defined]
    make: Callable[[Any], _Row] = row._make  # type: ignore[attr-defined]
    return [
        make(found)
        for found in select(f"select {', '.join(columns)} from {table} order by {order}")
    ]

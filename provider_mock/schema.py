"""Tables and statements of the ledger.

Owns the SQL text and the shape of rows. Called by `ledger` and `oracle`. Never
decides anything: the ceilings are CHECK constraints here, the rules are in
`books`.
"""

import dataclasses
from typing import NamedTuple

from provider_mock import books
from servicekit import storage


class OperationRow(NamedTuple):
    """One operation as recorded; empty text and None mean that it has none."""

    operation_id: str
    binding_id: str
    kind: str
    fingerprint: str
    """What it was asked with; empty if a void came before the operation itself."""
    state: str
    reference: str
    """Core's own id of the payment or customer."""
    object_id: str
    provider_operation_id: str
    target_id: str
    amount_minor: int | None
    echo_minor: int | None
    currency: str
    final: int
    decline_reason: int
    due_us: int | None
    due_state: str
    due_reason: int
    action_token: str | None
    action_expire_us: int
    details: str
    state_us: int
    created_us: int


class PaymentRow(NamedTuple):
    """One payment and its sums."""

    object_id: str
    binding_id: str
    operation_id: str
    reference: str
    currency: str
    scenario: str
    authorized_minor: int
    capturing_minor: int
    captured_minor: int
    releasing_minor: int
    released_minor: int
    refunding_minor: int
    refunded_minor: int
    closed: int
    created_us: int

    def sums(self) -> books.Sums:
        """Returns its amounts."""
        return books.Sums(
            authorized_minor=self.authorized_minor,
            capturing_minor=self.capturing_minor,
            captured_minor=self.captured_minor,
            releasing_minor=self.releasing_minor,
            released_minor=self.released_minor,
            refunding_minor=self.refunding_minor,
            refunded_minor=self.refunded_minor,
            closed=bool(self.closed),
        )


TABLES = tuple(
    storage.Statement(text)
    for text in (
        """
        create table if not exists operations (
          operation_id text primary key,
          binding_id text not null,
          kind text not null,
          fingerprint text not null,
          state text not null check (state in ('PENDING', 'ACTION_REQUIRED', 'SUCCEEDED',
            'DECLINED', 'VOIDED')),
          reference text not null,
          object_id text not null,
          provider_operation_id text not null,
          target_id text not null,
          amount_minor integer check (amount_minor > 0),
          echo_minor integer,
          currency text not null,
          final integer not null,
          decline_reason integer not null,
          due_us integer check (due_us is null or state in ('PENDING', 'ACTION_REQUIRED')),
          due_state text not null,
          due_reason integer not null,
          action_token text,
          action_expire_us integer not null,
          details text not null,
          state_us integer not null,
          created_us integer not null
        ) without rowid
        """,
        """
        create unique index if not exists operations_action on operations (action_token)
        where action_token is not null
        """,
        """
        create index if not exists operations_due on operations (due_us)
        where due_us is not null
        """,
        """
        create index if not exists operations_object on operations (object_id)
        where object_id <> ''
        """,
        """
        create table if not exists payments (
          object_id text primary key,
          binding_id text not null,
          operation_id text not null,
          reference text not null,
          currency text not null,
          scenario text not null,
          authorized_minor integer not null check (authorized_minor >= 0),
          capturing_minor integer not null check (capturing_minor >= 0),
          captured_minor integer not null check (captured_minor >= 0),
          releasing_minor integer not null check (releasing_minor >= 0),
          released_minor integer not null check (released_minor >= 0),
          refunding_minor integer not null check (refunding_minor >= 0),
          refunded_minor integer not null check (refunded_minor >= 0),
          closed integer not null,
          created_us integer not null,
          check (capturing_minor + captured_minor + releasing_minor + released_minor
            <= authorized_minor),
          check (refunding_minor + refunded_minor <= captured_minor)
        ) without rowid
        """,
        """
        create table if not exists customers (
          object_id text primary key,
          binding_id text not null,
          details text not null,
          updated_us integer not null
        ) without rowid
        """,
    )
)


def sum_columns(sums: books.Sums) -> dict[str, int]:
    """Returns the columns that hold *sums*."""
    return {field.name: int(getattr(sums, field.name)) for field in dataclasses.fields(sums)}


_OLD_TABLE = storage.Statement(
    "select 1 from sqlite_master where name = 'operations' and sql like '%kind in (%'"
)
_MODERNIZE = tuple(
    storage.Statement(text)
    for text in (
        "alter table operations rename to operations_old",
        str(TABLES[0].sqlite),
        "insert into operations select * from operations_old",
        "drop table operations_old",
    )
)


def modernize(conn: storage.Connection) -> None:
    """Takes over a ledger made before there were operations other than payments'."""
    if conn.one(_OLD_TABLE) is not None:
        for statement in _MODERNIZE:
            conn.run(statement)


_OPERATION_COLUMNS = ", ".join(OperationRow._fields)
_PAYMENT_COLUMNS = ", ".join(PaymentRow._fields)

INSERT_OPERATION = storage.Statement(
    f"insert into operations ({_OPERATION_COLUMNS}) values "
    f"({', '.join(':' + name for name in OperationRow._fields)}) on conflict do nothing"
)
SELECT_OPERATION = storage.Statement(
    f"select {_OPERATION_COLUMNS} from operations where operation_id = :operation_id"
)
SELECT_ACTION = storage.Statement(
    f"select {_OPERATION_COLUMNS} from operations where action_token = :action_token"
)
SELECT_DUE = storage.Statement(
    f"select {_OPERATION_COLUMNS} from operations where due_us <= :now_us "
    "order by due_us limit :limit"
)
# `+` keeps the planner on the small index of what is due.
SELECT_DUE_OF_PAYMENT = storage.Statement(
    f"select {_OPERATION_COLUMNS} from operations where due_us <= :now_us "
    "and +object_id = :object_id order by due_us"
)
UPDATE_OPERATION = storage.Statement(
    """
    update operations set state = :state, decline_reason = :decline_reason, due_us = null,
      amount_minor = :amount_minor, echo_minor = :echo_minor, state_us = :state_us
    where operation_id = :operation_id
    """
)
INSERT_PAYMENT = storage.Statement(
    f"insert into payments ({_PAYMENT_COLUMNS}) values "
    f"({', '.join(':' + name for name in PaymentRow._fields)})"
)
SELECT_PAYMENT = storage.Statement(
    f"select {_PAYMENT_COLUMNS} from payments where object_id = :object_id"
)
UPDATE_PAYMENT = storage.Statement(
    """
    update payments set authorized_minor = :authorized_minor,
      capturing_minor = :capturing_minor, captured_minor = :captured_minor,
      releasing_minor = :releasing_minor, released_minor = :released_minor,
      refunding_minor = :refunding_minor, refunded_minor = :refunded_minor, closed = :closed
    where object_id = :object_id
    """
)
SELECT_CUSTOMER = storage.Statement(
    "select binding_id, details from customers where object_id = :object_id"
)
UPSERT_CUSTOMER = storage.Statement(
    """
    insert into customers (object_id, binding_id, details, updated_us)
    values (:object_id, :binding_id, :details, :updated_us)
    on conflict (object_id) do update set
      details = excluded.details, updated_us = excluded.updated_us
    """
)

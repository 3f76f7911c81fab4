"""Where the provider keeps what it has beside payments.

Owns the tables of objects and of what belongs to payments, and their
statements. Called inside the ledger's transactions. Never decides anything.
"""

import dataclasses
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

from provider_mock.objects import model
from servicekit import storage

BodyT = TypeVar("BodyT", bound=model.Body)


class _Row(NamedTuple):
    object_id: str
    binding_id: str
    kind: str
    state: str
    core_id: str
    operation_id: str
    customer_id: str
    parent_id: str
    body: str
    due_us: int | None
    state_us: int
    created_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """One object as the provider has it.

    Args:
        object_id: Identifier here.
        binding_id: The account it is in.
        state: Where it stands, in the contract's words without prefix.
        body: What it is.
        core_id: Core's identifier; empty for what the provider made by itself.
        operation_id: The operation of core that made it, if one did.
        customer_id: Whose it is; empty for prices and detached methods.
        parent_id: The subscription of an invoice, the payment of a dispute.
        due_us: When something happens to it by itself; None for never.
        state_us: When it became like this; rises with every change.
        created_us: When it was made.
    """

    object_id: str
    binding_id: str
    state: str
    body: model.Body
    created_us: int
    state_us: int = 0
    core_id: str = ""
    operation_id: str = ""
    customer_id: str = ""
    parent_id: str = ""
    due_us: int | None = None

    @property
    def kind(self) -> str:
        """Its field in the contract's ProviderObject."""
        return _NAMES[type(self.body)]


_NAMES = {body: kind for kind, body in model.KINDS.items()}


class Link(NamedTuple):
    """What a payment belongs to."""

    payment_id: str
    customer_id: str
    invoice_id: str
    checkout_id: str
    method_id: str


TABLES = tuple(
    storage.Statement(text)
    for text in (
        """
        create table if not exists objects (
          object_id text primary key,
          binding_id text not null,
          kind text not null,
          state text not null,
          core_id text not null,
          operation_id text not null,
          customer_id text not null,
          parent_id text not null,
          body text not null,
          due_us integer,
          state_us integer not null,
          created_us integer not null
        ) without rowid
        """,
        """
        create index if not exists objects_due on objects (due_us) where due_us is not null
        """,
        """
        create index if not exists objects_customer on objects (customer_id, kind)
        where customer_id <> ''
        """,
        """
        create index if not exists objects_parent on objects (parent_id, created_us)
        where parent_id <> ''
        """,
        """
        create index if not exists objects_operation on objects (operation_id)
        where operation_id <> ''
        """,
        """
        create table if not exists payment_links (
          payment_id text primary key,
          customer_id text not null,
          invoice_id text not null,
          checkout_id text not null,
          method_id text not null
        ) without rowid
        """,
    )
)

_COLUMNS = ", ".join(_Row._fields)
_UPSERT = storage.Statement(
    f"insert into objects ({_COLUMNS}) values ({', '.join(':' + name for name in _Row._fields)}) "
    "on conflict (object_id) do update set state = excluded.state, core_id = excluded.core_id, "
    "customer_id = excluded.customer_id, body = excluded.body, due_us = excluded.due_us, "
    "state_us = excluded.state_us"
)
_SELECT = storage.Statement(f"select {_COLUMNS} from objects where object_id = :object_id")
_SELECT_DUE = storage.Statement(
    f"select {_COLUMNS} from objects where due_us <= :now_us order by due_us, object_id limit 1"
)
_SELECT_OF_CUSTOMER = storage.Statement(
    f"select {_COLUMNS} from objects where customer_id = :customer_id and kind = :kind "
    "order by created_us, object_id"
)
_SELECT_OF_PARENT = storage.Statement(
    f"select {_COLUMNS} from objects where parent_id = :parent_id order by created_us, object_id"
)
_INSERT_LINK = storage.Statement(
    "insert into payment_links (payment_id, customer_id, invoice_id, checkout_id, method_id) "
    "values (:payment_id, :customer_id, :invoice_id, :checkout_id, :method_id) "
    "on conflict do nothing"
)
_SELECT_LINK = storage.Statement(
    "select payment_id, customer_id, invoice_id, checkout_id, method_id from payment_links "
    "where payment_id = :payment_id"
)


def find(conn: storage.Connection, object_id: str, binding_id: str) -> Kept | None:
    """Returns an object of an account; None if the account has none of that id."""
    kept = by_id(conn, object_id)
    return kept if kept is not None and kept.binding_id == binding_id else None


def by_id(conn: storage.Connection, object_id: str) -> Kept | None:
    """Returns an object of whatever account."""
    columns = conn.one(_SELECT, {"object_id": object_id})
    return _kept(columns) if columns is not None else None


def body(kept: Kept, kind: type[BodyT]) -> BodyT:
    """Returns the body of an object that is known to be of *kind*."""
    assert isinstance(kept.body, kind), f"{kept.object_id} is no {kind.__name__}"
    return kept.body


def put(conn: storage.Connection, kept: Kept, *, at_us: int) -> Kept:
    """Writes an object as changed at *at_us* and returns it with its state time."""
    # Two changes within one microsecond would look like one told twice.
    kept = dataclasses.replace(kept, state_us=max(at_us, kept.state_us + 1))
    row = _Row(
        object_id=kept.object_id,
        binding_id=kept.binding_id,
        kind=kept.kind,
        state=kept.state,
        core_id=kept.core_id,
        operation_id=kept.operation_id,
        customer_id=kept.customer_id,
        parent_id=kept.parent_id,
        body=json.dumps(dataclasses.asdict(kept.body)),
        due_us=kept.due_us,
        state_us=kept.state_us,
        created_us=kept.created_us,
    )
    conn.run(_UPSERT, row._asdict())
    return kept


def next_due(conn: storage.Connection, now_us: int) -> Kept | None:
    """Returns the object to which something happens first by *now_us*; None if nothing does."""
    columns = conn.one(_SELECT_DUE, {"now_us": now_us})
    return _kept(columns) if columns is not None else None


def of_customer(conn: storage.Connection, customer_id: str, kind: str) -> Iterator[Kept]:
    """Yields a customer's objects of a kind, the oldest first."""
    for columns in conn.all(_SELECT_OF_CUSTOMER, {"customer_id": customer_id, "kind": kind}):
        yield _kept(columns)


def of_parent(conn: storage.Connection, parent_id: str) -> list[Kept]:
    """Returns the invoices of a subscription or the disputes of a payment, oldest first."""
    return [_kept(columns) for columns in conn.all(_SELECT_OF_PARENT, {"parent_id": parent_id})]


def put_link(conn: storage.Connection, link: Link) -> None:
    """Notes what a payment belongs to, once."""
    conn.run(_INSERT_LINK, link._asdict())


def link(conn: storage.Connection, payment_id: str) -> Link:
    """Returns what a payment belongs to; empty text where it belongs to nothing."""
    columns = conn.one(_SELECT_LINK, {"payment_id": payment_id})
    return Link._make(columns) if columns is not None else Link(payment_id, "", "", "", "")


def _kept(columns: Any) -> Kept:
    row = _Row._make(columns)
    return Kept(
        object_id=row.object_id,
        binding_id=row.binding_id,
        state=row.state,
        body=model.KINDS[row.kind](**json.loads(row.body)),
        created_us=row.created_us,
        state_us=row.state_us,
        core_id=row.core_id,
        operation_id=row.operation_id,
        customer_id=row.customer_id,
        parent_id=row.parent_id,
        due_us=row.due_us,
    )

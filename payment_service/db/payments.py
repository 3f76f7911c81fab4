"""Payments: reading one under its lock, writing a change, listing.

Owns the table `payments`. Called by the use cases inside their transactions.
Never checks a rule: amount ceilings are the table's CHECK constraints.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from payment_service.db import operations, rows
from payment_service.domain import actions, model
from servicekit import ids, storage

# Of every payment, and those that most payments leave at the table's defaults.
_PLAIN = (
    "id, tenant_id, state, amount_minor, currency, capture_method, provider, binding_id, "
    "provider_payment_id, customer_id, user_id, subscription_id, order_id, metadata, "
    "description, action, failure, cancel_requested, authorized_minor, captured_minor, "
    "capture_reserved_minor, refunded_minor, refund_reserved_minor, version, created_us, "
    "updated_us, revision"
).split(", ")
_MORE = (
    "payment_method_id, off_session, next_retry_us, invoice_id, checkout_id, "
    "foreign_refunded_minor, disputed_minor, provider_time_us, saves_method"
).split(", ")
COLUMNS = (*_PLAIN, *_MORE)
_WIDTH = len(COLUMNS)

# Further than this a clock never was set back while ids went on from where they were.
_ID_SLACK_US = 86_400_000_000

# Few payments wait at any time, each for an open operation, and those have an index.
_WAITING = frozenset(
    {
        model.PaymentState.PROCESSING,
        model.PaymentState.REQUIRES_ACTION,
        model.PaymentState.IN_DOUBT,
    }
)
_OPEN = "select entity_id from operations where state <= 4 and tenant_id = :tenant_id"

_INSERT = "insert into payments ({}) select {} where {{if_first}}"
INSERT = storage.Statement(
    _INSERT.format(", ".join(_PLAIN), ", ".join(f":{name}" for name in _PLAIN))
)
_INSERT_WHOLE = storage.Statement(
    _INSERT.format(", ".join(COLUMNS), ", ".join(f":{name}" for name in COLUMNS))
)
UPDATE = storage.Statement(
    "update payments set state = :state, provider_payment_id = :provider_payment_id, "
    "action = :action, failure = :failure, cancel_requested = :cancel_requested, "
    "amount_minor = :amount_minor, authorized_minor = :authorized_minor, "
    "captured_minor = :captured_minor, "
    "capture_reserved_minor = :capture_reserved_minor, refunded_minor = :refunded_minor, "
    "refund_reserved_minor = :refund_reserved_minor, "
    "foreign_refunded_minor = :foreign_refunded_minor, disputed_minor = :disputed_minor, "
    "payment_method_id = :payment_method_id, "
    "next_retry_us = :next_retry_us, provider_time_us = :provider_time_us, version = :version, "
    "updated_us = :updated_us, revision = revision + 1 "
    "where tenant_id = :tenant_id and id = :id and revision = :revision and {if_first}"
)
_SELECT = (
    f"select {', '.join(f'p.{name}' for name in COLUMNS)}, "
    f"{', '.join(f'o.{name}' for name in operations.COLUMNS)} "
    "from payments p left join operations o on o.entity_id = p.id "
    "where p.tenant_id = :tenant_id and p.id = :id"
)
_LOAD = storage.Statement(_SELECT)
_LOCK = storage.Statement(
    "select 1 from payments where tenant_id = :tenant_id and id = :id for update"
)
_TO_CANCEL = storage.Statement(
    "select tenant_id, id, updated_us from payments where cancel_requested = 1 and state <> 8 "
    "and updated_us >= :after_us "
    "and (updated_us > :after_us or id > :after_id) "
    "order by updated_us, id limit :most"
)


_PROVIDER_ID = storage.Statement(
    "select provider_payment_id from payments where tenant_id = :tenant_id and id = :id"
)


# Which payments are compared where somebody names a provider's id: as many on either side.
NEAR_MAX = 10_000
_NEAR = "select id, provider, provider_payment_id from payments where tenant_id = :tenant_id"
_ALREADY = storage.Statement(
    f"select id from (select * from ({_NEAR} and id < :id order by id desc limit :most) as before "
    f"union all select * from ({_NEAR} and id > :id order by id limit :most) as later) as near "
    "where provider = :provider and provider_payment_id = :provider_payment_id limit 1"
)


def already(conn: storage.Connection, payment: model.Payment, provider_payment_id: str) -> str:
    """Returns which other payment has an id at the same provider, '' if none has: of the NEAR_MAX
    payments of the tenant made before it, and after it.
    """
    values = {
        "tenant_id": payment.tenant_id,
        "id": payment.id,
        "provider": payment.provider,
        "provider_payment_id": provider_payment_id,
        "most": NEAR_MAX,
    }
    row = conn.one(_ALREADY, values)
    return "" if row is None else str(row[0])


def provider_id(conn: storage.Connection, tenant_id: str, payment_id: str) -> str:
    """Returns a payment's id at its provider, '' while it is not known."""
    row = conn.one(_PROVIDER_ID, {"tenant_id": tenant_id, "id": payment_id})
    return "" if row is None else str(row[0])


def insert(payment: model.Payment) -> tuple[storage.Statement, storage.Params]:
    """Returns what inserts a new payment; a plain one names none of its rare columns."""
    keeps = payment.payment_method_id or payment.off_session or payment.saves_method
    if not keeps and not payment.is_adopted:
        return INSERT, params(payment)
    return insert_whole(payment)


def insert_whole(payment: model.Payment) -> tuple[storage.Statement, storage.Params]:
    """Returns what inserts a payment, whatever has happened to it."""
    whole = {
        **params(payment),
        **_changing_seldom(payment),
        "off_session": int(payment.off_session),
        "saves_method": int(payment.saves_method),
        "invoice_id": payment.invoice_id,
        "checkout_id": payment.checkout_id,
    }
    return _INSERT_WHOLE, whole


def params(payment: model.Payment) -> storage.Params:
    """Returns a plain payment as the parameters of INSERT."""
    references = payment.references
    return {
        **_changing(payment),
        "currency": payment.currency,
        "capture_method": int(payment.capture_method),
        "provider": payment.provider,
        "binding_id": payment.binding_id,
        "customer_id": references.customer_id,
        "user_id": references.user_id,
        "subscription_id": references.subscription_id,
        "order_id": references.order_id,
        "metadata": rows.dump_map(references.metadata),
        "description": payment.description,
        "created_us": payment.created_us,
    }


def update_params(payment: model.Payment) -> storage.Params:
    """Returns a payment as the parameters of UPDATE."""
    return {**_changing(payment), **_changing_seldom(payment)}


def _changing_seldom(payment: model.Payment) -> dict[str, object]:
    return {
        "foreign_refunded_minor": payment.foreign_refunded_minor,
        "disputed_minor": payment.disputed_minor,
        "payment_method_id": payment.payment_method_id,
        "next_retry_us": payment.next_retry_us,
        "provider_time_us": payment.provider_time_us,
    }


def _changing(payment: model.Payment) -> dict[str, object]:
    return {
        "id": payment.id,
        "tenant_id": payment.tenant_id,
        "state": int(payment.state),
        "provider_payment_id": payment.provider_payment_id,
        "action": rows.dump_action(payment.action),
        "failure": rows.dump_failure(payment.failure),
        "cancel_requested": int(payment.cancel_requested),
        "amount_minor": payment.amount_minor,
        "authorized_minor": payment.authorized_minor,
        "captured_minor": payment.captured_minor,
        "capture_reserved_minor": payment.capture_reserved_minor,
        "refunded_minor": payment.refunded_minor,
        "refund_reserved_minor": payment.refund_reserved_minor,
        "version": payment.version,
        "revision": payment.revision,
        "updated_us": payment.updated_us,
    }


def from_row(row: storage.Row, operations_: tuple[model.Operation, ...] = ()) -> model.Payment:
    """Returns a payment from its columns in the order of COLUMNS."""
    return model.Payment(
        id=row[0],
        tenant_id=row[1],
        state=model.PaymentState(row[2]),
        amount_minor=row[3],
        currency=row[4],
        capture_method=model.CaptureMethod(row[5]),
        provider=row[6],
        binding_id=row[7],
        provider_payment_id=row[8],
        references=model.References(
            customer_id=row[9],
            user_id=row[10],
            subscription_id=row[11],
            order_id=row[12],
            metadata=rows.load_map(row[13]),
        ),
        description=row[14],
        action=rows.load_action(row[15]),
        failure=rows.load_failure(row[16]),
        cancel_requested=bool(row[17]),
        authorized_minor=row[18],
        captured_minor=row[19],
        capture_reserved_minor=row[20],
        refunded_minor=row[21],
        refund_reserved_minor=row[22],
        version=row[23],
        created_us=row[24],
        updated_us=row[25],
        revision=row[26],
        payment_method_id=row[27],
        off_session=bool(row[28]),
        next_retry_us=row[29],
        invoice_id=row[30],
        checkout_id=row[31],
        foreign_refunded_minor=row[32],
        disputed_minor=row[33],
        provider_time_us=row[34],
        saves_method=bool(row[35]),
        operations=operations_,
    )


def load(
    conn: storage.Connection, tenant_id: str, payment_id: str, *, lock: bool = False
) -> model.Payment | None:
    """Returns a payment with its operations, or None; with *lock* until the commit."""
    key = {"tenant_id": tenant_id, "id": payment_id}
    if lock and conn.dialect == "postgresql":
        # A statement of its own: one that waits for the lock and joins would return the
        # operations of before the wait.
        conn.run(_LOCK, key)
    found = conn.all(_LOAD, key)
    if not found:
        return None
    own = [operations.from_row(row[_WIDTH:]) for row in found if row[_WIDTH] is not None]
    return from_row(found[0], tuple(sorted(own, key=model.turn)))


def to_cancel(
    conn: storage.Connection, *, after: tuple[int, str], most: int
) -> Sequence[tuple[str, str, int]]:
    """Returns (tenant, payment, when it changed) of cancellations that wait to be carried out,
    in the order of their changes, after the (time, payment) *after*.
    """
    values = {"after_us": after[0], "after_id": after[1], "most": most}
    return [(row[0], row[1], row[2]) for row in conn.all(_TO_CANCEL, values)]


@dataclass(frozen=True, slots=True, kw_only=True)
class ListFilter:
    """Which payments to list; empty fields match everything. `before_id` is exclusive."""

    states: tuple[model.PaymentState, ...] = ()
    customer_id: str = ""
    user_id: str = ""
    order_id: str = ""
    provider: str = ""
    created_from_us: int = 0
    created_before_us: int = 0
    before_id: str = ""


def list_newest_first(
    conn: storage.Connection, tenant_id: str, wanted: ListFilter, most: int
) -> list[model.Payment]:
    """Returns at most *most* payments, newest first, with their operations where these decide
    what is allowed.
    """
    clauses = ["tenant_id = :tenant_id"]
    values: dict[str, object] = {"tenant_id": tenant_id, "most": most}
    for name in ("customer_id", "user_id", "order_id", "provider"):
        if value := getattr(wanted, name):
            clauses.append(f"{name} = :{name} and {name} <> ''")
            values[name] = value
    for name, clause in (
        ("created_from_us", "created_us >= :created_from_us"),
        ("created_before_us", "created_us < :created_before_us"),
        ("before_id", "id < :before_id"),
    ):
        if value := getattr(wanted, name):
            clauses.append(clause)
            values[name] = value
    # Ids are minted as payments are created: those much older or younger are not looked at.
    if wanted.created_from_us:
        clauses.append("id >= :from_id")
        values["from_id"] = ids.lowest_id("pay", wanted.created_from_us - _ID_SLACK_US)
    if wanted.created_before_us:
        clauses.append("id < :until_id")
        values["until_id"] = ids.lowest_id("pay", wanted.created_before_us + _ID_SLACK_US)
    if wanted.states:
        clauses.append(f"state in ({', '.join(str(int(state)) for state in wanted.states)})")
        if _WAITING.issuperset(wanted.states):
            clauses.append(f"id in ({_OPEN})")
    text = (
        f"select {', '.join(COLUMNS)} from payments where {' and '.join(clauses)} "
        "order by id desc limit :most"
    )
    found = conn.query(text, values)
    own = operations.deciding(conn, [row[0] for row in found], actions.OPERATIONS_MAX)
    return [from_row(row, own.get(row[0], ())) for row in found]

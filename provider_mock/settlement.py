"""What happens to an operation after it was recorded.

Owns settling what is due, the payer's action, and the end of a voided
authorization. Called by `ledger`, by the provider's loop and by the action
endpoint, inside a transaction. Never starts an operation.
"""

from dataclasses import replace

from payhub.provider.v1 import operation_pb2

from provider_mock import books, scenarios, schema
from provider_mock.billing import checkouts, disputes, effects, invoices
from provider_mock.objects import store
from provider_sdk import errors
from servicekit import storage

DUE_MAX = 200
# Why an invoice is not paid by a payment that was voided.
VOIDED = operation_pb2.DECLINE_REASON_OTHER
NOT_ALLOWED = operation_pb2.DECLINE_REASON_NOT_ALLOWED
NOT_AUTHENTICATED = operation_pb2.DECLINE_REASON_AUTHENTICATION_FAILED
_OPEN = ("PENDING", "ACTION_REQUIRED")


def operation(conn: storage.Connection, operation_id: str) -> schema.OperationRow | None:
    """Returns the operation as recorded; what is due is not settled by looking."""
    columns = conn.one(schema.SELECT_OPERATION, {"operation_id": operation_id})
    return schema.OperationRow._make(columns) if columns is not None else None


def bring_up_to_date(
    conn: storage.Connection, operation_id: str, now_us: int
) -> schema.OperationRow | None:
    """Returns the operation after settling it if that is due."""
    row = operation(conn, operation_id)
    if row is None or row.due_us is None or row.due_us > now_us:
        return row
    return _settle(conn, row, row.due_state, row.due_reason, row.due_us)


def settle_due(conn: storage.Connection, now_us: int) -> int:
    """Settles at most 200 operations that are due; returns how many it did."""
    due = conn.all(schema.SELECT_DUE, {"now_us": now_us, "limit": DUE_MAX})
    for columns in due:
        # An earlier one of this round may have ended it.
        bring_up_to_date(conn, columns[0], now_us)
    return len(due)


def has_due(conn: storage.Connection, now_us: int) -> bool:
    """Says whether anything is due."""
    return conn.one(schema.SELECT_DUE, {"now_us": now_us, "limit": 1}) is not None


def resolve_action(
    conn: storage.Connection, token: str, *, completed: bool, now_us: int
) -> schema.OperationRow:
    """The payer did, or refused, what was asked.

    Raises:
        NotFound: No such action.
        StateConflict: It has ended otherwise.
    """
    columns = conn.one(schema.SELECT_ACTION, {"action_token": token})
    if columns is None:
        raise errors.NotFound("no such action")
    row = bring_up_to_date(conn, columns[0], now_us)
    assert row is not None
    if row.state == "ACTION_REQUIRED":
        state: scenarios.State = "SUCCEEDED" if completed else "DECLINED"
        return _settle(conn, row, state, 0 if completed else NOT_AUTHENTICATED, now_us)
    if (row.state == "SUCCEEDED") != completed:
        raise errors.StateConflict(f"the action has ended: {row.state}")
    return row


def _settle(
    conn: storage.Connection, row: schema.OperationRow, state: str, reason: int, at_us: int
) -> schema.OperationRow:
    """Ends an open operation and carries out or drops what it had reserved."""
    succeeded = state == "SUCCEEDED"
    if row.kind in ("CREATE_CUSTOMER", "UPDATE_CUSTOMER"):
        if succeeded:
            write_customer(conn, row, at_us)
    elif row.kind in effects.EFFECTS:
        if succeeded:
            effects.carry_out(conn, row, at_us)
    elif row.object_id:
        columns = conn.one(schema.SELECT_PAYMENT, {"object_id": row.object_id})
        assert columns is not None
        before = schema.PaymentRow._make(columns).sums()
        if succeeded and _is_overtaken(row, before):
            succeeded, state, reason = False, "DECLINED", NOT_ALLOWED
        after = _settled(row, before, succeeded=succeeded)
        update(conn, row.object_id, after)
        if row.kind == "VOID" and succeeded:
            end_target(conn, row.target_id, at_us)
            released_minor = after.released_minor - before.released_minor or None
            row = row._replace(amount_minor=released_minor, echo_minor=released_minor)
    ended = row._replace(state=state, decline_reason=reason, due_us=None, state_us=at_us)
    conn.run(schema.UPDATE_OPERATION, ended._asdict())
    if ended.kind in ("AUTHORIZE", "SALE", "CAPTURE") and ended.object_id:
        _tell(conn, ended, reason, at_us)
    return ended


def _tell(conn: storage.Connection, row: schema.OperationRow, reason: int, at_us: int) -> None:
    """Lets what a payment belongs to know how it ended."""
    link = store.link(conn, row.object_id)
    succeeded = row.state == "SUCCEEDED"
    if link.invoice_id:
        invoices.payment_ended(
            conn, link.invoice_id, row.object_id, reason=0 if succeeded else reason, at_us=at_us
        )
    if link.checkout_id:
        checkouts.payment_ended(conn, link.checkout_id, succeeded=succeeded, at_us=at_us)
    if succeeded:
        columns = conn.one(schema.SELECT_PAYMENT, {"object_id": row.object_id})
        assert columns is not None
        took_effect(conn, row, schema.PaymentRow._make(columns).scenario, at_us)


def took_effect(
    conn: storage.Connection, row: schema.OperationRow, scenario_text: str, at_us: int
) -> None:
    """Does what follows from money that moved: a method is kept, a dispute opened."""
    effects.keep_if_asked(conn, row, at_us)
    scenario = scenarios.parse(scenario_text)
    if scenario is not None and scenario.traits and row.kind in ("SALE", "CAPTURE"):
        disputes.open_if_asked(conn, row.object_id, at_us=at_us)


def _is_overtaken(row: schema.OperationRow, sums: books.Sums) -> bool:
    """Whether a void that waited with nothing set aside finds everything captured by now."""
    if row.kind != "VOID" or row.amount_minor is not None:
        return False
    try:
        books.reserve_void(sums)
    except errors.StateConflict:
        return True
    return False


def _settled(row: schema.OperationRow, sums: books.Sums, *, succeeded: bool) -> books.Sums:
    amount_minor = row.amount_minor or 0
    match row.kind:
        case "AUTHORIZE" | "SALE" if succeeded:
            return books.authorize(sums, amount_minor, sale=row.kind == "SALE")
        case "AUTHORIZE" | "SALE":
            return replace(sums, closed=True)
        case "CAPTURE" if succeeded:
            return books.settle_capture(sums, amount_minor, final=bool(row.final))
        case "CAPTURE":
            return books.drop_capture(sums, amount_minor)
        case "REFUND" if succeeded:
            return books.settle_refund(sums, amount_minor)
        case "REFUND":
            return books.drop_refund(sums, amount_minor)
        case "INCREMENT":
            return books.increment(sums, amount_minor) if succeeded else sums
        case "VOID" if succeeded:
            return books.settle_void(sums, amount_minor)
        case "VOID":
            return books.drop_void(sums, amount_minor)
        case other:
            raise AssertionError(f"{other} does not touch a payment")


def end_target(conn: storage.Connection, operation_id: str, now_us: int) -> None:
    """Ends an authorization that a void caught before it took effect, and tells whose it was."""
    target = operation(conn, operation_id)
    if target is not None and target.state in _OPEN:
        ended = target._replace(state="VOIDED", due_us=None, state_us=now_us)
        conn.run(schema.UPDATE_OPERATION, ended._asdict())
        _tell(conn, ended, VOIDED, now_us)


def up_to_date(conn: storage.Connection, payment: schema.PaymentRow, now_us: int) -> books.Sums:
    """Returns the sums after settling what is due on the payment."""
    key = {"object_id": payment.object_id, "now_us": now_us}
    due = conn.all(schema.SELECT_DUE_OF_PAYMENT, key)
    if not due:
        return payment.sums()
    for columns in due:
        bring_up_to_date(conn, columns[0], now_us)
    settled = conn.one(schema.SELECT_PAYMENT, key)
    assert settled is not None
    return schema.PaymentRow._make(settled).sums()


def update(conn: storage.Connection, object_id: str, sums: books.Sums) -> None:
    """Writes the sums of a payment."""
    conn.run(schema.UPDATE_PAYMENT, {"object_id": object_id, **schema.sum_columns(sums)})


def write_customer(conn: storage.Connection, row: schema.OperationRow, now_us: int) -> None:
    """Writes what an operation says of a customer."""
    customer = {
        "object_id": row.object_id,
        "binding_id": row.binding_id,
        "details": row.details,
        "updated_us": now_us,
    }
    conn.run(schema.UPSERT_CUSTOMER, customer)

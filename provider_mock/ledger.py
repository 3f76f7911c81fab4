"""What happens in the ledger, as functions of one transaction.

Owns the state machine of operations and payments and its idempotency: one
operation id, one effect. Called by the provider through `db.write`. Never
sleeps, never answers: faults are handed back for the provider to carry out.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import NoReturn

from payhub.provider.v1 import operation_pb2

from provider_mock import books, entries, scenarios, schema, settlement
from provider_mock.billing import disputes
from provider_mock.objects import store
from provider_sdk import errors
from servicekit import storage

_NOT_ALLOWED = operation_pb2.DECLINE_REASON_NOT_ALLOWED


def authorize(
    conn: storage.Connection,
    entry: entries.Entry,
    outcome: scenarios.Outcome,
    *,
    scenario: str,
    sale: bool,
    action: entries.Action | None,
) -> entries.Recorded:
    """Records an authorization, or finds the one of this operation id.

    Raises:
        Injected, Mismatch, TooLate: Nothing was recorded.
    """
    if outcome.fault in scenarios.BEFORE_COMMIT:
        return refuse(conn, entry, entries.Injected(outcome.fault))
    row = entries.row(entry, "SALE" if sale else "AUTHORIZE", outcome)
    if outcome.state == "DECLINED":
        row = row._replace(object_id="")
    elif action is not None:
        row = entries.with_action(row, action)
    if not insert(conn, entry, row):
        return replay(conn, entry)
    if outcome.state != "DECLINED":
        sums = books.Sums()
        if outcome.state == "SUCCEEDED":
            sums = books.authorize(sums, entries.amount(entry), sale=sale)
        payment = schema.PaymentRow(
            object_id=entry.object_id,
            binding_id=entry.binding_id,
            operation_id=entry.operation_id,
            reference=entry.reference,
            currency=entry.currency,
            scenario=scenario,
            **schema.sum_columns(sums),
            created_us=entry.now_us,
        )
        conn.run(schema.INSERT_PAYMENT, payment._asdict())
        if entry.customer_id:
            store.put_link(
                conn, store.Link(entry.object_id, entry.customer_id, "", "", entry.method_id)
            )
    if outcome.state == "SUCCEEDED":
        settlement.took_effect(conn, row, scenario, entry.now_us)
    return entries.Recorded(row, outcome.fault)


def capture(conn: storage.Connection, entry: entries.Entry) -> entries.Recorded:
    """Records a capture.

    Raises:
        NotFound, InvalidRequest, StateConflict, Mismatch, TooLate, Injected: Nothing was
            recorded.
    """

    def settle(sums: books.Sums) -> books.Sums:
        return books.settle_capture(sums, entries.amount(entry), final=entry.final)

    return _move(conn, entry, scenarios.Kind.CAPTURE, books.reserve_capture, settle)


def refund(conn: storage.Connection, entry: entries.Entry) -> entries.Recorded:
    """Records a refund; raises like `capture`."""

    def settle(sums: books.Sums) -> books.Sums:
        return books.settle_refund(sums, entries.amount(entry))

    return _move(conn, entry, scenarios.Kind.REFUND, books.reserve_refund, settle)


def increment(conn: storage.Connection, entry: entries.Entry, total_minor: int) -> entries.Recorded:
    """Raises an authorization to *total_minor*; raises like `capture`."""

    def reserve(sums: books.Sums, amount_minor: int) -> books.Sums:
        return books.require_increment(sums, amount_minor, total_minor)

    return _move(conn, entry, scenarios.Kind.INCREMENT, reserve, _incremented(entry))


def _incremented(entry: entries.Entry) -> Callable[[books.Sums], books.Sums]:
    return lambda sums: books.increment(sums, entries.amount(entry))


def _move(
    conn: storage.Connection,
    entry: entries.Entry,
    kind: scenarios.Kind,
    reserve: Callable[[books.Sums, int], books.Sums],
    settle: Callable[[books.Sums], books.Sums],
) -> entries.Recorded:
    payment = _payment(conn, entry)
    if payment is None:
        return refuse(conn, entry, errors.NotFound(f"no payment {entry.object_id[:64]}"))
    outcome = _outcome(entry, payment.scenario, kind)
    if outcome.fault in scenarios.BEFORE_COMMIT:
        return refuse(conn, entry, entries.Injected(outcome.fault))
    if payment.currency != entry.currency:
        text = f"the payment is in {payment.currency}"
        wrong = errors.InvalidRequest(text, [("amount.currency_code", text)])
        return refuse(conn, entry, wrong)
    sums = settlement.up_to_date(conn, payment, entry.now_us)
    if outcome.state != "DECLINED":
        try:
            if kind is scenarios.Kind.REFUND:
                disputes.require_undisputed(
                    conn,
                    entry.object_id,
                    refundable_minor=sums.refundable_minor,
                    amount_minor=entries.amount(entry),
                )
            sums = reserve(sums, entries.amount(entry))
        except (errors.StateConflict, errors.InvalidRequest) as error:
            return refuse(conn, entry, error)
        if outcome.state == "SUCCEEDED":
            sums = settle(sums)
    row = entries.row(entry, kind.name, outcome)._replace(reference=payment.reference)
    if not insert(conn, entry, row):
        return replay(conn, entry)
    if outcome.state != "DECLINED":
        settlement.update(conn, entry.object_id, sums)
    if outcome.state == "SUCCEEDED":
        settlement.took_effect(conn, row, payment.scenario, entry.now_us)
    return entries.Recorded(row, outcome.fault)


def void(conn: storage.Connection, entry: entries.Entry) -> entries.Recorded:
    """Records a void, by payment or by the operation that authorized it.

    An authorization nobody has heard of is refused from now on. Raises like `capture`.
    """
    target = settlement.operation(conn, entry.target_id)
    if target is not None and target.binding_id != entry.binding_id:
        target = None
        if not entry.object_id:
            return refuse(conn, entry, errors.NotFound("the target is of another binding"))
    if entry.object_id:
        payment = _payment(conn, entry)
        if payment is None:
            return refuse(conn, entry, errors.NotFound(f"no payment {entry.object_id[:64]}"))
    else:
        payment = _payment(conn, replace(entry, object_id=target.object_id)) if target else None
    wrong_kind = target is not None and target.kind not in ("AUTHORIZE", "SALE")
    if wrong_kind or (payment is not None and payment.operation_id != entry.target_id):
        text = "not the operation that authorized the payment"
        wrong = errors.InvalidRequest(text, [("target_operation_id", text)])
        return refuse(conn, entry, wrong)
    outcome = _outcome(entry, payment.scenario if payment else "", scenarios.Kind.VOID)
    if outcome.fault in scenarios.BEFORE_COMMIT:
        return refuse(conn, entry, entries.Injected(outcome.fault))
    if payment is None:
        return _void_nothing(conn, entry, outcome, target)
    return _void_payment(conn, entry, outcome, payment)


def _void_nothing(
    conn: storage.Connection,
    entry: entries.Entry,
    outcome: scenarios.Outcome,
    target: schema.OperationRow | None,
) -> entries.Recorded:
    """Voids what was declined or never arrived: nothing is held, nothing to release."""
    row = entries.row(entry, "VOID", outcome)
    if not insert(conn, entry, row):
        return replay(conn, entry)
    if target is None and outcome.state != "DECLINED":
        never = replace(
            entry,
            operation_id=entry.target_id,
            fingerprint="",
            object_id="",
            target_id="",
            provider_operation_id=f"{entry.provider_operation_id}_target",
        )
        refused = scenarios.Outcome(state="DECLINED", reason=_NOT_ALLOWED)
        conn.run(schema.INSERT_OPERATION, entries.row(never, "AUTHORIZE", refused)._asdict())
    return entries.Recorded(row, outcome.fault)


def _void_payment(
    conn: storage.Connection,
    entry: entries.Entry,
    outcome: scenarios.Outcome,
    payment: schema.PaymentRow,
) -> entries.Recorded:
    sums = settlement.up_to_date(conn, payment, entry.now_us)
    released_minor: int | None = None
    if outcome.state != "DECLINED" and sums.authorized_minor:
        try:
            reserved = books.reserve_void(sums)
        except errors.StateConflict as error:
            return refuse(conn, entry, error)
        released_minor = reserved.releasing_minor - sums.releasing_minor
        sums = reserved
    row = entries.row(
        replace(
            entry,
            object_id=payment.object_id,
            reference=payment.reference,
            currency=payment.currency,
            amount_minor=released_minor or None,
        ),
        "VOID",
        outcome,
    )
    if not insert(conn, entry, row):
        return replay(conn, entry)
    if outcome.state == "SUCCEEDED":
        sums = books.settle_void(sums, released_minor or 0)
        settlement.end_target(conn, entry.target_id, entry.now_us)
    if outcome.state != "DECLINED":
        settlement.update(conn, payment.object_id, sums)
    return entries.Recorded(row, outcome.fault)


def create_customer(
    conn: storage.Connection, entry: entries.Entry, outcome: scenarios.Outcome
) -> entries.Recorded:
    """Records the making of a customer; raises like `authorize`."""
    if outcome.fault in scenarios.BEFORE_COMMIT:
        return refuse(conn, entry, entries.Injected(outcome.fault))
    row = entries.row(entry, "CREATE_CUSTOMER", outcome)
    if outcome.state == "DECLINED":
        row = row._replace(object_id="")
    return _record_customer(conn, entry, row, outcome)


def update_customer(
    conn: storage.Connection, entry: entries.Entry, outcome: scenarios.Outcome
) -> entries.Recorded:
    """Records new details of a customer; raises NotFound and like `authorize`."""
    known = conn.one(schema.SELECT_CUSTOMER, {"object_id": entry.object_id})
    if known is None or known[0] != entry.binding_id:
        return refuse(conn, entry, errors.NotFound(f"no customer {entry.object_id[:64]}"))
    if outcome.fault in scenarios.BEFORE_COMMIT:
        return refuse(conn, entry, entries.Injected(outcome.fault))
    return _record_customer(conn, entry, entries.row(entry, "UPDATE_CUSTOMER", outcome), outcome)


def _record_customer(
    conn: storage.Connection,
    entry: entries.Entry,
    row: schema.OperationRow,
    outcome: scenarios.Outcome,
) -> entries.Recorded:
    if not insert(conn, entry, row):
        return replay(conn, entry)
    if outcome.state == "SUCCEEDED":
        settlement.write_customer(conn, row, entry.now_us)
    return entries.Recorded(row, outcome.fault)


def refuse(conn: storage.Connection, entry: entries.Entry, error: Exception) -> entries.Recorded:
    """Raises *error*, unless the operation took place before: then that counts."""
    if settlement.operation(conn, entry.operation_id) is not None:
        return replay(conn, entry)
    raise error


def replay(conn: storage.Connection, entry: entries.Entry) -> entries.Recorded:
    """Returns the operation of this id as it stands; raises Mismatch if it was another one."""
    row = settlement.bring_up_to_date(conn, entry.operation_id, entry.now_us)
    assert row is not None
    if row.fingerprint != entry.fingerprint and (row.fingerprint or not _is_target(row, entry)):
        _mismatch()
    return entries.Recorded(row, scenarios.Fault.NONE)


def _is_target(row: schema.OperationRow, entry: entries.Entry) -> bool:
    """Says whether *entry* is the late authorization that a void refused beforehand."""
    return row.binding_id == entry.binding_id and not entry.target_id


def _mismatch() -> NoReturn:
    raise errors.Mismatch("the operation id was used with other parameters")


def _outcome(entry: entries.Entry, scenario_text: str, kind: scenarios.Kind) -> scenarios.Outcome:
    forced = entry.force.outcome(kind) if entry.force is not None else None
    if forced is not None:
        return forced
    scenario = scenarios.parse(scenario_text) if scenario_text else None
    return scenario.outcome(kind) if scenario is not None else scenarios.APPROVE


def insert(conn: storage.Connection, entry: entries.Entry, row: schema.OperationRow) -> bool:
    """Records an operation unless there is one of this id; raises TooLate."""
    entry.ensure_in_time()
    return conn.run(schema.INSERT_OPERATION, row._asdict()) == 1


def _payment(conn: storage.Connection, entry: entries.Entry) -> schema.PaymentRow | None:
    columns = conn.one(schema.SELECT_PAYMENT, {"object_id": entry.object_id})
    if columns is None or columns[1] != entry.binding_id:
        return None
    return schema.PaymentRow._make(columns)

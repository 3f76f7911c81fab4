"""Refunds: their rows. Their amounts are guarded by the payment's row.

Owns the table `refunds`. Called by the use cases inside their transactions.
"""

from payment_service.db import rows
from payment_service.domain import model
from servicekit import storage

_COLUMNS = (
    "id, tenant_id, payment_id, operation_id, amount_minor, currency, state, reason, note, "
    "failure, created_us, updated_us"
)
INSERT = storage.Statement(
    f"insert into refunds ({_COLUMNS}) select :id, :tenant_id, :payment_id, :operation_id, "
    ":amount_minor, :currency, :state, :reason, :note, :failure, :created_us, :updated_us "
    "where {if_first}"
)
UPDATE = storage.Statement(
    "update refunds set state = :state, failure = :failure, updated_us = :updated_us "
    "where tenant_id = :tenant_id and id = :id and {if_first}"
)
_LOAD = storage.Statement(
    f"select {_COLUMNS} from refunds where tenant_id = :tenant_id and id = :id"
)


def params(refund: model.Refund) -> storage.Params:
    """Returns a refund as the parameters of INSERT."""
    return {
        **update_params(refund),
        "payment_id": refund.payment_id,
        "operation_id": refund.operation_id,
        "amount_minor": refund.amount_minor,
        "currency": refund.currency,
        "reason": int(refund.reason),
        "note": refund.note,
        "created_us": refund.created_us,
    }


def update_params(refund: model.Refund) -> dict[str, object]:
    """Returns a refund as the parameters of UPDATE."""
    return {
        "id": refund.id,
        "tenant_id": refund.tenant_id,
        "state": int(refund.state),
        "failure": rows.dump_failure(refund.failure),
        "updated_us": refund.updated_us,
    }


def _from_row(row: storage.Row) -> model.Refund:
    return model.Refund(
        id=row[0],
        tenant_id=row[1],
        payment_id=row[2],
        operation_id=row[3],
        amount_minor=row[4],
        currency=row[5],
        state=model.RefundState(row[6]),
        reason=model.RefundReason(row[7]),
        note=row[8],
        failure=rows.load_failure(row[9]),
        created_us=row[10],
        updated_us=row[11],
    )


def load(conn: storage.Connection, tenant_id: str, refund_id: str) -> model.Refund | None:
    """Returns a refund, or None. Lock its payment first to change it."""
    row = conn.one(_LOAD, {"tenant_id": tenant_id, "id": refund_id})
    return _from_row(row) if row else None


def list_newest_first(
    conn: storage.Connection, tenant_id: str, *, payment_id: str, before_id: str, most: int
) -> list[model.Refund]:
    """Returns at most *most* refunds, newest first; empty filters match everything."""
    clauses = ["tenant_id = :tenant_id"]
    values: dict[str, object] = {"tenant_id": tenant_id, "most": most}
    if payment_id:
        clauses.append("payment_id = :payment_id")
        values["payment_id"] = payment_id
    if before_id:
        clauses.append("id < :before_id")
        values["before_id"] = before_id
    text = (
        f"select {_COLUMNS} from refunds where {' and '.join(clauses)} order by id desc limit :most"
    )
    return [_from_row(row) for row in conn.query(text, values)]

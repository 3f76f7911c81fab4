"""Operations: their rows, and which of them the resolver looks at next.

Owns the tables `operations` and `reports`. Called by the use cases and by
db.payments, which reads a payment with its operations. Never changes a state
on its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from payment_service.db import rows
from payment_service.domain import model
from servicekit import storage

COLUMNS = (
    "id, tenant_id, entity_id, kind, state, amount_minor, currency, reserved_minor, final, "
    "refund_id, version, attempts, provider, binding_id, request, provider_operation_id, "
    "failure, correlation_id, idempotency_key, actor, not_after_us, next_check_us, created_us, "
    "updated_us, counted_day, plugin_version"
).split(", ")

_VALUES = ", ".join(f":{name}" for name in COLUMNS)
INSERT = storage.Statement(
    f"insert into operations ({', '.join(COLUMNS)}) select {_VALUES} where {{if_first}}"
)
UPDATE = storage.Statement(
    "update operations set state = :state, reserved_minor = :reserved_minor, version = :version, "
    "provider_operation_id = :provider_operation_id, failure = :failure, "
    "next_check_us = :next_check_us, updated_us = :updated_us "
    "where entity_id = :entity_id and id = :id and version = :version - 1 and {if_first}"
)
_NEWEST = storage.Statement(
    f"select {', '.join(COLUMNS)} from operations where entity_id = :entity_id "
    "order by id desc limit :most"
)
_ONE = storage.Statement(
    f"select {', '.join(COLUMNS)} from operations where entity_id = :entity_id and id = :id"
)
_FIND = storage.Statement(f"select {', '.join(COLUMNS)} from operations where id = :id")
_CLAIM_DUE = storage.Statement(
    "update operations set next_check_us = :lease_until_us, attempts = attempts + 1 "
    "where (entity_id, id) in (select entity_id, id from operations where next_check_us > 0 and "
    f"next_check_us <= :now_us order by next_check_us limit :most) returning {', '.join(COLUMNS)}",
    postgresql="update operations set next_check_us = :lease_until_us, attempts = attempts + 1 "
    "where (entity_id, id) in (select entity_id, id from operations where next_check_us > 0 and "
    "next_check_us <= :now_us order by next_check_us limit :most for update skip locked) "
    f"returning {', '.join(COLUMNS)}",
)
_PULL_IN = storage.Statement(
    "update operations set next_check_us = :now_us where (entity_id, id) in (select entity_id, id "
    "from operations where next_check_us > 0 and next_check_us > :beyond_us limit :most)"
)
# States by their numbers: 1 is IN_FLIGHT, 4 IN_DOUBT, and those up to 4 are open. `state <= 4`
# stands also where it follows: the index of open operations serves who says its condition.
_SCHEDULE = storage.Statement(
    "update operations set next_check_us = :next_check_us "
    "where entity_id = :entity_id and id = :id and state <= 4 and version = :version"
)
_HURRY = storage.Statement(
    "update operations set next_check_us = :now_us where entity_id = :entity_id and state in "
    "(1, 4) and next_check_us > :now_us and (state = 4 or not_after_us < :now_us)"
)
_NOTE_VERSION = storage.Statement(
    "update operations set plugin_version = :plugin_version where entity_id = :entity_id "
    "and id = :id and version = :version and state = 1"
)
_FENCE = storage.Statement(
    "update operations set not_after_us = :not_after_us where entity_id = :entity_id "
    "and id = :id and version = :version and state = 4"
)
# The row is locked from here on: nobody notes a new attempt any more, or has noted one before.
_HOLD = storage.Statement(
    "update operations set next_check_us = 0 where entity_id = :entity_id and id = :id "
    "and version = :version and state = 4 and not_after_us <= :not_after_us"
)
# The id, but not its index: while doubts are many, PostgreSQL would look for the next page among
# all operations that were settled between two of them.
_BY_AGE = "id || ''"
_INSERT_REPORT = storage.Statement(
    "insert into reports (id, tenant_id, entity_id, operation_id, outcome, detail, created_us) "
    "values (:id, :tenant_id, :entity_id, :operation_id, :outcome, :detail, :created_us)"
)
_DECIDING = storage.Statement(
    f"select {', '.join(COLUMNS)} from operations where entity_id in (select entity_id "
    "from operations where entity_id = any(cast(:entity_ids as text[])) "
    "group by entity_id having min(state) <= 4 or count(*) >= :many)",
    prepared=False,
)
_OPEN_COUNTS = storage.Statement(
    "select state, count(*) from operations where state <= 4 group by state"
)
_COUNT_OPEN = storage.Statement(
    "select count(*) from (select 1 from operations where state <= 4 and state = :state "
    "limit :most) as found"
)
_OPEN_AT = storage.Statement(
    "select count(*) from operations where state <= 4 and provider = :provider"
)
_IN_FLIGHT_AT = storage.Statement(
    "select count(*) from operations where state <= 4 and state = 1 and provider = :provider"
)
_OLDEST_DOUBT = storage.Statement(
    "select min(created_us) from operations where state <= 4 and state = 4"
)


def params(operation: model.Operation) -> storage.Params:
    """Returns an operation as the parameters of INSERT and UPDATE."""
    return {
        "id": operation.id,
        "tenant_id": operation.tenant_id,
        "entity_id": operation.entity_id,
        "kind": int(operation.kind),
        "state": int(operation.state),
        "amount_minor": operation.amount_minor,
        "currency": operation.currency,
        "reserved_minor": operation.reserved_minor,
        "final": int(operation.final),
        "refund_id": operation.refund_id,
        "version": operation.version,
        "attempts": operation.attempts,
        "provider": operation.provider,
        "binding_id": operation.binding_id,
        "request": operation.request,
        "provider_operation_id": operation.provider_operation_id,
        "failure": rows.dump_failure(operation.failure),
        "correlation_id": operation.cause.correlation_id,
        "idempotency_key": operation.cause.idempotency_key,
        "actor": operation.cause.actor,
        "not_after_us": operation.not_after_us,
        "next_check_us": operation.next_check_us,
        "created_us": operation.created_us,
        "updated_us": operation.updated_us,
        "counted_day": operation.counted_day,
        "plugin_version": operation.plugin_version,
    }


def update_params(operation: model.Operation) -> storage.Params:
    """Returns an operation as the parameters of UPDATE only."""
    return {
        "state": int(operation.state),
        "reserved_minor": operation.reserved_minor,
        "version": operation.version,
        "provider_operation_id": operation.provider_operation_id,
        "failure": rows.dump_failure(operation.failure),
        "next_check_us": operation.next_check_us,
        "updated_us": operation.updated_us,
        "entity_id": operation.entity_id,
        "id": operation.id,
    }


def from_row(row: storage.Row) -> model.Operation:
    """Returns an operation from its columns in the order of COLUMNS."""
    return model.Operation(
        id=row[0],
        tenant_id=row[1],
        entity_id=row[2],
        kind=model.Kind(row[3]),
        state=model.OperationState(row[4]),
        amount_minor=row[5],
        currency=row[6],
        reserved_minor=row[7],
        final=bool(row[8]),
        refund_id=row[9],
        version=row[10],
        attempts=row[11],
        provider=row[12],
        binding_id=row[13],
        request=row[14],
        provider_operation_id=row[15],
        failure=rows.load_failure(row[16]),
        cause=model.Cause(correlation_id=row[17], idempotency_key=row[18], actor=row[19]),
        not_after_us=row[20],
        next_check_us=row[21],
        created_us=row[22],
        updated_us=row[23],
        counted_day=row[24],
        plugin_version=row[25],
    )


def newest(conn: storage.Connection, entity_id: str, most: int) -> tuple[model.Operation, ...]:
    """Returns the newest operations of an entity, oldest first."""
    found = conn.all(_NEWEST, {"entity_id": entity_id, "most": most})
    return tuple(sorted(map(from_row, found), key=model.turn))


def deciding(
    conn: storage.Connection, entity_ids: Sequence[str], many: int
) -> dict[str, tuple[model.Operation, ...]]:
    """Returns the operations of entities that have an open one, or at least *many*. What is allowed
    with other entities does not depend on their operations.
    """
    if not entity_ids:
        return {}
    values = {"entity_ids": storage.array(conn, entity_ids), "many": many}
    found: dict[str, tuple[model.Operation, ...]] = {}
    for one in rows.readable(conn.all(_DECIDING, values), from_row, table="operations", id_at=0):
        found[one.entity_id] = (*found.get(one.entity_id, ()), one)
    return found


def load(conn: storage.Connection, entity_id: str, operation_id: str) -> model.Operation | None:
    """Returns an operation of an entity, or None."""
    row = conn.one(_ONE, {"entity_id": entity_id, "id": operation_id})
    return None if row is None else from_row(row)


def find(conn: storage.Connection, operation_id: str) -> model.Operation | None:
    """Returns an operation of any tenant by its id alone."""
    row = conn.one(_FIND, {"id": operation_id})
    return None if row is None else from_row(row)


def claim_due(
    conn: storage.Connection, *, now_us: int, lease_until_us: int, most: int
) -> list[model.Operation]:
    """Takes operations whose check is due; nobody else gets them before the lease ends."""
    found = conn.all(_CLAIM_DUE, {"now_us": now_us, "lease_until_us": lease_until_us, "most": most})
    return rows.readable(found, from_row, table="operations", id_at=0)


def pull_in(conn: storage.Connection, *, now_us: int, beyond_us: int, most: int) -> int:
    """Makes what is due after *beyond_us* due now; returns how many that were."""
    return conn.run(_PULL_IN, {"now_us": now_us, "beyond_us": beyond_us, "most": most})


def schedule(conn: storage.Connection, operation: model.Operation, next_check_us: int) -> None:
    """Sets when an open operation is looked at next, 0 for not by itself; if it is as given."""
    conn.run(
        _SCHEDULE,
        {
            "next_check_us": next_check_us,
            "entity_id": operation.entity_id,
            "id": operation.id,
            "version": operation.version,
        },
    )


def note_version(conn: storage.Connection, operation: model.Operation, version: str) -> bool:
    """Notes which version of its plugin an operation in flight goes to; False if it is not in
    flight any more.
    """
    values = {
        "plugin_version": version,
        "entity_id": operation.entity_id,
        "id": operation.id,
        "version": operation.version,
    }
    return bool(conn.run(_NOTE_VERSION, values))


def fence(conn: storage.Connection, operation: model.Operation) -> bool:
    """Notes when a new attempt of a doubt expires; False if it is no doubt any more."""
    values = {
        "not_after_us": operation.not_after_us,
        "entity_id": operation.entity_id,
        "id": operation.id,
        "version": operation.version,
    }
    return bool(conn.run(_FENCE, values))


def hold_doubt(conn: storage.Connection, operation: model.Operation) -> bool:
    """Keeps a doubt from being sent again until the transaction ends; False if it was, or is no
    doubt any more.
    """
    values = {
        "not_after_us": operation.not_after_us,
        "entity_id": operation.entity_id,
        "id": operation.id,
        "version": operation.version,
    }
    return bool(conn.run(_HOLD, values))


@dataclass(frozen=True, slots=True, kw_only=True)
class DoubtFilter:
    """Which doubts to list; empty texts for all of them."""

    tenant_id: str = ""
    provider: str = ""
    entity_id: str = ""
    needs_operator: bool = False
    after_id: str = ""


def list_doubts(
    conn: storage.Connection, wanted: DoubtFilter, *, most: int
) -> list[model.Operation]:
    """Returns at most *most* operations in doubt, oldest first, without those that only a newer
    version can read.
    """
    found: list[model.Operation] = []
    after_id = wanted.after_id
    while True:
        raw = _doubts(conn, wanted, after_id, most)
        found += rows.readable(raw, from_row, table="operations", id_at=0)
        if len(raw) < most or len(found) >= most:
            return found[:most]
        after_id = raw[-1][0]


def _doubts(
    conn: storage.Connection, wanted: DoubtFilter, after_id: str, most: int
) -> Sequence[storage.Row]:
    clauses = ["state <= 4 and state = 4"]
    values: dict[str, object] = {"most": most}
    for name, value, clause in (
        ("tenant_id", wanted.tenant_id, "tenant_id = :tenant_id"),
        ("provider", wanted.provider, "provider = :provider"),
        ("entity_id", wanted.entity_id, "entity_id = :entity_id"),
        ("after_id", after_id, f"{_BY_AGE} > :after_id"),
    ):
        if value:
            clauses.append(clause)
            values[name] = value
    if wanted.needs_operator:
        clauses.append("next_check_us = 0")
    text = (
        f"select {', '.join(COLUMNS)} from operations where {' and '.join(clauses)} "
        f"order by {_BY_AGE} limit :most"
    )
    return conn.query(text, values)


def hurry(conn: storage.Connection, entity_id: str, *, now_us: int) -> None:
    """Makes the unknown outcomes of an entity due now, but for those an operator decides."""
    conn.run(_HURRY, {"entity_id": entity_id, "now_us": now_us})


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredReport:
    """A report that contradicted what was settled, kept for an operator, or that of one."""

    id: str
    operation: model.Operation
    outcome: str
    detail: str
    created_us: int


def keep_report(conn: storage.Connection, report: StoredReport) -> None:
    """Stores a report that was not applied, or who ended a doubt and why."""
    conn.run(
        _INSERT_REPORT,
        {
            "id": report.id,
            "tenant_id": report.operation.tenant_id,
            "entity_id": report.operation.entity_id,
            "operation_id": report.operation.id,
            "outcome": report.outcome,
            "detail": report.detail,
            "created_us": report.created_us,
        },
    )


def open_at(conn: storage.Connection, provider: str) -> int:
    """Returns how many operations at a provider are not final."""
    row = conn.one(_OPEN_AT, {"provider": provider})
    return int(row[0]) if row else 0


def in_flight_at(conn: storage.Connection, provider: str) -> int:
    """Returns how many calls of operations are under way at a provider, of all processes."""
    row = conn.one(_IN_FLIGHT_AT, {"provider": provider})
    return int(row[0]) if row else 0


def open_counts(conn: storage.Connection) -> Sequence[tuple[model.OperationState, int]]:
    """Returns how many operations are in each open state."""
    return [(model.OperationState(state), count) for state, count in conn.all(_OPEN_COUNTS)]


def count_open(conn: storage.Connection, state: model.OperationState, most: int) -> int:
    """Returns how many operations are in an open state; counts up to *most*."""
    row = conn.one(_COUNT_OPEN, {"state": state.value, "most": most})
    return int(row[0]) if row else 0


def oldest_doubt_us(conn: storage.Connection) -> int:
    """Returns when the oldest operation in doubt was created, 0 if none is."""
    row = conn.one(_OLDEST_DOUBT)
    return int(row[0]) if row and row[0] else 0

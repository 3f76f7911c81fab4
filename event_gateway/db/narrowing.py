"""How a read looks at few rows: by tenant, by tenants, by entities, or at all of them.

Owns the conditions and the order of each way on either database, and how far one read reaches.
Called by `event_gateway.db.read`, which owns what is made of the rows. Never reads itself.
"""

from collections.abc import Sequence

from servicekit import storage

# Places covered by one read that no index narrows down to its tenants.
SPAN_MAX = 10_000

_RANGE = "position > :after and position <= :upto"
_TENANTS = "tenant_id = any(cast(:tenants as text[]))"
_ENTITIES = "entity_id = any(cast(:entity_ids as text[]))"
# How the rows looked at are narrowed down, on SQLite and on PostgreSQL.
_WHERE = {
    "all": (_RANGE, _RANGE),
    # Rows are compared whole, which only one index serves. With a condition for each column
    # PostgreSQL reads the log in its order where that is quick for a large tenant, and passes
    # the rows of all others for a small one.
    "tenant": (
        f"tenant_id = :tenant and {_RANGE}",
        "(tenant_id, position) > (:tenant, :after) and (tenant_id, position) <= (:tenant, :upto)",
    ),
    "tenants": (f"{_TENANTS} and {_RANGE}",) * 2,
    "entities": (f"{_TENANTS} and {_ENTITIES} and {_RANGE}",) * 2,
}


def statements(
    columns: str, postgresql: str = "select {rows}", *, sqlite: str = "select {rows}"
) -> dict[str, storage.Statement]:
    """Returns a statement for each way to narrow the rows down.

    *postgresql* and *sqlite* are what is made of it there: `{rows}` is all that follows
    `select `, `{order}` the order of the rows.
    """
    found = {}
    for name, where in _WHERE.items():
        order = "tenant_id, position" if name == "tenant" else "position"
        rows = [
            f"{columns} from event_log where {one} order by {by} limit :rows"
            for one, by in zip(where, ("position", order), strict=True)
        ]
        found[name] = storage.Statement(
            sqlite.format(rows=rows[0], order="position"),
            postgresql=postgresql.format(rows=rows[1], order=order),
            # One entity has a few events, another most of the log.
            prepared=name != "entities",
        )
    return found


def choose(
    conn: storage.Connection,
    tenants: Sequence[str] | None,
    entity_ids: Sequence[str],
    *,
    after: int,
    upto: int,
    rows: int,
) -> tuple[str, dict[str, object], int]:
    """Returns which statement looks at the rows in (*after*, *upto*], its parameters, and up to
    where it looks.

    *tenants* None is every tenant's rows; *entity_ids*, if not empty, are those of *tenants*.
    """
    params: dict[str, object] = {"after": after, "rows": rows}
    if tenants is None:
        name = "all"
    elif entity_ids:
        name = "entities"
        params["tenants"] = storage.array(conn, tenants)
        params["entity_ids"] = storage.array(conn, entity_ids)
    elif len(tenants) == 1:
        name = "tenant"
        params["tenant"] = tenants[0]
    else:
        name = "tenants"
        params["tenants"] = storage.array(conn, tenants)
        upto = min(upto, after + SPAN_MAX)
    params["upto"] = upto
    return name, params, upto

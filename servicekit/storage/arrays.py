"""Lists as parameters of a statement, however long they are.

Called by the modules that own tables, for statements with `= any(…)`, `<> all(…)` or
`unnest(…)`. Never runs a statement.
"""

import json
from collections.abc import Collection, Iterable

from servicekit.storage import database


def array(conn: database.Connection, values: Collection[str] | Collection[int]) -> object:
    """Returns *values* as one parameter: a JSON text on SQLite, an array on PostgreSQL."""
    listed = list(values)
    return json.dumps(listed) if conn.dialect == "sqlite" else listed


def columns(conn: database.Connection, **lists: Iterable[str] | Iterable[int]) -> dict[str, object]:
    """Returns lists of one length as parameters, for the rows that they make side by side.

    On SQLite the first one's name stands for a JSON text of all rows, on PostgreSQL each name
    for an array.
    """
    if conn.dialect == "sqlite":
        return {next(iter(lists)): json.dumps(list(zip(*lists.values(), strict=True)))}
    return {name: list(values) for name, values in lists.items()}

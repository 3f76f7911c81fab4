"""Lists as one parameter of a statement, however long they are.

Called by the modules that own tables, for statements with `= any(…)` or `<> all(…)` and those
that read a list as rows. Never runs a statement.
"""

import json
from collections.abc import Collection

from servicekit.storage import database


def array(conn: database.Connection, values: Collection[str] | Collection[int]) -> object:
    """Returns *values* as one parameter: a JSON text on SQLite, an array on PostgreSQL."""
    listed = list(values)
    return json.dumps(listed) if conn.dialect == "sqlite" else listed

"""SQL text with `:name` parameters, spelled once for both databases.

Created at import time as module constants by the modules that own tables, and
run through a `Connection`. Never holds values.
"""

import functools
import re
from typing import NamedTuple

# A colon that starts a parameter, not a cast (`::`) and not inside a word.
_PARAMETER = re.compile(r"(?<![:\w]):([a-z_][a-z0-9_]*)")
# Comparisons with a list and rows of lists, which SQLite takes as a JSON text.
_ARRAY = r"cast\(:[a-z_]+ as [a-z]+\[\]\)"
_IN_LIST = re.compile(r"(= any|<> all)\(cast\((:[a-z_]+) as [a-z]+\[\]\)\)")
# One row of parameters, and no others.
_INSERTED = re.compile(r"(insert into .+? values )\(((?::[a-z_]+(?:, )?)+)\)([^:]*)", re.DOTALL)
_ROWS = re.compile(rf"unnest\(({_ARRAY}(?:,\s+{_ARRAY})*)\)\s+as ([a-z]+) \(([a-z_, ]+)\)")

_NOW_US = {
    "sqlite": "cast((julianday('now') - 2440587.5) * 86400000000 as integer)",
    "postgresql": "(extract(epoch from clock_timestamp()) * 1000000)::bigint",
}


class Native:
    """A statement as PostgreSQL takes it: `$1` … and the parameters' names in that order.

    psycopg reads texts with named parameters anew at every call once they are long; texts
    with numbers go to the server as they are. `prepared`: planned once and kept.
    """

    __slots__ = ("names", "prepared", "text")

    def __init__(self, text: str, *, prepared: bool = True) -> None:
        numbers: dict[str, int] = {}

        def number(match: re.Match[str]) -> str:
            return f"${numbers.setdefault(match[1], len(numbers) + 1)}"

        self.text = _PARAMETER.sub(number, text).encode()
        self.names = tuple(numbers)
        self.prepared = prepared


class Inserted(NamedTuple):
    """A statement that inserts one row of parameters, as SQLite takes it for many at once."""

    head: str
    names: tuple[str, ...]
    tail: str


@functools.cache
def of_rows(inserted: Inserted, rows: int) -> str:
    """Returns the text for *rows* rows, whose values follow each other in the order of `names`."""
    row = f"({', '.join('?' * len(inserted.names))})"
    return f"{inserted.head}{', '.join([row] * rows)}{inserted.tail}"


class Statement:
    """One SQL statement.

    Args:
        sql: Text with `:name` parameters. `{now_us}` stands for the database's own
            clock, epoch microseconds; `{if_first}` is a condition that holds if the first
            statement of a `run_all` with `first_decides` wrote a row.
            `= any(cast(:name as text[]))` and `<> all(cast(:name as text[]))`, or with
            another type, compare with a list that `storage.array` made a parameter.
            `unnest(cast(:a as text[]), cast(:b as bigint[])) as w (x, y)` has the rows of
            lists that `storage.columns` made parameters, in that order.
        postgresql: Other text for PostgreSQL, where the dialects differ.
        prepared: False: PostgreSQL plans it anew for the values of each call, because the
            plan that is best for some of them is far too slow for others.
    """

    __slots__ = ("_text", "inserted", "postgresql", "sqlite")

    def __init__(self, sql: str, *, postgresql: str | None = None, prepared: bool = True) -> None:
        in_sqlite = _ROWS.sub(_json_rows, _IN_LIST.sub(_in_json, sql))
        self.sqlite = in_sqlite.replace("{now_us}", _NOW_US["sqlite"]).replace("{if_first}", "1")
        self.inserted = _inserted(self.sqlite)
        self._text = (postgresql or sql).replace("{now_us}", _NOW_US["postgresql"])
        self.postgresql = Native(self._text.replace("{if_first}", "true"), prepared=prepared)

    def merged(self, prefix: str, if_first: str) -> str:
        """Returns the text for PostgreSQL with *prefix* before every parameter's name."""
        return _PARAMETER.sub(rf":{prefix}\1", self._text.replace("{if_first}", if_first))

    def __repr__(self) -> str:
        return f"Statement({' '.join(self.sqlite.split())[:80]!r})"


def _inserted(text: str) -> Inserted | None:
    match = _INSERTED.fullmatch(text)
    names = tuple(_PARAMETER.findall(match[2])) if match else ()
    # A single value would not be picked as a row.
    return Inserted(match[1], names, match[3]) if match and len(names) > 1 else None


def _in_json(match: re.Match[str]) -> str:
    return f"{'in' if match[1] == '= any' else 'not in'} (select value from json_each({match[2]}))"


def _json_rows(match: re.Match[str]) -> str:
    first, alias, columns = match[1].split(" ")[0].removeprefix("cast("), match[2], match[3]
    picked = ", ".join(
        f"json_extract(value, '$[{place}]') as {name}"
        for place, name in enumerate(columns.split(", "))
    )
    return f"(select {picked} from json_each({first})) as {alias}"

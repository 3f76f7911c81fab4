"""Statements on their way to PostgreSQL, one by one, merged, or several callers' at once.

Owns the `storage.Connection` over psycopg, and running a function of one statement in two
steps: as far as its statement, and on with the answer. Called by `postgresql`. Never begins
or commits a transaction.
"""

import functools
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal, TypeVar, cast

import psycopg

from servicekit.storage import database, statement

T = TypeVar("T")


class PostgresConnection:
    """A `storage.Connection` over psycopg."""

    dialect: Literal["postgresql"] = "postgresql"

    def __init__(self, raw: psycopg.Connection[database.Row]) -> None:
        self._cursor = cursor(raw)

    def _run(
        self, text: bytes, values: list[Any], *, prepare: bool
    ) -> psycopg.Cursor[database.Row]:
        return self._cursor.execute(text, values, prepare=prepare)

    def _execute(
        self, native: statement.Native, params: database.Params
    ) -> psycopg.Cursor[database.Row]:
        values = [params[name] for name in native.names]
        return self._run(native.text, values, prepare=native.prepared)

    def all(
        self, sql: statement.Statement, params: database.Params = database.NO_PARAMS
    ) -> list[database.Row]:
        """Returns every row."""
        return self._execute(sql.postgresql, params).fetchall()

    def each(
        self, sql: statement.Statement, params: database.Params = database.NO_PARAMS
    ) -> Iterable[database.Row]:
        """Returns every row; all are here by then."""
        # A psycopg cursor that is asked for each row runs Python for it.
        return self.all(sql, params)

    def one(
        self, sql: statement.Statement, params: database.Params = database.NO_PARAMS
    ) -> database.Row | None:
        """Returns the first row, or None."""
        return self._execute(sql.postgresql, params).fetchone()

    def run(self, sql: statement.Statement, params: database.Params = database.NO_PARAMS) -> int:
        """Returns how many rows were written."""
        return self._execute(sql.postgresql, params).rowcount

    def run_many(self, sql: statement.Statement, params: Sequence[database.Params]) -> None:
        """Runs it once per element."""
        native = sql.postgresql
        rows = [[one[name] for name in native.names] for one in params]
        self._cursor.executemany(native.text, rows)

    def run_all(
        self,
        batch: Sequence[tuple[statement.Statement, database.Params]],
        *,
        first_decides: bool = False,
    ) -> list[int]:
        """Runs them as one statement; see `storage.Connection.run_all`."""
        if len(batch) == 1:
            return [self.run(*batch[0])]
        merged = _merged(tuple(sql for sql, _ in batch), first_decides=first_decides)
        values = [batch[number][1][name] for number, name in merged.places]
        row = self._run(merged.text, values, prepare=True).fetchone()
        return list(row or ())

    def query(self, text: str, params: database.Params = database.NO_PARAMS) -> list[database.Row]:
        """Runs text built at run time."""
        cursor = self._execute(statement.Native(text, prepared=False), params)
        return cursor.fetchall() if cursor.description else []


class Noted(Exception):
    """The statement that a function would run now."""

    def __init__(self, text: bytes, values: list[Any]) -> None:
        super().__init__()
        self.text = text
        self.values = values


class NotOne(Exception):
    """A function of one statement ran none, several, or one of another kind."""


class _Asking(PostgresConnection):
    """Runs a function as far as its statement."""

    def __init__(self) -> None:
        """Needs no connection."""

    def _run(
        self, text: bytes, values: list[Any], *, prepare: bool
    ) -> psycopg.Cursor[database.Row]:
        raise Noted(text, values)

    def run_many(self, sql: statement.Statement, params: Sequence[database.Params]) -> None:
        raise NotOne


class _Answering(PostgresConnection):
    """Runs a function whose statement has been run, with what that gave."""

    def __init__(self, answer: psycopg.Cursor[database.Row]) -> None:
        self._answer: psycopg.Cursor[database.Row] | None = answer

    def _run(
        self, text: bytes, values: list[Any], *, prepare: bool
    ) -> psycopg.Cursor[database.Row]:
        answer, self._answer = self._answer, None
        if answer is None:
            raise NotOne
        return answer


def noted(fn: Callable[[database.Connection], Any]) -> Noted:
    """Returns the one statement of *fn*, which nobody has run yet.

    Raises:
        NotOne: It runs none, or one many times.
    """
    try:
        fn(cast(database.Connection, _Asking()))
    except Noted as found:
        return found
    raise NotOne


def answered(fn: Callable[[database.Connection], T], answer: psycopg.Cursor[database.Row]) -> T:
    """Returns what *fn* makes of the answer to its statement.

    Raises:
        NotOne: It wants to run another one.
    """
    return fn(cast(database.Connection, _Answering(answer)))


def cursor(raw: psycopg.Connection[database.Row]) -> psycopg.RawCursor[database.Row]:
    """Returns a cursor that takes and gives values in PostgreSQL's binary form."""
    made = psycopg.RawCursor(raw)
    made.format = psycopg.pq.Format.BINARY
    return made


class _Merged:
    """Several statements as one; `places` are the (statement, name) of its parameters."""

    __slots__ = ("places", "text")

    def __init__(self, text: str) -> None:
        native = statement.Native(text)
        self.text = native.text
        self.places = [
            (int(number), name)
            for number, _, name in (place[1:].partition("_") for place in native.names)
        ]


@functools.cache
def _merged(statements: tuple[statement.Statement, ...], *, first_decides: bool) -> _Merged:
    """Returns one statement that runs all of *statements* and counts what each wrote."""
    others = "exists (select 1 from s0)" if first_decides else "true"
    parts = [
        f"s{number} as ({sql.merged(f's{number}_', others if number else 'true')} returning 1)"
        for number, sql in enumerate(statements)
    ]
    counts = [f"(select count(*) from s{number})" for number in range(len(statements))]
    return _Merged(f"with {', '.join(parts)} select {', '.join(counts)}")

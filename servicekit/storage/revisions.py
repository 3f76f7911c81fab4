"""Which schema a database has and which one this code needs, found without Alembic.

Owns reading the version files' headers and the table `alembic_version`. Called
before migrating and by processes that only check. Never imports a version file
and never writes.
"""

import ast
import contextlib
import pathlib
import sqlite3

from servicekit.storage import errors, reaching

# Alembic reads the same files and no others.
_NO_VERSION = ("__init__", ".#")
_TIMEOUT_S = 10


def known(script_location: pathlib.Path) -> dict[str, tuple[str, ...]]:
    """Returns each revision in *script_location* with those that it follows.

    Raises:
        ValueError: A file does not say `revision = "…"` and `down_revision = …`, as literals.
    """
    found = {}
    for file in sorted((script_location / "versions").glob("*.py")):
        if file.name.startswith(_NO_VERSION):
            continue
        values = _literals(file)
        revision, down = values.get("revision"), values.get("down_revision", ())
        before = down if isinstance(down, (list, tuple)) else [down] if down is not None else []
        if not isinstance(revision, str) or not all(isinstance(one, str) for one in before):
            raise ValueError(f"{file}: `revision` and `down_revision` have to be strings")
        if revision in found:
            raise ValueError(f"{file}: there is another revision {revision}")
        found[revision] = tuple(before)
    return found


def head_revision(script_location: pathlib.Path) -> str:
    """Returns the newest revision in *script_location*.

    Raises:
        ValueError: There is none, or more than one.
    """
    revisions = known(script_location)
    followed = {one for before in revisions.values() for one in before}
    newest = sorted(revisions.keys() - followed)
    if not newest:
        raise ValueError(f"{script_location} holds no migration")
    if len(newest) > 1:
        raise ValueError(f"{script_location} has {len(newest)} newest revisions: {newest}")
    return newest[0]


def applied(url: str) -> set[str]:
    """Returns the revisions that the database at *url* is at; empty for a new one.

    Raises:
        DatabaseUnsuitable: It is PostgreSQL's and of another encoding than UTF-8, or behind a
            pooler that hands connections on.
        StorageUnavailable: It can't be read.
    """
    if not url.startswith("sqlite:///"):
        return _applied_on_postgresql(url)
    path = pathlib.Path(url.removeprefix("sqlite:///"))
    if not path.exists():
        return set()
    try:
        with contextlib.closing(sqlite3.connect(path, timeout=_TIMEOUT_S)) as connection:
            table = "select 1 from sqlite_master where type = 'table' and name = 'alembic_version'"
            if connection.execute(table).fetchone() is None:
                return set()
            rows = connection.execute("select version_num from alembic_version").fetchall()
    except sqlite3.Error as error:
        raise errors.StorageUnavailable(f"can't open {path}: {error}") from error
    return {row[0] for row in rows}


def _applied_on_postgresql(url: str) -> set[str]:
    import psycopg  # What a process on SQLite does not need.

    from servicekit.storage import pooling

    try:
        bounds = reaching.options(url, connect_timeout_s=_TIMEOUT_S)
        with psycopg.connect(url, autocommit=True, **bounds) as connection:
            encoding = connection.info.parameter_status("server_encoding")
            if encoding != "UTF8":
                raise errors.DatabaseUnsuitable(
                    f"the database's encoding is {encoding}, and names and texts of all languages "
                    "are to be stored: make it with `create database … encoding 'UTF8' template "
                    "template0`"
                )
            if pooling.is_between(connection):
                with psycopg.connect(url, autocommit=True, **bounds) as other:
                    pooling.check(connection, other)
            table = connection.execute("select to_regclass('alembic_version')").fetchone()
            if table == (None,):
                return set()
            rows = connection.execute("select version_num from alembic_version").fetchall()
    except psycopg.Error as error:
        raise reaching.failed(url, error) from None
    return {row[0] for row in rows}


def _literals(file: pathlib.Path) -> dict[str, object]:
    values: dict[str, object] = {}
    for node in ast.parse(file.read_bytes(), str(file)).body:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.expr() as value):
                pass
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
                pass
            case _:
                continue
        if name in ("revision", "down_revision"):
            try:
                values[name] = ast.literal_eval(value)
            except ValueError:
                raise ValueError(f"{file}: `{name}` has to be a literal") from None
    return values

"""Databases as an operator handles them: made, copied, lost.

Owns doing so for both dialects. Called by the crash tests while no process
uses the database. Never looks at what is in one.
"""

import contextlib
import pathlib
import sqlite3

import psycopg

from tests import postgres

_SQLITE = "sqlite:///"


def sqlite_url(folder: pathlib.Path, name: str) -> str:
    """Returns the URL of a file that need not exist."""
    return f"{_SQLITE}{folder / name}.db"


def beside(url: str, suffix: str) -> str:
    """Returns the URL of another database, named like that of *url* with *suffix*."""
    if url.startswith(_SQLITE):
        return sqlite_url(_path(url).parent, _path(url).stem + suffix)
    return postgres.with_database(url, _name(url) + suffix)


def remake(url: str) -> None:
    """Leaves an empty database behind, whatever there was."""
    if url.startswith(_SQLITE):
        path = _path(url)
        for suffix in ("", "-wal", "-shm"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
        return
    with _server(url) as server:
        _drop(server, url)
        server.execute(f'create database "{_name(url)}"'.encode())


def copy(url: str, to_url: str) -> None:
    """Makes *to_url* a copy of *url*."""
    if url.startswith(_SQLITE):
        remake(to_url)
        with (
            contextlib.closing(sqlite3.connect(_path(url))) as source,
            contextlib.closing(sqlite3.connect(_path(to_url))) as target,
        ):
            source.backup(target)
        return
    with _server(url) as server:
        _drop(server, to_url)
        made = f'create database "{_name(to_url)}" template "{_name(url)}"'
        server.execute(made.encode())


def _path(url: str) -> pathlib.Path:
    return pathlib.Path(url.removeprefix(_SQLITE))


def _name(url: str) -> str:
    name = psycopg.conninfo.conninfo_to_dict(url)["dbname"]
    assert isinstance(name, str)
    return name


def _server(url: str) -> psycopg.Connection[tuple[object, ...]]:
    return psycopg.connect(postgres.with_database(url, "postgres"), autocommit=True)


def _drop(server: psycopg.Connection[tuple[object, ...]], url: str) -> None:
    server.execute(f'drop database if exists "{_name(url)}" with (force)'.encode())

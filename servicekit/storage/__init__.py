"""Durable storage: the same synchronous functions on SQLite and PostgreSQL.

Owns connections, transactions, group commit, timeouts and migrations. Called
by the use cases of every process that keeps state: they await `db.write(fn)`
or `db.read(fn)` with a plain function of a `Connection`. Never knows a table.
"""

import importlib
from typing import TYPE_CHECKING, Any

from servicekit.storage.database import (
    Connection,
    Database,
    Params,
    Row,
    open_database,
)
from servicekit.storage.errors import (
    CommitUnknown,
    DatabaseInUse,
    StorageError,
    StorageOverloaded,
    StorageUnavailable,
)
from servicekit.storage.statement import Statement

if TYPE_CHECKING:
    from servicekit.storage.migrations import head_revision, migrate, run_env

__all__ = [
    "CommitUnknown",
    "Connection",
    "Database",
    "DatabaseInUse",
    "Params",
    "Row",
    "Statement",
    "StorageError",
    "StorageOverloaded",
    "StorageUnavailable",
    "head_revision",
    "migrate",
    "open_database",
    "run_env",
]


def __getattr__(name: str) -> Any:
    # Alembic and SQLAlchemy take 0.2 s to import, which only migrating needs.
    if name in ("head_revision", "migrate", "run_env"):
        return getattr(importlib.import_module("servicekit.storage.migrations"), name)
    raise AttributeError(name)

"""Durable storage: the same synchronous functions on SQLite and PostgreSQL.

Owns connections, transactions, group commit, timeouts and migrations. Called
by the use cases of every process that keeps state: they await `db.write(fn)`
or `db.read(fn)` with a plain function of a `Connection`. Knows no table of
theirs but `deletion_clock`.
"""

from servicekit.storage.ageing import Ageing
from servicekit.storage.agreed import shared_clock
from servicekit.storage.arrays import array, columns
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
    DatabaseUnsuitable,
    MigrationRefused,
    SchemaOutdated,
    SchemaUnknown,
    StorageError,
    StorageOverloaded,
    StorageUnavailable,
)
from servicekit.storage.migrations import check_migrated, migrate, migrate_at_start
from servicekit.storage.revisions import head_revision
from servicekit.storage.statement import Statement

__all__ = [
    "Ageing",
    "CommitUnknown",
    "Connection",
    "Database",
    "DatabaseInUse",
    "DatabaseUnsuitable",
    "MigrationRefused",
    "Params",
    "Row",
    "SchemaOutdated",
    "SchemaUnknown",
    "Statement",
    "StorageError",
    "StorageOverloaded",
    "StorageUnavailable",
    "array",
    "check_migrated",
    "columns",
    "head_revision",
    "migrate",
    "migrate_at_start",
    "open_database",
    "shared_clock",
]

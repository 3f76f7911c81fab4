"""Errors of storage.

StorageError
├── StorageUnavailable   nothing was written; the same call may be repeated
│   ├── StorageOverloaded    too many calls wait already
│   └── DatabaseInUse        another process holds the SQLite file
├── DatabaseUnsuitable   it is of a kind that can't hold what is to be stored
├── MigrationRefused     the database did not take a migration, which left nothing behind
├── SchemaUnknown        a newer version has migrated the database
├── SchemaOutdated       migrations that this version needs are missing
└── CommitUnknown        COMMIT was sent and its answer lost: read back, never rerun

Raised by servicekit.storage only; callers turn them into their own.
"""


class StorageError(Exception):
    """Base of all storage errors."""


class StorageUnavailable(StorageError):
    """The database can't be used now. Nothing was written."""


class StorageOverloaded(StorageUnavailable):
    """The queue of waiting calls is full. Nothing was written."""


class DatabaseInUse(StorageUnavailable):
    """Another process has opened the SQLite file."""


class DatabaseUnsuitable(StorageError):
    """The database can't hold what is to be stored. Nothing was written."""


class MigrationRefused(StorageError):
    """The database did not take a migration: nothing of it is applied, all before it are."""


class SchemaUnknown(StorageError):
    """The database is at a revision that this version does not have. Nothing was written."""


class SchemaOutdated(StorageError):
    """The database lacks migrations that this version needs. Nothing was written."""


class CommitUnknown(StorageError):
    """COMMIT was sent and no answer came. What it held is written whole or not at all."""

"""Each process brings its own schema up to date.

Owns the decision whether there is anything to do: Alembic takes 0.2 s to import,
which a process whose schema is current does not spend. Called by `<process>
migrate` and at start. Never creates a table outside a migration.
"""

import pathlib

from servicekit.storage import errors, file_lock, revisions


def migrate(url: str, script_location: pathlib.Path) -> str:
    """Brings the database at *url* to the newest revision and returns that.

    Does nothing if it is there.

    Raises:
        DatabaseInUse: Another process has the SQLite file open.
        DatabaseUnsuitable: It is PostgreSQL's and of another encoding than UTF-8, or behind a
            pooler that hands connections on.
        MigrationRefused: It did not take a migration.
        SchemaUnknown: It is at a revision that *script_location* lacks.
        StorageUnavailable: It can't be reached.
    """
    if url.startswith("sqlite:///"):
        lock = file_lock.lock_file(url.removeprefix("sqlite:///"))
        try:
            return _migrate(url, script_location)
        finally:
            lock.close()
    return _migrate(url, script_location)


def migrate_at_start(url: str, script_location: pathlib.Path) -> None:
    """Does as `migrate` for a process that is about to serve.

    What a newer version has made of PostgreSQL is left alone: while replicas are replaced one by
    one, the old ones go on with it, and may be started again.
    """
    try:
        migrate(url, script_location)
    except errors.SchemaUnknown:
        if url.startswith("sqlite:///"):
            raise


def _migrate(url: str, script_location: pathlib.Path) -> str:
    applied = revisions.applied(url)
    newest = revisions.head_revision(script_location)
    if applied == {newest}:
        return newest
    unknown = applied - revisions.known(script_location).keys()
    if unknown:
        raise errors.SchemaUnknown(
            f"the database is at revision {', '.join(sorted(unknown))}, which this version does "
            "not know: a newer one has migrated it. Run that version, or restore a backup "
            "made before it."
        )
    from servicekit.storage import upgrade

    upgrade.run(url, script_location)
    return newest


def check_migrated(url: str, script_location: pathlib.Path, *, command: str) -> None:
    """Checks that the database at *url* is migrated far enough; writes nothing.

    A newer schema is none of this version's to judge: while replicas are replaced one by
    one, the old ones go on with it.

    Raises:
        DatabaseUnsuitable: It is PostgreSQL's and of another encoding than UTF-8, or behind a
            pooler that hands connections on.
        SchemaOutdated: It is not; says to run *command*.
        StorageUnavailable: It can't be reached.
    """
    applied = revisions.applied(url)
    needed = revisions.head_revision(script_location)
    if needed in applied or applied - revisions.known(script_location).keys():
        return
    raise errors.SchemaOutdated(
        f"the database is at revision {', '.join(sorted(applied)) or 'none'} and this version "
        f"needs {needed}: run `{command}`"
    )

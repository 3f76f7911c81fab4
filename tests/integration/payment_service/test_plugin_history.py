"""What is kept of a plugin does not grow without end."""

import pytest

from payment_service import composition
from payment_service.db import plugins as rows
from payment_service.db import versions
from payment_service.domain import plugins
from servicekit import storage

_BINDING = storage.Statement(
    "insert into binding_versions (binding_id, generation, config_json, options_json, secrets, "
    "schema_digest, actor, reason, created_us) values ('b', 1, '{}', '', :none, 'sha256:5', '', "
    "'', 0)"
)


async def test_old_changes_are_forgotten(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The newest stay, and of each plugin when its upgrade was finished, however long ago."""
    monkeypatch.setattr(rows, "HISTORY_MAX", 3, raising=False)
    storage.migrate(database_url, composition.MIGRATIONS)
    db = await storage.open_database(database_url)

    def change(conn: storage.Connection) -> None:
        for plugin_id, revision in (("kept", 1), *(("mock", number) for number in range(1, 9))):
            rows.note(
                conn,
                plugins.HistoryRow(
                    plugin_id=plugin_id,
                    revision=revision,
                    actor="",
                    reason="",
                    event_type="plugin.upgrade_promoted" if revision == 2 else "plugin.started",
                    before={},
                    after={},
                    changed_us=revision,
                ),
            )

    def left(conn: storage.Connection, plugin_id: str) -> list[int]:
        return [each.revision for each in rows.history(conn, plugin_id, below=99, most=99)]

    try:
        await db.write(change)
        assert await db.read(lambda conn: left(conn, "mock")) == [8, 7, 6, 2]
        assert await db.read(lambda conn: left(conn, "kept")) == [1]
        promoted = "plugin.upgrade_promoted"
        assert await db.read(lambda conn: rows.newest_us(conn, "mock", promoted)) == 2
    finally:
        await db.close()


async def test_versions_and_their_schemas_are_forgotten(database_url: str) -> None:
    """Of ever new versions the newest stay, those in use and those quarantined last; and of the
    schemas those that a version or a configuration has.
    """
    storage.migrate(database_url, composition.MIGRATIONS)
    db = await storage.open_database(database_url)

    def come(conn: storage.Connection) -> None:
        for number in range(9):
            digest = f"sha256:{number}"
            versions.save_schema(conn, versions.Schema(digest=digest, json_schema="{}", slots=()))
            version = plugins.Version(
                plugin_id="mock",
                version=str(number),
                schema_digest=digest,
                handshake=b"",
                quarantined_us=number if number in (2, 3, 4) else 0,
                quarantine_reason="bad" if number in (2, 3, 4) else "",
                first_seen_us=number,
            )
            versions.save(conn, version)
        conn.run(_BINDING, {"none": b""})

    def forget(conn: storage.Connection) -> int:
        in_use = ("1", "", "")
        forgotten = versions.prune(conn, "mock", in_use=in_use, keep=2, keep_quarantined=2)
        versions.prune_schemas(conn)
        return forgotten

    def schemas(conn: storage.Connection) -> list[int]:
        known = (versions.load_schema(conn, f"sha256:{number}") for number in range(9))
        return [number for number, schema in enumerate(known) if schema is not None]

    try:
        await db.write(come)
        assert await db.write(forget) == 4
        left = await db.read(versions.load_all)
        assert [each.version for each in left["mock"]] == ["1", "3", "4", "7", "8"]
        assert await db.read(schemas) == [1, 3, 4, 5, 7, 8]
        assert await db.write(forget) == 0
    finally:
        await db.close()

"""The history of a plugin does not grow without end."""

import pytest

from payment_service import composition
from payment_service.db import plugins as rows
from payment_service.domain import plugins
from servicekit import storage


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

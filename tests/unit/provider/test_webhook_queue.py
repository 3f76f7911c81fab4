"""The queue of webhooks that the simulated provider keeps."""

import pathlib

from provider_mock.webhooks import journal
from servicekit import storage


async def test_the_newest_events_are_shown(tmp_path: pathlib.Path) -> None:
    """In the order they were made in; what falls off is the oldest."""
    database = await storage.open_database(f"sqlite:///{tmp_path}/ledger.db")

    def fill(conn: storage.Connection) -> list[str]:
        for table in journal.TABLES:
            conn.run(table)
        for number in (3, 1, 2):
            event = journal.Event(
                event_id=f"evt_{number}",
                binding_id="b",
                type="plan.active",
                body="{}",
                due_us=None,
                attempts=1,
                status="204",
                created_us=number,
            )
            conn.run(journal._INSERT, event._asdict())
        return [event.event_id for event in journal.listed(conn, 2)]

    try:
        assert await database.write(fill) == ["evt_2", "evt_3"]
    finally:
        await database.close()

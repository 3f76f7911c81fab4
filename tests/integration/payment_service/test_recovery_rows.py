"""What a page of the event log makes of the rows of a restored database."""

import pathlib
from collections.abc import AsyncIterator, Sequence

import pytest
from payhub.events.v1 import event_pb2

from payment_service import composition
from payment_service.db import operations, outbox, payments
from payment_service.domain import changes, model
from payment_service.recovery import counting, writing
from payment_service.usecases import events
from servicekit import ids, storage
from tests.unit.payment_service import build

O = build.O  # noqa: E741 - the tests read best with one letter per enum
EPOCH = "0000abcd"
CAUSE = model.Cause(idempotency_key="key-1", actor="key:abc")


@pytest.fixture
async def db(tmp_path: pathlib.Path) -> AsyncIterator[storage.Database]:
    """An empty payment database."""
    url = f"sqlite:///{tmp_path}/payments.db"
    storage.migrate(url, composition.MIGRATIONS)
    database = await storage.open_database(url)
    yield database
    await database.close()


def told(story: build.Story, first: int = 0) -> list[outbox.Entry]:
    """Returns the events of a payment's steps, from the one with the index *first* on."""
    change = changes.Change(payment=story.payment, steps=tuple(story.steps[first:]))
    return events.of_change(change, CAUSE, ids.new_id)


def logged(entries: Sequence[outbox.Entry]) -> list[event_pb2.Event]:
    """Returns events as the log has them."""
    found = [event_pb2.Event.FromString(each.envelope) for each in entries]
    for position, each in enumerate(found, 100):
        each.position = position
    return found


def store(conn: storage.Connection, story: build.Story, waiting: Sequence[outbox.Entry]) -> None:
    """Stores a payment, and its events that no log has taken."""
    conn.run(*payments.insert_whole(story.payment))
    for each in story.payment.operations:
        conn.run(operations.INSERT, operations.params(each))
    conn.run(*outbox.append(waiting))


async def recover(db: storage.Database, page: Sequence[event_pb2.Event]) -> counting.Tally:
    """Takes a page of the log in."""
    return await db.write(
        lambda conn: writing.write(
            conn, page, epoch=EPOCH, now_us=build.NOW_US, timeout_us=20_000_000
        )
    )


async def rows(db: storage.Database) -> list[tuple[object, ...]]:
    """Returns version, id and place of every event in the outbox, in its order."""
    text = "select entity_version, event_id, log_position from outbox order by id"
    return [tuple(row) for row in await db.read(lambda conn: conn.query(text))]


async def test_the_same_end_is_told_once(db: storage.Database) -> None:
    """A resolver that ended a restored operation as the log had told already has told the same:
    its event goes, and what came after it keeps its version.
    """
    sent = build.Story(model.Kind.SALE).confirm()
    begun = len(sent.steps)
    there = build.Story(model.Kind.SALE).confirm().then(O.SUCCEEDED)
    here = build.Story(model.Kind.SALE).confirm().then(O.SUCCEEDED).refund(300)
    own = told(here, begun)
    await db.write(lambda conn: store(conn, here, own))
    lost = told(there, begun)

    tally = await recover(db, logged(lost))

    assert await rows(db) == [(3, lost[0].event_id, 100), (4, own[1].event_id, 0)]
    after = await db.read(lambda conn: payments.load(conn, "default", here.payment.id))
    assert after is not None
    assert (after.version, after.captured_minor) == (4, build.AMOUNT)
    assert after.refund_reserved_minor == 300
    assert list(tally.both) == [here.payment.id]
    again = await recover(db, logged(lost))
    assert (again.events, again.payments) == (0, {})


async def test_what_can_not_be_together_stays(db: storage.Database) -> None:
    """A payment that was refunded whole on both sides is left as it is, and named."""
    sold = build.Story(model.Kind.SALE).confirm().then(O.SUCCEEDED)
    begun = len(sold.steps)
    there = build.Story(model.Kind.SALE).confirm().then(O.SUCCEEDED).refund().then(O.SUCCEEDED)
    here = build.Story(model.Kind.SALE).confirm().then(O.SUCCEEDED)
    here.number += 10
    here.refund().then(O.SUCCEEDED)
    own = told(here, begun)
    await db.write(lambda conn: store(conn, here, own))

    tally = await recover(db, logged(told(there, begun)))

    assert list(tally.apart) == [here.payment.id]
    assert await rows(db) == [(each.entity_version, each.event_id, 0) for each in own]

"""The relay's decisions about a batch, without any I/O."""

import pytest
from payhub.events.v1 import event_ingest_service_pb2 as pb

from payment_service.db import outbox
from payment_service.relay import batches, holding

NOW_US = 1_700_000_000_000_000


def row(row_id: int, entity_id: str = "pay_1", version: int = 1) -> outbox.Waiting:
    """A row that waits."""
    return outbox.Waiting(row_id, f"evt_{row_id}", "one", "payment", entity_id, version, b"")


def test_only_the_first_refusal_of_an_entity_counts() -> None:
    """Versions behind a refused one wait as long as it does and are not called refused."""
    waits = holding.Holding()
    rejected = [(row(1, version=2), "bad"), (row(2, "pay_2"), "worse"), (row(3, version=3), "gap")]
    postponed = batches.refuse(rejected, waits, NOW_US)
    assert [(one.id, one.refused) for one in postponed] == [(1, "bad"), (2, "worse"), (3, "")]
    assert {one.retry_us for one in postponed} == {NOW_US + 1_000_000}


def test_versions_below_a_refused_one_are_sent() -> None:
    """What an entity needs before its refused version goes out; what comes after it waits."""
    waits = holding.Holding()
    waits.refuse(("one", "payment", "pay_1"), 3, NOW_US)
    rows = [row(1, version=2), row(2, version=3), row(3, version=4), row(4, "pay_2")]
    sent, held = batches.divide(rows, waits, NOW_US)
    assert [one.id for one in sent] == [1, 4]
    assert [one.id for one in held] == [2, 3]
    waits.accept(("one", "payment", "pay_1"), 2)
    assert len(waits) == 1
    waits.accept(("one", "payment", "pay_1"), 3)
    assert batches.divide(rows, waits, NOW_US) == (rows, [])


def test_a_refusal_while_the_clock_was_ahead_is_over_when_it_is_right() -> None:
    """Versions behind a refused one wait for no time that only a wrong clock could set."""
    waits, entity = holding.Holding(), ("one", "payment", "pay_1")
    ahead_us = NOW_US + 86_400_000_000
    until_us = waits.refuse(entity, 3, ahead_us)
    assert waits.until_us(entity, 4, ahead_us) == until_us
    assert waits.until_us(entity, 4, NOW_US) == 0
    assert waits.refuse(entity, 4, NOW_US) == NOW_US + 1_000_000


def test_the_memory_of_refusals_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """With too many refused entities the oldest is forgotten; the outbox still knows it."""
    monkeypatch.setattr(holding, "ENTITIES_MAX", 100)
    waits = holding.Holding()
    for n in range(holding.ENTITIES_MAX + 5):
        waits.refuse(("one", "payment", str(n)), 1, NOW_US)
    assert len(waits) == holding.ENTITIES_MAX
    assert not waits.until_us(("one", "payment", "4"), 1, NOW_US)
    assert waits.until_us(("one", "payment", "5"), 1, NOW_US)


def test_an_answer_for_another_event_marks_nothing() -> None:
    """A result is believed only under the id that was asked about, and only if it is clear."""
    result = pb.PublishResult
    response = pb.PublishEventsResponse(
        results=[
            result(id="evt_1", outcome=result.OUTCOME_APPENDED, position=7),
            result(id="evt_9", outcome=result.OUTCOME_APPENDED, position=8),
            result(id="evt_3", outcome=result.OUTCOME_DUPLICATE, position=3),
            result(id="evt_4"),
        ]
    )
    answers = batches.read([row(n) for n in (1, 2, 3, 4)], response)
    assert answers.marks == [(1, 7), (3, 3)]
    assert [one.id for one, _ in answers.rejected] == [2, 4]
    assert (answers.lowest, answers.highest, answers.gap) == (7, 7, False)

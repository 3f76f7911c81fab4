"""Batches: which rows go into one, and what its answer says to do with each.

Owns both decisions, without I/O. Called by the relay. Never waits for anything.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from payhub.events.v1 import event_ingest_service_pb2 as pb

from payment_service.db import outbox
from payment_service.relay import holding

_APPENDED = pb.PublishResult.OUTCOME_APPENDED
_IN_LOG = (_APPENDED, pb.PublishResult.OUTCOME_DUPLICATE)
_GAP = pb.PublishResult.REJECT_REASON_ENTITY_VERSION_GAP
_TEXT_MAX = 500


@dataclass(slots=True, kw_only=True)
class Answers:
    """What the gateway said of a batch.

    Attributes:
        marks: Row id and position of each event that is in the log.
        rejected: Rows it refused, with its words.
        gap: Whether one of them was refused because versions before it are missing.
        unknown: Rows that were refused so, and of whose entities the log has nothing.
        lowest: The lowest new position; 0 if there is none.
        highest: The highest position; 0 if there is none.
    """

    marks: list[tuple[int, int]] = field(default_factory=list)
    rejected: list[tuple[outbox.Waiting, str]] = field(default_factory=list)
    gap: bool = False
    unknown: list[outbox.Waiting] = field(default_factory=list)
    lowest: int = 0
    highest: int = 0


def in_order(rows: Sequence[outbox.Waiting]) -> list[outbox.Waiting]:
    """Returns *rows*, which ascend by id, so that each entity's ascend by version.

    They nearly always do. Rows of an entity that don't change places among themselves.
    """
    newest: dict[outbox.Entity, int] = {}
    for row in rows:
        entity = row[2:5]
        if newest.get(entity, -1) > row.entity_version:
            break
        newest[entity] = row.entity_version
    else:
        return list(rows)
    by_version: dict[outbox.Entity, list[outbox.Waiting]] = {}
    for row in sorted(rows, key=lambda row: row.entity_version, reverse=True):
        by_version.setdefault(row.entity, []).append(row)
    return [by_version[row.entity].pop() for row in rows]


def divide(
    rows: Sequence[outbox.Waiting], waits: holding.Holding, now_us: int
) -> tuple[list[outbox.Waiting], list[outbox.Postponed]]:
    """Returns the rows that may be sent, and those that wait behind a refused one."""
    if not waits:
        return list(rows), []
    sent: list[outbox.Waiting] = []
    held: list[outbox.Postponed] = []
    for row in rows:
        until_us = waits.until_us(row.entity, row.entity_version, now_us)
        if until_us:
            held.append(outbox.Postponed(row.id, until_us, ""))
        else:
            sent.append(row)
    return sent, held


def read(rows: Sequence[outbox.Waiting], response: pb.PublishEventsResponse) -> Answers:
    """Returns what the gateway said of *rows*; *response* holds one result each."""
    answers = Answers()
    positions: list[int] = []
    for row, result in zip(rows, response.results, strict=True):
        outcome = result.outcome
        if result.id != row.event_id:
            answers.rejected.append((row, f"answered as {result.id!r}, not as {row.event_id!r}"))
        elif outcome in _IN_LOG:
            position = result.position
            answers.marks.append((row.id, position))
            if outcome == _APPENDED:
                positions.append(position)
            elif position > answers.highest:
                answers.highest = position
        else:
            if result.reject_reason == _GAP:
                answers.gap = True
                # 0 from a gateway of an older version.
                if result.expected_version == 1:
                    answers.unknown.append(row)
            answers.rejected.append((row, _text(result)))
    if positions:
        answers.lowest = min(positions)
        answers.highest = max(answers.highest, *positions)
    return answers


def refuse(
    rejected: Sequence[tuple[outbox.Waiting, str]], waits: holding.Holding, now_us: int
) -> list[outbox.Postponed]:
    """Returns the rows of a batch that were refused, to be sent again later.

    Only the first of an entity counts as refused; those behind it wait for it.
    """
    refused: set[outbox.Entity] = set()
    postponed: list[outbox.Postponed] = []
    for row, text in rejected:
        first = row.entity not in refused
        refused.add(row.entity)
        until_us = waits.refuse(row.entity, row.entity_version, now_us)
        postponed.append(outbox.Postponed(row.id, until_us, text if first else ""))
    return postponed


def _text(result: pb.PublishResult) -> str:
    # A newer gateway may have reasons that have no name here.
    names = pb.PublishResult.RejectReason
    known = result.reject_reason in names.values()
    reason = names.Name(result.reject_reason) if known else str(result.reject_reason)
    text = f"{reason.removeprefix('REJECT_REASON_')}: {result.message}"
    return text.replace("\0", "")[:_TEXT_MAX]

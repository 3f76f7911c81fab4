"""What must hold of an installation at rest, whatever has happened to it.

Owns the rules that databases, the provider's ledger, a subscriber and log files
can show. Called after every crash test, and by whoever wants to know. Reads
only, through `stored` and the ledger's own report; each violation is one text
that names what is wrong, so an empty list means that everything holds.
"""

import json
import pathlib
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from payhub.events.v1 import event_pb2
from payhub.payments.v1 import payment_pb2
from payhub.payments.v1 import refund_service_pb2 as refunds_pb

from provider_mock import oracle
from tests import stored, telling

_O = payment_pb2.Operation
_R = refunds_pb.Refund

OPEN = frozenset(
    {_O.STATE_IN_FLIGHT, _O.STATE_PENDING, _O.STATE_REQUIRES_ACTION, _O.STATE_IN_DOUBT}
)
WITHOUT_EFFECT = frozenset({_O.STATE_DECLINED, _O.STATE_NOT_SENT, _O.STATE_SUPERSEDED})
ADOPTED = "provider"
INITIAL = frozenset({_O.KIND_AUTHORIZE, _O.KIND_SALE})
_WITH_AMOUNT = frozenset({"AUTHORIZE", "SALE", "INCREMENT", "CAPTURE", "REFUND"})

# What the ledger may say of an operation that ended; None: it knows nothing of it.
_LEDGER_STATES: dict[int, frozenset[str | None]] = {
    _O.STATE_SUCCEEDED: frozenset({"SUCCEEDED"}),
    _O.STATE_DECLINED: frozenset({"DECLINED"}),
    _O.STATE_NOT_SENT: frozenset({None}),
    _O.STATE_SUPERSEDED: frozenset({None, "DECLINED", "VOIDED"}),
}
_REFUND_STATES: dict[int, frozenset[int]] = {
    _R.STATE_PENDING: frozenset({_O.STATE_IN_FLIGHT, _O.STATE_PENDING, _O.STATE_REQUIRES_ACTION}),
    _R.STATE_IN_DOUBT: frozenset({_O.STATE_IN_DOUBT}),
    _R.STATE_SUCCEEDED: frozenset({_O.STATE_SUCCEEDED}),
    _R.STATE_FAILED: frozenset({_O.STATE_DECLINED, _O.STATE_NOT_SENT, _O.STATE_SUPERSEDED}),
}

# Operations that the simulated provider made for its invoices and checkouts.
PROVIDERS_OWN = "mbill_"

Totals = dict[str, tuple[int, int, int]]


def check(
    *,
    payments: str,
    log: str | None = None,
    ledger: pathlib.Path | None = None,
    seen: Sequence[event_pb2.Event] | None = None,
    seen_tenant: str = "default",
    secrets: Iterable[str] = (),
    printed: Iterable[pathlib.Path] = (),
    open_s_max: float = 0.0,
) -> list[str]:
    """Returns every violation in an installation that nobody is using.

    Args:
        payments: Database URL of payment_service.
        log: Database URL of event_gateway, once everything is published.
        ledger: SQLite file of provider_mock.
        seen: What a subscriber of one tenant got that read the log from the oldest event.
        seen_tenant: Whose events those are.
        secrets: Texts that may be in no event and in no file of `printed`.
        printed: What the processes printed.
        open_s_max: How old an operation that has not ended may be, seconds.
    """
    book = stored.payments(payments)
    found = [*_open(book, open_s_max), *_sums(book), *_refunds(book), *_keys(book), *_days(book)]
    found += telling.check(book)
    if ledger is not None:
        found += _against_ledger(book, oracle.read(ledger, operations=True))
    entries: list[stored.Entry] = []
    if log is not None:
        kept = stored.log(log)
        entries = kept.entries
        found += [*_log(kept), *_published(book, kept)]
        if seen is not None:
            found += _seen(seen, [entry for entry in entries if entry.tenant_id == seen_tenant])
    found += _secrets(book, entries, tuple(secrets), printed)
    return found


def _open(book: stored.Payments, open_s_max: float) -> Iterator[str]:
    now_us = time.time_ns() // 1000
    for operation in book.operations:
        age_s = (now_us - operation.created_us) / 1e6
        if operation.state in OPEN and age_s > open_s_max:
            yield f"{_name(operation)} has been {_state(operation)} for {age_s:.1f} s"
    for payment in book.payments:
        if payment.cancel_requested and not open_s_max:
            yield f"{payment.id}: the wish to cancel it was not carried out"


def _sums(book: stored.Payments) -> Iterator[str]:
    """Amounts stay below their ceilings and are the sums of the operations that made them."""
    by_entity = defaultdict(list)
    for operation in book.operations:
        by_entity[operation.entity_id].append(operation)
    rows: tuple[stored.Payment | stored.Customer | stored.Mirror, ...]
    rows = (*book.payments, *book.customers, *book.mirrors)
    known = {row.id for row in rows}
    for stray in sorted(by_entity.keys() - known):
        yield f"{stray}: has operations, but is not there"
    for payment in book.payments:
        if not 0 <= payment.authorized_minor <= payment.amount_minor:
            yield f"{payment.id}: authorized {payment.authorized_minor} of {payment.amount_minor}"
        if payment.captured_minor + payment.capture_reserved_minor > payment.authorized_minor:
            yield f"{payment.id}: more captured and reserved than authorized: {payment}"
        if payment.refunded_minor + payment.refund_reserved_minor > payment.captured_minor:
            yield f"{payment.id}: more refunded and reserved than captured: {payment}"
        own = by_entity[payment.id]
        done = [operation for operation in own if operation.state == _O.STATE_SUCCEEDED]
        still = [operation for operation in own if operation.state in OPEN]
        if sum(operation.kind in INITIAL for operation in done) > 1:
            yield f"{payment.id}: authorized more than once"
        sums = {
            "authorized_minor": _sum(done, *INITIAL, _O.KIND_INCREMENT),
            "captured_minor": _sum(done, _O.KIND_SALE, _O.KIND_CAPTURE),
            "refunded_minor": _sum(done, _O.KIND_REFUND),
            "capture_reserved_minor": _reserved(still, _O.KIND_CAPTURE, _O.KIND_VOID),
            "refund_reserved_minor": _reserved(still, _O.KIND_REFUND),
        }
        for name, made in sums.items():
            if getattr(payment, name) != made:
                text = f"{name} is {getattr(payment, name)}, its operations make {made}"
                yield f"{payment.id}: {text}"


def _refunds(book: stored.Payments) -> Iterator[str]:
    operations = {operation.id: operation for operation in book.operations}
    for refund in book.refunds:
        operation = operations.get(refund.operation_id)
        if operation is None or operation.refund_id != refund.id:
            yield f"{refund.id}: no operation carries it out"
        elif operation.state not in _REFUND_STATES[refund.state]:
            yield f"{refund.id} is {_R.State.Name(refund.state)}, {_name(operation)} is not"
        elif (refund.amount_minor, refund.currency) != (operation.amount_minor, operation.currency):
            yield f"{refund.id}: {_name(operation)} is for another amount"


def _keys(book: stored.Payments) -> Iterator[str]:
    """Each key points at what it made, and made one operation at most."""
    made = {
        (row.tenant_id, row.id)
        for rows in (book.payments, book.refunds, book.customers, book.mirrors)
        for row in rows
    }
    for key in book.keys:
        if (key.tenant_id, key.resource_id) not in made:
            yield f"idempotency key {key.key} of {key.rpc}: {key.resource_id} is not there"
    claimed = Counter((key.tenant_id, key.key) for key in book.keys)
    used = Counter((o.tenant_id, o.idempotency_key) for o in book.operations if o.idempotency_key)
    for (tenant_id, name), count in sorted(used.items()):
        if count > claimed[tenant_id, name]:
            text = f"{count} operations of {claimed[tenant_id, name]} calls"
            yield f"idempotency key {name}: {text}"


def _days(book: stored.Payments) -> Iterator[str]:
    """What a day's limit has lost is what operations took that had, or may have, an effect."""
    taken: Counter[tuple[str, str, str]] = Counter()
    for operation in book.operations:
        if operation.counted_day and operation.state not in WITHOUT_EFFECT:
            taken[operation.binding_id, operation.counted_day, operation.currency] += (
                operation.amount_minor
            )
    used = {(each.binding_id, each.day, each.currency): each.used_minor for each in book.used}
    for place in sorted(taken.keys() | used.keys()):
        there = used.get(place, 0)
        if there != taken[place]:
            text = f"{there} of the day are used, operations took {taken[place]}"
            yield f"{' '.join(place)}: {text}"


def _against_ledger(book: stored.Payments, report: dict[str, Any]) -> Iterator[str]:
    yield from (f"ledger: {difference}" for difference in report["differences"])
    entries: dict[str, dict[str, Any]] = {}
    for entry in report["operations"]:
        if entry["operation_id"] in entries:
            yield f"{entry['operation_id']}: took effect twice at the provider"
        entries[entry["operation_id"]] = entry
    ours = {operation.id for operation in book.operations}
    for stranger in sorted(entries.keys() - ours):
        if stranger.startswith(PROVIDERS_OWN):
            # It billed by itself; what it took counts in the totals.
            continue
        yield f"{stranger}: the provider has booked it, nobody here has asked for it"
    for operation in book.operations:
        yield from _against_entry(operation, entries.get(operation.id))
    if any(operation.state in OPEN for operation in book.operations):
        return
    here, there = _totals(book.payments), _ledger_totals(report)
    for currency in sorted(here.keys() | there.keys()):
        nothing = (0, 0, 0)
        if here.get(currency, nothing) != there.get(currency, nothing):
            yield (
                f"{currency}: authorized, captured, refunded are {here.get(currency)} here "
                f"and {there.get(currency)} at the provider"
            )


def _against_entry(operation: stored.Operation, entry: dict[str, Any] | None) -> Iterator[str]:
    # What the provider began by itself, it does not know by our id.
    if operation.state in OPEN or operation.actor == ADOPTED:
        return
    state = entry["state"] if entry else None
    if state not in _LEDGER_STATES[operation.state]:
        yield f"{_name(operation)} is {_state(operation)} here, {state} at the provider"
    elif entry and entry["kind"] in _WITH_AMOUNT and state == "SUCCEEDED":
        booked = (entry["amount_minor"], entry["currency"])
        if booked != (operation.amount_minor, operation.currency):
            yield f"{_name(operation)}: the provider has booked {booked}"


def _totals(payments: Iterable[stored.Payment]) -> Totals:
    totals: Totals = {}
    for one in payments:
        sums = totals.get(one.currency, (0, 0, 0))
        own = (one.authorized_minor, one.captured_minor, one.refunded_minor)
        totals[one.currency] = tuple(map(sum, zip(sums, own, strict=True)))  # type: ignore[assignment]
    return totals


def _ledger_totals(report: dict[str, Any]) -> Totals:
    return {
        code: (total["authorized_minor"], total["captured_minor"], total["refunded_minor"])
        for code, total in report["currencies"].items()
    }


def _log(log: stored.Log) -> Iterator[str]:
    """The log is in order by itself: positions rise, each entity's versions are dense."""
    versions: dict[tuple[str, str, str], int] = defaultdict(int)
    for entry in log.entries:
        event = event_pb2.Event.FromString(bytes(entry.event))
        columns = (
            event.position,
            event.id,
            event.tenant_id,
            event.type,
            event.entity_type,
            event.entity_id,
            event.entity_version,
        )
        if columns != entry[:-1]:
            yield f"log position {entry.position}: the event in it is another one: {columns}"
        if entry.position > log.head.head:
            yield f"log position {entry.position}: after the head, {log.head.head}"
        if not entry.entity_version:
            continue
        entity = (entry.tenant_id, entry.entity_type, entry.entity_id)
        if entry.entity_version != versions[entity] + 1:
            yield (
                f"log position {entry.position}: version {entry.entity_version} of "
                f"{entry.entity_id} comes after {versions[entity]}"
            )
        versions[entity] = entry.entity_version
    counts = Counter((entry.tenant_id, entry.event_id) for entry in log.entries)
    for (_, event_id), count in counts.items():
        if count > 1:
            yield f"event {event_id} is in the log {count} times"


def _published(book: stored.Payments, log: stored.Log) -> Iterator[str]:
    """Every event of the outbox is in the log, unchanged, where its mark says; no other is."""
    epoch = f"{log.head.epoch:08x}"
    by_id = {(entry.tenant_id, entry.event_id): entry for entry in log.entries}
    for row in book.outbox:
        entry = by_id.pop((row.tenant_id, row.event_id), None)
        if entry is None:
            yield f"event {row.event_id} of {row.entity_id} v{row.entity_version}: not in the log"
            continue
        if (row.log_epoch, row.log_position) != (epoch, entry.position):
            mark = f"{row.log_epoch or 'nothing'}/{row.log_position}"
            yield f"event {row.event_id}: marked {mark}, is at {epoch}/{entry.position}"
        logged = event_pb2.Event.FromString(bytes(entry.event))
        logged.ClearField("position")
        logged.ClearField("append_time")
        if logged != event_pb2.Event.FromString(bytes(row.envelope)):
            yield f"event {row.event_id}: the log tells something else than the outbox"
    for entry in by_id.values():
        if event_pb2.Event.FromString(bytes(entry.event)).source == "payments":
            yield f"event {entry.event_id}: in the log, but nobody here has written it"


def _seen(seen: Sequence[event_pb2.Event], entries: Sequence[stored.Entry]) -> Iterator[str]:
    """A subscriber gets everything once, in the order of the log."""
    counts = Counter(event.id for event in seen)
    for event_id, count in counts.items():
        if count > 1:
            yield f"event {event_id}: the subscriber got it {count} times"
    wanted = [entry.event_id for entry in entries]
    for event_id in sorted(set(wanted) - counts.keys()):
        yield f"event {event_id}: the subscriber never got it"
    for event_id in sorted(counts.keys() - set(wanted)):
        yield f"event {event_id}: the subscriber got it, the log does not hold it"
    if sorted(wanted) == sorted(counts.elements()) and wanted != [event.id for event in seen]:
        yield "the subscriber got events in another order than the log's"


def _secrets(
    book: stored.Payments,
    entries: Sequence[stored.Entry],
    secrets: Sequence[str],
    printed: Iterable[pathlib.Path],
) -> Iterator[str]:
    places = {f"event {row.event_id}": bytes(row.envelope) for row in book.outbox}
    places |= {f"log position {entry.position}": bytes(entry.event) for entry in entries}
    places |= {path.name: path.read_bytes() for path in printed if path.exists()}
    for secret in secrets:
        # Logs are JSON, which may spell a text in another way.
        spellings = {secret.encode(), json.dumps(secret)[1:-1].encode()}
        for place, content in places.items():
            if any(spelling in content for spelling in spellings):
                yield f"{place}: shows the secret {secret[:4]}…"


def _sum(operations: Iterable[stored.Operation], *kinds: int) -> int:
    return sum(operation.amount_minor for operation in operations if operation.kind in kinds)


def _reserved(operations: Iterable[stored.Operation], *kinds: int) -> int:
    return sum(operation.reserved_minor for operation in operations if operation.kind in kinds)


def _state(operation: stored.Operation) -> str:
    return _O.State.Name(operation.state).removeprefix("STATE_")


def _name(operation: stored.Operation) -> str:
    kind = _O.Kind.Name(operation.kind).removeprefix("KIND_")
    return f"{operation.entity_id}: {kind} {operation.id}"

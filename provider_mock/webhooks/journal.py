"""What changed, and the webhooks that tell it.

Owns the journal that triggers write, the events made of it in the same
transaction, and the queue they wait in. Called around every write of the
ledger. Never sends anything.
"""

import hashlib
import json
from dataclasses import dataclass
from typing import Any, NamedTuple

from google.protobuf import json_format
from payhub.provider.v1 import notice_provider_service_pb2 as nps
from payhub.provider.v1 import provider_object_pb2

from provider_mock import answers, schema
from provider_mock.objects import model, store, told
from servicekit import storage

_PAYMENT = provider_object_pb2.OBJECT_KIND_PAYMENT
_MONEY_KINDS = frozenset(
    {"AUTHORIZE", "SALE", "CAPTURE", "VOID", "REFUND", "INCREMENT", "FOREIGN_REFUND"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Telling:
    """How webhooks are made and when they are sent.

    Args:
        base_url: Where payers reach the provider, without a slash at the end.
        delay_us: Kept back at least, of the machine's time.
        jitter_us: Kept back besides, evenly from 0 to this: what overtakes what.
    """

    base_url: str
    delay_us: int = 0
    jitter_us: int = 0


class Event(NamedTuple):
    """One webhook in the queue; times are of the machine, not of the provider."""

    event_id: str
    binding_id: str
    type: str
    body: str
    due_us: int | None
    attempts: int
    status: str
    created_us: int


TABLES = tuple(
    storage.Statement(text)
    for text in (
        """
        create table if not exists changes (
          serial integer primary key,
          subject text not null,
          id text not null,
          old_state text not null,
          old_body text not null
        )
        """,
        """
        create table if not exists webhook_events (
          event_id text primary key,
          binding_id text not null,
          type text not null,
          body text not null,
          due_us integer,
          attempts integer not null,
          status text not null,
          created_us integer not null
        ) without rowid
        """,
        """
        create index if not exists webhook_events_due on webhook_events (due_us)
        where due_us is not null
        """,
    )
)
_TRIGGERS = {
    "told_operation_made": "after insert on operations",
    "told_operation_ended": "after update of state on operations when old.state <> new.state",
    "told_object_made": "after insert on objects",
    "told_object_changed": "after update on objects",
}
_WRITE = {
    "told_operation_made": "('operation', new.operation_id, '', '')",
    "told_operation_ended": "('operation', new.operation_id, old.state, '')",
    "told_object_made": "('object', new.object_id, '', '')",
    "told_object_changed": "('object', new.object_id, old.state, old.body)",
}
_SELECT_CHANGES = storage.Statement(
    "select subject, id, old_state, old_body from changes order by serial"
)
_DELETE_CHANGES = storage.Statement("delete from changes")
_COLUMNS = ", ".join(Event._fields)
_INSERT = storage.Statement(
    f"insert into webhook_events ({_COLUMNS}) values "
    f"({', '.join(':' + name for name in Event._fields)}) on conflict do nothing"
)
_SELECT_DUE = storage.Statement(
    f"select {_COLUMNS} from webhook_events where due_us <= :now_us order by due_us limit :limit"
)
_SELECT_NEWEST = storage.Statement(
    f"select {_COLUMNS} from webhook_events order by created_us desc, event_id desc limit :limit"
)
_COUNT_WAITING = storage.Statement("select count(*) from webhook_events where due_us is not null")
_SELECT_ONE = storage.Statement(f"select {_COLUMNS} from webhook_events where event_id = :event_id")
_UPDATE = storage.Statement(
    "update webhook_events set due_us = :due_us, attempts = :attempts, status = :status "
    "where event_id = :event_id"
)


def prepare(conn: storage.Connection, *, telling: bool) -> None:
    """Has changes journalled from now on, or not any more."""
    for name, when in _TRIGGERS.items():
        conn.run(storage.Statement(f"drop trigger if exists {name}"))
        if telling:
            conn.run(
                storage.Statement(
                    f"create trigger {name} {when} begin insert into changes "
                    f"(subject, id, old_state, old_body) values {_WRITE[name]}; end"
                )
            )


def collect(conn: storage.Connection, how: Telling, *, now_us: int) -> int:
    """Makes the webhooks of what this transaction changed; returns how many.

    Args:
        conn: The transaction.
        how: How they are made and when they are sent.
        now_us: The machine's time.
    """
    changes: dict[tuple[str, str], tuple[str, str]] = {}
    for subject, one_id, old_state, old_body in conn.all(_SELECT_CHANGES):
        changes.setdefault((subject, one_id), (old_state, old_body))
    if not changes:
        return 0
    conn.run(_DELETE_CHANGES)
    for (subject, one_id), (old_state, old_body) in changes.items():
        if subject == "operation":
            _operation(conn, one_id, how, now_us)
        else:
            _object(conn, one_id, old_state, old_body, how, now_us)
    return len(changes)


def due(conn: storage.Connection, now_us: int, limit: int) -> list[Event]:
    """Returns what is to be sent by now, the earliest first."""
    return [Event._make(row) for row in conn.all(_SELECT_DUE, {"now_us": now_us, "limit": limit})]


def listed(conn: storage.Connection, limit: int) -> list[Event]:
    """Returns the newest events there are, the oldest of them first."""
    return [Event._make(row) for row in reversed(conn.all(_SELECT_NEWEST, {"limit": limit}))]


def waiting(conn: storage.Connection) -> int:
    """Returns how many events have not been taken, and not been given up either."""
    (count,) = conn.one(_COUNT_WAITING) or (0,)
    return int(count)


def one(conn: storage.Connection, event_id: str) -> Event | None:
    """Returns an event."""
    row = conn.one(_SELECT_ONE, {"event_id": event_id})
    return Event._make(row) if row is not None else None


def note(conn: storage.Connection, event: Event, *, due_us: int | None, status: str) -> None:
    """Notes an attempt to send *event*, and when there is another one."""
    conn.run(
        _UPDATE,
        {
            "event_id": event.event_id,
            "due_us": due_us,
            "attempts": event.attempts + 1,
            "status": status,
        },
    )


def put_off(conn: storage.Connection, event: Event, *, due_us: int | None, status: str) -> None:
    """Notes that *event* was not sent, without counting it as an attempt."""
    kept = {"event_id": event.event_id, "attempts": event.attempts}
    conn.run(_UPDATE, {**kept, "due_us": due_us, "status": status})


def fraction(event_id: str, what: str) -> float:
    """Returns a number from 0 up to 1 that is always the same for an event and a purpose."""
    digest = hashlib.blake2b(f"{what}\n{event_id}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


def _operation(conn: storage.Connection, operation_id: str, how: Telling, now_us: int) -> None:
    columns = conn.one(schema.SELECT_OPERATION, {"operation_id": operation_id})
    assert columns is not None
    row = schema.OperationRow._make(columns)
    content = nps.VerifyWebhookResponse()
    if row.fingerprint:
        content.operations.append(answers.operation(row, action_url=f"{how.base_url}/actions/"))
    if row.kind in _MONEY_KINDS and row.object_id:
        content.refetch.add(kind=_PAYMENT, provider_object_id=row.object_id)
    if not content.operations and not content.refetch:
        return
    event_type = f"{row.kind.lower()}.{row.state.lower()}"
    event_id = model.derived_id("evt", operation_id, row.state)
    _queue(conn, event_id, row.binding_id, event_type, row.state_us, content, how, now_us)


def _object(
    conn: storage.Connection,
    object_id: str,
    old_state: str,
    old_body: str,
    how: Telling,
    now_us: int,
) -> None:
    kept = store.by_id(conn, object_id)
    assert kept is not None
    content = nps.VerifyWebhookResponse()
    verb = kept.state.lower() if kept.state != old_state else "updated"
    before: dict[str, Any] = json.loads(old_body) if old_body else {}
    match kept.body:
        case model.Subscription(trial_told=True) if not before.get("trial_told", True):
            content.notices.append("subscription.trial_ending")
            verb = "trial_will_end"
        case model.Invoice(overdue=True) if not before.get("overdue", True):
            content.notices.append("invoice.overdue")
            verb = "overdue"
        case _:
            pass
    if _moved_money(kept):
        content.refetch.add(
            kind=provider_object_pb2.ObjectKind.Value(f"OBJECT_KIND_{kept.kind.upper()}"),
            provider_object_id=object_id,
        )
    else:
        content.objects.append(told.kept(conn, kept, base_url=how.base_url))
    event_id = model.derived_id("evt", object_id, kept.state_us)
    event_type = f"{kept.kind}.{verb}"
    _queue(conn, event_id, kept.binding_id, event_type, kept.state_us, content, how, now_us)


def _moved_money(kept: store.Kept) -> bool:
    match kept.body:
        case model.Dispute():
            return True
        case model.Invoice():
            return kept.state == "PAID"
        case model.Checkout():
            return kept.state == "COMPLETED"
        case _:
            return False


def _queue(
    conn: storage.Connection,
    event_id: str,
    binding_id: str,
    event_type: str,
    at_us: int,
    content: nps.VerifyWebhookResponse,
    how: Telling,
    now_us: int,
) -> None:
    body = {
        "id": event_id,
        "type": event_type,
        "account": binding_id,
        "created_us": at_us,
        "data": json_format.MessageToDict(content),
    }
    kept_back_us = how.delay_us + round(how.jitter_us * fraction(event_id, "delay"))
    event = Event(
        event_id=event_id,
        binding_id=binding_id,
        type=event_type,
        body=json.dumps(body, sort_keys=True),
        due_us=now_us + kept_back_us,
        attempts=0,
        status="waiting",
        created_us=now_us,
    )
    conn.run(_INSERT, event._asdict())

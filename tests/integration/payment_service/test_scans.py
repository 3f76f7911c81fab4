"""Statements of loops and operators cost what they find, not what there is."""

import contextlib
import pathlib
import sqlite3
from collections.abc import Callable, Iterator

import pytest

from payment_service import composition
from payment_service.db import known, operations, outbox, payments, webhooks
from payment_service.domain import model
from servicekit import storage
from tests import scans

ROWS = 20_000
# A look at one row takes about a dozen instructions.
STEPS_MAX = ROWS
_FILL = (
    """insert into operations (entity_id, id, tenant_id, kind, state, amount_minor, currency,
         reserved_minor, final, refund_id, version, attempts, provider, binding_id, request,
         provider_operation_id, failure, correlation_id, idempotency_key, actor, not_after_us,
         next_check_us, created_us, updated_us)
       select printf('pay_%012x', n * 3600000) || '0', 'op_' || n, 't', 2, 5 - (n = 2), 1,
         'EUR', 0, 0, '', 2, 1, 'mock', 'b', x'', '', '', '', '', '', 0, 0, n, n from many""",
    """insert into outbox (event_id, tenant_id, entity_type, entity_id, entity_version, envelope,
         created_us, log_epoch, log_position)
       select 'evt_' || n, 't', 'payment', 'pay_' || n, 1, x'', n, 'e', n from many""",
    """insert into payments (tenant_id, id, state, amount_minor, currency, capture_method,
         provider, binding_id, provider_payment_id, customer_id, user_id, subscription_id,
         order_id, metadata, description, action, failure, cancel_requested, authorized_minor,
         captured_minor, capture_reserved_minor, refunded_minor, refund_reserved_minor, version,
         created_us, updated_us, revision)
       select 't', printf('pay_%012x', n * 3600000) || '0', 5 + 3 * (n = 2), 1,
         'EUR', 1, 'mock', 'b', '', '', '', '', '', '{}', '', '', '', 0, 1, 1, 0, 0, 0, 1,
         n * 3600000000, n, 1 from many""",
    """insert into inbound_webhooks (id, provider, binding_id, tenant_id, state, headers, body,
         body_bytes, told, event_type, provider_event_id, attempts, next_attempt_us, detail,
         http_status, entity_ids, received_us, updated_us)
       select printf('whk_%012x', n), 'mock', 'b', 't', 2 - (n = 2), '[]', x'', 0, x'', '',
         'e_' || n, 1, 0, '', 200, '', n * 1000, n * 1000 from many""",
    # Of a provider that is away, all due, and last of all one of another.
    f"""insert into inbound_webhooks (id, provider, binding_id, tenant_id, state, headers, body,
         body_bytes, told, event_type, provider_event_id, attempts, next_attempt_us, detail,
         http_status, entity_ids, received_us, updated_us)
       select printf('whk_z%012x', n), case n when {ROWS} then 'mock' else 'away' end, 'b', 't', 6,
         '[]', x'', 0, x'01', '', 'd_' || n, 1, n, '', 200, '', n * 1000, n * 1000 from many""",
)


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sqlite3.Connection]:
    """A database with many rows of each table."""
    path = tmp_path_factory.mktemp("scans") / "payments.db"
    storage.migrate(f"sqlite:///{path}", pathlib.Path(composition.MIGRATIONS))
    with contextlib.closing(sqlite3.connect(path)) as connection:
        for statement in _FILL:
            connection.execute(
                "with recursive many (n) as (select 1 union all select n + 1 from many "
                f"where n < {ROWS}) {statement}"
            )
        connection.commit()
        yield connection


def _pruned_events(conn: storage.Connection) -> object:
    return outbox.prune(conn, after_id=0, upto_id=100, epoch="e", head=ROWS, before_us=50)


def _pruned_webhooks(conn: storage.Connection) -> object:
    """One of them was never judged, because the process ended; the provider sent it again."""
    return webhooks.prune(conn, before_us=5_000, events_before_us=5_000, rejected_keep=10, most=500)


def _claimed_webhooks(conn: storage.Connection) -> object:
    claimed = webhooks.claim_due(
        conn, now_us=ROWS, lease_us=ROWS, busy=["away"], held=["whk_x"], most=32
    )
    return [one.id for one in claimed]


def _unverified_webhooks(conn: storage.Connection) -> object:
    return webhooks.unverified(conn, 1_000)


def _missing_events(conn: storage.Connection) -> object:
    return [known.is_missing(conn, "e", ROWS, f"evt_{each}") for each in (ROWS, ROWS - 1)]


def _counted_webhooks(conn: storage.Connection) -> object:
    return webhooks.count_waiting(conn, 50)


def _counted_doubts(conn: storage.Connection) -> object:
    return operations.count_open(conn, model.OperationState.IN_DOUBT, 1_000)


def _found_webhooks(conn: storage.Connection) -> object:
    wanted = webhooks.ListFilter(provider_event_id="e_7")
    return [one.id for one in webhooks.list_newest_first(conn, wanted, 50)]


def _found_payments(conn: storage.Connection, from_us: int = 0, before_us: int = 0) -> object:
    wanted = payments.ListFilter(created_from_us=from_us, created_before_us=before_us)
    found = payments.list_newest_first(conn, "t", wanted, 50)
    return [one.created_us // 3_600_000_000 for one in found]


def _newest_payments(conn: storage.Connection) -> object:
    return _found_payments(conn, from_us=(ROWS - 1) * 3_600_000_000)


def _oldest_payments(conn: storage.Connection) -> object:
    return _found_payments(conn, before_us=3 * 3_600_000_000)


def _waiting_payments(conn: storage.Connection) -> object:
    states = (model.PaymentState.PROCESSING, model.PaymentState.IN_DOUBT)
    wanted = payments.ListFilter(states=states)
    return [one.id for one in payments.list_newest_first(conn, "t", wanted, 50)]


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        (_waiting_payments, [f"pay_{2 * 3_600_000:012x}0"]),
        (_newest_payments, [ROWS, ROWS - 1]),
        (_oldest_payments, [2, 1]),
        (operations.oldest_doubt_us, 2),
        (_pruned_events, 49),
        (_missing_events, [False, True]),
        (_pruned_webhooks, 4),
        (_found_webhooks, [f"whk_{7:012x}"]),
        (_claimed_webhooks, [f"whk_z{ROWS:012x}"]),
        (_unverified_webhooks, 0),
        (_counted_webhooks, 50),
        (_counted_doubts, 1),
    ],
)
def test_what_was_settled_long_ago_costs_nothing(
    raw: sqlite3.Connection, run: Callable[[storage.Connection], object], expected: object
) -> None:
    """Rows that a statement does not want are not read one by one."""
    try:
        found, steps = scans.counted(raw, run)
    finally:
        raw.rollback()
    assert found == expected
    assert steps < STEPS_MAX


def test_what_was_published_just_now_is_found_in_a_backlog(raw: sqlite3.Connection) -> None:
    """The newest event of the log waits for its mark near the oldest of all that wait."""
    raw.execute("update outbox set log_epoch = '', log_position = 0")
    try:
        missing, steps = scans.counted(
            raw, lambda conn: known.is_missing(conn, "e", ROWS, "evt_100")
        )
    finally:
        raw.rollback()
    assert not missing
    assert steps < STEPS_MAX

"""Statements of loops and operators cost what they find, not what there is."""

import contextlib
import pathlib
import sqlite3
from collections.abc import Callable, Iterator

import pytest

from payment_service import composition
from payment_service.db import operations, outbox, webhooks
from servicekit import storage
from servicekit.storage import sqlite

ROWS = 20_000
# A look at one row takes about a dozen instructions.
STEPS_MAX = ROWS
_STEPS = 100
_FILL = (
    """insert into operations (entity_id, id, tenant_id, kind, state, amount_minor, currency,
         reserved_minor, final, refund_id, version, attempts, provider, binding_id, request,
         provider_operation_id, failure, correlation_id, idempotency_key, actor, not_after_us,
         next_check_us, created_us, updated_us)
       select 'pay_' || n, 'op_' || n, 't', 2, 5, 1, 'EUR', 0, 0, '', 2, 1, 'mock', 'b', x'',
         '', '', '', '', '', 0, 0, n, n from many""",
    """insert into outbox (event_id, tenant_id, entity_type, entity_id, entity_version, envelope,
         created_us, log_epoch, log_position)
       select 'evt_' || n, 't', 'payment', 'pay_' || n, 1, x'', n, 'e', n from many""",
    """insert into inbound_webhooks (id, provider, binding_id, tenant_id, state, headers, body,
         body_bytes, told, event_type, provider_event_id, attempts, next_attempt_us, detail,
         http_status, entity_ids, received_us, updated_us)
       select printf('whk_%012x', n), 'mock', 'b', 't', 2 - (n = 2), '[]', x'', 0, x'', '',
         'e_' || n, 1, 0, '', 200, '', n * 1000, n * 1000 from many""",
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


def _found_webhooks(conn: storage.Connection) -> object:
    wanted = webhooks.ListFilter(provider_event_id="e_7")
    return [one.id for one in webhooks.list_newest_first(conn, wanted, 50)]


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        (operations.oldest_doubt_us, 0),
        (_pruned_events, 49),
        (_pruned_webhooks, 4),
        (_found_webhooks, [f"whk_{7:012x}"]),
    ],
)
def test_what_was_settled_long_ago_costs_nothing(
    raw: sqlite3.Connection, run: Callable[[storage.Connection], object], expected: object
) -> None:
    """Rows that a statement does not want are not read one by one."""
    steps = 0

    def count() -> int:
        nonlocal steps
        steps += _STEPS
        return 0

    raw.set_progress_handler(count, _STEPS)
    try:
        assert run(sqlite.SqliteConnection(raw)) == expected
    finally:
        raw.set_progress_handler(None, 0)
        raw.rollback()
    assert steps < STEPS_MAX

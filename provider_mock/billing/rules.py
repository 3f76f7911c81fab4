"""How the provider bills: delays and retries.

Owns the numbers of billing and the table they are kept in, so that every
transaction finds them. Written at the start from settings. Never changes while
the process runs.
"""

import dataclasses
import json
from dataclasses import dataclass

from provider_mock.billing import calendar
from servicekit import storage

TRIAL_TOLD_BEFORE_US = 3 * calendar.DAY_US


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """How the provider bills; times in microseconds of its clock.

    Args:
        retry_after_us: Pauses between a refused renewal and each further try; after the
            last one the invoice is given up and its subscription canceled.
        due_after_us: How long a payer has before an open invoice is overdue.
        first_payment_us: How long a subscription waits for its first payment.
        settle_after_us: How long pending payments take.
        action_expire_us: How long a payer has to act.
        checkout_expire_us: How long a checkout is open unless it says so itself.
        evidence_us: How long evidence is taken.
    """

    retry_after_us: tuple[int, ...]
    due_after_us: int
    first_payment_us: int
    settle_after_us: int
    action_expire_us: int
    checkout_expire_us: int
    evidence_us: int


TABLE = storage.Statement(
    "create table if not exists billing_rules (one integer primary key check (one = 1), rules text)"
)
_SAVE = storage.Statement(
    "insert into billing_rules (one, rules) values (1, :rules) "
    "on conflict (one) do update set rules = excluded.rules"
)
_LOAD = storage.Statement("select rules from billing_rules where one = 1")


def save(conn: storage.Connection, how: Rules) -> None:
    """Makes *how* the rules of the ledger."""
    conn.run(_SAVE, {"rules": json.dumps(dataclasses.asdict(how))})


def load(conn: storage.Connection) -> Rules:
    """Returns the rules of the ledger."""
    columns = conn.one(_LOAD)
    assert columns is not None, "the rules are saved when the ledger is opened"
    read = json.loads(columns[0])
    return Rules(**{**read, "retry_after_us": tuple(read["retry_after_us"])})

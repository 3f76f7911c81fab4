"""What happens by itself when its time has come.

Owns the order: the earliest first, whatever it is. Called by the provider's
loop and when its clock is moved. Never skips a step, however far the clock was
moved: each happens at its own time.
"""

from collections.abc import Callable

from provider_mock.billing import checkouts, disputes, invoices, rules, subscriptions
from provider_mock.objects import model, store
from servicekit import storage

STEPS_MAX = 200


def has_due(conn: storage.Connection, now_us: int) -> bool:
    """Says whether anything is due."""
    return store.next_due(conn, now_us) is not None


def run(
    conn: storage.Connection,
    how: rules.Rules,
    now_us: int,
    *,
    tell: Callable[[storage.Connection], None],
) -> int:
    """Does at most 200 things that are due; returns how many.

    Args:
        conn: The transaction.
        how: How the provider bills.
        now_us: The provider's time.
        tell: Called after each, so that each is told as it was.
    """
    for step in range(STEPS_MAX):
        kept = store.next_due(conn, now_us)
        if kept is None:
            return step
        at_us = kept.due_us or now_us
        match kept.body:
            case model.Subscription():
                subscriptions.on_due(conn, kept, how)
            case model.Invoice():
                invoices.on_due(conn, kept, how)
            case model.Checkout():
                checkouts.expire(conn, kept, at_us=at_us)
            case model.Dispute():
                disputes.on_due(conn, kept)
            case _:
                raise AssertionError(f"nothing is ever due of a {kept.kind}")
        tell(conn)
    return STEPS_MAX

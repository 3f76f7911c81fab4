"""Writing what the domain decided: rows and events in one transaction.

Owns `write`, through which every change of an existing payment or customer
goes. Called inside the use cases' transaction functions. Never decides.
"""

from collections.abc import Sequence

from payment_service.db import customers as customer_rows
from payment_service.db import operations, outbox, payments, refunds
from payment_service.domain import bindings, changes, customers
from payment_service.usecases import daily_limits
from servicekit import storage

Batch = list[tuple[storage.Statement, storage.Params]]


def batch(change: changes.Change, entries: Sequence[outbox.Entry]) -> Batch:
    """Returns the statements that write a change of an existing payment.

    The first holds only if the payment is as it was read, and decides over the others.
    """
    statements: Batch = [(payments.UPDATE, payments.update_params(change.payment))]
    if change.new_operation is not None:
        statements.append((operations.INSERT, operations.params(change.new_operation)))
    statements += [
        (operations.UPDATE, operations.update_params(operation)) for operation in change.operations
    ]
    if change.new_refund is not None:
        statements.append((refunds.INSERT, refunds.params(change.new_refund)))
    if change.refund is not None:
        statements.append((refunds.UPDATE, refunds.update_params(change.refund)))
    statements += daily_limits.gives_back(change.operations)
    if entries:
        statements.append(outbox.append(entries))
    return statements


def customer_batch(
    change: customers.Change,
    entries: Sequence[outbox.Entry],
    writes_operation: storage.Statement | None = None,
) -> Batch:
    """Returns the statements that write a change of an existing customer.

    *writes_operation* is `operations.INSERT` or `UPDATE`, None if it stays as it is.
    """
    statements: Batch = [(customer_rows.UPDATE, customer_rows.update_params(change.customer))]
    if writes_operation is not None:
        statements.append((writes_operation, operations.params(change.operation)))
    if entries:
        statements.append(outbox.append(entries))
    return statements


def write(conn: storage.Connection, statements: Batch) -> None:
    """Runs *statements* under the entity's lock; each of them must write.

    Raises:
        AssertionError: One wrote nothing: the row was not locked and re-read. Rolls back.
    """
    if not write_if_first(conn, statements):
        raise AssertionError("the first guarded write found no row")


def write_if_first(
    conn: storage.Connection, statements: Batch, takes: bindings.Counted | None = None
) -> bool:
    """Runs *statements* if the first of them writes; returns whether it did.

    *takes* is what they take from a daily limit, beside.

    Raises:
        daily_limits.DayIsFull: The day's limit does not hold it. Rolls back.
        AssertionError: The first wrote and another did not. Rolls back, but for a lone
            statement on PostgreSQL, which has committed by then: a guard on the first
            that does not imply the others is a bug.
    """
    if takes is not None:
        statements = [*statements, daily_limits.statement(takes)]
    counts = conn.run_all(statements, first_decides=True)
    if takes is not None and counts[0] and not counts[-1]:
        raise daily_limits.DayIsFull(takes)
    if counts[0] and not all(counts):
        raise AssertionError(f"a guarded write found no row: {counts}")
    return bool(counts[0])

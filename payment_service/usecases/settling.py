"""Settling: from a committed intent to a committed outcome.

Owns the middle and the end of commit → call → commit. Called by the use cases
right after an intent was committed, and by the resolver. Every report, whoever
brings it, goes through `settle_*`, which locks and re-reads first.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace

from payment_service.db import customers as customer_rows
from payment_service.db import operations, payments, refunds
from payment_service.domain import changes, customers, model, outcomes, transitions
from payment_service.usecases import changing, context, events
from servicekit import failpoints, logs, storage

_log = logs.get_logger(__name__)

# The most events one report can bring about, for example captured + succeeded.
_EVENTS_MAX = 3

# A caller that polls a doubt faster than this adds no look-ups at the provider.
_HURRY_EVERY_US = 1_000_000
_HURRIED_MAX = 10_000


class Settler:
    """Drives operations to their outcome."""

    def __init__(self, ctx: context.Context) -> None:
        self._ctx = ctx
        self._hurried_us: OrderedDict[str, int] = OrderedDict()

    async def drive_payment(
        self, operation: model.Operation, known: model.Payment | None = None
    ) -> model.Payment:
        """Sends a committed intent and commits its outcome; returns the payment after it.

        *known* is the payment as the intent's transaction left it. If nobody has touched
        it since, its outcome is written without reading it again.
        """
        report = await self._send(operation)
        if known is not None and not operation.refund_id:
            settled = await self._settle_known(known, operation, report)
            if settled is not None:
                return settled
        _, payment = await self.settle_payment(operation, report)
        return payment

    async def _settle_known(
        self, known: model.Payment, operation: model.Operation, report: outcomes.Report
    ) -> model.Payment | None:
        """Writes an outcome if the row's revision is still that of *known*.

        The guarded update locks the row and compares before anything else is written, so
        this is the same as locking and re-reading a row that has not changed.
        """
        now_us = self._ctx.clock.now_us()
        applied = transitions.apply(known, operation.id, report, now_us)
        if applied.verdict is not outcomes.Verdict.APPLIED or applied.change is None:
            return None
        change = self._scheduled(applied.change, now_us)
        entries = events.of_change(change, operation.cause, self._ctx.new_id)
        statements = changing.batch(change, entries)
        written = await self._ctx.db.write(
            lambda conn: changing.write_if_first(conn, statements), one_statement=True
        )
        if not written:
            return None
        self._after(applied.verdict, operation, report)
        return change.payment

    async def drive_customer(self, operation: model.Operation) -> model.Customer:
        """Sends a committed intent and commits its outcome; returns the customer after it."""
        report = await self._send(operation)
        _, customer = await self.settle_customer(operation, report)
        return customer

    async def hurry(self, entity_id: str) -> None:
        """Makes the resolver look now at what is unknown of a payment or customer."""
        now_us = self._ctx.clock.now_us()
        if now_us - self._hurried_us.get(entity_id, 0) < _HURRY_EVERY_US:
            return
        self._hurried_us[entity_id] = now_us
        self._hurried_us.move_to_end(entity_id)
        while len(self._hurried_us) > _HURRIED_MAX:
            self._hurried_us.popitem(last=False)
        await self._ctx.db.write(lambda conn: operations.hurry(conn, entity_id, now_us=now_us))

    async def _send(self, operation: model.Operation) -> outcomes.Report:
        failpoints.hit("payment_service.after_intent_commit")
        provider = self._ctx.providers.find(operation.provider)
        if provider is None:
            raise LookupError(f"provider {operation.provider} was removed")
        report = await provider.execute(operation)
        failpoints.hit("payment_service.before_outcome_commit")
        return report

    async def settle_payment(
        self, operation: model.Operation, report: outcomes.Report, *, actor: str = ""
    ) -> tuple[outcomes.Verdict, model.Payment]:
        """Applies *report* to the payment of *operation* and commits what follows."""
        now_us = self._ctx.clock.now_us()
        cause = _cause(operation, actor)
        ids = fresh_ids(self._ctx.new_id)
        report_id = self._ctx.new_id("rep")

        def settle(conn: storage.Connection) -> tuple[outcomes.Verdict, model.Payment]:
            payment = payments.load(conn, operation.tenant_id, operation.entity_id, lock=True)
            if payment is None:
                raise LookupError(f"{operation.id} belongs to no payment")
            refund = None
            if operation.refund_id:
                refund = refunds.load(conn, operation.tenant_id, operation.refund_id)
            applied = transitions.apply(payment, operation.id, report, now_us, refund)
            if applied.change is None:
                self._look_again(conn, payment.operation(operation.id), report, now_us)
                return applied.verdict, payment
            change = self._scheduled(applied.change, now_us)
            entries = events.of_change(change, cause, ids())
            changing.write(conn, changing.batch(change, entries))
            if applied.verdict is outcomes.Verdict.ILLEGAL:
                self._keep(conn, report_id, operation, report, now_us)
            return applied.verdict, change.payment

        verdict, payment = await self._ctx.db.write(settle)
        self._after(verdict, operation, report)
        return verdict, payment

    async def settle_customer(
        self, operation: model.Operation, report: outcomes.Report, *, actor: str = ""
    ) -> tuple[outcomes.Verdict, model.Customer]:
        """Applies *report* to the customer of *operation* and commits what follows."""
        now_us = self._ctx.clock.now_us()
        cause = _cause(operation, actor)
        ids = fresh_ids(self._ctx.new_id)
        report_id = self._ctx.new_id("rep")

        def settle(conn: storage.Connection) -> tuple[outcomes.Verdict, model.Customer]:
            customer = customer_rows.load(conn, operation.tenant_id, operation.entity_id, lock=True)
            if customer is None:
                raise LookupError(f"{operation.id} belongs to no customer")
            own = operations.of_entity(conn, customer.id)
            current = next(o for o in own if o.id == operation.id)
            verdict, change = customers.apply(
                customer, current, report, now_us, is_newest=own[-1].id == current.id
            )
            if change is None:
                if verdict is outcomes.Verdict.ILLEGAL:
                    self._keep(conn, report_id, operation, report, now_us)
                self._look_again(conn, current, report, now_us)
                return verdict, customer
            settled = replace(change.operation, cause=cause)
            check_us = context.next_check_us(self._ctx.schedule, settled, now_us)
            change = replace(change, operation=replace(settled, next_check_us=check_us))
            entries = events.of_customer(change, ids())
            changing.write(conn, changing.customer_batch(change, entries, new_operation=False))
            return verdict, change.customer

        verdict, customer = await self._ctx.db.write(settle)
        self._after(verdict, operation, report)
        return verdict, customer

    def _scheduled(self, change: changes.Change, now_us: int) -> changes.Change:
        if not any(operation.is_open for operation in change.operations):
            return change
        scheduled = tuple(
            replace(o, next_check_us=context.next_check_us(self._ctx.schedule, o, now_us))
            for o in change.operations
        )
        return replace(change, operations=scheduled)

    def _look_again(
        self,
        conn: storage.Connection,
        operation: model.Operation | None,
        report: outcomes.Report,
        now_us: int,
    ) -> None:
        """Nothing changed: the next look is later than this one was."""
        if operation is None or not operation.is_open:
            return
        check_us = context.next_check_us(self._ctx.schedule, operation, now_us)
        if report.needs_operator and operation.state is model.OperationState.IN_DOUBT:
            check_us = 0
        operations.schedule(conn, operation, check_us)

    def _keep(
        self,
        conn: storage.Connection,
        report_id: str,
        operation: model.Operation,
        report: outcomes.Report,
        now_us: int,
    ) -> None:
        operations.keep_report(
            conn,
            operations.StoredReport(
                id=report_id,
                operation=operation,
                outcome=report.outcome.value,
                detail=report.detail,
                created_us=now_us,
            ),
        )

    def _after(
        self, verdict: outcomes.Verdict, operation: model.Operation, report: outcomes.Report
    ) -> None:
        failpoints.hit("payment_service.after_outcome_commit")
        if verdict in (outcomes.Verdict.APPLIED, outcomes.Verdict.ILLEGAL):
            self._ctx.outbox_written.set()
        if verdict is outcomes.Verdict.ILLEGAL:
            _log.error(
                "a report contradicts what is settled; an operator must compare with the provider",
                operation_id=operation.id,
                entity_id=operation.entity_id,
                outcome=report.outcome.value,
                detail=report.detail,
            )
        elif report.outcome is outcomes.Outcome.UNKNOWN:
            _log.warning(
                "outcome unknown",
                operation_id=operation.id,
                entity_id=operation.entity_id,
                detail=report.detail,
                needs_operator=report.needs_operator,
            )


def _cause(operation: model.Operation, actor: str) -> model.Cause:
    return replace(operation.cause, actor=actor) if actor else operation.cause


def fresh_ids(new_id: Callable[[str], str]) -> Callable[[], Callable[[str], str]]:
    """Mints event ids before the transaction, so that running it twice gives the same."""
    minted = [new_id("evt") for _ in range(_EVENTS_MAX)]

    def again() -> Callable[[str], str]:
        left = iter(minted)
        return lambda _prefix: next(left)

    return again

"""Settling: from a committed intent to a committed outcome.

Owns the middle and the end of commit → call → commit. Called by the use cases
right after an intent was committed, and by the resolver. Every report, whoever
brings it, goes through `settle_in`, which locks and re-reads first.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from payment_service.db import customers as customer_rows
from payment_service.db import operations, payments, refunds, retry_policies
from payment_service.domain import changes, customers, model, outcomes, transitions
from payment_service.domain.mirrors import kinds, objects
from payment_service.usecases import changing, context, events
from payment_service.usecases.mirrors import absorbing, ending, fetching, scopes
from servicekit import bounded, failpoints, logs, storage

_log = logs.get_logger(__name__)

# A caller that polls a doubt faster than this adds no look-ups at the provider.
_HURRY_EVERY_US = 1_000_000
_HURRIED_MAX = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """What became of a report: the payment, customer or mirrored entity after it, and what
    must be fetched to know all.
    """

    verdict: outcomes.Verdict
    operation: model.Operation
    report: outcomes.Report
    entity: Any
    refetch: tuple[objects.Reference, ...] = ()


class Settler:
    """Drives operations to their outcome."""

    def __init__(self, ctx: context.Context) -> None:
        self._ctx = ctx
        self._fetcher = fetching.Fetcher(ctx)
        self._hurried_us: bounded.Bounded[str, int] = bounded.Bounded(_HURRIED_MAX)

    async def drive_payment(
        self, operation: model.Operation, known: model.Payment | None = None
    ) -> model.Payment:
        """Sends a committed intent and commits its outcome; returns the payment after it.

        *known* is the payment as the intent's transaction left it. If nobody has touched
        it since, its outcome is written without reading it again.
        """
        report = await self._send(operation)
        plain = not operation.refund_id and not report.seen
        if known is not None and plain and not known.off_session:
            payment = await self._settle_known(known, operation, report)
            if payment is not None:
                return payment
        settled = await self.settle(operation, report)
        await self.fetch(operation, settled)
        after: model.Payment = settled.entity
        return after

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
        self.after(
            Settled(
                verdict=applied.verdict,
                operation=operation,
                report=report,
                entity=change.payment,
            )
        )
        return change.payment

    async def drive_customer(self, operation: model.Operation) -> model.Customer:
        """Sends a committed intent and commits its outcome; returns the customer after it."""
        report = await self._send(operation)
        settled = await self.settle(operation, report)
        customer: model.Customer = settled.entity
        return customer

    async def drive_mirror(self, operation: model.Operation) -> None:
        """Sends a committed intent on a mirrored entity and commits its outcome.

        Where the answer leaves open what is newer, the object is asked for at once.
        """
        report = await self._send(operation)
        settled = await self.settle(operation, report)
        await self.fetch(operation, settled)

    async def fetch(self, operation: model.Operation, settled: Settled) -> None:
        """Asks for what an outcome left open; what can't be fetched now stays due."""
        if settled.refetch:
            await self._fetcher.fetch(
                operation.provider,
                settled.refetch,
                tenant_id=operation.tenant_id,
                binding_id=operation.binding_id,
                cause=operation.cause,
            )

    async def hurry(self, entity_id: str) -> None:
        """Makes the resolver look now at what is unknown of a payment or customer."""
        now_us = self._ctx.clock.now_us()
        if now_us - self._hurried_us.get(entity_id, 0) < _HURRY_EVERY_US:
            return
        self._hurried_us[entity_id] = now_us
        await self._ctx.db.write(lambda conn: operations.hurry(conn, entity_id, now_us=now_us))

    async def _send(self, operation: model.Operation) -> outcomes.Report:
        self._ctx.witness.saw(operation.id)
        failpoints.hit("payment_service.after_intent_commit")
        provider = self._ctx.providers.find(operation.provider)
        if provider is None:
            raise LookupError(f"provider {operation.provider} was removed")
        report = await provider.execute(operation)
        failpoints.hit("payment_service.before_outcome_commit")
        return report

    async def settle(
        self, operation: model.Operation, report: outcomes.Report, *, actor: str = ""
    ) -> Settled:
        """Applies *report* to the entity of *operation* and commits what follows."""
        now_us = self._ctx.clock.now_us()
        ids = context.fresh_ids(self._ctx.new_id)
        settled = await self._ctx.db.write(
            lambda conn: self.settle_in(
                conn, operation, report, now_us=now_us, new_id=ids(), actor=actor
            )
        )
        self.after(settled)
        return settled

    def settle_in(
        self,
        conn: storage.Connection,
        operation: model.Operation,
        report: outcomes.Report,
        *,
        now_us: int,
        new_id: Callable[[str], str],
        actor: str = "",
    ) -> Settled:
        """Applies *report* inside the caller's transaction, which calls `after` once it has
        committed.

        Args:
            conn: The transaction.
            operation: What the report is about; it is read again under the entity's lock.
            report: What is known now.
            now_us: The time of the change.
            new_id: Gives the same ids again when the transaction runs again.
            actor: Who brings it, if not the caller of the operation.

        Raises:
            LookupError: The operation is on nothing that is there.
        """
        scope = scopes.of_operation(
            operation, now_us=now_us, new_id=new_id, schedule=self._ctx.schedule, actor=actor
        )
        if operation.kind in kinds.BY_OPERATION:
            settled = self._settle_mirror(conn, scope, operation, report)
        elif operation.kind in model.CUSTOMER_KINDS:
            settled = self._settle_customer(conn, scope, operation, report)
        else:
            settled = self._settle_payment(conn, scope, operation, report)
        if settled.verdict is outcomes.Verdict.ILLEGAL:
            self._keep(conn, new_id("rep"), operation, report, now_us)
        return settled

    def _settle_payment(
        self,
        conn: storage.Connection,
        scope: scopes.Scope,
        operation: model.Operation,
        report: outcomes.Report,
    ) -> Settled:
        payment = payments.load(conn, operation.tenant_id, operation.entity_id, lock=True)
        if payment is None:
            raise LookupError(f"{operation.id} belongs to no payment")
        refund = None
        if operation.refund_id:
            refund = refunds.load(conn, operation.tenant_id, operation.refund_id)
        delays_us: tuple[int, ...] = ()
        if payment.off_session:
            delays_us = retry_policies.load(conn, payment.tenant_id).delays_us
        applied = transitions.apply(payment, operation.id, report, scope.now_us, refund, delays_us)
        settled = Settled(
            verdict=applied.verdict, operation=operation, report=report, entity=payment
        )
        if applied.verdict is not outcomes.Verdict.APPLIED:
            self._look_again(conn, payment.operation(operation.id), scope.now_us)
        if applied.change is not None:
            change = self._scheduled(applied.change, scope.now_us)
            entries = events.of_change(change, scope.cause, scope.new_id)
            changing.write(conn, changing.batch(change, entries))
            settled = replace(settled, entity=change.payment)
        return self._with_others(conn, scope, settled)

    def _settle_customer(
        self,
        conn: storage.Connection,
        scope: scopes.Scope,
        operation: model.Operation,
        report: outcomes.Report,
    ) -> Settled:
        customer = customer_rows.load(conn, operation.tenant_id, operation.entity_id, lock=True)
        if customer is None:
            raise LookupError(f"{operation.id} belongs to no customer")
        own = operations.newest(conn, customer.id, customers.NEWEST_MAX)
        current = operations.load(conn, customer.id, operation.id)
        if current is None:
            raise LookupError(f"{operation.id} is not there")
        newest = max(own, key=model.turn)
        verdict, change = customers.apply(
            customer, current, report, scope.now_us, is_newest=newest.id == current.id
        )
        settled = Settled(verdict=verdict, operation=operation, report=report, entity=customer)
        if change is None:
            self._look_again(conn, current, scope.now_us)
            if verdict is not outcomes.Verdict.ILLEGAL:
                return settled
            found = customers.raised(customer, replace(current, cause=scope.cause), scope.now_us)
            entries = events.of_customer(found, scope.new_id)
            changing.write(conn, changing.customer_batch(found, entries))
            return replace(settled, entity=found.customer)
        ended = replace(change.operation, cause=scope.cause)
        check_us = context.next_check_us(self._ctx.schedule, ended, scope.now_us)
        change = replace(change, operation=replace(ended, next_check_us=check_us))
        entries = events.of_customer(change, scope.new_id)
        changing.write(conn, changing.customer_batch(change, entries, operations.UPDATE))
        return replace(settled, entity=change.customer)

    def _settle_mirror(
        self,
        conn: storage.Connection,
        scope: scopes.Scope,
        operation: model.Operation,
        report: outcomes.Report,
    ) -> Settled:
        ended = ending.settle_in(conn, scope, operation, report)
        if ended.verdict is not outcomes.Verdict.APPLIED:
            self._look_again(conn, ended.operation, scope.now_us)
        return Settled(
            verdict=ended.verdict,
            operation=operation,
            report=report,
            entity=ended.entity,
            refetch=ended.refetch,
        )

    def _with_others(
        self, conn: storage.Connection, scope: scopes.Scope, settled: Settled
    ) -> Settled:
        """Absorbs what the answer told beside, for example a payment method that was kept."""
        if not settled.report.seen:
            return settled
        told = absorbing.absorb_all_in(conn, scope, settled.report.seen, final=True)
        return replace(settled, refetch=tuple(one for each in told for one in each.refetch))

    def _scheduled(self, change: changes.Change, now_us: int) -> changes.Change:
        if not any(operation.is_open for operation in change.operations):
            return change
        scheduled = tuple(
            replace(o, next_check_us=context.next_check_us(self._ctx.schedule, o, now_us))
            for o in change.operations
        )
        return replace(change, operations=scheduled)

    def _look_again(
        self, conn: storage.Connection, operation: model.Operation | None, now_us: int
    ) -> None:
        """Nothing changed: the next look is later than this one was."""
        if operation is None or not operation.is_open:
            return
        check_us = context.next_check_us(self._ctx.schedule, operation, now_us)
        operations.schedule(conn, operation, check_us)

    async def look_later(self, operation: model.Operation) -> None:
        """A look told nothing new of *operation*, which is in doubt: the next one is later.

        Unlike `settle` it neither locks nor reads: while a provider hangs, there are many
        such looks a second, and payments of others wait behind them. Changes nothing if
        something has become known meanwhile.
        """
        now_us = self._ctx.clock.now_us()
        check_us = context.next_check_us(self._ctx.schedule, operation, now_us)
        await self._ctx.db.write(
            lambda conn: operations.schedule(conn, operation, check_us), one_statement=True
        )

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
                detail=report.detail or report.provider_object_id,
                created_us=now_us,
            ),
        )

    def after(self, settled: Settled) -> None:
        """Does what follows once a report was committed: wakes the relay, logs."""
        verdict, operation, report = settled.verdict, settled.operation, settled.report
        failpoints.hit("payment_service.after_outcome_commit")
        if verdict in (outcomes.Verdict.APPLIED, outcomes.Verdict.ILLEGAL) or report.seen:
            self._ctx.outbox_written.set()
        if verdict is outcomes.Verdict.ILLEGAL:
            _log.error(
                "a report contradicts what is settled; an operator must compare with the provider",
                operation_id=operation.id,
                entity_id=operation.entity_id,
                outcome=report.outcome.value,
                detail=report.detail or report.provider_object_id,
            )
        elif report.outcome is outcomes.Outcome.UNKNOWN:
            _log.warning(
                "outcome unknown",
                operation_id=operation.id,
                entity_id=operation.entity_id,
                detail=report.detail,
                needs_operator=report.needs_operator,
            )

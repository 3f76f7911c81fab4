"""Carries one order out, step by step, as a shop's backend would.

Owns the calls to Payhub and the payer's answers at the provider. Called by the demo for
many orders at once. Never judges a result: `verify` does.
"""

import asyncio
import dataclasses
import time
from typing import assert_never

from payhub.payments.v1 import payment_pb2, refund_service_pb2

import payhub_client
from examples.demo import bank, orders, payer
from payhub_client import Dispute, DisputeFilter

POLL_S = 0.15
# The slowest story is an answer that comes too late, found out by the resolver: some
# seconds with the demo's settings. Several times that, and the order has failed.
SETTLE_TIMEOUT_S = 25.0

OPEN_STATES = frozenset(
    {
        payment_pb2.Operation.STATE_IN_FLIGHT,
        payment_pb2.Operation.STATE_PENDING,
        payment_pb2.Operation.STATE_IN_DOUBT,
    }
)


class OrderError(Exception):
    """An order could not be carried out to its end."""


@dataclasses.dataclass(slots=True, kw_only=True)
class Paid:
    """What is known of an order while and after it is carried out."""

    order: orders.Order
    payment: payment_pb2.Payment = dataclasses.field(default_factory=payment_pb2.Payment)
    refunds: list[refund_service_pb2.Refund] = dataclasses.field(default_factory=list)
    disputes: list[Dispute] = dataclasses.field(default_factory=list)
    error: str = ""


class Shop:
    """Pays orders with one client, at most `concurrency` at once.

    `provider` opens and decides disputes.
    """

    def __init__(
        self, client: payhub_client.Client, provider: bank.Provider, *, concurrency: int
    ) -> None:
        self._client = client
        self._bank = provider
        self._slots = asyncio.Semaphore(concurrency)
        self._customers: dict[str, asyncio.Task[str]] = {}

    async def pay(self, order: orders.Order) -> Paid:
        """Carries an order out and waits until it has settled; errors are in the result."""
        paid = Paid(order=order)
        try:
            async with self._slots:
                await self._place(paid)
            for step in order.steps:
                # Waiting takes no slot: it is what most of the slow stories do.
                if isinstance(step, orders.Await):
                    await self._until_state(paid, step.state)
                    continue
                async with self._slots:
                    await self._take(paid, step)
            await self._until_settled(paid)
        except (
            OrderError,
            payer.PayerError,
            bank.BankError,
            payhub_client.errors.PayhubError,
        ) as error:
            paid.error = f"{type(error).__name__}: {error}"
        return paid

    async def customer_ids(self) -> list[str]:
        """Returns the customers made so far."""
        return [await task for task in self._customers.values()]

    async def _place(self, paid: Paid) -> None:
        order = paid.order
        paid.payment = await self._client.payments.create(
            amount_minor=order.amount_minor,
            currency=order.currency,
            payment_method=order.payment_method or "",
            confirm=order.payment_method is not None,
            manual_capture=order.capture_method == "manual",
            customer_id=await self._customer_id(order.customer) if order.customer else "",
            order_id=order.id,
            description=order.note,
        )

    async def _customer_id(self, customer: orders.Customer) -> str:
        """Returns the customer's id; makes it on the first of its orders only."""

        async def make() -> str:
            made = await self._client.customers.create(name=customer.name, email=customer.email)
            return made.id

        if customer.email not in self._customers:
            self._customers[customer.email] = asyncio.create_task(make())
        return await self._customers[customer.email]

    async def _take(self, paid: Paid, step: orders.Move) -> None:
        payment_id, currency = paid.payment.id, paid.order.currency
        match step:
            case orders.Confirm():
                await self._client.payments.confirm(payment_id, payment_method=step.payment_method)
            case orders.Capture():
                await self._client.payments.capture(
                    payment_id,
                    amount_minor=step.amount_minor,
                    currency=currency if step.amount_minor is not None else "",
                    more_to_follow=step.more_to_follow,
                )
            case orders.Cancel():
                await self._client.payments.cancel(payment_id, reason=paid.order.note)
            case orders.Refund():
                refund = await self._client.refunds.create(
                    payment_id,
                    amount_minor=step.amount_minor,
                    currency=currency if step.amount_minor is not None else "",
                    reason=orders.REFUND_REASONS[step.reason],
                    note=paid.order.note,
                )
                paid.refunds.append(refund)
            case orders.Act():
                await self._bank.answer(paid.payment, step.answer)
            case orders.Dispute() | orders.Evidence() | orders.Accept() | orders.Decide():
                await self._argue(paid, step)
            case _:
                assert_never(step)

    async def _argue(
        self, paid: Paid, step: orders.Dispute | orders.Evidence | orders.Accept | orders.Decide
    ) -> None:
        if isinstance(step, orders.Dispute):
            payment = await self._client.payments.get(paid.payment.id)
            await self._bank.dispute(
                payment, reason=step.reason, amount_minor=step.amount_minor, inquiry=step.inquiry
            )
            paid.disputes = await self._known_disputes(paid, len(paid.disputes) + 1)
            return
        dispute = paid.disputes[-1]
        if isinstance(step, orders.Evidence):
            await self._client.disputes.submit_evidence(dispute.id, step.texts)
        elif isinstance(step, orders.Accept):
            await self._client.disputes.accept(dispute.id)
        else:
            await self._bank.decide(dispute, won=step.won)

    async def _known_disputes(self, paid: Paid, count: int) -> list[Dispute]:
        """Returns a payment's disputes, oldest first, once Payhub has heard of so many."""
        where = DisputeFilter(payment_id=paid.payment.id)
        deadline = time.monotonic() + SETTLE_TIMEOUT_S
        while time.monotonic() < deadline:
            found = [each async for each in self._client.disputes.list(where)]
            if len(found) == count:
                return found[::-1]
            await asyncio.sleep(POLL_S)
        raise OrderError(f"{len(found)} disputes after {SETTLE_TIMEOUT_S:g} s, not {count}")

    async def refresh(self, paid: Paid) -> None:
        """Reads the payment, its refunds and its disputes again."""
        paid.payment = await self._client.payments.get(paid.payment.id)
        paid.refunds = [await self._client.refunds.get(refund.id) for refund in paid.refunds]
        paid.disputes = [await self._client.disputes.get(each.id) for each in paid.disputes]

    async def _until_state(self, paid: Paid, state: str) -> None:
        wanted = payment_pb2.Payment.State.Value(f"STATE_{state}")
        deadline = time.monotonic() + SETTLE_TIMEOUT_S
        while time.monotonic() < deadline:
            paid.payment = await self._client.payments.get(paid.payment.id)
            if paid.payment.state == wanted:
                return
            await asyncio.sleep(POLL_S)
        now = payment_pb2.Payment.State.Name(paid.payment.state)
        raise OrderError(f"still {now} after {SETTLE_TIMEOUT_S:g} s, waited for {state}")

    async def _until_settled(self, paid: Paid) -> None:
        """Waits until nothing is under way but what the order says stays in doubt."""
        stays = sorted(paid.order.expect.operations_in_doubt)
        deadline = time.monotonic() + SETTLE_TIMEOUT_S
        while True:
            await self.refresh(paid)
            still = sorted(open_operations(paid.payment)) == stays
            if still and not self._awaits_payer(paid) and self._disputes_ended(paid):
                # What was read first may have changed before the last was read.
                await self.refresh(paid)
                return
            if time.monotonic() >= deadline:
                return
            await asyncio.sleep(POLL_S)

    def _disputes_ended(self, paid: Paid) -> bool:
        """Tells whether Payhub has heard how the disputes ended."""
        return dispute_states(paid) == list(paid.order.expect.disputes)

    def _awaits_payer(self, paid: Paid) -> bool:
        """Tells whether the payer has answered and the payment does not show it yet."""
        answered = any(isinstance(step, orders.Act) for step in paid.order.steps)
        return answered and paid.payment.state == payment_pb2.Payment.STATE_REQUIRES_ACTION


def dispute_states(paid: Paid) -> list[str]:
    """Returns the states of an order's disputes, oldest first, without their prefix."""
    return [Dispute.State.Name(each.state).removeprefix("STATE_") for each in paid.disputes]


def open_operations(payment: payment_pb2.Payment) -> list[str]:
    """Returns the kinds of a payment's operations that are under way or in doubt."""
    return [
        payment_pb2.Operation.Kind.Name(operation.kind).removeprefix("KIND_")
        for operation in payment.operations
        if operation.state in OPEN_STATES
    ]

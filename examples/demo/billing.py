"""Lives through the subscriptions of a file, day by day of the provider's clock.

Owns the calls to Payhub and the provider's control port, and waiting until what the provider
did by itself has come to Payhub. Called by the demo after the orders. Never judges a result:
`verify_billing` does.
"""

import asyncio
import collections
import dataclasses
import time
from collections.abc import Awaitable, Callable
from typing import assert_never, cast

from payhub.admin.v1 import inbound_webhook_service_pb2
from payhub.payments.v1 import plan_service_pb2
from payhub.payments.v1 import subscription_service_pb2 as pb

import payhub_client
from examples.demo import bank, subscriptions
from payhub_client import BillingSubscription, Invoice, Payment, PaymentMethod, Plan

POLL_S = 0.1
# A webhook takes well under a second; one that has to be sent again some seconds.
SETTLE_TIMEOUT_S = 25.0


class BillingError(Exception):
    """A subscription did not come to where its story goes on."""


@dataclasses.dataclass(slots=True, kw_only=True)
class Story:
    """What is known of a subscription while and after it is lived through."""

    told: subscriptions.Subscription
    subscription: BillingSubscription = dataclasses.field(default_factory=BillingSubscription)
    method: PaymentMethod = dataclasses.field(default_factory=PaymentMethod)
    invoices: list[Invoice] = dataclasses.field(default_factory=list)
    payments: list[Payment] = dataclasses.field(default_factory=list)
    error: str = ""

    def invoice_states(self) -> dict[str, int]:
        """Returns how many invoices are in each state, named without its prefix."""
        names = (Invoice.State.Name(each.state).removeprefix("STATE_") for each in self.invoices)
        return dict(collections.Counter(names))

    def paid_minor(self) -> int:
        """Returns what the payments of its invoices captured."""
        return sum(each.amounts.captured_minor for each in self.payments)

    def as_expected(self) -> bool:
        """Tells whether it stands as its story ends."""
        expect = self.told.expect
        state = BillingSubscription.State.Name(self.subscription.state)
        return (state.removeprefix("STATE_"), self.invoice_states(), self.paid_minor()) == (
            expect.state,
            dict(expect.invoices),
            expect.paid_minor,
        )


class Years:
    """The subscriptions of one demo.

    Args:
        client: Calls Payhub.
        provider: Its provider's control port.
        on_done: Called for each subscription that has come to its end.
    """

    def __init__(
        self,
        client: payhub_client.Client,
        provider: bank.Bank,
        on_done: Callable[[], None] = lambda: None,
    ) -> None:
        self._client = client
        self._bank = provider
        self._on_done = on_done
        self._plans: dict[str, asyncio.Task[Plan]] = {}
        self._customers: dict[str, asyncio.Task[str]] = {}

    async def live(self, book: subscriptions.Book) -> list[Story]:
        """Goes through every day of a book; errors are in the results."""
        stories = [Story(told=one) for one in book.subscriptions]
        await self._each(stories, self._begin)
        today = 0
        for day in book.days():
            if day > today:
                await self._bank.advance(day - today)
                today = day

            async def do(story: Story, day: int = day) -> None:
                for due, step in story.told.steps:
                    if due == day:
                        await self._take(story, step)

            await self._each(stories, do)
        await self._each(stories, self._settle)
        await until_told(self._client, self._bank.webhooks_waiting)
        await self._each(stories, self._refresh)
        return stories

    async def entities(self) -> dict[str, int]:
        """Returns the version of every plan and customer that was made, by id."""
        plans = [await self._client.plans.get((await task).id) for task in self._plans.values()]
        people = [await self._client.customers.get(await t) for t in self._customers.values()]
        found = {plan.id: plan.version for plan in plans}
        return found | {customer.id: customer.version for customer in people}

    async def _each(self, stories: list[Story], act: Callable[[Story], Awaitable[None]]) -> None:
        async def one(story: Story) -> None:
            if story.error:
                return
            try:
                await act(story)
            except (BillingError, bank.BankError, payhub_client.errors.PayhubError) as error:
                story.error = f"{type(error).__name__}: {error}"

        await asyncio.gather(*(one(story) for story in stories))

    async def _begin(self, story: Story) -> None:
        told = story.told
        plan, customer_id = await asyncio.gather(
            self._plan(told.plan), self._customer_id(told.customer.email, told.customer.name)
        )
        story.method = await self._client.payment_methods.attach(
            customer_id, told.payment_method, set_default=True
        )
        story.subscription = await self._client.subscriptions.create(
            customer_id,
            plan.id,
            quantity=told.quantity,
            trial_days=told.trial_days,
            metadata={"story": told.id},
        )

    async def _plan(self, wanted: subscriptions.Plan) -> Plan:
        """Returns a plan; makes it when it is first asked for."""
        unit = plan_service_pb2.Plan.Interval.Value(f"INTERVAL_{wanted.interval.upper()}")
        if wanted.name not in self._plans:
            self._plans[wanted.name] = asyncio.create_task(
                self._client.plans.create(
                    name=wanted.name,
                    amount_minor=wanted.amount_minor,
                    currency=wanted.currency,
                    interval=cast("plan_service_pb2.Plan.Interval", unit),
                    interval_count=wanted.interval_count,
                    trial_days=wanted.trial_days,
                )
            )
        return await self._plans[wanted.name]

    async def _customer_id(self, email: str, name: str) -> str:
        async def make() -> str:
            return (await self._client.customers.create(name=name, email=email)).id

        if email not in self._customers:
            self._customers[email] = asyncio.create_task(make())
        return await self._customers[email]

    async def _take(self, story: Story, step: subscriptions.Step) -> None:
        client, subscription_id = self._client.subscriptions, story.subscription.id
        match step:
            case subscriptions.Change():
                proration = pb.Proration.Value(f"PRORATION_{step.proration.upper()}")
                await client.change_plan(
                    subscription_id,
                    (await self._plan(step.plan)).id,
                    quantity=step.quantity,
                    proration=cast("pb.Proration", proration),
                )
            case subscriptions.Cancel():
                await client.cancel(subscription_id, at_period_end=step.at_period_end)
            case subscriptions.Reactivate():
                await client.reactivate(subscription_id)
            case subscriptions.Card():
                card = story.method.mirror.provider_object_id
                await self._bank.press(f"/control/payment_methods/{card}", token=step.token)
            case subscriptions.Await():
                await self._until_state(story, step.state)
            case _:
                assert_never(step)

    async def _until_state(self, story: Story, state: str) -> None:
        wanted = BillingSubscription.State.Value(f"STATE_{state}")
        deadline = time.monotonic() + SETTLE_TIMEOUT_S
        while time.monotonic() < deadline:
            found = await self._client.subscriptions.get(story.subscription.id)
            if found.state == wanted:
                return
            await asyncio.sleep(POLL_S)
        now = BillingSubscription.State.Name(found.state)
        raise BillingError(f"still {now} after {SETTLE_TIMEOUT_S:g} s, waited for {state}")

    async def _settle(self, story: Story) -> None:
        """Waits until it stands as expected, or long enough to say that it never will."""
        deadline = time.monotonic() + SETTLE_TIMEOUT_S
        while True:
            await self._refresh(story)
            if story.as_expected() or time.monotonic() >= deadline:
                self._on_done()
                return
            await asyncio.sleep(POLL_S)

    async def _refresh(self, story: Story) -> None:
        client = self._client
        story.subscription = await client.subscriptions.get(story.subscription.id)
        story.method = await client.payment_methods.get(story.method.id)
        where = payhub_client.InvoiceFilter(subscription_id=story.subscription.id)
        story.invoices = [each async for each in client.invoices.list(where)]
        story.payments = [
            await client.payments.get(each.payment_id) for each in story.invoices if each.payment_id
        ]


async def until_told(client: payhub_client.Client, waiting: Callable[[], Awaitable[int]]) -> None:
    """Waits until Payhub has taken and applied every webhook, or long enough.

    What is parked is tried again after some seconds. If that fails too it is about a payment
    in doubt, which stays so until a person decides.

    Args:
        client: Asks Payhub.
        waiting: Returns how many webhooks the provider has yet to send.
    """
    webhooks, state = client.inbound_webhooks, inbound_webhook_service_pb2.InboundWebhook
    deadline = time.monotonic() + SETTLE_TIMEOUT_S
    while time.monotonic() < deadline:
        left = await waiting()
        received = await webhooks.list_page(state=state.STATE_RECEIVED, page_size=1)
        parked = await webhooks.list_page(state=state.STATE_PARKED, page_size=200)
        left += len(received.webhooks) + sum(each.attempts < 2 for each in parked.webhooks)
        if not left:
            return
        await asyncio.sleep(POLL_S)

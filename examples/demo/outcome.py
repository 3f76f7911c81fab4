"""What a demo came to: reading it back, comparing all of it, and telling the result.

Owns the order of the checks and the last lines that are printed. Called by the demo, whoever
the provider is. Never changes a result.
"""

import collections
import dataclasses
import pathlib
from collections.abc import Awaitable, Callable, Sequence

from payhub.events.v1 import event_pb2
from payhub.payments.v1 import customer_service_pb2, payment_pb2
from rich import console

import payhub_client
from deploy import stack
from examples.demo import billing, board, feed, pay, verify, verify_billing

CATCH_UP_TIMEOUT_S = 10.0


@dataclasses.dataclass(slots=True, kw_only=True)
class Lived:
    """What was done, and the versions of all that belongs to it."""

    paid: list[pay.Paid]
    customer_ids: list[str]
    stories: list[billing.Story] = dataclasses.field(default_factory=list)
    others: dict[str, int] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(slots=True, kw_only=True)
class Outcome:
    """Everything that is compared in the end."""

    lived: Lived
    customers: list[customer_service_pb2.Customer]
    seen: list[event_pb2.Event]
    stored: list[event_pb2.Event]
    listed: set[str]
    unseen: list[str]


async def watch(
    running: stack.Stack,
    shown: board.Board,
    live: Callable[[payhub_client.Client], Awaitable[Lived]],
) -> Outcome:
    """Does everything with a subscriber at the side, and reads back what there is."""
    async with payhub_client.Client(
        running.target(stack.PAYMENTS),
        key=running.dev_key(),
        events_target=running.target(stack.GATEWAY),
    ) as client:
        async with feed.Feed(client, shown.event) as follower:
            lived = await live(client)
            lived.others |= {each.id: each.version for one in lived.paid for each in one.disputes}
            customers = [await client.customers.get(each) for each in lived.customer_ids]
            newest = {p.payment.id: p.payment.version for p in lived.paid if p.payment.id}
            newest |= {customer.id: customer.version for customer in customers}
            newest |= lived.others
            unseen = await follower.caught_up(newest, timeout_s=CATCH_UP_TIMEOUT_S)
            # Webhooks are told of after what they changed: compare up to one moment.
            stored = [event async for event in client.events.query(page_size=1000)]
            last = {event.entity_id: event.entity_version for event in stored[-1:]}
            await follower.caught_up(last, timeout_s=CATCH_UP_TIMEOUT_S)
        return Outcome(
            lived=lived,
            customers=customers,
            seen=follower.seen[: len(stored)],
            stored=stored,
            listed={payment.id async for payment in client.payments.list(page_size=200)},
            unseen=unseen,
        )


def verdict(
    outcome: Outcome, entries: Sequence[verify.LedgerEntry]
) -> tuple[dict[str, verify.Totals], dict[str, list[str]]]:
    """Returns the sums per currency and every difference, by where it was found."""
    problems: dict[str, list[str]] = {}
    for paid in outcome.lived.paid:
        problems[f"{paid.order.id} ({paid.order.note})"] = verify.check_payment(paid)
    for story in outcome.lived.stories:
        problems[f"{story.told.id} ({story.told.note})"] = verify_billing.check_story(story)
    payments = [paid.payment for paid in outcome.lived.paid if paid.payment.id]
    payments += [payment for story in outcome.lived.stories for payment in story.payments]
    totals, problems["ledger"] = verify.check_ledger(payments, entries)
    problems["events"] = [f"{i}: the newest event never came" for i in outcome.unseen]
    problems["events"] += verify.check_events(
        seen=outcome.seen,
        stored=outcome.stored,
        paid=outcome.lived.paid,
        customers=outcome.customers,
        others=outcome.lived.others,
    )
    problems["events"] += verify_billing.check_events(outcome.lived.stories, outcome.stored)
    made = {payment.id for payment in payments}
    problems["list"] = [f"{i}: listed or made, not both" for i in sorted(made ^ outcome.listed)]
    return totals, {where: found for where, found in problems.items() if found}


def by_state(paid: Sequence[pay.Paid]) -> dict[str, tuple[int, int]]:
    """Returns how many orders were expected to end in each state, and how many did."""
    expected = collections.Counter(one.order.expect.state for one in paid)
    actual = collections.Counter(
        payment_pb2.Payment.State.Name(one.payment.state).removeprefix("STATE_") for one in paid
    )
    return {state: (expected[state], actual[state]) for state in expected.keys() | actual.keys()}


def tell(
    out: console.Console,
    outcome: Outcome,
    entries: Sequence[verify.LedgerEntry],
    contradictions: Sequence[str],
    *,
    beside: str,
    took: str,
    var: pathlib.Path,
) -> int:
    """Compares everything, prints the result and returns the exit code: 0 if all is equal.

    `beside` is what else was lived through, for the last line.
    """
    totals, problems = verdict(outcome, entries)
    if contradictions:
        problems["provider"] = list(contradictions)
    for part in board.summary(totals, by_state(outcome.lived.paid)):
        out.print(part)
    if problems:
        for line in board.differences(problems):
            out.print(line, soft_wrap=True)
        out.print(f"{sum(map(len, problems.values()))} differences {took}; logs in {var}/logs")
        return 1
    out.print(
        f"{len(outcome.lived.paid)} payments as expected, ledger equal{beside}, "
        f"{len(outcome.stored)} events: one per transition, none missed; everything stopped, "
        f"{took}"
    )
    return 0

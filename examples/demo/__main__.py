"""The demo's main: start, pay, watch, verify, stop.

Owns the order of things and the exit code: 0 if everything is as expected, 1 if not,
2 if the demo could not run. Called by `make demo`. Never leaves a process running.
"""

import argparse
import asyncio
import base64
import collections
import dataclasses
import json
import pathlib
import secrets
import shutil
import sys
import time
from collections.abc import Mapping, Sequence

from payhub.events.v1 import event_pb2
from payhub.payments.v1 import customer_service_pb2, payment_pb2
from rich import console

import payhub_client
from deploy import stack
from examples.demo import (
    bank,
    billing,
    board,
    feed,
    ledger,
    orders,
    pay,
    subscriptions,
    verify,
    verify_billing,
)

ORDERS = pathlib.Path(__file__).resolve().parent.parent / "orders.jsonl"
SUBSCRIPTIONS = ORDERS.with_name("subscriptions.jsonl")
VAR = stack.ROOT / "var" / "demo"
CONCURRENCY = 16
CATCH_UP_TIMEOUT_S = 10.0

# Doubts and pending payments settle within seconds, not minutes, so that the demo
# shows how they end.
QUICK: Mapping[str, str] = {
    "PAYMENT_SERVICE_PROVIDER_TIMEOUT_S": "1.5",
    "PAYMENT_SERVICE_PROVIDER_SKEW_S": "0.2",
    "PAYMENT_SERVICE_RESOLVER_IDLE_S": "0.1",
    "PAYMENT_SERVICE_RESOLVER_DOUBT_FIRST_S": "0.3",
    "PAYMENT_SERVICE_RESOLVER_PENDING_FIRST_S": "0.4",
    "PAYMENT_SERVICE_RESOLVER_LONGEST_S": "1",
    # A payer who never answers is still expected when the provider's clock has passed months.
    "PROVIDER_MOCK_ACTION_EXPIRE_S": str(365 * bank.DAY_S),
    # Hundreds of orders at once are told by as many webhooks, each verified and looked up.
    "PAYMENT_SERVICE_PROVIDER_LOOKUPS_MAX": "200",
    # What the provider does by itself is told by webhooks: some late, some twice.
    "PROVIDER_MOCK_WEBHOOK_JITTER_MS": "50",
    "PROVIDER_MOCK_WEBHOOK_DUPLICATE_SHARE": "0.1",
    "PROVIDER_MOCK_WEBHOOK_RETRY_S": "0.2,0.5,1,2,5",
}


def settings(ports: Mapping[str, stack.Ports]) -> dict[str, str]:
    """Returns what the processes need besides: webhooks, signed with a secret of this run."""
    secret = base64.b64encode(secrets.token_bytes(24)).decode()
    http = ports[stack.PAYMENTS].http
    return {
        **QUICK,
        "PAYMENT_SERVICE_PROVIDER_SECRETS": json.dumps(
            {"mock": {"webhook_secret": f"whsec_{secret}"}}
        ),
        "PROVIDER_MOCK_WEBHOOK_URL": f"http://127.0.0.1:{http}/webhooks/mock/{{binding_id}}",
    }


@dataclasses.dataclass(slots=True, kw_only=True)
class Outcome:
    """Everything that is compared in the end."""

    paid: list[pay.Paid]
    stories: list[billing.Story]
    others: dict[str, int]
    customers: list[customer_service_pb2.Customer]
    seen: list[event_pb2.Event]
    stored: list[event_pb2.Event]
    listed: set[str]
    unseen: list[str]


async def run(
    running: stack.Stack,
    loaded: Sequence[orders.Order],
    book: subscriptions.Book,
    shown: board.Board,
) -> Outcome:
    """Pays all orders, then lives through the subscriptions, with a subscriber at the side,
    and reads back what there is.
    """
    async with payhub_client.Client(
        running.target(stack.PAYMENTS),
        key=running.dev_key(),
        events_target=running.target(stack.GATEWAY),
    ) as client:
        provider = bank.Bank(running.http_url(stack.MOCK))
        shop = pay.Shop(client, provider, concurrency=CONCURRENCY)
        years = billing.Years(client, provider, shown.subscription_done)

        async def one(order: orders.Order) -> pay.Paid:
            paid = await shop.pay(order)
            shown.order_done()
            return paid

        async with feed.Feed(client, shown.event) as follower:
            paid = await asyncio.gather(*(one(order) for order in loaded))
            shown.subscriptions_begin(len(book.subscriptions), book.last_day)
            stories = await years.live(book)
            others = await years.entities() | verify_billing.versions(stories)
            others |= {each.id: each.version for one in paid for each in one.disputes}
            customers = [await client.customers.get(i) for i in await shop.customer_ids()]
            newest = {p.payment.id: p.payment.version for p in paid if p.payment.id}
            newest |= {customer.id: customer.version for customer in customers}
            newest |= others
            unseen = await follower.caught_up(newest, timeout_s=CATCH_UP_TIMEOUT_S)
        return Outcome(
            paid=paid,
            stories=stories,
            others=others,
            customers=customers,
            seen=follower.seen,
            stored=[event async for event in client.events.query(page_size=1000)],
            listed={payment.id async for payment in client.payments.list(page_size=200)},
            unseen=unseen,
        )


def verdict(
    outcome: Outcome, entries: Sequence[verify.LedgerEntry]
) -> tuple[dict[str, verify.Totals], dict[str, list[str]]]:
    """Returns the sums per currency and every difference, by where it was found."""
    problems: dict[str, list[str]] = {}
    for paid in outcome.paid:
        problems[f"{paid.order.id} ({paid.order.note})"] = verify.check_payment(paid)
    for story in outcome.stories:
        problems[f"{story.told.id} ({story.told.note})"] = verify_billing.check_story(story)
    payments = [paid.payment for paid in outcome.paid if paid.payment.id]
    payments += [payment for story in outcome.stories for payment in story.payments]
    totals, problems["ledger"] = verify.check_ledger(payments, entries)
    problems["events"] = [f"{i}: the newest event never came" for i in outcome.unseen]
    problems["events"] += verify.check_events(
        seen=outcome.seen,
        stored=outcome.stored,
        paid=outcome.paid,
        customers=outcome.customers,
        others=outcome.others,
    )
    problems["events"] += verify_billing.check_events(outcome.stories, outcome.stored)
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


def demo(
    out: console.Console,
    loaded: Sequence[orders.Order],
    book: subscriptions.Book,
    var: pathlib.Path,
) -> int:
    """Runs the demo with these orders in a fresh folder; returns the exit code."""
    began_s = time.monotonic()
    shutil.rmtree(var, ignore_errors=True)
    out.print(f"starting {', '.join(stack.NAMES)} ...")
    ports = stack.free_ports()
    with stack.Stack(var, ports=ports, env=settings(ports)) as running:
        count = len(book.subscriptions)
        with board.Board(out, orders=len(loaded), subscriptions=count) as shown:
            outcome = asyncio.run(run(running, loaded, book, shown))
        entries, contradictions = ledger.read(running)
    totals, problems = verdict(outcome, entries)
    if contradictions:
        problems["provider"] = contradictions
    for part in board.summary(totals, by_state(outcome.paid)):
        out.print(part)
    took = f"in {time.monotonic() - began_s:.1f} s"
    if problems:
        for line in board.differences(problems):
            out.print(line, soft_wrap=True)
        out.print(f"{sum(map(len, problems.values()))} differences {took}; logs in {var}/logs")
        return 1
    out.print(
        f"{len(outcome.paid)} payments as expected, ledger equal, {len(outcome.stories)} "
        f"subscriptions over {book.last_day} days, {len(outcome.stored)} events: one per "
        f"transition, none missed; everything stopped, {took}"
    )
    return 0


def main() -> int:
    """Reads the arguments and runs the demo."""
    parser = argparse.ArgumentParser(prog="python -m examples.demo", description=__doc__)
    parser.add_argument("--orders", type=pathlib.Path, default=ORDERS, help="orders to pay")
    parser.add_argument(
        "--subscriptions", type=pathlib.Path, default=SUBSCRIPTIONS, help="lived through then"
    )
    parser.add_argument("--var", type=pathlib.Path, default=VAR, help="folder, emptied first")
    options = parser.parse_args()
    out = board.make_console()
    try:
        loaded, book = orders.load(options.orders), subscriptions.load(options.subscriptions)
        return demo(out, loaded, book, options.var)
    except (
        OSError,
        orders.OrdersError,
        stack.StackError,
        feed.FeedError,
        ledger.LedgerError,
    ) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())

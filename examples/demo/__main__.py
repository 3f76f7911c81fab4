"""The demo's main: start, pay, watch, verify, stop.

Owns the order of things and the exit code: 0 if everything is as expected, 1 if not,
2 if the demo could not run. Called by `make demo`. Never leaves a process running.
"""

import argparse
import asyncio
import os
import pathlib
import shutil
import sys
import time
from collections.abc import Mapping, Sequence

from rich import console

import payhub_client
from deploy import stack
from examples.demo import (
    at_stripe,
    bank,
    billing,
    board,
    feed,
    ledger,
    orders,
    outcome,
    pay,
    stripe_bank,
    subscriptions,
    verify_billing,
)

ORDERS = pathlib.Path(__file__).resolve().parent.parent / "orders.jsonl"
SUBSCRIPTIONS = ORDERS.with_name("subscriptions.jsonl")
VAR = stack.ROOT / "var" / "demo"
CONCURRENCY = 16

# Doubts and pending payments settle within seconds, not minutes, so that the demo
# shows how they end.
QUICK: Mapping[str, str] = {
    "PAYMENT_SERVICE_PROVIDER_TIMEOUT_S": "1.5",
    "PAYMENT_SERVICE_PROVIDER_SKEW_S": "0.2",
    "PAYMENT_SERVICE_RESOLVER_IDLE_S": "0.1",
    "PAYMENT_SERVICE_RESOLVER_DOUBT_FIRST_S": "0.3",
    "PAYMENT_SERVICE_RESOLVER_PENDING_FIRST_S": "0.4",
    "PAYMENT_SERVICE_RESOLVER_LONGEST_S": "1",
    # Answers are lost and calls refused on purpose, now and then several in a row: that is no
    # outage, for which a breaker would open.
    "PAYMENT_SERVICE_BREAKER_CALLS_MIN": "100",
    # A payer who never answers is still expected when the provider's clock has passed months.
    "PROVIDER_MOCK_ACTION_EXPIRE_S": str(365 * bank.DAY_S),
    # What the provider does by itself is told by webhooks: some late, some twice.
    "PROVIDER_MOCK_WEBHOOK_JITTER_MS": "50",
    "PROVIDER_MOCK_WEBHOOK_DUPLICATE_SHARE": "0.1",
    "PROVIDER_MOCK_WEBHOOK_RETRY_S": "0.2,0.5,1,2,5",
}


def settings(ports: Mapping[str, stack.Ports]) -> dict[str, str]:
    """Returns what the processes need besides: webhooks, signed with a secret of this run."""
    return {**QUICK, **stack.mock_webhooks(ports)}


async def live(
    client: payhub_client.Client,
    provider: bank.Bank,
    loaded: Sequence[orders.Order],
    book: subscriptions.Book,
    shown: board.Board,
) -> outcome.Lived:
    """Pays all orders, then lives through the subscriptions."""
    shop = pay.Shop(client, provider, concurrency=CONCURRENCY)
    years = billing.Years(client, provider, shown.subscription_done)

    async def one(order: orders.Order) -> pay.Paid:
        paid = await shop.pay(order)
        shown.order_done()
        return paid

    paid = await asyncio.gather(*(one(order) for order in loaded))
    shown.subscriptions_begin(len(book.subscriptions), book.last_day)
    stories = await years.live(book)
    # What came by webhook in the meantime may have been applied after an order was looked at.
    await asyncio.gather(*(shop.refresh(each) for each in paid if each.payment.id))
    return outcome.Lived(
        paid=list(paid),
        customer_ids=await shop.customer_ids(),
        stories=stories,
        others=await years.entities() | verify_billing.versions(stories),
    )


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
            provider = bank.Bank(running.http_url(stack.MOCK))
            found = asyncio.run(
                outcome.watch(
                    running, shown, lambda client: live(client, provider, loaded, book, shown)
                )
            )
        entries, contradictions = ledger.read(running)
    return outcome.tell(
        out,
        found,
        entries,
        contradictions,
        beside=f", {count} subscriptions over {book.last_day} days",
        took=f"in {time.monotonic() - began_s:.1f} s",
        var=var,
    )


def main() -> int:
    """Reads the arguments and runs the demo."""
    parser = argparse.ArgumentParser(prog="python -m examples.demo", description=__doc__)
    parser.add_argument("--orders", type=pathlib.Path, default=ORDERS, help="orders to pay")
    parser.add_argument(
        "--subscriptions", type=pathlib.Path, default=SUBSCRIPTIONS, help="lived through then"
    )
    parser.add_argument("--provider", choices=("mock", "stripe"), default="mock")
    parser.add_argument("--var", type=pathlib.Path, default=VAR, help="folder, emptied first")
    options = parser.parse_args()
    out = board.make_console()
    try:
        loaded, book = orders.load(options.orders), subscriptions.load(options.subscriptions)
        if options.provider == "stripe":
            return at_stripe.demo(
                out, loaded, options.var, env=QUICK, key=os.environ.get("STRIPE_TEST_KEY", "")
            )
        return demo(out, loaded, book, options.var)
    except (
        OSError,
        orders.OrdersError,
        stack.StackError,
        feed.FeedError,
        ledger.LedgerError,
        bank.BankError,
        stripe_bank.StripeError,
        payhub_client.errors.PayhubError,
    ) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())

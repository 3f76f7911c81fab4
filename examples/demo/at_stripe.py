"""The demo with Stripe as the provider: the same orders through provider_stripe.

Owns the processes, whose payments are made alone because something goes wrong with them, and
what is said of the differences. Called by `make demo PROVIDER=stripe`. With a key of a test
account (STRIPE_TEST_KEY) it pays at Stripe itself, where it can order nothing to go wrong, can't
play the payers, and has no ledger to read: then results and events are compared only.
"""

import asyncio
import base64
import contextlib
import json
import pathlib
import secrets
import shutil
import time
from collections.abc import Mapping, Sequence

from rich import console

import payhub_client
from deploy import stack
from examples.demo import billing, board, orders, outcome, pay, stripe_bank, stripe_orders, verify

NAMES = (stack.PAYMENTS, stack.GATEWAY, stack.STRIPE)
CONCURRENCY = 16
# A live key would charge real cards; the demo never takes one.
TEST_KEYS = ("sk_test_", "rk_test_")
# Stripe's limit in test mode is 25 calls a second.
CONCURRENCY_AT_STRIPE = 4


def settings(base: Mapping[str, str], *, api_base: str, key: str, secret: str) -> dict[str, str]:
    """Returns what the processes need: where Stripe is, and the account's credentials."""
    given = {"api_key": key, "webhook_secret": secret}
    found = {
        **base,
        "PAYMENT_SERVICE_PROVIDER_TIMEOUT_S": "10",
        # Here one answer after the other is lost on purpose.
        "PAYMENT_SERVICE_BREAKER_CALLS_MIN": "100000",
        "PAYMENT_SERVICE_PROVIDER_SECRETS": json.dumps({"stripe": given}),
        "PAYMENT_SERVICE_PROVIDER_CONFIG": json.dumps({"stripe": {"calls_per_s": 1_000}}),
    }
    if api_base:
        found["PROVIDER_STRIPE_API_BASE"] = api_base
    else:
        del found["PAYMENT_SERVICE_PROVIDER_CONFIG"]
    return found


async def live(
    client: payhub_client.Client,
    told: stripe_orders.Translation,
    double: stripe_bank.Double | None,
    url: str,
    secret: str,
    shown: board.Board,
) -> outcome.Lived:
    """Pays the orders at once, then one by one those that something goes wrong with."""
    provider = double or Nobody()
    at_once = CONCURRENCY if double is not None else CONCURRENCY_AT_STRIPE
    shop = pay.Shop(client, provider, concurrency=at_once)

    async def one(each: stripe_orders.AtStripe) -> pay.Paid:
        if each.fault is not None and double is not None:
            await double.fail(each.fault)
        paid = await shop.pay(each.order)
        shown.order_done()
        return paid

    first, *others = (each for each in told.orders if each.fault is None)
    paid = [await one(first)]
    if double is not None:
        await double.settings()
        # The address has the id of the tenant's binding, which every payment names.
        address = f"{url}/webhooks/stripe/{paid[0].payment.binding_id}"
        await double.order("webhooks", url=address, secrets=[secret])
    paid += await asyncio.gather(*(one(each) for each in others))
    paid += [await one(each) for each in told.orders if each.fault is not None]
    if double is not None:
        await billing.until_told(client, double.webhooks_waiting)
        for done in paid:
            if done.payment.id:
                await shop.refresh(done)
    return outcome.Lived(paid=paid, customer_ids=await shop.customer_ids())


class Nobody(stripe_bank.Double):
    """Payers and banks of Stripe itself: nobody here can speak for them."""

    def __init__(self) -> None:
        super().__init__("http://127.0.0.1:0")


def demo(
    out: console.Console,
    loaded: Sequence[orders.Order],
    var: pathlib.Path,
    *,
    env: Mapping[str, str],
    key: str = "",
) -> int:
    """Runs the demo at Stripe, or at its double if there is no key; returns the exit code.

    Raises:
        stripe_bank.StripeError: the key is not of the test mode, or the double did not start.
    """
    if key and not key.startswith(TEST_KEYS):
        text = "STRIPE_TEST_KEY is no key of Stripe's test mode; nothing was paid"
        raise stripe_bank.StripeError(text)
    began_s = time.monotonic()
    shutil.rmtree(var, ignore_errors=True)
    told = stripe_orders.translate(loaded, faults=not key, payers=not key)
    where = "Stripe itself, in test mode" if key else "the strict double of Stripe"
    out.print(f"starting {', '.join(NAMES)}; the provider asks {where}")
    _say(out, told)
    secret = f"whsec_{base64.b64encode(secrets.token_bytes(24)).decode()}"
    ports = stack.free_ports()
    with contextlib.ExitStack() as cleanup:
        address = "" if key else cleanup.enter_context(stripe_bank.running())
        double = stripe_bank.Double(address) if address else None
        given = settings(env, api_base=address, key=key or stripe_bank.API_KEY, secret=secret)
        running = cleanup.enter_context(stack.Stack(var, ports=ports, env=given, names=NAMES))
        url = running.http_url(stack.PAYMENTS)
        with board.Board(out, orders=len(told.orders)) as shown:
            found = asyncio.run(
                outcome.watch(
                    running, shown, lambda client: live(client, told, double, url, secret, shown)
                )
            )
        entries = asyncio.run(double.ledger()) if double is not None else _as_told(found)
    if double is None:
        out.print("Stripe's own books were not read: the ledger columns repeat Payhub's")
    return outcome.tell(
        out,
        found,
        entries,
        (),
        beside="",
        took=f"in {time.monotonic() - began_s:.1f} s",
        var=var,
    )


def _say(out: console.Console, told: stripe_orders.Translation) -> None:
    """Says where the story is another one than with the simulated provider."""
    for why, count in told.differing().items():
        out.print(f"{count} orders end otherwise at Stripe: {why}")
    for why, count in told.left_out.items():
        out.print(f"{count} orders are left out: {why}")
    out.print("subscriptions are left out: `make demo` lives through them")


def _as_told(found: outcome.Outcome) -> list[verify.LedgerEntry]:
    return [
        verify.LedgerEntry(
            operation_id=operation.id,
            kind=verify.Operation.Kind.Name(operation.kind).removeprefix("KIND_"),
            amount_minor=operation.amount.amount_minor,
            currency=operation.amount.currency_code,
        )
        for paid in found.lived.paid
        for operation in paid.payment.operations
        if operation.state == verify.Operation.STATE_SUCCEEDED
    ]

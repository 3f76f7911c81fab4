"""One caller of Stripe's SDK: the call that Payhub is held against.

Owns one client process. Run as `python -m benchmarks.stripe_load`; prints one JSON object
with counts and latencies in milliseconds. What it confirms is what provider_stripe would.
"""

import argparse
import json
import sys
import time

import stripe

from benchmarks import load
from provider_stripe import transport
from servicekit import ids, server
from tests.stripe_double import store


async def main(options: argparse.Namespace) -> None:
    """Confirms payments, one after the other, as long as the command line asks for."""
    connections = transport.Transport(options.address, connect_timeout_s=5, connections_max=1)
    await connections.open()
    client = connections.client(store.DEFAULT_KEY, "")
    tally = load.Tally()
    begin_s = time.perf_counter() + options.warm
    while (started_s := time.perf_counter()) < begin_s + options.seconds:
        good = await _confirm(client, options.method, tally.calls)
        tally.calls += 1
        if started_s >= begin_s:
            tally.latencies_s.append(time.perf_counter() - started_s)
            tally.failed += not good
    await connections.close()
    json.dump(load.summary(tally, options.seconds), sys.stdout)


async def _confirm(client: stripe.StripeClient, method: str, order: int) -> bool:
    key = ids.new_id("op")
    intent = await client.v1.payment_intents.create_async(
        {
            "amount": 1099 + order % 900,
            "currency": "eur",
            "capture_method": "automatic",
            "confirm": True,
            "payment_method": method,
            "description": "Two tickets",
            "metadata": {"operation": key},
            "expand": ["latest_charge", "payment_method"],
            "automatic_payment_methods": {"enabled": True, "allow_redirects": "never"},
        },
        {"idempotency_key": key},
    )
    return intent.status == "succeeded"


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--address", required=True)
    parser.add_argument("--method", required=True)
    parser.add_argument("--warm", type=float, default=1.0)
    parser.add_argument("--seconds", type=float, default=5.0)
    server.run(main(parser.parse_args()))

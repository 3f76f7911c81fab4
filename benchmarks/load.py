"""The load: callers that create payments as fast as they are answered, or at a rate.

Owns one client process with one channel. Run as `python -m benchmarks.load`;
prints one JSON object with counts and latencies in milliseconds. It uses the
bare stub for both sides, so that the client costs the same.
"""

import argparse
import asyncio
import json
import os
import sys
import time
from dataclasses import dataclass, field
from typing import Any

import grpc.aio
from payhub.payments.v1 import payment_pb2, payment_service_pb2, payment_service_pb2_grpc
from payhub.type.v1 import money_pb2

from servicekit import ids, server


@dataclass(slots=True)
class Tally:
    """What the callers saw."""

    latencies_s: list[float] = field(default_factory=list)
    failed: int = 0
    # With those that only warm up.
    calls: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Through:
    """The provider that payments go through, '' for the default one, and what pays."""

    provider: str = ""
    method: str = "tok_approve"


DEFAULT = Through()


def request(order: int, through: Through = DEFAULT) -> payment_service_pb2.CreatePaymentRequest:
    """Returns the payment every run asks for."""
    return payment_service_pb2.CreatePaymentRequest(
        idempotency_key=ids.new_id("key"),
        amount=money_pb2.Money(amount_minor=1099 + order % 900, currency_code="EUR"),
        payment_method=through.method,
        provider=through.provider,
        references=payment_pb2.References(user_id="user-4711", order_id=f"order-{order:08d}"),
        description="Two tickets",
        confirm=True,
    )


async def call(
    stub: Any, metadata: Any, order: int, tally: Tally, measured: bool, through: Through
) -> None:
    """Creates one payment and notes how long it took."""
    started_s = time.perf_counter()
    try:
        answer = await stub.CreatePayment(request(order, through), timeout=30, metadata=metadata)
        good = answer.payment.state == payment_pb2.Payment.STATE_SUCCEEDED
    except grpc.aio.AioRpcError:
        good = False
    tally.calls += 1
    if measured:
        tally.latencies_s.append(time.perf_counter() - started_s)
        tally.failed += not good


async def closed_loop(
    stub: Any, metadata: Any, callers: int, warm_s: float, run_s: float, through: Through
) -> Tally:
    """Runs *callers* that each wait for an answer before they ask again."""
    tally = Tally()
    begin_s = time.perf_counter() + warm_s
    end_s = begin_s + run_s

    async def caller(number: int) -> None:
        order = number * 1_000_000
        while (now_s := time.perf_counter()) < end_s:
            order += 1
            await call(stub, metadata, order, tally, now_s >= begin_s, through)

    await asyncio.gather(*[caller(number) for number in range(callers)])
    return tally


async def open_loop(stub: Any, metadata: Any, rate: float, run_s: float, through: Through) -> Tally:
    """Starts *rate* calls a second, whether or not earlier ones were answered."""
    tally = Tally()
    tasks = []
    begin_s = time.perf_counter()
    for order in range(int(rate * run_s)):
        await asyncio.sleep(max(begin_s + order / rate - time.perf_counter(), 0))
        tasks.append(asyncio.create_task(call(stub, metadata, order, tally, True, through)))
    await asyncio.gather(*tasks)
    return tally


def summary(tally: Tally, run_s: float) -> dict[str, float]:
    """Returns the figures of one run."""
    ordered = sorted(tally.latencies_s) or [0.0]
    return {
        "calls": tally.calls,
        "count": len(tally.latencies_s),
        "failed": tally.failed,
        "per_s": len(tally.latencies_s) / run_s,
        "p50_ms": ordered[len(ordered) // 2] * 1000,
        "p99_ms": ordered[min(int(len(ordered) * 0.99), len(ordered) - 1)] * 1000,
    }


async def main(options: argparse.Namespace) -> None:
    """Runs the load that the command line asks for."""
    metadata = (("authorization", f"Bearer {os.environ.get('BENCH_KEY', '')}"),)
    async with grpc.aio.insecure_channel(
        options.target, options=list(server.MONEY_CHANNEL_OPTIONS)
    ) as channel:
        stub = payment_service_pb2_grpc.PaymentServiceStub(channel)
        through = Through(provider=options.provider, method=options.method)
        if options.rate:
            tally = await open_loop(stub, metadata, options.rate, options.seconds, through)
        else:
            tally = await closed_loop(
                stub, metadata, options.callers, options.warm, options.seconds, through
            )
    json.dump(summary(tally, options.seconds), sys.stdout)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--target", required=True)
    parser.add_argument("--callers", type=int, default=32)
    parser.add_argument("--rate", type=float, default=0.0)
    parser.add_argument("--warm", type=float, default=1.0)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--provider", default="")
    parser.add_argument("--method", default="tok_approve")
    server.run(main(parser.parse_args()))

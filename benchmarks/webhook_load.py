"""The load of webhooks, and the bare endpoint they are compared with.

Owns one sending process and one bare server. Run as `python -m benchmarks.webhook_load send|bare`.
Both sides get the same requests: signed, about 700 bytes, over kept connections.
"""

import argparse
import asyncio
import io
import json
import pathlib
import sys
import time
from typing import Any

import aiohttp
import uvloop
from starlette import requests, responses, routing

from provider_mock.webhooks import signing
from servicekit import clock as clocks
from servicekit import http, ids, metrics, storage

_TABLE = "create table arrived (id text primary key, headers text not null, body blob not null)"
_INSERT = storage.Statement("insert into arrived (id, headers, body) values (:id, :headers, :body)")


class Sender:
    """Sends webhooks about *objects* in turn, each newer than the one before.

    Args:
        url: Where to.
        secret: What signs them.
        account: The binding they are for.
        objects: Payment methods at the provider.
    """

    def __init__(self, url: str, secret: bytes, account: str, objects: list[str]) -> None:
        self._url = url
        self._secret = secret
        self._account = account
        self._objects = objects
        self._number = 0
        self.failed = 0
        self.latencies_s: list[float] = []

    def _next(self) -> tuple[bytes, dict[str, str]]:
        self._number += 1
        event_id = ids.new_id("evt")
        now_us = clocks.SystemClock().now_us()
        seconds, part_us = divmod(now_us, 1_000_000)
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{part_us:06}Z"
        card = {"brand": "visa", "last4": f"{self._number % 10_000:04}", "expireMonth": 12}
        told = {
            "providerObjectId": self._objects[self._number % len(self._objects)],
            "stateTime": stamp,
            "paymentMethod": {"type": "card", "card": {**card, "expireYear": 2040}},
        }
        event = {
            "id": event_id,
            "type": "payment_method.updated",
            "account": self._account,
            "created_us": now_us,
            "data": {"objects": [told]},
            "note": "x" * 300,
        }
        body = json.dumps(event).encode()
        return body, signing.headers(event_id, int(seconds), body, [self._secret])

    async def run(self, callers: int, warm_s: float, run_s: float) -> None:
        """Sends with *callers* at once."""
        begin_s = time.perf_counter() + warm_s
        end_s = begin_s + run_s
        connector = aiohttp.TCPConnector(limit=callers)
        async with aiohttp.ClientSession(connector=connector) as session:

            async def caller() -> None:
                while (started_s := time.perf_counter()) < end_s:
                    body, headers = self._next()
                    async with session.post(
                        self._url, data=io.BytesIO(body), headers=headers
                    ) as answer:
                        await answer.read()
                    if started_s >= begin_s:
                        self.latencies_s.append(time.perf_counter() - started_s)
                        self.failed += answer.status != 200

            await asyncio.gather(*[caller() for _ in range(callers)])


async def send(options: argparse.Namespace) -> None:
    """Sends, and prints counts and latencies."""
    sender = Sender(
        options.url, options.secret.encode(), options.account, options.objects.split(",")
    )
    await sender.run(options.callers, options.warm, options.seconds)
    ordered = sorted(sender.latencies_s) or [0.0]
    found = {
        "failed": sender.failed,
        "per_s": len(ordered) / options.seconds,
        "p50_ms": ordered[len(ordered) // 2] * 1000,
        "p99_ms": ordered[int((len(ordered) - 1) * 0.99)] * 1000,
    }
    json.dump(found, sys.stdout)


async def bare(options: argparse.Namespace) -> None:
    """Serves an endpoint that keeps what comes in one durable insert, until it is ended."""
    path = pathlib.Path(options.folder) / "bare.db"
    db = await storage.open_database(f"sqlite:///{path}")
    await db.write(lambda conn: conn.run(storage.Statement(_TABLE), {}))

    async def receive(request: requests.Request) -> responses.Response:
        body = await request.body()
        values = {
            "id": ids.new_id("whk"),
            "headers": json.dumps(list(request.headers.items())),
            "body": body,
        }
        await db.write(lambda conn: conn.run(_INSERT, values), one_statement=True)
        return responses.JSONResponse({"webhook": values["id"]})

    app = http.application(
        registry=metrics.Metrics(),
        readiness=http.Readiness(),
        routes=[routing.Route("/webhooks", receive, methods=["POST"])],
    )
    server = http.Server(app, host="127.0.0.1", port=0)
    await server.start()
    print(f"ready http://127.0.0.1:{server.port}/webhooks", flush=True)
    await asyncio.Event().wait()


def main() -> None:
    """Runs one of both."""
    parser = argparse.ArgumentParser(description=__doc__)
    roles = parser.add_subparsers(dest="role", required=True)
    sending = roles.add_parser("send")
    for name in ("url", "secret", "account", "objects"):
        sending.add_argument(f"--{name}", required=True)
    sending.add_argument("--callers", type=int, default=32)
    sending.add_argument("--warm", type=float, default=1.0)
    sending.add_argument("--seconds", type=float, default=5.0)
    serving = roles.add_parser("bare")
    serving.add_argument("--folder", required=True)
    options = parser.parse_args()
    work: Any = send(options) if options.role == "send" else bare(options)
    uvloop.run(work)


if __name__ == "__main__":
    main()

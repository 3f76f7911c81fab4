"""Webhooks in against a bare endpoint that only keeps them.

Owns `webhook_ingest_*`. Each webhook is verified by the simulated provider's plugin,
deduplicated, applied to a payment method and told by two events, with nothing to fetch. The
bare endpoint runs on the same HTTP server and storage, and keeps the request in one durable
insert. Both take turns; medians are compared.
"""

import asyncio
import contextlib
import json
import pathlib
import secrets
import statistics
import subprocess
import sys
from collections.abc import Iterator
from typing import cast

from payhub.admin.v1 import inbound_webhook_service_pb2 as pb

import payhub_client
from benchmarks import report, running
from deploy import stack
from payment_service.domain import bindings

ROUNDS = 3
METHODS = 40
LOAD_GRACE_S = 60


def measure(board: report.Board, seconds: float) -> None:
    """Measures both databases."""
    for database in running.DATABASES:
        tail = "" if database == "sqlite" else f"_{database}"
        if board.wants(f"webhook_ingest_per_s{tail}", f"webhook_ingest_vs_bare{tail}"):
            _measure(board, database, tail, seconds)


def _measure(board: report.Board, database: str, tail: str, seconds: float) -> None:
    secret = f"whsec_{secrets.token_hex(12)}"
    env = {
        "PAYMENT_SERVICE_PROVIDER_SECRETS": json.dumps({"mock": {"webhook_secret": secret}}),
        "PAYMENT_SERVICE_WEBHOOK_CONCURRENCY_MAX": "256",
    }
    with running.payhub(database, env=env) as payhub, _bare() as bare_url:
        account = bindings.binding_id("default", "mock")
        objects = asyncio.run(_methods(payhub))
        url = f"{payhub.http_url(stack.PAYMENTS)}/webhooks/mock/{account}"
        own: list[dict[str, float]] = []
        bare: list[dict[str, float]] = []
        for number in range(ROUNDS):
            board.progress(f"webhook_ingest {database}: round {number + 1}")
            for address, found in ((bare_url, bare), (url, own)):
                found.append(_load(address, secret, account, objects, seconds))
        if failed := sum(one["failed"] for one in (*own, *bare)):
            raise SystemExit(f"{failed:g} webhooks were not taken")
        asyncio.run(_check(payhub))
        own_rate, bare_rate = (statistics.median(r["per_s"] for r in side) for side in (own, bare))
        board.figure(f"webhook_ingest_per_s{tail}", own_rate)
        board.figure(f"webhook_ingest_vs_bare{tail}", own_rate / bare_rate)
        board.note(f"webhook_bare_per_s_beside_{database}", bare_rate)
        for name in ("p50_ms", "p99_ms"):
            board.note(f"webhook_ingest_{name}{tail}", statistics.median(r[name] for r in own))


async def _methods(payhub: stack.Stack) -> list[str]:
    """Makes payment methods that the webhooks are about; returns their ids at the provider."""
    target = payhub.target(stack.PAYMENTS)
    async with payhub_client.Client(target, key=payhub.dev_key()) as client:
        made = []
        for _ in range(METHODS // 10):
            customer = await client.customers.create(name="Ada")
            for _ in range(10):
                method = await client.payment_methods.attach(customer.id, token="tok_approve")
                made.append(method.mirror.provider_object_id)
        return made


async def _check(payhub: stack.Stack) -> None:
    """Fails unless every webhook that was taken was applied, which its answer does not tell."""
    states = pb.InboundWebhook.State
    target = payhub.target(stack.PAYMENTS)
    async with payhub_client.Client(target, key=payhub.dev_key()) as client:
        for name, state in states.items():
            if state == states.STATE_UNSPECIFIED:
                continue
            asked = cast("pb.InboundWebhook.State", state)
            page = await client.inbound_webhooks.list_page(state=asked, page_size=1)
            if bool(page.webhooks) != (state == states.STATE_APPLIED):
                raise SystemExit(f"{len(page.webhooks)} webhooks or more are {name}")


def _load(
    url: str, secret: str, account: str, objects: list[str], seconds: float
) -> dict[str, float]:
    process = subprocess.run(
        [
            *(sys.executable, "-m", "benchmarks.webhook_load", "send", "--url", url),
            *("--secret", secret, "--account", account, "--objects", ",".join(objects)),
            *("--seconds", str(seconds)),
        ],
        cwd=stack.ROOT, capture_output=True, text=True, check=True,
        timeout=seconds + LOAD_GRACE_S,
    )  # fmt: skip
    found: dict[str, float] = json.loads(process.stdout)
    return found


@contextlib.contextmanager
def _bare() -> Iterator[str]:
    """Runs the bare endpoint; yields its address."""
    with contextlib.ExitStack() as cleanup:
        folder: pathlib.Path = cleanup.enter_context(running.folder())
        process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.webhook_load", "bare", "--folder", str(folder)],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=stack.ROOT,
        )  # fmt: skip
        cleanup.callback(process.wait)
        cleanup.callback(process.terminate)
        assert process.stdout is not None
        cleanup.callback(process.stdout.close)
        yield process.stdout.readline().split()[1]

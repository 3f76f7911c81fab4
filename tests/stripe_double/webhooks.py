"""Signed webhooks out, in order or in whatever disorder tests set.

Owns the endpoints, their queues and the deliverer. Fed from the store's outbox. Signs the raw
bytes with real time, because receivers compare with theirs.
"""

import asyncio
import contextlib
import fnmatch
import hashlib
import hmac
import json
import random
import time
from typing import Any

import aiohttp

from tests.stripe_double import errors, store

Json = dict[str, Any]

TIMEOUT_S = 10.0
# Real time between tries; Stripe spreads its tries over three days.
RETRY_DELAYS_S = (0.2, 0.5, 1.0, 2.0, 5.0)
WAKE_S = 0.02
DELIVERIES_MAX = 10_000
FIELDS: Json = {
    "url": "",
    "secrets": [],
    "enabled_events": ["*"],
    "account": None,
    "hold": False,
    "delay_s": 0.0,
    "duplicates": 0,
    "order": "created",
    "seed": 0,
    "wrong_signature": False,
    "stale_s": 0,
    "enabled": True,
}
ORDERS = ("created", "reversed", "shuffled")


def signature(body: bytes, secrets: list[str], at_s: int) -> str:
    """Returns the Stripe-Signature header: one v1 for each secret that is live."""
    signed = f"{at_s}.".encode() + body
    marks = [hmac.new(one.encode(), signed, hashlib.sha256).hexdigest() for one in secrets]
    return ",".join([f"t={at_s}", *(f"v1={mark}" for mark in marks)])


def configure(world: store.World, settings: Json) -> Json:
    """Adds an endpoint, or changes the one whose id is given.

    Args:
        world: The double.
        settings: url; secrets (one or more, all sign); enabled_events (patterns); account (only
            events of this one; None is all); hold (queue until flushed); delay_s; duplicates
            (how many extra copies); order (created, reversed or shuffled with seed, within what
            is due together); wrong_signature; stale_s (age of the signed time); enabled.

    Raises:
        errors.Refusal: A setting is unknown or the id names no endpoint.
    """
    unknown = set(settings) - {*FIELDS, "id"}
    if unknown:
        raise errors.bad_parameter(f"unknown settings: {', '.join(sorted(unknown))}")
    if settings.get("order", "created") not in ORDERS:
        raise errors.bad_parameter(f"order must be one of {', '.join(ORDERS)}", "order")
    if "id" in settings:
        for endpoint in world.endpoints:
            if endpoint["id"] == settings["id"]:
                endpoint |= settings
                return endpoint
        raise errors.no_such("webhook_endpoint", settings["id"])
    endpoint = {**FIELDS, "id": store.mint("we"), "queue": [], **settings}
    if not endpoint["url"] or not endpoint["secrets"]:
        raise errors.bad_parameter("an endpoint needs url and secrets")
    world.endpoints.append(endpoint)
    return endpoint


def distribute(world: store.World) -> None:
    """Moves new events to the queues of the endpoints that want them."""
    events, world.outbox = world.outbox, []
    for event in events:
        account = event.get("account", store.MAIN_ACCOUNT)
        for endpoint in world.endpoints:
            wanted = any(
                fnmatch.fnmatchcase(event["type"], pattern)
                for pattern in endpoint["enabled_events"]
            )
            if wanted and endpoint["enabled"] and endpoint["account"] in (None, account):
                enqueue(endpoint, event)


def enqueue(endpoint: Json, event: Json) -> None:
    """Queues an event for an endpoint, with its duplicates."""
    due_s = time.time() + endpoint["delay_s"]
    body = json.dumps({**event, "pending_webhooks": 1}, indent=2)
    for _ in range(1 + endpoint["duplicates"]):
        one = {
            "event": event["id"],
            "type": event["type"],
            "body": body,
            "due_s": due_s,
            "tries": 0,
        }
        endpoint["queue"].append(one)


class Deliverer:
    """Sends what is queued, one request at a time and endpoint."""

    def __init__(self, world: store.World) -> None:
        self._world = world
        self._session: aiohttp.ClientSession | None = None

    async def run(self) -> None:
        """Delivers until canceled."""
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            self._session = session
            while True:
                distribute(self._world)
                batches = [self._deliver(one, held=False) for one in self._world.endpoints]
                await asyncio.gather(*batches)
                await asyncio.sleep(WAKE_S)

    async def flush(self, endpoint: Json) -> int:
        """Delivers all that an endpoint holds back, once, and returns how many."""
        distribute(self._world)
        return await self._deliver(endpoint, held=True)

    async def _deliver(self, endpoint: Json, *, held: bool) -> int:
        if endpoint["hold"] and not held:
            return 0
        now_s = time.time()
        batch = [one for one in endpoint["queue"] if held or one["due_s"] <= now_s]
        if endpoint["order"] == "reversed":
            batch.reverse()
        elif endpoint["order"] == "shuffled":
            random.Random(endpoint["seed"]).shuffle(batch)
        taken = {id(delivery) for delivery in batch}
        endpoint["queue"] = [one for one in endpoint["queue"] if id(one) not in taken]
        for delivery in batch:
            await self._send(endpoint, delivery)
        return len(batch)

    async def _send(self, endpoint: Json, delivery: Json) -> None:
        if self._session is None:
            raise RuntimeError("the deliverer doesn't run")
        body = delivery["body"].encode()
        secrets = ["whsec_wrong"] if endpoint["wrong_signature"] else endpoint["secrets"]
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            "Stripe-Signature": signature(body, secrets, int(time.time()) - endpoint["stale_s"]),
            "User-Agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
        }
        status: int | None = None
        with contextlib.suppress(aiohttp.ClientError, TimeoutError, OSError):
            async with self._session.post(
                endpoint["url"], data=body, headers=headers, allow_redirects=False
            ) as response:
                status = response.status
        delivery["tries"] += 1
        self._world.deliveries.append(
            {
                "endpoint": endpoint["id"],
                "event": delivery["event"],
                "type": delivery["type"],
                "try": delivery["tries"],
                "status": status,
            }
        )
        del self._world.deliveries[:-DELIVERIES_MAX]
        if status is not None and 200 <= status < 300:
            return
        if delivery["tries"] <= len(RETRY_DELAYS_S):
            delivery["due_s"] = time.time() + RETRY_DELAYS_S[delivery["tries"] - 1]
            endpoint["queue"].append(delivery)

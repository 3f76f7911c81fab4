"""The recovery as a whole: alone on the database, with a key of its own, and told at the end.

Owns its order and the text for the operator. Called by `python -m payment_service recover`.
"""

import asyncio
import contextlib
import os
import time
from collections.abc import Iterable

from payment_service.db import leases, losses
from payment_service.recovery import counting, following
from payment_service.relay import daemon
from payment_service.usecases import context, keys, snapshots
from servicekit import storage

# As long as the process that relayed before may seem alive.
LEASE_WAIT_S = daemon.LEASE_S + 2.0
SCOPES = ("admin", "events:read")
SHOWN_MAX = 1_000


class InUse(Exception):
    """Another process uses the database."""


async def take_back(
    ctx: context.Context, cases: keys.Keys, *, endpoint: str, owner: str, since_us: int = 0
) -> following.Following:
    """Takes in what the log of the gateway at *endpoint* holds; returns what was found.

    Args:
        ctx: What lies outside.
        cases: Make the key that the log is read with.
        endpoint: Of the gateway.
        owner: Names processes of this service here, in the lease of those who publish.
        since_us: When the back-up was made; 0 takes in all that the log keeps.

    Raises:
        InUse: A payment_service runs.
        following.LogProblem: The log can't be read.
    """
    # A relay of its own beside this has the same name.
    owner = f"{owner} recover {os.getpid()}"
    await _be_alone(ctx, owner)
    staying = asyncio.create_task(_stay_alone(ctx, owner))
    try:
        key, secret = await cases.create(
            tenant_id=keys.SYSTEM_TENANT, scopes=SCOPES, name=following.ACTOR
        )
        try:
            reader = following.Following(ctx, endpoint, secret, since_us=since_us)
            await reader.run()
            await ctx.db.write(losses.forget)
            return reader
        finally:
            await cases.revoke(key.id, keys.COMMAND)
    finally:
        staying.cancel()
        await ctx.db.write(lambda conn: leases.give_back(conn, name=daemon.LEASE_NAME, owner=owner))


async def _be_alone(ctx: context.Context, owner: str) -> None:
    until_s = time.monotonic() + LEASE_WAIT_S
    while not await _take(ctx, owner):
        if time.monotonic() > until_s:
            raise InUse("another process publishes the events of this database; stop it first")
        await asyncio.sleep(0.5)


async def _stay_alone(ctx: context.Context, owner: str) -> None:
    while True:
        await asyncio.sleep(daemon.RENEW_S)
        with contextlib.suppress(storage.StorageError):
            await _take(ctx, owner)


async def _take(ctx: context.Context, owner: str) -> bool:
    length_us = round(daemon.LEASE_S * 1_000_000)
    return await ctx.db.write(
        lambda conn: leases.take(conn, name=daemon.LEASE_NAME, owner=owner, length_us=length_us)
    )


def text(found: following.Following) -> str:
    """Returns what an operator has to know of a recovery, without an end of line."""
    tally = found.tally
    lines = [
        f"events: {tally.events}",
        f"the oldest that was read: {_moment(tally.oldest_us)}",
        f"the newest in the log: {_moment(tally.newest_us)}",
        f"payments: {len(tally.payments)}, customers: {len(tally.customers)}",
        f"of what providers keep and bill: {len(tally.mirrors)}",
    ]
    if found.passed_over:
        lines.append("The log no longer keeps all events since the back-up: compare with providers")
    for title, names in _lists(tally):
        shown = list(names)[:SHOWN_MAX]
        if shown:
            lines.append(f"{title}:")
            lines += [f"  {name}" for name in shown]
            if len(shown) < len(list(names)):
                lines.append("  and others")
    return "\n".join(lines)


def _moment(us: int) -> str:
    return snapshots.timestamp(us).ToJsonString() if us else "none"


def _lists(tally: counting.Tally) -> Iterable[tuple[str, Iterable[str]]]:
    return (
        ("Made twice under one key, once before and once after the restore", tally.twice),
        ("Went on in the log and here; compare with the provider", tally.both),
        ("Can't be what the log and this database say together; events stay blocked", tally.apart),
        ("Only in the log; set it up anew, then run this again", tally.missing),
        ("As in the back-up, though changed since", tally.older),
        ("API keys revoked again", tally.revoked),
        ("API keys that are known no more; make new ones", tally.dead),
    )

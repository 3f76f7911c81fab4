"""The double as a process of its own."""

import asyncio
import contextlib
import email.utils
import pathlib
import signal
import sys
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import stripe

from tests.integration.stripe_double import asking
from tests.stripe_double import running, store


@contextlib.asynccontextmanager
async def _process(state: pathlib.Path) -> AsyncIterator[tuple[str, asyncio.subprocess.Process]]:
    arguments = ["-m", "tests.stripe_double", "--port", "0", "--state", str(state)]
    process = await asyncio.create_subprocess_exec(
        sys.executable, *arguments, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        line = await asyncio.wait_for(process.stdout.readline(), 30)
        yield line.decode().strip(), process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


async def _pay(address: str) -> Any:
    transport: Any = stripe.AIOHTTPClient(connector=aiohttp.TCPConnector())
    client: Any = stripe.StripeClient(
        store.DEFAULT_KEY, base_addresses={"api": address}, http_client=transport
    )
    try:
        return await client.v1.payment_intents.create_async(
            params=asking.payment(), options={"idempotency_key": "k1"}
        )
    finally:
        await transport.close_async()


async def test_state_survives_the_process(tmp_path: pathlib.Path) -> None:
    """A double that was killed knows its payments and its idempotency keys again."""
    state = tmp_path / "stripe.json"
    async with _process(state) as (address, process):
        first = await _pay(address)
        await asking.until(state.exists)
        process.send_signal(signal.SIGKILL)
    async with _process(state) as (address, process):
        second = await _pay(address)
        assert second.id == first.id
        assert second.last_response.headers["Idempotent-Replayed"] == "true"
        found = await running.order(address, "ledger", "GET", idempotency_key="k1")
        assert found["counts"]["charged"] == 1


async def test_answers_are_dated_by_the_clock_that_events_are(tmp_path: pathlib.Path) -> None:
    """However far the clock was moved, an answer is not older than what it tells of."""
    async with _process(tmp_path / "stripe.json") as (address, _):
        await running.order(address, "advance", seconds=40 * 86_400)
        made = await _pay(address)
        dated = email.utils.parsedate_to_datetime(made.last_response.headers["Date"]).timestamp()
        assert 0 <= dated - made.created <= 5

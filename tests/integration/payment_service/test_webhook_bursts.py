"""A burst of webhooks at the settings everybody starts with: taken and applied, not put off."""

import asyncio
import base64
import json
import pathlib
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import aiohttp.web
import pytest_asyncio

from deploy import stack
from tests.integration.payment_service import records, rig

BURST = 100
SECRET = f"whsec_{base64.b64encode(b'of the merchant at the bank').decode()}"


class Town:
    """Core and the simulated bank as processes; what the bank tells is kept until it is sent.

    Args:
        folder: For the files of the processes.
    """

    def __init__(self, folder: pathlib.Path) -> None:
        self.told: list[tuple[str, bytes, dict[str, str]]] = []
        self.folder = folder
        self.processes: stack.Stack | None = None

    async def keep(self, request: aiohttp.web.Request) -> aiohttp.web.Response:
        """Takes what the bank tells."""
        kept = {name: text for name, text in request.headers.items() if name != "Host"}
        self.told.append((request.path, await request.read(), kept))
        return aiohttp.web.Response()

    def start(self, port: int) -> stack.Stack:
        """Starts the processes; returns them."""
        env = {
            "PAYMENT_SERVICE_RELAY_ENABLED": "false",
            "PAYMENT_SERVICE_GATEWAY_WAIT_S": "0",
            "PAYMENT_SERVICE_PROVIDER_SECRETS": json.dumps({"mock": {"webhook_secret": SECRET}}),
            "PROVIDER_MOCK_WEBHOOK_URL": f"http://127.0.0.1:{port}/webhooks/mock/{{binding_id}}",
        }
        self.processes = stack.Stack(
            self.folder, ports=stack.free_ports(), env=env, names=(stack.PAYMENTS, stack.MOCK)
        )
        self.processes.start()
        return self.processes


@pytest_asyncio.fixture
async def town(tmp_path: pathlib.Path) -> AsyncIterator[Town]:
    """The processes, and where the bank's webhooks are kept."""
    made = Town(tmp_path / "var")
    app = aiohttp.web.Application()
    app.router.add_post("/{path:.*}", made.keep)
    runner = aiohttp.web.AppRunner(app)
    await runner.setup()
    site = aiohttp.web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        processes = await asyncio.to_thread(made.start, runner.addresses[0][1])
        yield made
        await asyncio.to_thread(processes.stop)
    finally:
        await runner.cleanup()


async def test_a_burst_is_taken_and_applied_at_once(town: Town) -> None:
    """A hundred webhooks about money are answered 200, and none waits for a second try."""
    processes = town.processes
    assert processes is not None
    async with rig.Caller(processes.target(stack.PAYMENTS), processes.dev_key()) as caller:
        await asyncio.gather(*(caller.create() for _ in range(BURST)))

    async def told() -> bool:
        return len(town.told) >= BURST

    await rig.until(told)
    address = processes.http_url(stack.PAYMENTS)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def send(path: str, body: bytes, headers: dict[str, str]) -> int:
            url = f"{address}{path}"
            async with session.post(url, data=body, headers=headers) as answer:
                return answer.status

        answered = await asyncio.gather(*(send(*one) for one in town.told[:BURST]))
    assert answered == [200] * BURST
    stored = records.Records(f"sqlite:///{town.folder / 'payments.db'}")

    async def applied() -> list[Any] | None:
        rows = stored.rows("select state, attempts, detail from inbound_webhooks")
        # RECEIVED: not worked on yet.
        return rows if rows and all(row[0] != 1 for row in rows) else None

    rows = await rig.until(applied)
    stored.close()
    # 2 is APPLIED; the first attempt is that of its arrival, the second applies it.
    assert {(row[0], row[1] <= 2, row[2]) for row in rows} == {(2, True, "")}
    assert len(rows) == BURST

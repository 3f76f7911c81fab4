"""A payment service whose provider is the real Stripe sidecar before the strict double.

Owns starting double, sidecar, service and webhook endpoint, and pointing the double's
webhooks at it. Called by the tests of this folder.
"""

import asyncio
import contextlib
import json
import pathlib
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pydantic

from payment_service.domain import bindings
from servicekit import http, metrics
from tests import starting
from tests.integration.payment_service import inside, records, rig
from tests.integration.provider import rig as provider_rig
from tests.stripe_double import running as doubles
from tests.stripe_double import store

WEBHOOK_SECRET = "whsec_of_the_tests"


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """Everything that runs."""

    service: inside.InProcess
    records: records.Records
    double: str
    sidecar: provider_rig.Sidecar

    @property
    def caller(self) -> rig.Caller:
        """Who calls."""
        return self.service.caller

    async def order(self, what: str, method: str = "POST", /, **body: Any) -> dict[str, Any]:
        """Orders the double."""
        return await doubles.order(self.double, what, method, **body)

    async def asked(self) -> list[tuple[str, str, int | None, str | None]]:
        """Returns every request that Stripe got: method, path, status, fault."""
        told = await self.order("requests", "GET")
        return [(row["method"], row["path"], row["status"], row["fault"]) for row in told["data"]]

    async def made(self, operation_id: str) -> int:
        """Returns how many objects an operation made at Stripe."""
        told = await self.order("ledger", "GET")
        return sum(
            1
            for row in told["data"]
            if row["effect"].endswith(".created") and operation_id in json.dumps(row)
        )


@contextlib.contextmanager
def double(folder: pathlib.Path) -> Any:
    """Runs the double; yields its address."""
    with (folder / "double.txt").open("w") as log:
        process = starting.popen(
            [sys.executable, "-m", "tests.stripe_double"],
            cwd=provider_rig.ROOT, stdout=subprocess.PIPE, stderr=log, text=True,
        )  # fmt: skip
    assert process.stdout is not None
    with process.stdout, contextlib.ExitStack() as cleanup:
        cleanup.callback(process.wait)
        cleanup.callback(process.terminate)
        yield process.stdout.readline().strip()


@contextlib.asynccontextmanager
async def running(database_url: str, folder: pathlib.Path, **changes: Any) -> AsyncIterator[Site]:
    """Runs everything on an empty database."""
    secrets = {"stripe": {"api_key": store.DEFAULT_KEY, "webhook_secret": WEBHOOK_SECRET}}
    async with contextlib.AsyncExitStack() as stack:
        address = stack.enter_context(double(folder))
        sidecar = await asyncio.to_thread(
            provider_rig.Sidecar,
            "provider_stripe",
            folder,
            {"PROVIDER_STRIPE_API_BASE": address},
        )
        stack.callback(sidecar.stop)
        service = await stack.enter_async_context(
            inside.running(
                database_url,
                sidecar.target,
                providers={"stripe": sidecar.target},
                provider_secrets=pydantic.SecretStr(json.dumps(secrets)),
                **({"provider_timeout_s": 3.0} | changes),
            )
        )
        await inside.connected(service, "stripe")
        app = http.application(
            registry=metrics.Metrics(),
            readiness=http.Readiness(),
            routes=service.parts.webhooks.routes(),
        )
        server = http.Server(app, host="127.0.0.1", port=0)
        await server.start()
        stop = asyncio.Event()
        daemon = asyncio.create_task(service.parts.webhook_daemon.run(stop, idle_s=0.05))
        stored = records.Records(database_url)
        place = f"webhooks/stripe/{bindings.binding_id('t-inside', 'stripe')}"
        site = Site(service=service, records=stored, double=address, sidecar=sidecar)
        await site.order(
            "webhooks", url=f"http://127.0.0.1:{server.port}/{place}", secrets=[WEBHOOK_SECRET]
        )
        try:
            yield site
        finally:
            await site.order("webhooks", "DELETE")
            stop.set()
            await daemon
            await server.stop()
            await asyncio.to_thread(stored.close)

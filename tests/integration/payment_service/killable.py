"""A payment service in a process of its own that a fail point kills, on the test's own database.

Owns starting, arming and burying it, and calling it once it sees its provider. Called by the
tests of crashes; the provider lives in the test's process and survives.
"""

import asyncio
import contextlib
import json
import pathlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Generic, Self, TypeVar

from deploy import stack
from tests.integration.payment_service import billing, conftest, records, rig, upstream

Shop = TypeVar("Shop", bound=billing.Billing)

ENV = conftest.RESOLVER | {
    "PAYMENT_SERVICE_PROVIDER_TIMEOUT_S": "1.5",
    "PAYMENT_SERVICE_PLUGIN_CRASHES_MAX": "0",
}
EXIT_S = 40.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Outside:
    """A service in a process of its own, as far as callers go."""

    caller: rig.Caller


class Killable(Generic[Shop]):
    """One service with its tables; running while its context is open.

    Args:
        folder: For its files.
        url: Its database.
        bank: Its provider, which runs.
        shop: What calls it.
    """

    def __init__(
        self, folder: pathlib.Path, url: str, bank: upstream.Upstream, shop: type[Shop]
    ) -> None:
        providers = json.dumps({"mock": bank.target})
        self.processes = stack.Stack(
            folder,
            env=ENV | {"PAYMENT_SERVICE_PROVIDERS": providers},
            databases={stack.PAYMENTS: url},
            names=(stack.PAYMENTS,),
        )
        self.url = url
        self.bank = bank
        self.records = records.Records(url)
        self._shop = shop

    async def __aenter__(self) -> Self:
        try:
            await asyncio.to_thread(self.processes.start)
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        self.records.close()
        await asyncio.to_thread(self.processes.stop)

    @contextlib.asynccontextmanager
    async def calling(self) -> AsyncIterator[Shop]:
        """Calls the service once its provider is connected."""
        target = self.processes.target(stack.PAYMENTS)
        async with rig.Caller(target, self.processes.dev_key()) as caller:

            async def ready() -> bool:
                answer = await caller.call(caller.status.GetStatus, rig.status_request())
                return bool(answer.providers and answer.providers[0].ready)

            await rig.until(ready)
            service: Any = Outside(caller=caller)
            yield self._shop(service=service, bank=self.bank, records=self.records)

    async def arm(self, point: str) -> None:
        """Starts the service anew, to be killed when it first comes to *point*."""
        await asyncio.to_thread(self.processes.kill, stack.PAYMENTS)
        armed = {"PAYHUB_FAIL_POINTS": f"{point}:1"}
        await asyncio.to_thread(self.processes.restart, stack.PAYMENTS, armed)

    async def is_killed(self) -> None:
        """Waits until the fail point has killed it, and starts it anew, unarmed."""
        ended = await asyncio.to_thread(self.processes.wait_exit, stack.PAYMENTS, timeout_s=EXIT_S)
        assert ended == -9
        await asyncio.to_thread(self.processes.restart, stack.PAYMENTS)

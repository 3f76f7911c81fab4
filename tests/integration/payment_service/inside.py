"""A payment service in the test's own process, over real sockets and a real database.

Owns putting it together with other seams and settings, where a process of its
own would cost more and show less. Called by the tests of this folder.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any
from unittest import mock

import grpc
import grpc.aio

from payment_service import composition, plugging, settings
from payment_service.provider_client import lags
from servicekit import clock as clocks
from servicekit import encryption_keys, ids, metrics, storage
from tests.integration.payment_service import rig


@dataclass(frozen=True, slots=True, kw_only=True)
class InProcess:
    """What it is made of, and who calls it."""

    parts: composition.Parts
    caller: rig.Caller


@contextlib.asynccontextmanager
async def running(
    database_url: str,
    provider: str,
    *,
    wrap: Callable[[storage.Database], storage.Database] = lambda db: db,
    clock: clocks.Clock | None = None,
    new_id: Callable[[str], str] = ids.new_id,
    **changes: Any,
) -> AsyncIterator[InProcess]:
    """Runs a payment service on an empty database.

    Args:
        database_url: Which one.
        provider: `host:port` of its provider.
        wrap: Stands between the service and its database.
        clock: Where time comes from, if not from the machine.
        new_id: Where ids come from.
        changes: Settings other than those of quick tests.
    """
    values: dict[str, Any] = {
        "database_url": database_url,
        "providers": {"mock": provider},
        "provider_timeout_s": 1.5,
        "provider_connect_s": 0.2,
        "provider_skew_s": 0.1,
        "resolver_doubt_first_s": 0.1,
        "resolver_pending_first_s": 0.1,
        "resolver_longest_s": 0.5,
    }
    values["encryption_keys"] = encryption_keys.new_key()
    configured = settings.Settings(**(values | changes))
    note = lags.Lags.note

    def moved_too(told: lags.Lags, instance_id: str, *, told_us: int, **asked: int) -> float:
        """The provider's clock is moved on with the service's."""
        told_us += getattr(clock, "ahead_us", 0)
        return note(told, instance_id, told_us=told_us, **asked)

    moving = mock.patch.object(lags.Lags, "note", moved_too)
    await asyncio.to_thread(storage.migrate, database_url, composition.MIGRATIONS)
    db = wrap(await storage.open_database(database_url))
    parts = composition.assemble(configured, db, metrics.Metrics(), clock=clock, new_id=new_id)
    await plugging.prepare(configured, parts.ctx, parts.plugins)
    server = grpc.aio.server(interceptors=[parts.pipeline])
    for register in parts.servicers:
        register(server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    stop = asyncio.Event()
    working: list[asyncio.Future[None]] = [
        asyncio.create_task(parts.resolver.run(stop, idle_s=0.05)),
        asyncio.create_task(parts.retrier.run(stop, idle_s=0.05)),
        *(asyncio.ensure_future(work(stop)) for work in parts.plugins.background),
    ]
    tenant = "t-inside"
    _, secret = await parts.keys.create(tenant_id=tenant, scopes=(*rig.PAY, "admin"), name="k")
    moving.start()
    try:
        async with rig.Caller(f"127.0.0.1:{port}", secret, tenant) as caller:
            yield InProcess(parts=parts, caller=caller)
    finally:
        stop.set()
        await asyncio.gather(*working)
        await server.stop(1)
        await parts.ctx.tracker.drain(5)
        await parts.ctx.providers.close()
        await db.close()
        moving.stop()


async def connected(service: InProcess, plugin_id: str = "mock", *, instances: int = 1) -> None:
    """Returns once so many instances of a plugin have registered and take calls."""

    async def seen() -> bool:
        view = await service.parts.ctx.catalog.refresh()
        provider = service.parts.ctx.providers.find(plugin_id)
        if not view.versions.get(plugin_id) or provider is None or not provider.ready:
            return False
        return sum(link.ready for link in provider.links.values()) >= instances

    await rig.until(seen)

"""A provider of a test, served in the test's process.

Owns the server behind a real socket, and core's connection to it. Called by the tests of this
folder, which bring the provider and configure it.
"""

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import grpc.aio

from provider_sdk import host, provider, serve
from servicekit import clock, metrics
from tests.integration.provider import rig


@contextlib.asynccontextmanager
async def served(plugin: provider.Provider[Any]) -> AsyncIterator[rig.Core]:
    """Serves *plugin*, ready from the start, and drains it in the end."""
    state = host.Host(plugin, clock=clock.SystemClock())
    pipeline = serve.pipeline(state, registry=metrics.Metrics())
    server = grpc.aio.server(interceptors=[pipeline])
    for register in serve.registrars(state):
        register(server)
    port = server.add_insecure_port("127.0.0.1:0")
    state.ready = True
    await server.start()
    core = rig.Core(f"127.0.0.1:{port}")
    try:
        yield core
    finally:
        await core.close()
        await server.stop(1)
        await state.drain(5)

"""The simulated bank in the test's own process, with a ledger of its own.

Owns serving it where a process would cost more and show less, on a clock that core shares.
Called by tests of this folder that compare core with the whole ledger. Can't crash alone.
"""

import contextlib
import pathlib
from collections.abc import AsyncIterator

import grpc.aio

from provider_mock import bank, faults, settings
from provider_mock import clock as bank_clocks
from provider_sdk import host, serve
from servicekit import clock as clocks
from servicekit import metrics

SETTLE_AFTER_S = 30.0


@contextlib.asynccontextmanager
async def running(ledger: pathlib.Path, clock: clocks.Clock) -> AsyncIterator[str]:
    """Runs a bank whose pending operations end after SETTLE_AFTER_S; yields its target."""
    config = settings.MockSettings(ledger=ledger, settle_after_s=SETTLE_AFTER_S)
    mock = bank.Bank(config, time=bank_clocks.MockClock(clock))
    state = host.Host(mock, clock=clock)
    pipeline = serve.pipeline(state, registry=metrics.Metrics())
    await mock.start()
    state.ready = True
    server = grpc.aio.server(interceptors=[pipeline, faults.Interceptor()])
    for register in serve.registrars(state):
        register(server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(0)
        await mock.close()

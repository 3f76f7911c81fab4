"""Echo behind the pipeline, for the tests of it.

Owns serving it in both ways that the pipeline can be installed. Called by pytest.
"""

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import grpc.aio
import pytest

from servicekit import dispatch, health, interceptor, metrics, server
from tests.integration.servicekit import calling, echo


@pytest.fixture(params=["dispatcher", "interceptor"])
def serving(request: pytest.FixtureRequest) -> calling.Serving:
    """Serve Echo with a pipeline of the given arguments, in both ways it can be installed."""

    @contextlib.asynccontextmanager
    async def serve(*registrars: server.Registrar, **arguments: Any) -> AsyncIterator[calling.Rig]:
        registry = metrics.Metrics()
        pipeline = interceptor.Pipeline(metrics=registry, **arguments)
        served = echo.Echo()
        dispatched = request.param == "dispatcher"
        running = grpc.aio.server(
            interceptors=[] if dispatched else [pipeline], options=server.SERVER_OPTIONS
        )
        target: Any = dispatch.Dispatcher(pipeline) if dispatched else running
        for register in (served.register, *registrars):
            register(target)
        health.register(target, health.Servicer(), [echo.NAME])
        if dispatched:
            running.add_generic_rpc_handlers((target,))
        port = running.add_insecure_port("127.0.0.1:0")
        await running.start()
        options = [("grpc.max_send_message_length", -1)]
        try:
            async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=options) as channel:
                yield calling.Rig(channel, served, registry)
        finally:
            await running.stop(None)

    return serve

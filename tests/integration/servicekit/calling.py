"""A caller of Echo behind the pipeline, who sees how its calls end.

Owns the stubs and reading refusals. Called by the tests of the pipeline, which serve it.
"""

import contextlib
from collections.abc import Callable
from typing import Any

import grpc
import grpc.aio
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from servicekit import metrics
from tests import polling
from tests.integration.servicekit import echo

Text = echo.Text
until = polling.until


class Rig:
    """A served Echo and a channel to it."""

    def __init__(self, channel: grpc.aio.Channel, served: echo.Echo, registry: metrics.Metrics):
        self.channel = channel
        self.echo = served
        self.registry = registry

    def unary(self, method: str) -> Any:
        """Return the stub of a unary method."""
        return self.channel.unary_unary(
            f"/{echo.NAME}/{method}", Text.SerializeToString, Text.FromString
        )

    def stream(self, method: str) -> Any:
        """Return the stub of a streaming method."""
        return self.channel.unary_stream(
            f"/{echo.NAME}/{method}", Text.SerializeToString, Text.FromString
        )

    def count(self, method: str, code: str) -> int:
        """Return how many calls of a method ended with `code`."""
        return self.registry.rpc.of(f"{echo.NAME}.{method}").codes.get(code, 0)


Serving = Callable[..., contextlib.AbstractAsyncContextManager[Rig]]


async def refusal(call: Any) -> tuple[grpc.aio.AioRpcError, error_details_pb2.ErrorInfo, list[str]]:
    """Return a failed call's error, its ErrorInfo and the field paths of its BadRequest."""
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await call
    info = error_details_pb2.ErrorInfo()
    bad_request = error_details_pb2.BadRequest()
    status = rpc_status.from_call(failed.value)  # type: ignore[arg-type]
    for packed in status.details if status is not None else ():
        packed.Unpack(info)
        packed.Unpack(bad_request)
    return failed.value, info, [violation.field for violation in bad_request.field_violations]

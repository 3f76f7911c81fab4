"""What the interceptor makes of a call that gRPC can't go on with."""

import asyncio
from typing import Any

import grpc
import grpc.aio
import pytest

from servicekit import interceptor, metrics, rpc


class Gone:
    """The context of a stream whose caller is gone, which gRPC has not heard of yet."""

    def time_remaining(self) -> None:
        """Streams have no deadline."""

    async def read(self) -> bytes:
        """The message was there."""
        return b""

    async def send_initial_metadata(self, metadata: Any) -> None:
        """Reaches the caller still."""

    async def write(self, response: bytes) -> None:
        """Does not."""
        raise grpc.aio.InternalError('Failed "execute_batch"')


async def test_a_caller_that_is_gone_is_as_one_that_canceled() -> None:
    """gRPC takes an exception of its own for an error of ours, and logs it as one."""

    async def behavior(request: Any, context: Any) -> None:
        await context.write(b"x")

    counted = metrics.Metrics()
    handler: Any = interceptor.Pipeline(metrics=counted).wrap(
        "/a.B/C", grpc.unary_stream_rpc_method_handler(behavior)
    )
    rpc.arrived(())
    with pytest.raises(asyncio.CancelledError):
        await handler.stream_stream(None, Gone())
    assert counted.rpc.of("a.B.C").codes == {"CANCELLED": 1}

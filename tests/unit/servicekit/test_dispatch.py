"""The server's one generic handler: found once per method, wrapped in order."""

import asyncio
from typing import Any, cast

import grpc
import grpc.aio
import pytest

from servicekit import dispatch, interceptor, metrics, rpc, server


class Details:
    """What gRPC says of a call before its handler is found."""

    def __init__(self, method: str) -> None:
        self.method = method
        self.invocation_metadata = ()


class Context:
    """The parts of a servicer context that the pipeline uses."""

    def time_remaining(self) -> float:
        """Return the seconds left."""
        return 5.0

    async def read(self) -> bytes:
        """Return the message."""
        return b""

    def trailing_metadata(self) -> tuple[()]:
        """Return what the handler has set."""
        return ()

    def set_trailing_metadata(self, metadata: Any) -> None:
        """Take the request id."""

    def code(self) -> None:
        """Return the code the handler has set."""


class Marking(grpc.aio.ServerInterceptor):
    """Puts its name around what the handler answers."""

    def __init__(self, name: str, *, waits: bool = False) -> None:
        self.name = name
        self.asked = 0
        self._waits = waits

    async def intercept_service(self, continuation: Any, handler_call_details: Any) -> Any:
        """Wrap the handler."""
        self.asked += 1
        if self._waits:
            await asyncio.sleep(0)
        inner = await continuation(handler_call_details)

        async def behavior(request: bytes, context: Any) -> bytes:
            answered: bytes = await inner.unary_unary(request, context)
            return self.name.encode() + answered

        return grpc.unary_unary_rpc_method_handler(behavior)


async def answer(request: bytes, context: Any) -> bytes:
    """Answer with the method that the pipeline says is being served."""
    return rpc.current().method.encode()


def a_dispatcher(*inner: Marking) -> dispatch.Dispatcher:
    """Return a dispatcher with a pipeline and one method of each kind of registration."""
    made = dispatch.Dispatcher(interceptor.Pipeline(metrics=metrics.Metrics()), inner)
    handler: grpc.RpcMethodHandler[bytes, bytes] = grpc.unary_unary_rpc_method_handler(answer)
    made.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("p.A", {"One": handler}),))
    made.add_registered_method_handlers("p.B", {"Two": handler})
    return made


async def test_handlers_of_both_registrations_are_found_and_wrapped_once() -> None:
    """A second call gets the same object; an unknown method gets none."""
    made = a_dispatcher()
    for path, name in (("/p.A/One", b"p.A.One"), ("/p.B/Two", b"p.B.Two")):
        handler = made.service(Details(path))
        assert made.service(Details(path)) is handler
        assert await handler.stream_unary(None, Context()) == name
    assert made.service(Details("/p.A/Two")) is None
    assert dispatch.Dispatcher(None).service(Details("/p.A/One")) is None


async def test_inner_interceptors_keep_their_order_and_are_asked_once() -> None:
    """The first listed is the outermost of them; all are inside the pipeline."""
    first, second = Marking("1"), Marking("2")
    made = a_dispatcher(first, second)
    for _ in range(3):
        handler = made.service(Details("/p.A/One"))
        assert await handler.stream_unary(None, Context()) == b"12p.A.One"
    assert (first.asked, second.asked) == (1, 1)


def test_an_inner_interceptor_that_waits_is_refused() -> None:
    """Its choice could depend on the call, and it is asked only once."""
    with pytest.raises(RuntimeError, match="Marking waits"):
        a_dispatcher(Marking("1", waits=True)).service(Details("/p.A/One"))


def test_interceptors_are_split_around_the_pipeline() -> None:
    """Before it: gRPC's own; after it: inside; two pipelines make no sense."""
    pipeline = interceptor.Pipeline()
    before, after = Marking("b"), Marking("a")
    listed = cast("list[grpc.aio.ServerInterceptor]", [before, pipeline, after])
    assert server._split(listed) == ([before], pipeline, [after])
    assert server._split([before]) == ([before], None, [])
    with pytest.raises(ValueError, match="one pipeline"):
        server._split([pipeline, pipeline])

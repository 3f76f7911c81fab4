"""From a method's path to its handler, without an interceptor's detour.

Owns the one generic handler of a server. Called by `server.serve`, which gives
it to the generated `add_…_to_server` functions in the server's place; never
calls a handler itself.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import grpc
import grpc.aio

from servicekit import interceptor, rpc


class Dispatcher(grpc.GenericRpcHandler):
    """Takes the handlers that generated code adds, and finds them by path.

    An interceptor costs two coroutines per call, and each method registered with
    the core costs one more future in the server's wait set per call: a single
    generic handler avoids both.

    Args:
        pipeline: goes around every handler.
        inner: interceptors between the pipeline and the handlers; each is asked
            once per method, so its choice must not depend on the call.
    """

    def __init__(
        self,
        pipeline: interceptor.Pipeline | None,
        inner: Sequence[grpc.aio.ServerInterceptor] = (),
    ) -> None:
        self._pipeline = pipeline
        self._inner = inner
        self._generic: list[Any] = []
        self._named: dict[str, Any] = {}
        self._found: dict[str, Any] = {}

    def add_generic_rpc_handlers(self, generic_rpc_handlers: Sequence[Any]) -> None:
        """Add handlers, as a `grpc.aio.Server` would."""
        self._generic.extend(generic_rpc_handlers)

    def add_registered_method_handlers(
        self, service_name: str, method_handlers: Mapping[str, Any]
    ) -> None:
        """Add handlers, as a `grpc.aio.Server` would."""
        for method, handler in method_handlers.items():
            self._named[f"/{service_name}/{method}"] = handler

    def service(self, handler_call_details: Any) -> Any:
        """Return the handler of a call, or None when there is no such method."""
        path = handler_call_details.method
        handler = self._found.get(path)
        if handler is None:
            handler = self._find(handler_call_details)
            if handler is None:
                return None
            handler = _intercepted(handler, handler_call_details, self._inner)
            if self._pipeline is not None:
                handler = self._pipeline.wrap(path, handler)
            self._found[path] = handler
        rpc.arrived(handler_call_details.invocation_metadata)
        return handler

    def _find(self, details: Any) -> Any:
        handler = self._named.get(details.method)
        if handler is not None:
            return handler
        for generic in self._generic:
            handler = generic.service(details)
            if handler is not None:
                return handler
        return None


def _intercepted(
    handler: Any, details: Any, interceptors: Sequence[grpc.aio.ServerInterceptor]
) -> Any:
    for one in reversed(interceptors):
        inner = handler

        async def found(_: Any, inner: Any = inner) -> Any:
            return inner

        choosing = one.intercept_service(found, details)
        try:
            choosing.send(None)
        except StopIteration as chosen:
            handler = chosen.value
        else:
            choosing.close()
            raise RuntimeError(f"{type(one).__name__} waits while it chooses a handler")
    return handler

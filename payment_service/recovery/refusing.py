"""What callers hear while a recovery runs: not now, and to repeat with the same key.

Owns that answer. Stands before every API but the one that tells the gateway of keys. Never
lets a call read or write what is not taken back yet.
"""

from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import grpc.aio
from payhub.admin.v1 import key_service_pb2

from payment_service.api import access
from servicekit import errors

_KEYS = key_service_pb2.DESCRIPTOR.services_by_name["KeyService"].full_name
_REFUSED = tuple(f"/{name}/" for name in access.SERVICES if name != _KEYS)


class Refusing(grpc.aio.ServerInterceptor):
    """Refuses the calls of callers, operators and plugins."""

    async def intercept_service(
        self, continuation: Callable[[Any], Awaitable[Any]], handler_call_details: Any
    ) -> Any:
        """Returns the method's own handler, or one that refuses."""
        handler = await continuation(handler_call_details)
        if not handler_call_details.method.startswith(_REFUSED):
            return handler
        make: Any = (
            grpc.unary_stream_rpc_method_handler
            if handler.response_streaming
            else grpc.unary_unary_rpc_method_handler
        )
        return make(_refuse, handler.request_deserializer, handler.response_serializer)


async def _refuse(*_: Any) -> Any:
    raise errors.unavailable("what a restored database has forgotten is taken back; repeat later")

"""Faults of the way back: answers that come too late or not at all.

Owns ending a call without Failure details, as a broken transport does. Installed
between the pipeline and the servicers. Never changes what the ledger holds.
"""

import asyncio
import contextlib
import os
import pathlib
import socket
import urllib.parse
from collections.abc import Awaitable, Callable
from typing import Any, NoReturn

import grpc

from provider_mock import scenarios
from provider_sdk import errors
from servicekit import logs

# How long after the caller's deadline the late answer would come.
LATE_BY_S = 1.0

_log = logs.get_logger(__name__)


class LostAnswer(errors.NoAnswer):
    """The caller is not to hear what became of its call.

    Args:
        fault: How the answer gets lost.
    """

    def __init__(self, fault: scenarios.Fault) -> None:
        super().__init__(f"the answer is lost: {fault.value}")
        self.fault = fault


class Interceptor(grpc.aio.ServerInterceptor):
    """Turns LostAnswer into what a broken transport does."""

    async def intercept_service(  # noqa: D102
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        handler = await continuation(handler_call_details)
        if handler is None or handler.unary_unary is None:
            return handler
        inner = handler.unary_unary

        async def behavior(request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> Any:
            try:
                return await inner(request, context)
            except LostAnswer as lost:
                await _lose(lost.fault, context)

        return grpc.unary_unary_rpc_method_handler(
            behavior,
            request_deserializer=handler.request_deserializer,
            response_serializer=handler.response_serializer,
        )


async def _lose(fault: scenarios.Fault, context: grpc.aio.ServicerContext[Any, Any]) -> NoReturn:
    if fault is scenarios.Fault.LATE_ANSWER:
        await asyncio.sleep((context.time_remaining() or 0.0) + LATE_BY_S)
    elif fault is scenarios.Fault.SEVER_AFTER:
        _log.info("severing the connection", severed=sever(context.peer()))
    # Word for word what gRPC says of a broken connection; no details, so nobody
    # can tell whether anything happened.
    await context.abort(grpc.StatusCode.UNAVAILABLE, "Socket closed")


def sever(peer: str) -> bool:
    """Shuts the TCP connection to *peer*, with every call on it; False if it is not found.

    gRPC has no call for this, so the socket is looked up among the process's own
    descriptors; where /proc is missing nothing is severed.
    """
    _, _, address = urllib.parse.unquote(peer).partition(":")
    host, _, port = address.rpartition(":")
    folder = pathlib.Path("/proc/self/fd")
    if not port.isdecimal() or not folder.is_dir():
        return False
    for entry in folder.iterdir():
        with contextlib.suppress(OSError):
            if not str(entry.readlink()).startswith("socket:"):
                continue
            with socket.socket(fileno=os.dup(int(entry.name))) as found:
                if found.family not in (socket.AF_INET, socket.AF_INET6):
                    continue
                name = found.getpeername()
                if name[1] == int(port) and name[0].removeprefix("::ffff:") == host.strip("[]"):
                    found.shutdown(socket.SHUT_RDWR)
                    return True
    return False

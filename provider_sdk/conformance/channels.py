"""Connections of the suite.

Owns how a channel is opened and the search for secrets, and for what breaks the
contract, in every answer that comes over it. Called by `run` and `sites`. Never retries.
"""

import asyncio
from collections.abc import Callable
from typing import Any

import grpc
import grpc.aio
from grpc_health.v1 import health_pb2, health_pb2_grpc

from provider_sdk.conformance import breaches as breaches_module
from provider_sdk.conformance import canaries as canaries_module
from provider_sdk.conformance import process
from servicekit import tls

POLL_S = 0.05
OPTIONS = (
    ("grpc.enable_retries", 0),
    # What the provider may receive is its own limit to enforce.
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", 16 * 1024 * 1024),
    # No connection of another run is shared.
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.min_reconnect_backoff_ms", 500),
    ("grpc.max_reconnect_backoff_ms", 500),
)


class NotServing(Exception):
    """Nothing answers as a provider at the address."""


class Watched:
    """A channel that looks for secrets in every answer, and into what it says.

    Args:
        channel: The channel itself.
        canaries: What to look for.
        breaches: Where answers that break the contract are noted.
    """

    def __init__(
        self,
        channel: grpc.aio.Channel,
        canaries: canaries_module.Canaries,
        breaches: breaches_module.Breaches,
    ) -> None:
        self._channel = channel
        self._canaries = canaries
        self._breaches = breaches

    def unary_unary(
        self,
        method: str,
        request_serializer: Any = None,
        response_deserializer: Callable[[bytes], Any] | None = None,
        **rest: Any,
    ) -> Any:
        """Returns what calls *method*, as a channel does."""

        def decode(raw: bytes) -> Any:
            self._canaries.inspect(raw, place=f"an answer of {method}")
            if response_deserializer is None:
                return raw
            return self._breaches.decoded(method, raw, response_deserializer)

        return self._channel.unary_unary(
            method,
            request_serializer=request_serializer,
            response_deserializer=decode,
            **rest,
        )

    def __getattr__(self, name: str) -> Any:
        return getattr(self._channel, name)


def open_channel(
    target: str,
    canaries: canaries_module.Canaries,
    breaches: breaches_module.Breaches,
    dialer: tls.Dialer,
) -> Watched:
    """Returns a connection of its own to *target*."""
    return Watched(dialer.dial(target, OPTIONS), canaries, breaches)


async def serving(started: process.Process, *, timeout_s: float, dialer: tls.Dialer) -> None:
    """Waits until the process says it is SERVING.

    Raises:
        CannotStart: It ended, or does not within *timeout_s* seconds.
    """
    loop = asyncio.get_running_loop()
    end_s = loop.time() + timeout_s
    async with dialer.dial(started.target, OPTIONS) as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        while loop.time() < end_s:
            if not started.is_running:
                raise process.CannotStart(f"the provider does not start: {started.explain()}")
            if await _is_serving(stub, timeout_s=1.0):
                return
            await asyncio.sleep(POLL_S)
    raise process.CannotStart(
        f"not SERVING on {started.target} within {timeout_s:g} s: {started.explain()}; "
        f"correct `command`, or raise `start_timeout_s`{_of_tls(dialer)}"
    )


async def reachable(target: str, *, timeout_s: float, dialer: tls.Dialer) -> None:
    """Waits until something speaks gRPC at *target*.

    Raises:
        NotServing: Nothing does within *timeout_s* seconds.
    """
    async with dialer.dial(target, OPTIONS) as channel:
        try:
            async with asyncio.timeout(timeout_s):
                await channel.channel_ready()
        except TimeoutError:
            raise NotServing(
                f"nothing answers at {target}; start the provider there, or leave --endpoint out "
                f"to let the suite start it with the profile's `command`{_of_tls(dialer)}"
            ) from None


def _of_tls(dialer: tls.Dialer) -> str:
    # gRPC keeps to itself why a connection was not made.
    if dialer.credentials is None:
        return "; one that serves TLS needs --ca"
    return (
        "; or one end refuses the other's certificate: is the provider's for this host and of an "
        "authority in --ca, and does it believe --cert"
    )


async def _is_serving(stub: Any, *, timeout_s: float) -> bool:
    try:
        answer = await stub.Check(health_pb2.HealthCheckRequest(), timeout=timeout_s)
    except grpc.aio.AioRpcError:
        return False
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)

"""Who answers at an endpoint is known before anything is sent there."""

import asyncio
import uuid
from typing import Any

import grpc
from payhub.plugin.v1 import plugin_service_pb2

from payment_service.provider_client import client, introduction, loading
from servicekit import tls
from tests import fake_clock, polling
from tests.unit.payment_service import unconfigured


class _Channel:
    """Is connected whenever one looks; `changed` is set when it was not, in between."""

    def __init__(self) -> None:
        self.changed = asyncio.Event()

    def get_state(self, try_to_connect: bool) -> grpc.ChannelConnectivity:
        return grpc.ChannelConnectivity.READY

    async def wait_for_state_change(self, last: grpc.ChannelConnectivity) -> None:
        await self.changed.wait()
        self.changed.clear()

    async def close(self) -> None:
        return None


class _Plugin:
    """Introduces itself once it may."""

    def __init__(self) -> None:
        self.version = "1.0.0"
        self.may = asyncio.Event()
        self.asked = 0

    async def Handshake(self, request: Any, timeout: float) -> Any:
        self.asked += 1
        await self.may.wait()
        return plugin_service_pb2.HandshakeResponse(
            identity=plugin_service_pb2.PluginIdentity(
                plugin_id="mock",
                plugin_version=self.version,
                instance_id=str(uuid.uuid4()),
                kind=plugin_service_pb2.PLUGIN_KIND_PROVIDER,
            ),
            services=introduction.SERVICES,
            schema_digest=f"sha256:{'0' * 64}",
        )


async def _welcome(_: introduction.Handshake) -> str:
    return ""


async def _client(welcome: client.Welcome) -> client.ProviderClient:
    """Returns a client whose own channel is closed."""
    clock = fake_clock.FakeClock()
    made = client.ProviderClient(
        name="mock",
        endpoint="127.0.0.1:1",
        bindings=unconfigured.Bindings(),
        limits=client.Limits(),
        dialer=tls.IN_CLEAR,
        clock=clock,
        welcome=welcome,
        welcomed=lambda: None,
        load=loading.Load(clock, lambda *_: None),
    )
    await made._channel.close()
    return made


async def test_a_process_that_was_replaced_unseen_gets_nothing_before_its_handshake() -> None:
    """A connection may be lost and made again before anybody looks; who answers then may be
    another version, which must not be taken for the one before.
    """
    made = await _client(_welcome)
    channel, plugin = _Channel(), _Plugin()
    made._channel, made.plugin = channel, plugin  # type: ignore[assignment]
    made.start()
    try:
        plugin.may.set()
        await polling.until(lambda: made.ready)
        plugin.may.clear()
        plugin.version = "1.1.0"
        channel.changed.set()
        await polling.until(lambda: plugin.asked == 2)
        assert not made.ready
        plugin.may.set()
        await polling.until(lambda: made.ready)
        assert made.known is not None
        assert made.known.plugin_version == "1.1.0"
    finally:
        await made.close()


async def test_a_process_that_is_replaced_while_it_introduces_itself_is_not_taken_for_it() -> None:
    """The connection is lost and made again before the first introduction has ended: who answers
    by then introduces itself too.
    """
    arrived, may = asyncio.Event(), asyncio.Event()

    async def welcome(_: introduction.Handshake) -> str:
        arrived.set()
        await may.wait()
        return ""

    made = await _client(welcome)
    channel, plugin = _Channel(), _Plugin()
    made._channel, made.plugin = channel, plugin  # type: ignore[assignment]
    plugin.may.set()
    made.start()
    try:
        await arrived.wait()
        plugin.version = "1.1.0"
        # Whoever waits by now hears of it, and nobody who begins later.
        channel.changed.set()
        channel.changed.clear()
        may.set()
        await polling.until(lambda: plugin.asked == 2 and made.ready)
        assert made.known is not None
        assert made.known.plugin_version == "1.1.0"
    finally:
        await made.close()

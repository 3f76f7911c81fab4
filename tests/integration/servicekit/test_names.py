"""A peer is found by its name, wherever that leads by now."""

import asyncio
import socket
import struct
from collections.abc import Sequence
from typing import Any

import grpc
import grpc.aio
import pytest

from payhub_client import channel
from servicekit import server
from tests import polling

# Less than the 30 s for which gRPC asks for no name again, by default.
SOON_S = 15.0
_HEADER, _ADDRESS = struct.Struct("!HHHHH"), struct.Struct("!HHHIH")
_ANSWER, _TYPE_A, _IN, _NAME_ABOVE = 0x8180, 1, 1, 0xC00C


class Names(asyncio.DatagramProtocol):
    """A name server that knows one address, whatever it is asked for."""

    def __init__(self) -> None:
        self.address = ""
        self._transport: Any = None

    def connection_made(self, transport: Any) -> None:
        """Keeps what it answers with."""
        self._transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        """Answers questions for an IPv4 address with it, others with nothing."""
        end = data.index(b"\0", 12) + 5
        (kind,) = struct.unpack("!H", data[end - 4 : end - 2])
        found = b""
        if kind == _TYPE_A:
            found = _ADDRESS.pack(_NAME_ABOVE, _TYPE_A, _IN, 0, 4) + socket.inet_aton(self.address)
        header = data[:2] + _HEADER.pack(_ANSWER, 1, 1 if found else 0, 0, 0)
        self._transport.sendto(header + data[12:end] + found, addr)


async def serve(address: str, port: int = 0) -> tuple[grpc.aio.Server, int]:
    """Serves nothing, which is enough to be connected to."""
    made = grpc.aio.server()
    port = made.add_insecure_port(f"{address}:{port}")
    await made.start()
    return made, port


@pytest.mark.parametrize(
    "options", [server.CHANNEL_OPTIONS, channel.OPTIONS], ids=["services", "client"]
)
async def test_a_peer_that_comes_back_at_another_address_is_found_soon(
    options: Sequence[tuple[str, Any]],
) -> None:
    """As a container that is made anew: its name is looked up again at once, not after 30 s."""
    running = asyncio.get_running_loop()
    answering, names = await running.create_datagram_endpoint(Names, local_addr=("127.0.0.1", 0))
    at = answering.get_extra_info("sockname")[1]
    names.address = "127.0.0.2"
    before, port = await serve(names.address)
    target = f"dns://127.0.0.1:{at}/peer.test:{port}"
    async with grpc.aio.insecure_channel(target, options=options) as calling:

        def is_connected() -> bool:
            return calling.get_state(try_to_connect=True) is grpc.ChannelConnectivity.READY

        await polling.until(is_connected)
        names.address = "127.0.0.3"
        await before.stop(None)
        await polling.until(lambda: not is_connected())
        after, _ = await serve(names.address, port)
        try:
            await polling.until(is_connected, SOON_S)
        finally:
            await after.stop(None)
            answering.close()

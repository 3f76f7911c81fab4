"""Who calls others goes on with certificates that were renewed, without a restart."""

import asyncio
import contextlib
import pathlib
from collections.abc import AsyncIterator
from typing import Any

import grpc
import grpc.aio
import pytest

from servicekit import renewal, server, tls
from tests import polling
from tests.integration.servicekit import certified

OPTIONS = [*server.CHANNEL_OPTIONS, ("grpc.use_local_subchannel_pool", 1)]
FORMER, NEW = certified.FORMER, certified.NEW


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looks at files more often than anybody needs."""
    monkeypatch.setattr(renewal, "LOOK_S", 0.05)


@pytest.fixture
async def peer() -> AsyncIterator[certified.Peer]:
    """A server of the former authority."""
    made = certified.Peer()
    await made.start(FORMER)
    yield made
    await made.stop()


@pytest.fixture
def files(tmp_path: pathlib.Path, peer: certified.Peer) -> tls.Files:
    """What a caller holds, of the former authority."""
    held = tls.Files(ca=tmp_path / "ca", cert=tmp_path / "cert", key=tmp_path / "key")
    peer.certify(FORMER, held)
    return held


@contextlib.asynccontextmanager
async def calling(peer: certified.Peer, files: tls.Files) -> AsyncIterator[grpc.aio.Channel]:
    """A channel that follows *files*."""
    async with tls.dialer(files).dial(peer.target, OPTIONS) as channel:
        yield channel


async def who(channel: grpc.aio.Channel) -> str:
    """Returns by which certificate the caller is known; '' if it is refused."""
    ask: Any = channel.unary_unary("/test.Peer/Who")
    try:
        answer: bytes = await ask(b"", timeout=10)
    except grpc.aio.AioRpcError as failure:
        if failure.code() is grpc.StatusCode.UNAVAILABLE:
            return ""
        raise
    return answer.decode()


async def test_a_caller_that_lives_on_shows_its_renewed_certificate(
    peer: certified.Peer, files: tls.Files
) -> None:
    """When its connection ends, a process that was refused with what it had at its start calls
    with what its files hold by then, over the methods that it made then.
    """
    async with calling(peer, files) as channel:
        assert await who(channel) == FORMER
        await peer.stop()
        await peer.start(NEW)
        assert await who(channel) == ""
        peer.certify(NEW, files)
        assert await polling.until(lambda: who(channel)) == NEW


async def test_who_waits_for_a_connection_hears_of_renewed_files(
    peer: certified.Peer, files: tls.Files
) -> None:
    """A channel that is refused stays in one state: who waits for another one gets it all the same
    once the files are renewed.
    """
    async with calling(peer, files) as channel:
        await peer.stop()
        await peer.start(NEW)
        assert await who(channel) == ""
        assert channel.get_state() is grpc.ChannelConnectivity.TRANSIENT_FAILURE
        waiting = asyncio.ensure_future(channel.channel_ready())
        peer.certify(NEW, files)
        await asyncio.wait_for(waiting, polling.LONGEST_S)
        assert await who(channel) == NEW


async def test_what_stands_is_left_alone(peer: certified.Peer, files: tls.Files) -> None:
    """Renewed files end no connection: its streams and its new calls go on over it."""
    async with calling(peer, files) as channel:
        stream: Any = channel.stream_stream("/test.Peer/Echo")()
        await stream.write(b"before")
        assert await stream.read() == b"before"
        peer.certify(NEW, files)
        assert await who(channel) == FORMER
        await stream.write(b"after")
        assert await stream.read() == b"after"


async def test_a_call_under_way_ends_where_it_began(peer: certified.Peer, files: tls.Files) -> None:
    """A server that stops ends its calls in order: those under way are neither broken off nor made
    again when renewed certificates take the place of the former ones.
    """
    async with calling(peer, files) as channel:
        wait: Any = channel.unary_unary("/test.Peer/Wait")
        stream: Any = channel.stream_stream("/test.Peer/Echo")()
        await stream.write(b"before")
        assert await stream.read() == b"before"
        begun = asyncio.ensure_future(wait(b""))
        await peer.waiting.wait()
        peer.certify(NEW, files)
        stopping = asyncio.ensure_future(peer.stop(polling.LONGEST_S))
        ready = grpc.ChannelConnectivity.READY
        await polling.until(lambda: channel.get_state() is not ready)
        # It no longer listens, so that this is over another channel, in vain.
        assert await who(channel) == ""
        peer.released.set()
        assert await begun == FORMER.encode()
        await stream.write(b"after")
        assert await stream.read() == b"after"
        await stream.done_writing()
        assert await stream.code() is grpc.StatusCode.OK
        await stopping
        await peer.start(NEW)
        assert await polling.until(lambda: who(channel)) == NEW


async def test_closing_ends_calls_over_channels_that_were_replaced(
    peer: certified.Peer, files: tls.Files
) -> None:
    """Who closes a channel leaves no call behind, over whichever certificate it began."""
    async with calling(peer, files) as channel:
        wait: Any = channel.unary_unary("/test.Peer/Wait")
        begun = wait(b"")
        await peer.waiting.wait()
        peer.certify(NEW, files)
        stopping = asyncio.ensure_future(peer.stop(polling.LONGEST_S))
        ready = grpc.ChannelConnectivity.READY
        await polling.until(lambda: channel.get_state() is not ready)
        assert await who(channel) == ""
        assert not begun.done()
    await polling.until(begun.done)
    assert channel.get_state() is grpc.ChannelConnectivity.SHUTDOWN
    await stopping
    await peer.start(NEW)

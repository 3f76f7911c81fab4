"""What provider_sdk.http_client says of requests that never leave the process."""

import asyncio
import ssl

import pytest

from provider_sdk import errors, http_client


async def sent(path: str, key: str) -> tuple[errors.ProviderError, int]:
    """What sending raised, and how many connections were made for it."""
    connections = 0

    async def counted(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        writer.close()

    server = await asyncio.start_server(counted, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        client = http_client.Client(f"http://127.0.0.1:{port}")
        with pytest.raises(errors.ProviderError) as caught:
            await client.send("POST", path, timeout_s=5, headers=[("authorization", key)])
    return caught.value, connections


@pytest.mark.parametrize(
    ("path", "key"), [("/charge it", "sk_1"), ("/charge", "sk_1\nsk_2"), ("/charge", "sk_1ü")]
)
async def test_a_request_that_can_not_be_written_is_no_doubt(path: str, key: str) -> None:
    """A header or path that HTTP forbids fails for certain, without a word of its value."""
    failure, connections = await sent(path, key)
    assert isinstance(failure, errors.InvalidRequest)
    assert errors.wire_of(failure).effect == errors.NONE
    assert connections == 0
    shown = repr((failure, failure.__cause__, failure.violations))
    assert "sk_1" not in shown


async def test_a_name_that_is_none_is_unreachable() -> None:
    """A host that can't be looked up is one that nothing was sent to."""
    client = http_client.Client(f"http://{'a' * 64}.example")
    with pytest.raises(errors.Unreachable):
        await client.send("GET", "/", timeout_s=5)


async def test_certificates_are_not_read_anew_for_each_request(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """That takes tens of milliseconds in which the whole process does nothing else."""
    made: list[ssl.SSLContext] = []
    create = ssl.create_default_context

    def counted() -> ssl.SSLContext:
        made.append(create())
        return made[-1]

    monkeypatch.setattr(ssl, "create_default_context", counted)
    client = http_client.Client("https://127.0.0.1:9")
    for _ in range(3):
        with pytest.raises(errors.Unreachable):
            await client.send("GET", "/", timeout_s=5)
    assert len(made) == 1
    assert made[0].verify_mode is ssl.CERT_REQUIRED

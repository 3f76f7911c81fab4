"""What provider_sdk.http_client says of requests that never leave the process."""

import asyncio
import pathlib
import ssl
from typing import Any

import pytest

from provider_sdk import errors, http_client
from tests import certificates


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


@pytest.mark.parametrize(
    ("certificate", "trusted", "problem"),
    [
        ({"from_h": -2, "until_h": -1}, True, "expired"),
        ({"from_h": 1, "until_h": 2}, True, "not yet valid"),
        ({"address": "127.0.0.2"}, True, "mismatch"),
        ({}, False, "self-signed"),
    ],
    ids=["expired", "not yet valid", "of another", "of another authority"],
)
async def test_a_certificate_that_is_not_accepted_is_named(
    certificate: dict[str, Any],
    trusted: bool,
    problem: str,
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nothing was sent, and the failure says what is wrong with the certificate; with a good one
    the same client goes on.
    """
    requests: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        requests.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        writer.close()

    good, authority = certificates.certify(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority))
    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=good)
    port = server.sockets[0].getsockname()[1]
    client = http_client.Client(f"https://127.0.0.1:{port}")
    async with server:
        assert (await client.send("GET", "/", timeout_s=20)).status == 204
    bad, authority = certificates.certify(tmp_path, **certificate)
    if trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(authority))
        client = http_client.Client(f"https://127.0.0.1:{port}")
    async with await asyncio.start_server(answer, "127.0.0.1", port, ssl=bad):
        with pytest.raises(errors.Unreachable, match=f"certificate is not accepted.*{problem}"):
            await client.send("POST", "/charge", timeout_s=20)
    assert len(requests) == 1


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

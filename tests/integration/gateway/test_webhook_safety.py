"""What keeps webhooks out safe: signatures, secrets, and targets nobody may reach."""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
from typing import Any

import aiohttp
import aiohttp.abc
import grpc
import pytest

from event_gateway.webhooks_out import sender, signing
from servicekit import clock
from tests.integration.gateway import harness, hooks, receiving


async def test_rotation_signs_with_both_for_a_while(
    sending: harness.Gateway, tenant: str, hook: receiving.Receiver
) -> None:
    """During the overlap both secrets verify; without one only the new secret does."""
    client = sending.tenant(tenant, hooks.ALL)
    made = await hooks.make(client, hook.url)
    rotate = {"id": made.endpoint.id, "idempotency_key": "k1"}
    fresh = (await client.hook("RotateWebhookSecret", **rotate)).secret
    assert (await client.hook("RotateWebhookSecret", **rotate)).secret == fresh
    tested = await client.hook("SendTestWebhook", id=made.endpoint.id)
    assert (tested.delivered, tested.attempt.status_code) == (True, 200)
    assert hook.got[0].body["type"] == "webhook.test"
    assert hook.got[0].verified(made.secret)
    assert hook.got[0].verified(fresh)
    last = await client.hook(
        "RotateWebhookSecret", id=made.endpoint.id, overlap={}, idempotency_key="k2"
    )
    await client.hook("SendTestWebhook", id=made.endpoint.id)
    assert hook.got[1].verified(last.secret)
    assert not hook.got[1].verified(fresh)
    assert await hooks.events_about(client) == ["created", "secret_rotated", "secret_rotated"]


async def test_targets_in_private_networks_are_refused(
    tmp_path: Any, hook: receiving.Receiver
) -> None:
    """By default only https to public addresses: refused when stored, and when a name leads
    there later; a time-out and a closed port are named.
    """
    url = f"sqlite:///{tmp_path}/events.db"
    with harness.running(url, EVENT_GATEWAY_WEBHOOK_PLAIN_HTTP="true") as gateway:
        client = gateway.tenant("one", hooks.ALL)
        for target in (
            hook.url,
            "http://localhost/",
            "https://10.1.2.3/",
            "https://169.254.169.254/latest",
            "https://[::1]/",
            "https://[::ffff:127.0.0.1]/",
            "https://2130706433/",
            "https://user:pw@example.com/",
            "ftp://example.com/",
        ):
            with pytest.raises(grpc.RpcError) as refused:
                await hooks.make(client, target)
            assert "endpoint.url" in harness.violations(refused.value), target
        # A name that resolves to this host, as one under an attacker's control would.
        made = await hooks.make(client, f"http://ip6-loopback.:{hook.port}/")
        tested = await client.hook("SendTestWebhook", id=made.endpoint.id)
        assert tested.attempt.transport_error in ("BLOCKED_ADDRESS", "DNS")
        assert not hook.got
        assert (tmp_path / "gateway.key").stat().st_mode & 0o077 == 0


class _Names(aiohttp.abc.AbstractResolver):
    """A name server under an attacker's control."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = addresses
        self.asked = 0

    async def resolve(self, host: str, port: int = 0, family: Any = 0) -> list[Any]:
        """Returns the addresses, whatever is asked."""
        self.asked += 1
        return [
            {"hostname": host, "host": one, "port": port, "family": 2, "proto": 0, "flags": 0}
            for one in self.addresses
        ]

    async def close(self) -> None:
        """Has nothing to close."""


async def test_a_name_is_resolved_once_and_its_addresses_are_checked(
    hook: receiving.Receiver,
) -> None:
    """A name that leads into a private network is not connected to, nor one that leads there
    beside a public address; an allowed one is asked for once per connection.
    """

    async def sent(names: _Names, *, private: bool) -> sender.Answer:
        send = sender.Sender(private=private, time=clock.SystemClock(), resolver=names)
        answer = await send.send(
            f"http://receiver.example:{hook.port}/",
            secrets=[signing.new_secret()],
            message_id="evt_1",
            body=b"{}",
            timeout_s=harness.TIMEOUT_S,
        )
        await send.close()
        return answer

    for addresses in (("127.0.0.1",), ("93.184.215.14", "127.0.0.1")):
        names = _Names(*addresses)
        answer = await sent(names, private=False)
        assert (answer.problem, answer.status, names.asked) == ("BLOCKED_ADDRESS", 0, 1)
    assert not hook.got
    names = _Names("127.0.0.1")
    answer = await sent(names, private=True)
    assert (answer.delivered, names.asked) == (True, 1)
    assert hook.got[0].headers["host"] == f"receiver.example:{hook.port}"


_CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
# More than the buffers between hold once nobody reads.
_TOO_MUCH_BYTES = 512 << 10


@pytest.mark.parametrize(
    ("begins", "goes_on", "status"),
    [
        pytest.param(b"", b"HTTP/1.1 103 Early Hints\r\n\r\n", 0, id="informational"),
        pytest.param(_CHUNKED, b"0", 200, id="size"),
        pytest.param(_CHUNKED + b"1;", b"x", 200, id="extension"),
    ],
)
async def test_an_answer_without_an_end_is_not_read_to_its_end(
    begins: bytes, goes_on: bytes, status: int
) -> None:
    """However an answer goes on, and as fast as it comes, some kilobytes of it are read."""
    taken = 0

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal taken
        await reader.readuntil(b"\r\n\r\n")
        connection = writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        writer.write(begins)
        with contextlib.suppress(ConnectionError):
            while taken < _TOO_MUCH_BYTES:
                writer.write(goes_on * 1000)
                await writer.drain()
                taken += len(goes_on) * 1000
        writer.transport.abort()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        send = sender.Sender(private=True, time=clock.SystemClock())
        answered = await send.send(
            f"http://127.0.0.1:{port}/",
            secrets=[signing.new_secret()],
            message_id="evt_1",
            body=b"{}",
            timeout_s=0.5,
        )
        await send.close()
    assert answered.status == status
    assert answered.problem == ("" if status else "TIMEOUT")
    assert taken < _TOO_MUCH_BYTES


@pytest.mark.timeout(120)
async def test_encryption_keys_rotate(tmp_path: Any, hook: receiving.Receiver) -> None:
    """Secrets written under an old key open while that is listed; after the command the new one
    is enough. A malformed key is listed with whatever else is wrong, and the exit status is 2.
    """
    url = f"sqlite:///{tmp_path}/events.db"
    keys = harness.Keys()
    keys.start()
    old, new = (run("new-encryption-key").stdout.strip() for _ in range(2))
    env = {**hooks.SETTINGS, "EVENT_GATEWAY_ENCRYPTION_KEYS": old}
    gateway = harness.Gateway(keys, url, **env)
    try:
        gateway.start()
        key = keys.add("one", hooks.ALL)
        made = await hooks.make(gateway.client(key), hook.url)
        gateway.signal(signal.SIGTERM)
        await asyncio.to_thread(gateway.ended)
        both = {"EVENT_GATEWAY_DATABASE_URL": url, "EVENT_GATEWAY_ENCRYPTION_KEYS": f"{new},{old}"}
        assert "1 endpoints" in run("rotate-encryption-key", **both).stdout
        gateway.start(EVENT_GATEWAY_ENCRYPTION_KEYS=new)
        again = await hooks.make(gateway.client(key), hook.url)
        assert again.secret == made.secret
    finally:
        gateway.stop()
        keys.stop()
    wrong = {"EVENT_GATEWAY_ENCRYPTION_KEYS": "nonsense", "EVENT_GATEWAY_GRPC_PORT": "none"}
    broken = run("serve", EVENT_GATEWAY_DATABASE_URL=url, **wrong)
    assert broken.returncode == 2
    listed = sorted(line.partition(":")[0] for line in broken.stderr.splitlines())
    assert listed == sorted(wrong)
    (tmp_path / "gateway.key").write_text("nonsense")
    broken = run("serve", EVENT_GATEWAY_DATABASE_URL=url)
    assert broken.returncode == 2
    assert broken.stderr.startswith("EVENT_GATEWAY_ENCRYPTION_KEY_PATH: ")
    assert len(broken.stderr.splitlines()) == 1


@pytest.mark.timeout(120)
async def test_a_lost_encryption_key_is_told_and_survived(
    tmp_path: Any, hook: receiving.Receiver
) -> None:
    """Nothing is sent without the key, and the log says so at the start, and the count of attempts;
    a secret that is made anew without an overlap signs what waited.
    """
    url = f"sqlite:///{tmp_path}/events.db"
    keys = harness.Keys()
    keys.start()
    old, new = (run("new-encryption-key").stdout.strip() for _ in range(2))
    env = {**hooks.SETTINGS, "EVENT_GATEWAY_ENCRYPTION_KEYS": old}
    gateway = harness.Gateway(keys, url, **env)
    try:
        gateway.start()
        key = keys.add("one", hooks.ALL)
        made = await hooks.make(gateway.client(key), hook.url)
        gateway.stop_process()
        told = "secrets of webhook endpoints open with none of the keys"
        assert told not in gateway.log()
        gateway.start(EVENT_GATEWAY_ENCRYPTION_KEYS=new)
        line = next(line for line in gateway.log().splitlines() if told in line)
        assert made.endpoint.id in line
        client = gateway.client(key)
        await client.publish(harness.event("one"))
        count = 'payhub_gateway_webhook_attempts_total{outcome="ENCRYPTION_KEY_MISSING"} '

        async def is_counted() -> bool:
            address = f"http://{gateway.http}/metrics"
            async with aiohttp.ClientSession() as session, session.get(address) as page:
                return count in await page.text()

        await harness.until(is_counted, 30)
        rotate = {"id": made.endpoint.id, "idempotency_key": "k1"}
        with pytest.raises(grpc.RpcError) as refused:
            await client.hook("RotateWebhookSecret", **rotate)
        assert harness.reason(refused.value) == "ENCRYPTION_KEY_MISSING"
        fresh = await client.hook("RotateWebhookSecret", **rotate, overlap={})
        await client.hook("SendTestWebhook", id=made.endpoint.id)
        assert hook.got[0].verified(fresh.secret)
    finally:
        gateway.stop()
        keys.stop()


def run(command: str, **env: str) -> "subprocess.CompletedProcess[str]":
    """Runs a command of the gateway to its end."""
    plain = {name: value for name, value in os.environ.items() if "EVENT_GATEWAY" not in name}
    return subprocess.run(
        [sys.executable, "-m", "event_gateway", command],
        env={**plain, "EVENT_GATEWAY_GRPC_PORT": "0", "EVENT_GATEWAY_HTTP_PORT": "0", **env},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

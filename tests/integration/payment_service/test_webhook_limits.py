"""Webhooks in, when there are too many of them: what they may take is bounded."""

import asyncio

import pytest
from payhub.provider.v1 import operation_pb2

from payment_service.usecases.webhooks import receiving, replaying
from payment_service.webhooks import endpoint
from tests.integration.payment_service import hooking, rig

_O = operation_pb2.Operation


async def test_what_can_not_be_verified_is_kept_within_bounds(
    hooks: hooking.Hooks, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While a sidecar is away nobody's webhook can be refused, and anybody may send some."""
    monkeypatch.setattr(receiving, "UNVERIFIED_MAX", 2)
    report = _O(operation_id=f"op_{'0' * 32}", state=_O.STATE_SUCCEEDED)
    await hooks.bank.stop()
    sent = [await hooks.send(hooks.told(operations=[report])) for _ in range(4)]
    assert [status for status, _ in sent] == [503] * 4
    found = [await hooks.get(webhook_id) for _, webhook_id in sent]
    assert [(rig.state(one.webhook), bool(one.body)) for one in found] == [
        *[("RECEIVED", True)] * 2,
        *[("REJECTED", False)] * 2,
    ]


async def test_a_process_with_too_much_to_do_keeps_nothing(
    hooks: hooking.Hooks, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A webhook that finds no room is told to come back, as a call is, and leaves nothing."""
    monkeypatch.setattr(hooks.service.parts.ctx.tracker, "_limit", 0)
    url = f"{hooks.url}/webhooks/mock/{hooks.binding_id}"
    async with hooks.session.post(url, data=b"{}") as response:
        assert (response.status, response.headers.get("Retry-After")) == (503, "5")
    assert hooks.records.rows("select id from inbound_webhooks") == []


async def test_slow_bodies_keep_no_webhook_out(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who only begins to send, and anybody may, gives way to who waits for a place."""
    monkeypatch.setattr(endpoint, "SLOW_S", 0.2)
    async with hooking.running(database_url, webhook_concurrency_max=2) as hooks:
        host, _, port = hooks.url.removeprefix("http://").rpartition(":")
        head = f"POST /webhooks/mock/{hooks.binding_id} HTTP/1.1\r\nHost: x\r\n"
        slow = [await asyncio.open_connection(host, int(port)) for _ in range(4)]
        for _, writer in slow:
            writer.write(f"{head}Content-Length: 1000\r\n\r\n{{".encode())
        # As many as there are places: none of the slow ones is in nobody's way.
        sent = await asyncio.gather(*(hooks.send(hooks.told()) for _ in range(2)))
        assert [status for status, _ in sent] == [200, 200]
        async with asyncio.timeout(endpoint.READ_TIMEOUT_S / 2):
            # They were in the way, are sent away, and their connections closed.
            for reader, writer in slow:
                answer = await reader.read()
                assert answer.startswith(b"HTTP/1.1 503")
                assert b"retry-after: 5" in answer
                writer.close()


async def test_old_webhooks_are_forgotten(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only as many rejected requests are kept as the operator wants, however fast more come,
    and no credentials.
    """
    monkeypatch.setattr(replaying, "PRUNE_MAX", 2)
    async with hooking.running(database_url, webhook_rejected_max=3) as hooks:
        for _ in range(8):
            await hooks.send(hooks.told(), secret=b"whsec_wrong")
        _, kept = await hooks.send(hooks.told(irrelevant=True))
        await hooks.service.parts.webhook_cases.prune()
        assert hooks.records.rows("select count(*) from inbound_webhooks where state = 5") == [(3,)]
        whole = await hooks.get(kept)
        assert rig.state(whole.webhook) == "IGNORED"
        assert "authorization" not in whole.headers

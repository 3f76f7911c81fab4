"""The upstream double goes wrong exactly as it is asked to, and tells what happened."""

import asyncio
import json
import urllib.parse
from collections.abc import AsyncIterator, Callable

import pytest
import pytest_asyncio

from provider_sdk import errors, http_client
from provider_sdk.conformance import upstream as upstreams
from tests.integration.provider import rig

BODY = json.dumps(
    {"kind": "sale", "amount_minor": 1_000, "currency": "EUR", "instrument": "tok_approve"}
).encode()

Fault = Callable[[upstreams.Upstream], None]


@pytest_asyncio.fixture
async def upstream() -> AsyncIterator[upstreams.Upstream]:
    """A double of the test's own."""
    double = upstreams.Upstream()
    await double.start()
    yield double
    await double.close()


async def _pay(
    upstream: upstreams.Upstream, key: str = "key", *, timeout_s: float = 10.0
) -> http_client.Response:
    client = http_client.Client(upstream.url)
    headers = [("idempotency-key", key), ("account", "a")]
    return await client.send(
        "POST", "/v1/operations", timeout_s=timeout_s, headers=headers, body=BODY
    )


async def _find(upstream: upstreams.Upstream, key: str = "key") -> int:
    client = http_client.Client(upstream.url)
    headers = [("account", "a")]
    return (await client.send("GET", f"/v1/operations/{key}", timeout_s=5, headers=headers)).status


async def test_it_books_and_finds(upstream: upstreams.Upstream) -> None:
    """A repeat is the same operation; every request is logged."""
    first = await _pay(upstream)
    again = await _pay(upstream)
    assert (first.status, first.body) == (200, again.body)
    assert len(upstream.effects("key")) == 1
    assert (await _find(upstream), await _find(upstream, "other")) == (200, 404)
    assert (upstream.request_count, upstream.mutation_count) == (4, 2)
    assert [one.acted for one in upstream.exchanges] == [True, True, True, False]


@pytest.mark.parametrize(
    ("fault", "effects", "timeout_s"),
    [
        (lambda double: double.close_after_reading(), 0, 10.0),
        (lambda double: double.close_after_reading(acts=True), 1, 10.0),
        (lambda double: double.answer_raw(b"\x00"), 1, 10.0),
        (lambda double: double.hang(), 0, 1.0),
    ],
)
async def test_requests_without_an_answer(
    upstream: upstreams.Upstream, fault: Fault, effects: int, timeout_s: float
) -> None:
    """The client can't tell what happened; the double can, and is well again when told so."""
    fault(upstream)
    with pytest.raises(errors.NoAnswer):
        await _pay(upstream, timeout_s=timeout_s)
    assert len(upstream.effects()) == effects
    upstream.lift()
    assert (await _pay(upstream)).status == 200
    assert len(upstream.effects()) == 1


async def test_down_means_refused_on_the_same_port(upstream: upstreams.Upstream) -> None:
    """Nothing listens, nobody else gets the port, and `reset` brings it back."""
    url = upstream.url
    upstream.go_down()
    with pytest.raises(errors.Unreachable):
        await _pay(upstream)
    upstream.reset()
    assert upstream.url == url
    assert (await _pay(upstream)).status == 200


async def test_hanging_up_ends_on_both_sides(
    upstream: upstreams.Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kept connection is gone for the client too before anything else happens."""
    monkeypatch.setattr(upstreams, "FAREWELL_MAX_S", 60.0)
    port = urllib.parse.urlsplit(upstream.url).port
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /v1/account HTTP/1.1\r\nHost: double\r\n\r\n")
    assert await reader.readline() == b"HTTP/1.1 200 OK\r\n"
    hanging_up = asyncio.create_task(upstream.hang_up())
    await reader.read()
    assert not hanging_up.done()
    writer.close()
    await writer.wait_closed()
    await asyncio.wait_for(hanging_up, timeout=20)


async def test_faults_strike_only_what_they_are_for(upstream: upstreams.Upstream) -> None:
    """Look-ups go on while operations fail, and refused requests book nothing."""
    await _pay(upstream)
    upstream.fail(503)
    assert ((await _pay(upstream, "b")).status, await _find(upstream)) == (503, 200)
    upstream.limit_rate("9")
    limited = await _pay(upstream, "b")
    assert (limited.status, limited.headers["retry-after"]) == (429, "9")
    upstream.reject_credentials(403)
    assert await _find(upstream) == 403
    upstream.lift()
    assert await _find(upstream, "b") == 404


async def test_a_client_that_hangs_up_is_noticed(upstream: upstreams.Upstream) -> None:
    """A held request that loses its client is marked and books nothing."""
    upstream.pause()
    calling = asyncio.create_task(_pay(upstream))
    await rig.until(lambda: bool(upstream.mutations()))
    calling.cancel()
    await rig.until(lambda: upstream.mutations()[0].aborted)
    upstream.release()
    assert upstream.effects() == []


async def test_held_requests_go_on_when_released(upstream: upstreams.Upstream) -> None:
    """Ten requests wait together and are all answered."""
    upstream.pause(acts=True)
    calling = [asyncio.create_task(_pay(upstream, f"key{number}")) for number in range(10)]
    await rig.until(lambda: len(upstream.effects()) == 10)
    upstream.release()
    answers = await asyncio.gather(*calling)
    assert {answer.status for answer in answers} == {200}


async def test_reset_forgets_faults_and_counts_but_no_money(upstream: upstreams.Upstream) -> None:
    """What an earlier check paid can still be found."""
    await _pay(upstream)
    upstream.hang()
    upstream.reset()
    assert (upstream.effects(), upstream.request_count) == ([], 0)
    assert await _find(upstream) == 200


async def test_rubbish_ends_only_its_connection(upstream: upstreams.Upstream) -> None:
    """What is no HTTP, or too large, is dropped, and others are served."""
    host, port = upstream.url.removeprefix("http://").split(":")
    for rubbish in (b"\x00\xff\r\n\r\n", b"GET " + b"x" * 100_000):
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(rubbish)
        async with asyncio.timeout(10):
            assert await reader.read() == b""
        writer.close()
    assert (await _pay(upstream)).status == 200

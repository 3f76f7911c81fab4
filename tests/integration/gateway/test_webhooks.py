"""Webhooks out, sent to a real HTTP server, on both databases: the paragraph row by row."""

import asyncio
import base64
import itertools
import signal
import time
from typing import Any

import grpc
import pytest
from aiohttp import web
from payhub.events.v1 import webhook_pb2
from payhub.payments.v1 import payment_events_pb2

from tests.integration.gateway import harness, hooks, receiving
from tests.integration.gateway.harness import event

State = webhook_pb2.WebhookEndpoint
Delivery = webhook_pb2.WebhookDelivery


async def test_signed_events_reach_their_endpoint(
    database_url: str, hook: receiving.Receiver
) -> None:
    """Id, time and a signature that the reference library accepts; the payload as JSON; a
    killed gateway sends what was not confirmed, and the secret is nowhere in the clear.
    """
    with harness.running(database_url, **hooks.SETTINGS, **hooks.SOON_MOVED) as gateway:
        client = gateway.tenant("one", hooks.ALL)
        made = await hooks.make(client, hook.url)
        again = await hooks.make(client, hook.url)
        assert (again.endpoint, again.secret) == (made.endpoint, made.secret)
        payload = payment_events_pb2.PaymentEvent()
        payload.payment.id = "pay_1"
        sent = event(
            "one",
            data=payload.SerializeToString(),
            content_type="application/protobuf",
            data_schema=payload.DESCRIPTOR.full_name,
        )
        await client.publish(sent, event("one", type="refund.created"))
        await harness.until(lambda: len(hook.got) == 1)
        (got,) = hook.got
        assert got.event_id == sent.id
        assert abs(int(got.headers["webhook-timestamp"]) - time.time()) < 30
        assert got.verified(made.secret)
        assert not got.verified("whsec_" + base64.b64encode(b"x" * 32).decode())
        assert got.body["type"] == "payment.created"
        assert got.body["data"]["payload"]["payment"] == {"id": "pay_1"}
        assert got.body["data"]["entity_id"] == "pay_1"

        hook.answer = 500
        later = event("one", entity_id="pay_2")
        await client.publish(later)
        await harness.until(lambda: len(hook.got) >= 2)
        gateway.signal(signal.SIGKILL)
        await asyncio.to_thread(gateway.ended)
        hook.answer = 200
        seen = len(hook.got)
        gateway.start()
        client = gateway.client(client.key)
        await harness.until(lambda: later.id in {each.event_id for each in hook.got[seen:]}, 20)

        async def delivered() -> bool:
            states = [each.state for each in await hooks.logged(client, made)]
            return states == [Delivery.STATE_DELIVERED] * 2

        await harness.until(delivered)
        assert await hooks.events_about(client) == ["created"]
        assert made.secret not in gateway.log()
    if database_url.startswith("sqlite"):
        path = database_url.removeprefix("sqlite:///")
        with open(path, "rb") as file:  # noqa: ASYNC230, PTH123
            assert made.secret.encode()[10:] not in file.read()


async def test_ids_that_no_header_carries_are_delivered_too(
    tmp_path: Any, hook: receiving.Receiver
) -> None:
    """An event whose id has line ends, blanks or characters beyond ASCII arrives like any other,
    under a digest that the signature covers; the body has its id.
    """
    odd = ["evt_1\r\nx-other: y", " evt_blank ", "evt_\u00e9\u00e9\u00e9\u00e9"]
    with harness.running(f"sqlite:///{tmp_path}/events.db", **hooks.SETTINGS) as gateway:
        client = gateway.tenant("one", hooks.ALL)
        made = await hooks.make(client, hook.url)
        await client.publish(*(event("one", id=each, entity_id=each) for each in odd))
        await harness.until(lambda: len(hook.got) == len(odd))
        assert all(each.verified(made.secret) for each in hook.got)
        assert {each.body["data"]["id"] for each in hook.got} == set(odd)
        assert len({each.event_id for each in hook.got}) == len(odd)
        assert all(each.event_id.startswith("evt_") for each in hook.got)


async def test_only_2xx_is_success_and_attempts_are_logged(
    sending: harness.Gateway, tenant: str, hook: receiving.Receiver
) -> None:
    """Redirects and errors are tried again by the schedule, then given up; the log shows status
    and the beginning of the answer; what failed can be sent again.
    """
    client = sending.tenant(tenant, hooks.ALL)
    made = await hooks.make(client, hook.url, retry_schedule=hooks.FAST * 2)
    moved = web.Response(status=302, headers={"location": hook.url})
    hook.answers = [lambda _: moved, 404, 500]
    sent = event(tenant)
    sent_at = {"seconds": int(time.time())}
    await client.publish(sent)

    async def failed() -> bool:
        return [each.state for each in await hooks.logged(client, made)] == [Delivery.STATE_FAILED]

    await harness.until(failed)
    assert len(hook.got) == 3
    assert {each.event_id for each in hook.got} == {sent.id}
    (found,) = await hooks.logged(client, made, event_id=sent.id)
    assert [each.status_code for each in found.attempts] == [302, 404, 500]
    assert [each.number for each in found.attempts] == [1, 2, 3]
    assert found.attempts[1].response_excerpt == "thanks  a lot"
    gaps = [b.at_s - a.at_s for a, b in zip(hook.got, hook.got[1:], strict=False)]
    assert all(gap >= 0.08 for gap in gaps)

    async def given_up() -> bool:
        found = (await client.hook("GetWebhookEndpoint", id=made.endpoint.id)).status
        return (found.failed, found.queued, found.HasField("failing_since")) == (1, 0, True)

    await harness.until(given_up)
    retry = {"endpoint_id": made.endpoint.id, "failed_since": {"seconds": 1}}
    queued = await client.hook("RetryWebhookDeliveries", **retry, idempotency_key="r1")
    assert queued.queued == 1
    assert await client.hook("RetryWebhookDeliveries", **retry, idempotency_key="r1") == queued
    await harness.until(lambda: len(hook.got) == 4)
    assert not await hooks.logged(client, made, state=Delivery.STATE_PENDING)

    async def replayed(**selection: Any) -> None:
        before = len(hook.got)
        answer = await client.hook(
            "RetryWebhookDeliveries",
            endpoint_id=made.endpoint.id,
            idempotency_key=str(selection),
            **selection,
        )
        assert answer.queued == 1
        await harness.until(lambda: len(hook.got) == before + 1)
        assert hook.got[-1].event_id == sent.id

    async def settled() -> bool:
        found = (await client.hook("GetWebhookEndpoint", id=made.endpoint.id)).status
        return (found.failed, found.queued) == (0, 0)

    await harness.until(settled)
    await replayed(event_id=sent.id)
    await harness.until(settled)
    for place in ({"anchor": "ANCHOR_OLDEST"}, {"from_time": sent_at}):
        await replayed(replay_from=place)
        await harness.until(settled)
    with pytest.raises(grpc.RpcError) as unknown:
        await client.hook(
            "RetryWebhookDeliveries",
            endpoint_id=made.endpoint.id,
            event_id="evt_none",
            idempotency_key="x",
        )
    assert unknown.value.code() == grpc.StatusCode.NOT_FOUND
    with pytest.raises(grpc.RpcError) as wrong:
        await client.hook(
            "RetryWebhookDeliveries",
            endpoint_id=made.endpoint.id,
            failed_since={"seconds": 10**15},
            idempotency_key="y",
        )
    assert harness.violations(wrong.value) == ["failed_since"]


async def test_an_event_that_waits_to_be_sent_again_is_not_queued_twice(
    sending: harness.Gateway, tenant: str, hook: receiving.Receiver
) -> None:
    """The second of two requests says that it sends nothing; the event goes out once more."""
    client = sending.tenant(tenant, hooks.ALL)
    made = await hooks.make(client, hook.url)
    sent, number = event(tenant), itertools.count(1)
    await client.publish(sent)

    async def change(state: Any) -> None:
        change = {"id": made.endpoint.id, "state": state}
        await client.hook(
            "UpdateWebhookEndpoint", endpoint=change, update_mask={"paths": ["state"]}
        )

    async def queued() -> int:
        retry = {"endpoint_id": made.endpoint.id, "event_id": sent.id}
        key = f"retry-{next(number)}"
        answer = await client.hook("RetryWebhookDeliveries", **retry, idempotency_key=key)
        return int(answer.queued)

    async def settled() -> bool:
        found = await client.hook("GetWebhookEndpoint", id=made.endpoint.id)
        return len(hook.got) > 0 and found.status.queued == 0

    await harness.until(settled)
    await change(State.STATE_PAUSED)
    assert [await queued(), await queued()] == [1, 0]
    await change(State.STATE_ENABLED)
    await harness.until(lambda: len(hook.got) == 2, 25)
    await harness.until(settled)
    assert await queued() == 1
    await harness.until(lambda: len(hook.got) == 3)


async def test_retry_after_throttles_the_endpoint(
    sending: harness.Gateway, tenant: str, hook: receiving.Receiver
) -> None:
    """429 and 503 with Retry-After: nothing more goes to the endpoint until then."""
    client = sending.tenant(tenant, hooks.ALL)
    await hooks.make(client, hook.url, max_in_flight=1)
    hook.answers = [lambda _: web.Response(status=429, headers={"retry-after": "2"})]
    await client.publish(event(tenant))
    await harness.until(lambda: len(hook.got) == 1)
    await client.publish(event(tenant, entity_id="pay_2"))
    await harness.until(lambda: len(hook.got) == 3, 20)
    assert hook.got[1].at_s - hook.got[0].at_s >= 1.9


async def test_410_and_long_failure_disable(tmp_path: Any, hook: receiving.Receiver) -> None:
    """A receiver that is gone, or fails for too long, is disabled with an event; enabled again
    it gets what comes from then on. What it answered that it is gone to counts as failed.
    """
    url = f"sqlite:///{tmp_path}/events.db"
    limits = {**hooks.SETTINGS, "EVENT_GATEWAY_WEBHOOK_DISABLE_AFTER_S": "0.5"}
    with harness.running(url, **limits) as gateway:
        client = gateway.tenant("one", hooks.ALL)
        made = await hooks.make(client, hook.url, retry_schedule=hooks.FAST * 20)

        async def state() -> Any:
            return (await client.hook("GetWebhookEndpoint", id=made.endpoint.id)).endpoint

        async def is_disabled() -> bool:
            return bool((await state()).state == State.STATE_DISABLED)

        async def enable() -> None:
            change = {"id": made.endpoint.id, "state": State.STATE_ENABLED}
            await client.hook(
                "UpdateWebhookEndpoint", endpoint=change, update_mask={"paths": ["state"]}
            )

        hook.answer = 500
        await client.publish(event("one"))
        await harness.until(is_disabled)
        assert (await state()).disabled_reason.endswith("last: HTTP 500")
        missed = event("one", entity_id="pay_2")
        await client.publish(missed)
        places: list[Any] = [{"event_id": missed.id}, {"replay_from": {"anchor": "ANCHOR_OLDEST"}}]
        for number, place in enumerate([*places, {"failed_since": {"seconds": 1}}]):
            retry = {"endpoint_id": made.endpoint.id, "idempotency_key": str(number), **place}
            with pytest.raises(grpc.RpcError) as refused:
                await client.hook("RetryWebhookDeliveries", **retry)
            assert harness.reason(refused.value) == "WEBHOOK_ENDPOINT_DISABLED"
        await enable()
        hook.answer = 410
        fresh = event("one", entity_id="pay_3")
        await client.publish(fresh)
        await harness.until(is_disabled, 25)
        assert (await state()).disabled_reason == "it answered 410 Gone"
        assert hook.got[-1].event_id == fresh.id
        assert missed.id not in {each.event_id for each in hook.got}
        assert await hooks.events_about(client) == ["created", "disabled", "updated", "disabled"]

        async def given_up() -> bool:
            found = await client.hook("GetWebhookEndpoint", id=made.endpoint.id)
            return bool(found.status.failed == 1)

        await harness.until(given_up)
        hook.answer, seen = 200, len(hook.got)
        await enable()
        retry = {"endpoint_id": made.endpoint.id, "failed_since": {"seconds": 1}}
        answer = await client.hook("RetryWebhookDeliveries", **retry, idempotency_key="again")
        assert answer.queued == 1
        await harness.until(lambda: [each.event_id for each in hook.got[seen:]] == [fresh.id], 25)


async def test_a_dead_endpoint_delays_no_other_and_order_is_a_choice(
    sending: harness.Gateway, tenant: str, hook: receiving.Receiver
) -> None:
    """One that never answers holds its own requests, at most max_in_flight; an ordered one gets
    the events of an entity one after the other.
    """
    client = sending.tenant(tenant, hooks.ALL)
    async with receiving.receiver() as dead, receiving.receiver() as ordered:
        dead.hold = asyncio.Event()
        await hooks.make(client, dead.url, max_in_flight=2, timeout={"seconds": 30})
        await hooks.make(client, hook.url)
        await hooks.make(client, ordered.url, ordered=True, retry_schedule=hooks.FAST * 5)
        ordered.answers = [500, 500]
        made = [event(tenant, entity_id="a", entity_version=n) for n in range(1, 21)]
        await client.publish(*made)
        await harness.until(lambda: len(hook.got) == 20)
        await harness.until(lambda: len(ordered.got) == 22)
        versions = [each.body["data"]["entity_version"] for each in ordered.got]
        assert versions == [1, 1, 1, *range(2, 21)]
        await harness.until(lambda: len(dead.got) == 2)
        assert dead.most_open == 2


async def test_bad_answers_are_bounded_and_named(
    sending: harness.Gateway, tenant: str, hook: receiving.Receiver
) -> None:
    """A slow receiver is a TIMEOUT, a closed port CONNECT, and of a huge answer only the
    beginning is read; pausing keeps events, deleting drops them.
    """
    client = sending.tenant(tenant, hooks.ALL)
    closed = await hooks.make(client, "http://127.0.0.1:9/")
    tested = await client.hook("SendTestWebhook", id=closed.endpoint.id)
    assert tested.attempt.transport_error == "CONNECT"
    made = await hooks.make(client, hook.url)

    async def change(**fields: Any) -> None:
        await client.hook(
            "UpdateWebhookEndpoint",
            endpoint={"id": made.endpoint.id, **fields},
            update_mask={"paths": list(fields)},
        )

    hook.answers = [lambda _: web.Response(text="x" * 5_000_000)]
    tested = await client.hook("SendTestWebhook", id=made.endpoint.id)
    assert (tested.delivered, len(tested.attempt.response_excerpt)) == (True, 1024)
    await change(timeout={"seconds": 1})
    hook.hold = asyncio.Event()
    tested = await client.hook("SendTestWebhook", id=made.endpoint.id)
    assert tested.attempt.transport_error == "TIMEOUT"
    hook.hold.set()
    hook.hold = None
    seen = len(hook.got)
    await change(state=State.STATE_PAUSED, timeout={"seconds": 15})
    kept = event(tenant)
    await client.publish(kept)

    async def queued() -> bool:
        status = (await client.hook("GetWebhookEndpoint", id=made.endpoint.id)).status
        return bool(status.queued == 1)

    await harness.until(queued)
    await change(state=State.STATE_ENABLED)
    await harness.until(lambda: len(hook.got) > seen, 25)
    assert hook.got[-1].event_id == kept.id
    for _ in range(2):
        await client.hook("DeleteWebhookEndpoint", id=made.endpoint.id)
    with pytest.raises(grpc.RpcError) as gone:
        await client.hook("GetWebhookEndpoint", id=made.endpoint.id)
    assert gone.value.code() == grpc.StatusCode.NOT_FOUND
    other = sending.tenant(f"{tenant}-2", hooks.ALL)
    with pytest.raises(grpc.RpcError) as foreign:
        await other.hook("GetWebhookEndpoint", id=closed.endpoint.id)
    assert foreign.value.code() == grpc.StatusCode.NOT_FOUND
    with pytest.raises(grpc.RpcError) as scope:
        await sending.tenant(tenant).hook("ListWebhookEndpoints")
    assert harness.reason(scope.value) == "SCOPE_MISSING"


async def test_replicas_share_endpoints_and_take_over(
    new_postgres_database: Any, hook: receiving.Receiver
) -> None:
    """When the replica that sends is killed another one goes on; nothing is lost. Requests with
    one idempotency key that race make one endpoint.
    """
    url = new_postgres_database()
    keys = harness.Keys()
    keys.start()
    settings = {**hooks.SETTINGS, **hooks.SOON_MOVED}
    gateways = [harness.Gateway(keys, url, **settings) for _ in range(2)]
    try:
        for each in gateways:
            each.start()
        key = keys.add("one", hooks.ALL)
        client = gateways[0].client(key)
        clients = [each.client(key) for each in gateways]
        raced = await asyncio.gather(*(hooks.make(clients[n % 2], hook.url) for n in range(6)))
        made = raced[0]
        assert {(each.endpoint.id, each.secret) for each in raced} == {
            (made.endpoint.id, made.secret)
        }
        await client.publish(*(event("one", entity_id=f"p{n}") for n in range(10)))
        await harness.until(lambda: len({each.event_id for each in hook.got}) == 10)
        at = 0 if f'"consumer":"{made.endpoint.id}"' in gateways[0].log() else 1
        gateways[at].signal(signal.SIGKILL)
        await asyncio.to_thread(gateways[at].ended)
        other = gateways[1 - at].client(key)
        await other.publish(*(event("one", entity_id=f"q{n}") for n in range(10)))
        await harness.until(lambda: len({each.event_id for each in hook.got}) == 20, 20)
        await harness.until(lambda: f'"consumer":"{made.endpoint.id}"' in gateways[1 - at].log())
    finally:
        for each in gateways:
            each.stop()
        keys.stop()

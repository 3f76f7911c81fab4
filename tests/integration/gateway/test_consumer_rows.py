"""The rows of consumers: who runs one, and when one that nobody uses goes."""

import asyncio
import functools
import types
from typing import Any
from unittest import mock

import pytest
from payhub.events.v1 import consumer_pb2, webhook_pb2
from payhub.events.v1 import consumer_service_pb2 as service_pb

from event_gateway import gateway, telling, watching
from event_gateway.api import consumer_admin
from event_gateway.consumers import changes as consumer_changes
from event_gateway.consumers import policy, records
from event_gateway.db import consumers, lag, parking, progress, webhook_log, webhooks
from event_gateway.webhooks_out import changes, definition, pool
from servicekit import auth, errors, metrics, rpc, storage
from tests import fake_clock
from tests.integration.gateway import harness, one_group

LEASE_US = 60_000_000
# When everything has aged.
FAR_US = 2**62
_OLDEST = storage.Statement("update log_head set oldest = 1")


async def test_one_owner_at_a_time_and_idle_ones_go(database_url: str) -> None:
    """A good lease keeps others out; a released one does not; a consumer that nobody used for
    its idle expiry is deleted, but never one that somebody runs.
    """
    await asyncio.to_thread(storage.migrate, database_url, gateway.MIGRATIONS)
    database = await storage.open_database(database_url, pool_size=2)

    def take(conn: storage.Connection, owner: str) -> consumers.Stored:
        taken = consumers.acquire(
            conn, "one", "a", owner=owner, endpoint=f"{owner}:1", lease_us=LEASE_US
        )
        assert taken is not None
        return taken

    def prolong(conn: storage.Connection, stored: consumers.Stored) -> tuple[int, int] | None:
        return consumers.renew(
            conn, stored, members=1, outstanding=2, active=False, lease_us=LEASE_US
        )

    idle = functools.partial(
        consumer_changes.delete_idle, aged_us=FAR_US, by=telling.By(actor="x", now_us=1)
    )
    try:
        for name, idle_us in (("a", 1), ("b", 0)):
            await database.write(
                functools.partial(
                    consumers.create,
                    tenant_id="one",
                    name=name,
                    kind="consumer",
                    definition=b"",
                    floor=3,
                    idle_expiry_us=idle_us,
                    now_us=1,
                )
            )
        first = await database.write(lambda conn: take(conn, "x"))
        assert (first.owner, first.term) == ("x", 1)
        assert (await database.write(lambda conn: take(conn, "y"))).owner == "x"
        assert await database.write(idle) == []
        assert await database.write(lambda conn: prolong(conn, first)) == (1, 1)
        await database.write(lambda conn: consumers.release(conn, first))
        second = await database.write(lambda conn: take(conn, "y"))
        assert (second.owner, second.term) == ("y", 2)
        assert await database.write(lambda conn: prolong(conn, first)) is None
        assert await database.read(lag.lowest_floor) == 3
        assert await database.read(lag.nearly_overtaken) == []
        await database.write(lambda conn: consumers.release(conn, second))

        assert await database.write(idle) == [("one", "a")]
        assert await database.read(lambda conn: consumers.count(conn, "one")) == 1
    finally:
        await database.close()


async def test_what_webhooks_gave_up_goes_with_their_log(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was given up before the delivery log begins goes, and the oldest beyond the limit, so
    that an endpoint that never takes some of its events is not stopped by them in the end.
    """
    await asyncio.to_thread(storage.migrate, database_url, gateway.MIGRATIONS)
    database = await storage.open_database(database_url, pool_size=2)
    time = fake_clock.FakeClock()
    hour_us = 3_600_000_000
    log_us = time.now_us() - 24 * hour_us

    def begin(conn: storage.Connection, name: str) -> None:
        made = {"kind": "webhook", "definition": b"", "floor": 0, "idle_expiry_us": 0, "now_us": 1}
        consumers.create(conn, "one", name, **made)  # type: ignore[arg-type]
        mine = consumers.acquire(conn, "one", name, owner="x", endpoint="", lease_us=LEASE_US)
        assert mine is not None
        parks = [
            records.Park(
                position=n, key="", attempts=1, reason="HTTP 500", parked_us=moment, blocked=False
            )
            for n, moment in enumerate([log_us - 1, log_us + 1, log_us - 1, *[log_us + 1] * 3])
        ]
        made_of = records.Changes(floor=0, runs=b"", retries=(), settled=(), parks=parks)
        assert progress.write(conn, mine, made_of) is progress.Written.DONE

    poked: list[str] = []
    running: Any = types.SimpleNamespace(poke=lambda _, name: poked.append(name))
    ageing = storage.Ageing(database, time, "webhook_log")
    around: Any = types.SimpleNamespace(database=database, time=time, ageing=ageing)
    sending = pool.Pool(around, running, log_s=24 * 3600.0)
    try:
        for name in ("whe_1", "whe_2"):
            await database.write(functools.partial(begin, name=name))
        for kind, most, count in (("webhook", 10, 10), ("webhook", 99, 12), ("consumer", 99, 0)):
            find = functools.partial(lag.count_parked, kind=kind, most=most)
            assert await database.read(find) == count
        worker: Any = mock.Mock(tenant_id="one", endpoint_id="whe_1", given_up=6)
        sending._sending.add(worker)

        async def kept(name: str) -> list[int]:
            rows = await database.read(
                lambda conn: parking.page(conn, "one", name, after=-1, rows=10)
            )
            return [each.position for each in rows]

        await sending._tidy()
        assert await kept("whe_1") == [1, 3, 4, 5]
        monkeypatch.setattr(pool, "GIVEN_UP_MAX", 2)
        await sending._tidy()
        await sending._tidy()
        assert await kept("whe_1") == [4, 5]
        assert await kept("whe_2") == list(range(6))
        assert poked == ["whe_1", "whe_1"]
        stored = await database.read(lambda conn: consumers.get(conn, "one", "whe_1"))
        assert stored is not None
        assert stored.change_count == 3
    finally:
        await database.close()


@pytest.mark.parametrize(
    ("again", "parked", "steps", "back"),
    [
        (True, {1: "a", 2: "a", 3: "A", 4: "b", 5: "B"}, [[3, 5]], [1, 2, 3, 4, 5]),
        (False, {1: "A", 2: "a", 3: "a", 4: "a", 5: "B"}, [[2, 3], [4, 1], [5]], []),
        (True, {1: "a", 2: "a"}, [[1, 2]], [1, 2]),
    ],
)
async def test_all_that_is_parked_is_resolved_step_by_step(
    database_url: str, again: bool, parked: dict[int, str], steps: list[list[int]], back: list[int]
) -> None:
    """However much waits behind an event (capital letters), and wherever that lies: putting all
    back comes to it, and dropping all puts nothing back. What waits behind nothing is put back.
    """
    await asyncio.to_thread(storage.migrate, database_url, gateway.MIGRATIONS)
    database = await storage.open_database(database_url, pool_size=2)

    def begin(conn: storage.Connection) -> None:
        made = {"kind": "consumer", "definition": b"", "floor": 9, "idle_expiry_us": 0, "now_us": 1}
        consumers.create(conn, "one", "a", **made)  # type: ignore[arg-type]
        mine = consumers.acquire(conn, "one", "a", owner="x", endpoint="", lease_us=LEASE_US)
        assert mine is not None
        parks = [
            records.Park(
                position=at,
                key=key.lower(),
                attempts=1,
                reason="",
                parked_us=1,
                blocked=key.islower(),
            )
            for at, key in parked.items()
        ]
        made_of = records.Changes(floor=9, runs=b"", retries=(), settled=(), parks=parks)
        assert progress.write(conn, mine, made_of) is progress.Written.DONE

    def step(conn: storage.Connection) -> list[int]:
        stored = consumers.lock(conn, "one", "a")
        assert stored is not None
        chosen = parking.first(conn, "one", "a", rows=2, again=again)
        parking.resolve(conn, stored, chosen, again=again)
        return [each.position for each in chosen]

    try:
        await database.write(begin)
        assert [await database.write(step) for _ in steps] == steps
        known = await database.read(lambda conn: progress.known(conn, "one", "a"))
        assert ([each.position for each in known.retries], known.parked) == (back, 0)
    finally:
        await database.close()


async def test_the_log_waits_for_no_disabled_endpoint(database_url: str) -> None:
    """What an endpoint has not got is kept while it is enabled or paused; events pass a disabled
    one by, so retention does not wait for it, and none that it deletes are lost to it.
    """
    await asyncio.to_thread(storage.migrate, database_url, gateway.MIGRATIONS)
    database = await storage.open_database(database_url, pool_size=2)
    by = telling.By(actor="test", now_us=1)
    registry = metrics.Metrics()
    watch = watching.Watch(database, lambda: 7, registry)
    given = webhook_pb2.WebhookEndpoint(url="https://example.com/")
    endpoint = definition.complete(given, plain_http=False, private=False)

    def turn(conn: storage.Connection, state: webhook_pb2.WebhookEndpoint.State) -> None:
        stored = webhooks.lock(conn, "one", "whe_1")
        assert stored is not None
        endpoint.state = state
        changes.change(conn, stored, endpoint, verb="updated", by=by)

    try:
        await database.write(
            lambda conn: changes.make(conn, "one", "whe_1", endpoint, secrets=b"", floor=0, by=by)
        )
        await database.write(lambda conn: conn.run(_OLDEST))
        for state, lowest in (
            (webhook_pb2.WebhookEndpoint.STATE_PAUSED, 0),
            (webhook_pb2.WebhookEndpoint.STATE_DISABLED, None),
            (webhook_pb2.WebhookEndpoint.STATE_ENABLED, 3),
        ):
            await database.write(functools.partial(turn, state=state))
            assert await database.read(lag.lowest_floor) == lowest
            await watch.run_once()
            gauges = {
                name: registry.registry.get_sample_value(f"payhub_gateway_{name}")
                for name in (
                    "consumers_behind",
                    "consumers_overtaken",
                    "webhooks_disabled",
                    "parked",
                )
            }
            assert gauges == {
                "consumers_behind": 0 if lowest is None else 7 - lowest,
                "consumers_overtaken": int(lowest == 0),
                "webhooks_disabled": int(lowest is None),
                "parked": 0,
            }
    finally:
        await database.close()


async def test_erasure_reaches_what_members_said(database_url: str) -> None:
    """Why members rejected or parked the events of an erased entity is forgotten, also by the
    process that runs the consumer, and not kept of deliveries that were under way; what they said
    of others stays.
    """
    await asyncio.to_thread(storage.migrate, database_url, gateway.MIGRATIONS)
    database = await storage.open_database(database_url, pool_size=2)
    on = await one_group.on(database)

    async def said() -> dict[int, str]:
        rows = await database.read(lambda conn: parking.page(conn, "one", "a", after=-1, rows=9))
        known = await database.read(lambda conn: progress.known(conn, "one", "a"))
        parked = {each.position: each.reason for each in rows}
        return parked | {each.position: each.reason for each in known.retries}

    try:
        await on.publish("p1", "p2", "p3", "p4", "p5")
        running = await on.start()
        joined = one_group.join(running)
        await harness.until(lambda: running.outstanding == 5)
        await harness.until(lambda: bool(joined.waiting_bytes))
        given = {each.event.entity_id: each.lease for each in one_group.taken(joined)}
        assert len(given) == 5
        running.stop_credit(joined)
        for number in (1, 2, 3):
            verdict = policy.Verdict.PARK if number == 1 else policy.Verdict.REJECT
            running.settle(given[f"p{number}"], verdict, reason=f"private {number}")
        await running.durable()
        assert await said() == {1: "private 1", 2: "private 2", 3: "private 3"}
        for number in (1, 2, 4):
            await on.erase(f"p{number}")
        assert await said() == {1: "", 2: "", 3: "private 3"}
        running.settle(given["p4"], policy.Verdict.PARK, reason="private 4")
        await running.durable()
        running.settle(given["p5"], policy.Verdict.PARK, reason="private 5")
        await running.durable()
        assert await said() == {1: "", 2: "", 3: "private 3", 4: "", 5: ""}
        running.grant(joined, 2)
        again: dict[str, str] = {}

        def all_again() -> bool:
            again.update(
                {each.event.entity_id: each.last_reason for each in one_group.taken(joined)}
            )
            return len(again) == 2

        await harness.until(all_again)
        assert again == {"p2": "", "p3": "private 3"}
        running.leave(joined)
        await running.close()
    finally:
        await database.close()


async def test_erasure_reaches_what_endpoints_answered(database_url: str) -> None:
    """The delivery log forgets the answers to an erased entity's events, and keeps none to what
    was sent before, but those to others and to what was sent without data.
    """
    await asyncio.to_thread(storage.migrate, database_url, gateway.MIGRATIONS)
    database = await storage.open_database(database_url, pool_size=2)
    on = await one_group.on(database)
    given = webhook_pb2.WebhookEndpoint(url="https://example.com/")
    endpoint = definition.complete(given, plain_http=False, private=False)
    by = telling.By(actor="test", now_us=1)

    def answer(conn: storage.Connection, position: int, *, redacted: bool = False) -> None:
        sent = webhook_log.Delivery(
            position=position, event_id=f"evt_{position}", event_type="a.b", state=2, next_us=0
        )
        attempt = webhook_log.Attempt(
            number=0, sent_us=1, elapsed_us=1, status=200, problem="", excerpt="got: private"
        )
        webhook_log.record(conn, "whe_1", sent, attempt, redacted=redacted, now_us=1)

    try:
        await on.publish("p1", "p2", "p1", "p1", "p1")
        await database.write(
            lambda conn: changes.make(conn, "one", "whe_1", endpoint, secrets=b"", floor=0, by=by)
        )
        for position in (1, 2, 3):
            await database.write(functools.partial(answer, position=position))
        await on.erase("p1", events=4)
        await database.write(functools.partial(answer, position=4))
        await database.write(functools.partial(answer, position=5, redacted=True))
        logged = await database.read(
            lambda conn: webhook_log.deliveries(
                conn, "whe_1", state=0, event_id="", before=9, rows=9
            )
        )
        excerpts = {each.position: each.attempts[0].excerpt for each in logged}
        assert excerpts == {1: "", 2: "got: private", 3: "", 4: "", 5: "got: private"}
    finally:
        await database.close()


async def test_who_makes_what_another_deletes_repeats_the_call(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A consumer that was found as it was made, and was gone when it was read, is no fault."""
    await asyncio.to_thread(storage.migrate, database_url, gateway.MIGRATIONS)
    database = await storage.open_database(database_url, pool_size=2)
    monkeypatch.setattr(consumer_changes, "make", lambda *_, **__: None)
    checked: Any = mock.Mock(database=database, position=mock.AsyncMock(return_value=0))
    serves = consumer_admin.Administration(
        checked, mock.Mock(), on_event=mock.Mock(), time=fake_clock.FakeClock()
    )
    principal = auth.Principal(tenant_id="one", scopes=frozenset({"events:read"}), key_id="k")
    call: Any = types.SimpleNamespace(principal=principal, request_id="req_1")
    rpc._current.set(call)
    request = service_pb.CreateConsumerRequest(consumer=consumer_pb2.Consumer(name="a"))
    try:
        with pytest.raises(errors.RpcError) as refused:
            await serves.create(request, mock.Mock())
        assert refused.value.reason == "UNAVAILABLE"
    finally:
        await database.close()

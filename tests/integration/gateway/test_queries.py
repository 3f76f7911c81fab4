"""QueryEvents, GetEvent, GetLogInfo: pages, tokens, places and tenants."""

from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2

from event_gateway import cursor
from tests.integration.gateway import harness
from tests.integration.gateway.harness import event


async def pages(client: harness.Client, **fields: Any) -> list[Any]:
    """Reads a query to its end."""
    found = [await client.query(**fields)]
    while found[-1].next_page_token:
        found.append(await client.query(**fields, page_token=found[-1].next_page_token))
    return found


async def failing(call: Any, code: grpc.StatusCode, reason: str) -> Any:
    """Awaits *call*, which must fail in this way; returns the error."""
    with pytest.raises(grpc.RpcError) as refused:
        await call
    assert refused.value.code() == code
    assert harness.reason(refused.value) == reason
    return refused.value


async def test_pages_cover_the_log_once(gateway: harness.Gateway, tenant: str) -> None:
    """Pages of any size give every matching event once, in order, then an empty token."""
    client, other = gateway.tenant(tenant), gateway.tenant(f"{tenant}-2")
    made = [event(tenant, type="a.b" if n % 3 else "c.d", entity_id=f"e{n}") for n in range(25)]
    for one in made:
        await other.publish(event(f"{tenant}-2"))
        await client.publish(one)
    for size in (1, 7, 1000):
        found = await pages(client, page_size=size)
        assert [one.id for one in harness.events_of(found)] == [one.id for one in made]
        assert all(len(page.events) <= size for page in found)
    found = await pages(client, page_size=2, filter={"types": ["c.*"]})
    assert [one.id for one in harness.events_of(found)] == [one.id for one in made[::3]]
    found = await pages(client, filter={"entity_ids": ["e3", "e4"]})
    assert [one.entity_id for one in harness.events_of(found)] == ["e3", "e4"]


async def test_a_page_is_bounded_in_bytes(gateway: harness.Gateway, tenant: str) -> None:
    """Large events make shorter pages, never a response that gRPC refuses."""
    client = gateway.tenant(tenant)
    made = [event(tenant, data=b"x" * 260_000) for _ in range(18)]
    for start in (0, 9):
        await client.publish(*made[start : start + 9])
    found = await pages(client, page_size=1000)
    assert len(found) > 1
    assert [one.id for one in harness.events_of(found)] == [one.id for one in made]


async def test_the_cursor_of_a_page_leads_into_the_stream(
    gateway: harness.Gateway, tenant: str
) -> None:
    """Query, then subscribe after the last page's cursor: no event is missing or twice."""
    client = gateway.tenant(tenant)
    await client.publish(event(tenant, entity_id="1"), event(tenant, entity_id="2"))
    page = await client.query()
    await client.publish(event(tenant, entity_id="3"))
    call = client.subscribe(start={"after_cursor": page.cursor}, stop_at_head=True)
    followed = harness.events_of(await harness.take_all(call))
    assert [one.entity_id for one in [*page.events, *followed]] == ["1", "2", "3"]
    again = await client.query(after_cursor=page.cursor)
    assert [one.entity_id for one in again.events] == ["3"]


async def test_a_page_token_belongs_to_its_query(gateway: harness.Gateway, tenant: str) -> None:
    """With another filter, size, start or tenant, or damaged, a token is refused."""
    client = gateway.tenant(tenant)
    await client.publish(event(tenant), event(tenant), event(tenant))
    token = (await client.query(page_size=1)).next_page_token
    start = (await client.info()).oldest_cursor
    foreign = gateway.tenant(f"{tenant}-2")
    calls = [
        client.query(page_size=2, page_token=token),
        client.query(page_size=1, page_token=token, filter={"types": ["a.b"]}),
        client.query(page_size=1, page_token=token, after_cursor=start),
        foreign.query(page_size=1, page_token=token),
        client.query(page_size=1, page_token=token[:-1]),
        client.query(page_size=1, page_token="nonsense"),
    ]
    for call in calls:
        await failing(call, grpc.StatusCode.INVALID_ARGUMENT, "PAGE_TOKEN_INVALID")


async def test_places_of_other_logs_are_refused(gateway: harness.Gateway, tenant: str) -> None:
    """Malformed, ahead of the log or of another epoch: each has its own answer."""
    client = gateway.tenant(tenant)
    info = await client.info()
    head = cursor.decode(info.head_cursor)
    ahead = cursor.encode(head.epoch, head.position + 1_000_000)
    elsewhere = cursor.encode(head.epoch ^ 1, 0)

    async def subscribe(text: str) -> None:
        await client.subscribe(start={"after_cursor": text}).read()

    for call in (lambda text: client.query(after_cursor=text), subscribe):
        error = await failing(call("AAAA"), grpc.StatusCode.INVALID_ARGUMENT, "CURSOR_INVALID")
        bad = error_details_pb2.BadRequest()
        assert harness.detail(error, bad)
        assert bad.field_violations[0].field in ("after_cursor", "start.after_cursor")
        error = await failing(call(ahead), grpc.StatusCode.FAILED_PRECONDITION, "CURSOR_AHEAD")
        assert int(harness.error_info(error).metadata["head_position"]) >= head.position
        error = await failing(
            call(elsewhere), grpc.StatusCode.FAILED_PRECONDITION, "LOG_EPOCH_MISMATCH"
        )
        assert harness.error_info(error).metadata["log_epoch"] == info.log_epoch


async def test_an_event_is_found_by_id_in_its_tenant_only(
    gateway: harness.Gateway, tenant: str
) -> None:
    """GetEvent returns the event with its place; unknown and foreign ids are NOT_FOUND."""
    client, admin = gateway.tenant(tenant), gateway.tenant(f"{tenant}-2")
    made = event(tenant)
    result = (await client.publish(made)).results[0]
    found = await client.get(made.id)
    assert found.event.position == result.position
    assert found.event.append_time == result.append_time
    assert cursor.decode(found.cursor).position == result.position
    for call in (admin.get(made.id), client.get("evt_unknown"), client.get("evt_\0nul")):
        await failing(call, grpc.StatusCode.NOT_FOUND, "RESOURCE_NOT_FOUND")


async def test_invalid_requests_name_their_fields(gateway: harness.Gateway, tenant: str) -> None:
    """Each wrong field gives INVALID_ARGUMENT with its path."""
    client = gateway.tenant(tenant)
    calls = {
        "page_size": client.query(page_size=1001),
        "filter.types[0]": client.query(filter={"types": ["*"]}),
        "filter.entity_ids[1]": client.query(filter={"entity_ids": ["a", "b\0"]}),
        "filter.tenant_ids[0]": client.query(filter={"tenant_ids": [""]}),
        "id": client.get("short"),
    }
    for field, call in calls.items():
        error = await failing(call, grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD")
        bad = error_details_pb2.BadRequest()
        assert harness.detail(error, bad)
        assert [violation.field for violation in bad.field_violations] == [field]
    with pytest.raises(grpc.RpcError) as refused:
        await client.subscribe(max_batch_events=1001).read()
    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT


async def test_log_info_says_where_the_head_is(gateway: harness.Gateway, tenant: str) -> None:
    """Reading after head_cursor gives only what comes later; the head's time is there."""
    client = gateway.tenant(tenant)
    result = (await client.publish(event(tenant))).results[0]
    info = await client.info()
    assert info.head_position >= result.position
    assert cursor.decode(info.head_cursor).position == info.head_position
    assert info.head_append_time.ToMicroseconds() >= result.append_time.ToMicroseconds()
    assert len((await client.query(after_cursor=info.head_cursor)).events) == 0


async def test_the_relay_hears_of_the_newest_event_of_payments(
    gateway: harness.Gateway, tenant: str
) -> None:
    """Whatever others publish after it, under the same source too; nobody else hears of it, and
    what was appended before is not taken for it when it comes again.
    """
    relay, other = gateway.tenant("system"), gateway.tenant(tenant, [*harness.ALL, "admin"])
    first, last = event(tenant), event(tenant, entity_version=1)
    await relay.publish(first)
    position = (await relay.publish(last)).results[0].position
    await other.publish(event(tenant))
    await relay.publish(event("system", source="accounting"), first)

    info = await relay.info()
    head = info.payments_head
    assert (head.log_epoch, head.position, head.event_id) == (info.log_epoch, position, last.id)
    plugin = gateway.client(gateway.keys.add("system", plugin_id="shop", read_types=["*"]))
    for each in (other, plugin):
        assert not (await each.info()).HasField("payments_head")

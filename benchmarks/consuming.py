"""A member that acknowledges as fast as it can.

Owns `consume_ack_per_s`: events handed to one member under leases and acknowledged, in the
order of their entities, until everything is on disk. The member does nothing with them.
"""

import asyncio
import time

from payhub.events.v1 import consumer_pb2
from payhub.events.v1 import consumer_service_pb2 as pb

from benchmarks import publisher, report, streams
from tests.integration.gateway import harness

EVENTS = 40_000
CREDIT = 5_000


def measure(board: report.Board, seconds: float) -> None:
    """Measures one member on SQLite; *seconds* does not matter."""
    if not board.wants("consume_ack_per_s"):
        return
    board.progress(f"consume: {EVENTS:,} events to one member")
    with streams.gateway() as started:
        per_s, cpu_us = asyncio.run(consume(started))
    board.figure("consume_ack_per_s", per_s)
    board.note("consume_ack_us_per_event", cpu_us)


async def consume(gateway: harness.Gateway) -> tuple[float, float]:
    """Fills the log and takes everything; returns events per second and CPU per event."""
    client = gateway.client(gateway.keys.add(publisher.TENANT))
    maker = publisher.Maker(streams.TYPES)
    for _ in range(EVENTS // 500):
        await client.ingest.PublishEvents(maker.batch(500), metadata=client.metadata, timeout=30)
    await client.ask(
        "CreateConsumer", consumer={"name": "bench", "start": {"anchor": "ANCHOR_OLDEST"}}
    )
    before_s, began_s = streams.cpu_s(gateway.pid), time.perf_counter()
    call = client.consumers.Consume(metadata=client.metadata)
    join = pb.ConsumeRequest.Join(
        consumer="bench", member="one", credit=CREDIT, max_batch_events=256
    )
    await call.write(pb.ConsumeRequest(join=join))
    taken = number = durable = 0
    seen: dict[str, int] = {}
    while taken < EVENTS or durable < number:
        response = await call.read()
        if not isinstance(response, pb.ConsumeResponse) or response.failures:
            raise SystemExit(f"the stream ended or lost leases after {taken} events")
        durable = response.settled_through
        if not response.deliveries:
            continue
        for each in response.deliveries:
            if seen.get(each.event.entity_id, 0) + 1 != each.event.entity_version:
                raise SystemExit(f"{each.event.entity_id} came out of order")
            seen[each.event.entity_id] = each.event.entity_version
        taken += len(response.deliveries)
        number += 1
        settlement = consumer_pb2.Settlement(
            number=number,
            leases=[each.lease for each in response.deliveries],
            verdict=consumer_pb2.Settlement.VERDICT_ACK,
        )
        await call.write(pb.ConsumeRequest(settlement=settlement))
        credit = pb.ConsumeRequest.Credit(events=len(response.deliveries))
        await call.write(pb.ConsumeRequest(credit=credit))
    took_s = time.perf_counter() - began_s
    used_s = streams.cpu_s(gateway.pid) - before_s
    call.cancel()
    return EVENTS / took_s, used_s * 1e6 / EVENTS

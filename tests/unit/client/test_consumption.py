"""What a member of a durable consumer makes of deliveries."""

from typing import Any

from payhub.events.v1 import consumer_pb2, event_pb2

from payhub_client import consumption, retries


def test_events_of_two_tenants_with_one_id_are_two_events() -> None:
    """Ids are unique per tenant: the second tenant's event is handed over too, and settling one
    does not settle the other.
    """
    link: Any = None
    work = consumption.Consumption(
        link=link,
        backoff=retries.Backoff(),
        timing=retries.Timing(),
        consumer="all",
        member="one",
    )
    for position, tenant_id in enumerate(("t-1", "t-2"), start=1):
        event = event_pb2.Event(id="evt_same", tenant_id=tenant_id, position=position)
        work._take(consumer_pb2.Delivery(event=event, lease=f"lease-{tenant_id}", attempt=1), 0)
    received = [work._waiting.get_nowait() for _ in range(work._waiting.qsize())]
    assert [(each.event.tenant_id, each.lease) for each in received if each] == [
        ("t-1", "lease-t-1"),
        ("t-2", "lease-t-2"),
    ]

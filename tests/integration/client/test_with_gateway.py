"""The subscriber against the real gateway, which is killed and restarted under it."""

import asyncio
import pathlib
import signal

import payhub_client
from servicekit import ports
from tests.integration.client import conftest
from tests.integration.gateway import harness


async def test_a_subscriber_survives_kill_and_restart_of_the_gateway(
    tmp_path: pathlib.Path,
) -> None:
    """Across kill -9 and a graceful restart, each event comes once, in order, none is lost."""
    tenant, numbers = "t-client", range(1, 61)
    url, own = f"sqlite:///{tmp_path}/events.db", str(*ports.choose(1))
    with harness.running(url, EVENT_GATEWAY_GRPC_PORT=own) as gateway:
        key = gateway.keys.add(tenant)

        async def publish(some: range) -> None:
            # A channel of its own each time: the gateway behind the address changes.
            caller = gateway.client(key)
            await caller.publish(*(harness.event(tenant, entity_version=n) for n in some))
            await caller.channel.close()

        async def restart(how: signal.Signals) -> None:
            gateway.signal(how)
            await asyncio.to_thread(gateway.ended)
            await asyncio.to_thread(gateway.start)

        async with payhub_client.Client(
            gateway.target, key=key, events_target=gateway.target, backoff=conftest.BACKOFF
        ) as client:
            notices: list[payhub_client.Notice] = []
            subscription = client.events.subscribe(
                payhub_client.EventFilter(types=["payment.*"]),
                start="oldest",
                heartbeat_s=1,
                max_batch_events=4,
                on_notice=notices.append,
            )
            got: list[int] = []

            async def read() -> None:
                async with subscription:
                    async for delivery in subscription:
                        got.append(delivery.event.entity_version)
                        if len(got) == len(numbers):
                            return

            reader = asyncio.create_task(read())
            await publish(range(1, 21))
            await harness.until(lambda: len(got) >= 10)
            await restart(signal.SIGKILL)
            await publish(range(21, 41))
            await harness.until(lambda: len(got) == 40)
            await restart(signal.SIGTERM)
            await publish(range(41, 61))
            await asyncio.wait_for(reader, 20)
            info = await client.events.log_info()
            history = [each.entity_version async for each in client.events.query(page_size=7)]
    assert got == history == [*numbers]
    assert info.head_position >= 60
    kinds = [notice.kind for notice in notices]
    assert kinds.count(payhub_client.NoticeKind.STARTED) >= 3
    assert payhub_client.NoticeKind.CLOSING in kinds

"""kill -9 at every boundary, restart, and a log that is lost: what survives."""

import asyncio
import pathlib
import signal

import grpc
import pytest
from payhub.events.v1 import event_ingest_service_pb2 as pb

from tests.integration.gateway import harness
from tests.integration.gateway.harness import event

APPENDED = pb.PublishResult.OUTCOME_APPENDED
DUPLICATE = pb.PublishResult.OUTCOME_DUPLICATE

BOUNDARIES = {
    "event_gateway.before_append_commit": APPENDED,
    "event_gateway.after_append_commit": DUPLICATE,
    "event_gateway.before_publish_answer": DUPLICATE,
}


@pytest.mark.parametrize("boundary", BOUNDARIES)
async def test_a_killed_gateway_keeps_what_it_acknowledged(
    database_url: str, boundary: str
) -> None:
    """Killed before the commit nothing is there, after it everything; a repeated batch is
    answered either way, and a reader resumes without loss.
    """
    batches = [[event("one", entity_version=3 * n + m) for m in (1, 2, 3)] for n in range(3)]
    keys = harness.Keys()
    keys.start()
    gateway = harness.Gateway(keys, database_url)
    try:
        gateway.start(PAYHUB_FAIL_POINTS=f"{boundary}:2")
        key = keys.add("one")
        client = gateway.client(key)
        call = client.subscribe()
        place = (await call.read()).cursor
        acknowledged = await client.publish(*batches[0])
        responses = await harness.take_until(
            call, lambda so_far: len(harness.events_of(so_far)) == 3
        )
        place = responses[-1].cursor
        with pytest.raises(grpc.RpcError) as lost:
            await client.publish(*batches[1])
        assert lost.value.code() == grpc.StatusCode.UNAVAILABLE
        assert await asyncio.to_thread(gateway.ended) == -signal.SIGKILL

        gateway.start()
        client = gateway.client(key)
        again = await client.publish(*batches[0])
        assert [one.outcome for one in again.results] == [DUPLICATE] * 3
        assert [one.position for one in again.results] == [
            one.position for one in acknowledged.results
        ]
        assert again.log_epoch == acknowledged.log_epoch
        repeated = await client.publish(*batches[1])
        assert [one.outcome for one in repeated.results] == [BOUNDARIES[boundary]] * 3
        await client.publish(*batches[2])
        call = client.subscribe(start={"after_cursor": place}, stop_at_head=True)
        resumed = harness.events_of(await harness.take_all(call))
        assert [one.entity_version for one in resumed] == [4, 5, 6, 7, 8, 9]
        stored = (await client.query()).events
        assert [one.entity_version for one in stored] == list(range(1, 10))
    finally:
        gateway.stop()
        keys.stop()


async def test_a_log_that_was_lost_says_so_and_takes_everything_again(
    tmp_path: pathlib.Path,
) -> None:
    """A new log has a new epoch: old cursors are refused, and old events are new to it."""
    batch = [event("one", entity_version=n) for n in (1, 2, 3)]
    keys = harness.Keys()
    keys.start()
    key = keys.add("one")
    seen = []
    try:
        for name in ("old", "new"):
            gateway = harness.Gateway(keys, f"sqlite:///{tmp_path}/{name}.db")
            gateway.start()
            client = gateway.client(key)
            answer = await client.publish(*batch)
            assert [one.outcome for one in answer.results] == [APPENDED] * 3
            seen.append((answer.log_epoch, (await client.info()).head_cursor))
            if len(seen) == 2:
                with pytest.raises(grpc.RpcError) as refused:
                    await client.subscribe(start={"after_cursor": seen[0][1]}).read()
                assert harness.reason(refused.value) == "LOG_EPOCH_MISMATCH"
            gateway.stop()
        assert seen[0][0] != seen[1][0]
    finally:
        keys.stop()


async def test_a_second_process_on_one_file_is_refused(tmp_path: pathlib.Path) -> None:
    """A SQLite log belongs to one process; the second one says so and ends."""
    url = f"sqlite:///{tmp_path}/events.db"
    with harness.running(url) as gateway:
        second = harness.Gateway(gateway.keys, url)
        with pytest.raises(AssertionError, match="open in another process"):
            second.start()
        assert second.ended() == 1
        second.stop()
        await gateway.tenant("one").info()

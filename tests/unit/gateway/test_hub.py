"""The hub: who is woken, when, and how streams are told to close."""

import asyncio
import selectors
import time
from collections.abc import Coroutine

import pytest
from payhub.events.v1 import event_pb2
from payhub.events.v1 import event_stream_service_pb2 as pb

from event_gateway import hub, matching, revocation, window
from event_gateway.db import read
from servicekit import auth, errors

DRAINING = pb.Notice.Closing.REASON_DRAINING
AUTH_EXPIRED = pb.Notice.Closing.REASON_AUTH_EXPIRED


def make_hub(*, tick_s: float = 0.0, limit: int = 10) -> hub.Hub:
    """A hub over an empty log."""
    log = window.Window(bytes_max=2**20, head=0)
    return hub.Hub(log, tick_s=tick_s, streams_per_tenant_max=limit)


def join(
    streams: hub.Hub,
    *,
    tenant_id: str = "one",
    types: tuple[str, ...] = (),
    heartbeat_s: float = 60.0,
    age_max_s: float = 60.0,
    key_id: str = "key",
    tenants: tuple[str, ...] | None = None,
) -> hub.Stream:
    """A stream of one tenant's key."""
    read_tenants = tenants or (tenant_id,)
    return streams.join(
        principal=auth.Principal(
            tenant_id=tenant_id, scopes=frozenset({"events:read"}), key_id=key_id
        ),
        key_digest=key_id.encode(),
        tenants=read_tenants,
        matcher=matching.Matcher(read_tenants, event_pb2.Filter(types=types)),
        heartbeat_s=heartbeat_s,
        age_max_s=age_max_s,
    )


def append(streams: hub.Hub, type_name: str = "payment.created") -> None:
    """One more event in the window."""
    position = streams.window.head + 1
    entry = read.Entry(position, "one", type_name, "payment", "pay_1", b"x")
    streams.window.extend(position - 1, [entry], position)
    streams.news()


class Skipping(selectors.DefaultSelector):
    """Lets time jump to the next timer instead of waiting for it."""

    skipped_s = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Returns what is ready now; as if *timeout* seconds had passed."""
        assert timeout is not None, "nothing would ever happen"
        self.skipped_s += timeout
        return super().select(0)


class SkippingLoop(asyncio.SelectorEventLoop):
    """An event loop on which waiting takes no time."""

    def __init__(self) -> None:
        self._skipping = Skipping()
        super().__init__(self._skipping)

    def time(self) -> float:
        """Returns monotonic seconds, those skipped included."""
        return time.monotonic() + self._skipping.skipped_s


def run(test: Coroutine[None, None, None]) -> None:
    """Runs *test* without waiting for any timer."""
    with asyncio.Runner(loop_factory=SkippingLoop) as runner:
        runner.run(test)


async def settled(task: "asyncio.Task[None]") -> bool:
    """Whether *task* ends within a few turns of the loop."""
    for _ in range(5):
        await asyncio.sleep(0)
    return task.done()


async def test_only_readers_whose_filter_matches_are_woken() -> None:
    """News that a filter does not select leaves its readers asleep."""
    streams = make_hub()
    created = asyncio.create_task(streams.wait(join(streams, types=("payment.created",))))
    refunds = asyncio.create_task(streams.wait(join(streams, types=("refund.*",))))
    await asyncio.sleep(0)
    append(streams)
    assert await settled(created)
    assert not refunds.done()
    append(streams, "refund.created")
    assert await settled(refunds)


def test_wake_ups_keep_the_pace_of_the_process() -> None:
    """Within one tick any number of appends wakes a reader once."""

    async def wake() -> None:
        streams = make_hub(tick_s=5.0)
        stream = join(streams)
        started_s = streams.monotonic_s()
        append(streams)
        await streams.wait(stream)
        assert streams.monotonic_s() - started_s < 5.0
        append(streams)
        append(streams)
        await streams.wait(stream)
        assert 5.0 <= streams.monotonic_s() - started_s < 10.0

    run(wake())


def test_silence_ends_waiting_at_the_heartbeat() -> None:
    """A reader without news is woken when its heartbeat is due, and not forgotten after."""

    async def stay_silent() -> None:
        streams = make_hub()
        stream = join(streams, heartbeat_s=20.0)
        for _ in range(2):
            written_s = stream.written_s
            await streams.wait(stream)
            assert streams.heartbeat_due(stream)
            assert streams.monotonic_s() - written_s < 40.0
            stream.written_s = streams.monotonic_s()
        streams.leave(stream)

    run(stay_silent())


def test_the_greatest_age_ends_waiting() -> None:
    """A stream is woken when it has lived long enough."""

    async def grow_old() -> None:
        streams = make_hub()
        stream = join(streams, age_max_s=30.0)
        await streams.wait(stream)
        assert streams.expired(stream)

    run(grow_old())


async def test_draining_wakes_all_and_refuses_new_ones() -> None:
    """On shutdown every stream learns why, and a later one is turned away."""
    streams = make_hub()
    first, second = join(streams), join(streams, tenant_id="two")
    waiting = asyncio.create_task(streams.wait(first))
    await asyncio.sleep(0)
    streams.close_all(DRAINING)
    assert await settled(waiting)
    assert first.close_reason == second.close_reason == DRAINING
    with pytest.raises(errors.RpcError) as refused:
        join(streams)
    assert refused.value.reason == "UNAVAILABLE"


async def test_a_tenant_has_a_limit_of_its_own() -> None:
    """One more stream than allowed is refused with a delay; other tenants are not touched."""
    streams = make_hub(limit=2)
    held = [join(streams), join(streams)]
    with pytest.raises(errors.RpcError) as refused:
        join(streams)
    assert refused.value.reason == "OVERLOADED"
    assert refused.value.retry_after_s
    join(streams, tenant_id="two")
    streams.leave(held[0])
    join(streams)


async def test_readers_out_of_step_do_not_have_all_their_responses_kept() -> None:
    """A response is kept for those in step; each size and place of another reader is one more."""
    streams = make_hub()
    group = join(streams).group
    join(streams)
    for size in range(1000):
        group.keep((0, 256, size), (b"x", 1, 1))
    assert group.members == 2
    assert group.ready((0, 256, 0)) == (b"x", 1, 1)
    assert sum(group.ready((0, 256, size)) is not None for size in range(1000)) <= 64


async def test_leaving_leaves_nothing_behind() -> None:
    """A stream that ends frees its group, its place in the limit and its timer."""
    streams = make_hub()
    stream = join(streams)
    waiting = asyncio.create_task(streams.wait(stream))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert stream.timer is not None
    streams.leave(stream)
    assert not streams.streams
    assert not any(pace.groups for pace in streams._paces.values())
    assert not streams._per_tenant
    assert stream.timer.cancelled()


async def test_streams_of_a_revoked_key_are_closed_and_no_others() -> None:
    """Each key is asked about once; only streams that lost their rights must end."""
    streams = make_hub()
    asked: list[str] = []

    async def lookup(key_id: str, digest: bytes) -> auth.Principal | None:
        asked.append(key_id)
        assert digest == key_id.encode()
        if key_id == "down":
            raise ConnectionError("no answer")
        if key_id == "revoked":
            return None
        scopes = {"kept": {"events:read"}, "shrunk": {"payments:read"}}[key_id]
        return auth.Principal(tenant_id="one", scopes=frozenset(scopes), key_id=key_id)

    held = {
        name: [join(streams, key_id=name), join(streams, key_id=name)]
        for name in ("kept", "shrunk", "revoked", "down")
    }
    held["kept"].append(join(streams, key_id="kept", tenants=("one", "two")))
    closed = await revocation.Recheck(streams, lookup, every_s=1).run_once()
    assert sorted(asked) == ["down", "kept", "revoked", "shrunk"]
    assert closed == 5
    for name in ("shrunk", "revoked"):
        assert all(stream.close_reason == AUTH_EXPIRED for stream in held[name])
    assert [stream.close_reason for stream in held["kept"]] == [0, 0, AUTH_EXPIRED]
    assert all(not stream.close_reason for stream in held["down"])

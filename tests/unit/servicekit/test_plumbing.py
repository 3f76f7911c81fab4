"""Clock, ids, fail points, validation and metrics."""

import asyncio
import re

import pytest
from payhub.admin.v1 import key_service_pb2
from payhub.events.v1 import event_ingest_service_pb2
from payhub.payments.v1 import payment_service_pb2

from servicekit import clock, errors, failpoints, ids, metrics, server, validation
from tests import fake_clock


async def test_the_fake_clock_wakes_sleepers_when_their_time_has_come() -> None:
    """Nobody wakes early, and those due wake in order of their time."""
    time = fake_clock.FakeClock(start_us=5)
    woken: list[str] = []

    async def sleeper(name: str, seconds: float) -> None:
        await time.sleep(seconds)
        woken.append(name)

    sleepers = [asyncio.ensure_future(sleeper(n, s)) for n, s in (("b", 2), ("a", 1), ("c", 3))]
    await asyncio.sleep(0)
    assert time.sleeper_count == 3
    time.advance(0.999)
    await asyncio.sleep(0)
    assert woken == []
    time.advance(1.001)
    await asyncio.sleep(0)
    assert woken == ["a", "b"]
    assert (time.now_us(), time.monotonic_s()) == (2_000_005, 2.0)
    sleepers[2].cancel()
    await asyncio.gather(*sleepers, return_exceptions=True)
    time.advance(10)
    await time.sleep(0)
    with pytest.raises(ValueError, match="back"):
        time.advance(-1)


async def test_the_system_clock_tells_microseconds() -> None:
    """Wall time is UTC microseconds; monotonic time never goes back."""
    time = clock.SystemClock()
    assert 1_700_000_000_000_000 < time.now_us() < 5_000_000_000_000_000
    before_s = time.monotonic_s()
    await time.sleep(-1)
    assert time.monotonic_s() >= before_s


def test_ids_have_a_prefix_and_sort_by_time() -> None:
    """Ordered ids keep the index's right edge warm."""
    made = [ids.new_id("pay") for _ in range(1_000)]
    assert all(re.fullmatch(r"pay_[0-9a-f]{32}", one) for one in made)
    assert made == sorted(set(made))


def test_fail_points_are_parsed_strictly() -> None:
    """A typo in a fault test must not make the test pass for nothing."""
    assert failpoints.parse("a.b, c.d:3 ,e.f=kill,g.h:2=kill") == {
        "a.b": 1,
        "c.d": 3,
        "e.f": 1,
        "g.h": 2,
    }
    assert failpoints.parse("") == {}
    for wrong in ("a=explode", ":3", "a:x", "a:-1"):
        with pytest.raises(ValueError, match="name"):
            failpoints.parse(wrong)


def test_violations_have_dotted_paths() -> None:
    """The caller finds the field: nested, repeated and map entries alike."""
    create = payment_service_pb2.CreatePaymentRequest(idempotency_key="k")
    create.amount.currency_code = "eur"
    create.references.metadata["k" * 100] = "v"
    listing = payment_service_pb2.ListPaymentsRequest()
    listing.states.extend([1, 999])  # type: ignore[list-item]
    publish = event_ingest_service_pb2.PublishEventsRequest()
    publish.events.add()
    paths = {path for message in (create, listing, publish) for path, _ in violations(message)}
    assert "amount.currency_code" in paths
    assert any(path.startswith('references.metadata["kkk') for path in paths)
    assert any(re.fullmatch(r"[a-z_.]*states\[1\]", path) for path in paths)
    assert any(path.startswith("events[0].") for path in paths)


def violations(message: object) -> list[tuple[str, str]]:
    """Return what validation says of `message`."""
    with pytest.raises(errors.RpcError) as refused:
        validation.validate(message)  # type: ignore[arg-type]
    return refused.value.violations


def test_a_violation_does_not_repeat_the_value() -> None:
    """A secret in a wrong field does not come back in the error."""
    request = key_service_pb2.IntrospectKeyRequest(key_id="canary!" * 40)
    assert "canary" not in str(violations(request))


def test_metrics_show_rate_errors_and_duration() -> None:
    """A scrape has the counts per code and a histogram that adds up."""
    registry = metrics.Metrics()
    stats = registry.rpc.of("a.B.C")
    for seconds, code in ((0.0009, "OK"), (0.001, "OK"), (99.0, "INTERNAL")):
        stats.ended(code)
        stats.took(seconds)
    registry.rpc.of("a.B.Stream").streams += 1
    registry.counter("payhub_x_total", "X.", ["kind"]).labels("a").inc()
    registry.gauge("payhub_y", "Y.").set(2)
    text = registry.render().decode()
    for line in (
        'payhub_rpc_requests_total{code="OK",method="a.B.C"} 2.0',
        'payhub_rpc_requests_total{code="INTERNAL",method="a.B.C"} 1.0',
        'payhub_rpc_seconds_bucket{le="0.001",method="a.B.C"} 2.0',
        'payhub_rpc_seconds_bucket{le="30.0",method="a.B.C"} 2.0',
        'payhub_rpc_seconds_bucket{le="+Inf",method="a.B.C"} 3.0',
        'payhub_rpc_seconds_count{method="a.B.C"} 3.0',
        'payhub_rpc_streams{method="a.B.Stream"} 1.0',
        'payhub_x_total{kind="a"} 1.0',
        "payhub_y 2.0",
    ):
        assert line in text.splitlines(), line
    assert 'payhub_rpc_seconds_count{method="a.B.Stream"}' not in text


def test_options_are_merged_by_name() -> None:
    """An extra option replaces the default of its name."""
    merged = dict(server.merged(server.SERVER_OPTIONS, [("grpc.so_reuseport", 1), ("x", 2)]))
    assert (merged["grpc.so_reuseport"], merged["x"]) == (1, 2)
    assert len(merged) == len(server.SERVER_OPTIONS) + 1
    assert dict(server.MONEY_CHANNEL_OPTIONS)["grpc.enable_retries"] == 0

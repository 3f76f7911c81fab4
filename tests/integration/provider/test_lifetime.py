"""Time, crashes and stops: what survives them and what is refused."""

import asyncio
import contextlib
import functools
import itertools
import json
import signal
from collections.abc import Callable
from typing import Any

import grpc
import pytest
from google.protobuf import duration_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from payhub.provider.v1 import operation_pb2

from tests.integration.provider import further, patience, rig

State = operation_pb2.Operation
StartMock = Callable[..., rig.MockProcess]
SLOW_MS = 600


def _slow(stretch: float = 1.0, latency_ms: float = SLOW_MS) -> str:
    """Returns the configuration of a provider that takes its time."""
    return f'{{"latency_ms": {latency_ms * stretch:.0f}}}'


async def test_a_call_after_its_fence_is_refused(core: rig.Core) -> None:
    """TOO_LATE with effect none, even for an operation that is known."""
    paid = await core.authorize()
    for operation_id in (rig.new_operation_id(), paid.operation_id):
        with pytest.raises(rig.Refused) as refused:
            await core.authorize(operation_id=operation_id, not_after_s=-0.001)
        assert refused.value.code is grpc.StatusCode.FAILED_PRECONDITION
        assert (refused.value.reason, refused.value.effect) == ("TOO_LATE", "NONE")


async def test_a_clock_that_is_ahead_can_be_told_from_a_call_that_is_late(core: rig.Core) -> None:
    """The refusal says by how much not_after has passed here, whatever the deadline leaves."""
    with pytest.raises(rig.Refused) as refused:
        await core.authorize(not_after_s=-3600.0, timeout_s=20.0)
    assert "not_after passed 36" in refused.value.text
    assert "clock" in refused.value.text
    with pytest.raises(rig.Refused) as refused:
        await core.authorize(not_after_s=0.4, timeout_s=60)
    assert "until not_after" in refused.value.text


async def test_too_little_time_left_is_refused(core: rig.Core) -> None:
    """Less than a tenth of the given time (at most 0.5 s) until the fence is not enough."""
    with pytest.raises(rig.Refused) as refused:
        await core.authorize(not_after_s=0.4, timeout_s=60)
    assert (refused.value.reason, refused.value.effect) == ("TOO_LATE", "NONE")
    assert (await core.authorize(not_after_s=5.9, timeout_s=60)).state == State.STATE_SUCCEEDED


async def test_nothing_is_booked_once_the_fence_has_passed_inside(
    core: rig.Core, bank: rig.MockProcess
) -> None:
    """The fence is looked at once more in the ledger's transaction."""
    generations = itertools.count(2)

    async def pay(stretch: float) -> None:
        await core.configure(_slow(stretch), generation=next(generations))
        operation_id = rig.new_operation_id()
        paying = core.authorize(
            operation_id=operation_id, not_after_s=0.3 * stretch, timeout_s=stretch
        )
        with pytest.raises(rig.Refused) as refused:
            await paying
        if refused.value.failures and refused.value.reason == "TOO_LATE":
            raise patience.Missed("the fence had passed before it arrived")
        assert refused.value.effect == "UNKNOWN"

        async def is_missing() -> bool:
            try:
                await core.find(operation_id)
            except rig.Refused as missing:
                return missing.code is grpc.StatusCode.NOT_FOUND
            return False

        await rig.until(is_missing, timeout_s=20)
        assert bank.effects(operation_id) == []

    await patience.caught(pay)


async def test_a_call_without_a_deadline_is_refused(core: rig.Core) -> None:
    """Every unary call needs one; the refusal of a mutation says that nothing happened."""
    with pytest.raises(rig.Refused) as refused:
        await core.call(core.stub.AuthorizePayment, core.authorization(), timeout_s=None)
    assert (refused.value.reason, refused.value.effect) == ("INVALID_REQUEST", "NONE")


async def _look_up(core: rig.Core, operation_id: str) -> rig.Refused:
    """Returns why an operation is not found; Missed if it is."""
    try:
        await core.find(operation_id)
    except rig.Refused as refused:
        return refused
    raise patience.Missed(operation_id)


@pytest.mark.parametrize("how", ["deadline", "cancel"])
async def test_a_caller_that_leaves_does_not_undo_the_effect(
    core: rig.Core, bank: rig.MockProcess, how: str
) -> None:
    """While it runs the look-up says so; afterwards it finds the effect."""
    generations = itertools.count(2)

    async def leave(stretch: float) -> None:
        slow = _slow(stretch, latency_ms=300)
        await core.configure(slow, generation=next(generations))
        operation_id = rig.new_operation_id()
        request = core.authorization(operation_id=operation_id)
        timeout_s = 0.15 * stretch if how == "deadline" else 10
        call = core.stub.AuthorizePayment(request, timeout=timeout_s)
        if how == "cancel":
            await core.running(operation_id)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
        else:
            with pytest.raises(grpc.aio.AioRpcError):
                await call
        told = await _look_up(core, operation_id)
        if how == "deadline" and told.reason == "NOT_FOUND":
            raise patience.Missed("its deadline was over before it arrived")
        assert (told.reason, told.effect) == ("OPERATION_IN_PROGRESS", "UNKNOWN")

        await core.succeeded(operation_id)
        assert len(bank.effects(operation_id)) == 1

    await patience.caught(leave)


async def test_no_answer_in_time_is_said_before_the_deadline(core: rig.Core) -> None:
    """The SDK answers UPSTREAM_NO_ANSWER while the caller still listens."""
    generations = itertools.count(2)

    async def wait(stretch: float) -> None:
        await core.configure(_slow(stretch), generation=next(generations))
        with pytest.raises(rig.Refused) as refused:
            await core.authorize(timeout_s=0.4 * stretch)
        # The share of the deadline that is kept back for it is as long as a machine's hiccup.
        if not refused.value.failures:
            raise patience.Missed("the answer was on its way")
        assert (refused.value.reason, refused.value.effect) == ("UPSTREAM_NO_ANSWER", "UNKNOWN")

    await patience.caught(wait)


@pytest.mark.parametrize(
    ("point", "happened"),
    [
        ("provider_mock.before_commit", False),
        ("provider_mock.after_commit", True),
        ("provider_mock.before_answer", True),
    ],
)
async def test_a_kill_at_any_point_leaves_one_effect_or_none(
    start_mock: StartMock, point: str, happened: bool
) -> None:
    """After a restart the look-up is conclusive, and a repeat completes the one effect."""
    first = start_mock({"PAYHUB_FAIL_POINTS": f"{point}:2=kill"})
    core = rig.Core(first.target)
    await core.connect()
    paid = await core.authorize()
    capture_id = rig.new_operation_id()
    with pytest.raises(rig.Refused) as lost:
        await core.capture(paid, 400, operation_id=capture_id)
    assert (lost.value.effect, first.wait()) == ("UNKNOWN", -signal.SIGKILL)
    await core.close()
    assert len(first.effects(capture_id)) == int(happened)  # readable with nobody running

    second = start_mock()
    again = rig.Core(second.target)
    again.binding_id = core.binding_id
    with pytest.raises(rig.Refused) as refused:
        await again.capture(paid, 400, operation_id=capture_id)
    assert (refused.value.reason, refused.value.effect) == ("BINDING_NOT_CONFIGURED", "NONE")
    assert list((await again.call(again.plugin.Probe, rig.ps.ProbeRequest())).bindings) == []
    await again.connect()
    if happened:
        assert (await again.find(capture_id)).state == State.STATE_SUCCEEDED
    else:
        with pytest.raises(rig.Refused) as missing:
            await again.find(capture_id)
        assert missing.value.reason == "NOT_FOUND"
    done = await again.capture(paid, 400, operation_id=capture_id, attempt=2)
    assert done.amount == rig.money(400)
    assert len(second.effects(capture_id)) == 1
    assert second.books()["currencies"]["EUR"]["captured_minor"] == 400
    await again.close()


@pytest.mark.parametrize(("outcome", "happened"), [("crash_before", 0), ("crash_after", 1)])
async def test_a_token_can_crash_the_process(
    start_mock: StartMock, outcome: str, happened: int
) -> None:
    """The crash scenarios kill the process before or after the effect."""
    mock = start_mock()
    core = rig.Core(mock.target)
    await core.connect()
    operation_id = rig.new_operation_id()
    with pytest.raises(rig.Refused) as lost:
        await core.authorize(f"tok_{outcome}", operation_id=operation_id)
    assert (lost.value.effect, mock.wait()) == ("UNKNOWN", -signal.SIGKILL)
    assert len(mock.effects(operation_id)) == happened
    await core.close()


async def test_drain_finishes_what_runs_and_refuses_what_is_new(start_mock: StartMock) -> None:
    """New mutations get DRAINING with effect none; look-ups are served; Drain repeats."""
    await patience.caught(functools.partial(_drain, start_mock))


async def _drain(start_mock: StartMock, stretch: float) -> None:
    mock = start_mock()
    core = rig.Core(mock.target)
    await core.connect(config=_slow(stretch))
    operation_id = rig.new_operation_id()
    running = asyncio.ensure_future(core.authorize(operation_id=operation_id, timeout_s=10))
    at_once = rig.ps.DrainRequest(grace_period=duration_pb2.Duration())
    try:
        await core.running(operation_id)
        left = (await core.call(core.plugin.Drain, at_once)).remaining_calls
        if left == 0 and running.done():
            raise patience.Missed("it had ended before the drain began")
    except patience.Missed:
        await core.close()
        assert await asyncio.to_thread(mock.stop) == 0
        raise
    assert left == 1
    with pytest.raises(rig.Refused) as refused:
        await core.authorize()
    assert refused.value.code is grpc.StatusCode.UNAVAILABLE
    assert (refused.value.reason, refused.value.effect) == ("DRAINING", "NONE")
    patient = rig.ps.DrainRequest(grace_period=duration_pb2.Duration(seconds=9))
    drained = await core.call(core.plugin.Drain, patient, timeout_s=10)
    assert drained.remaining_calls == 0
    done = await running
    assert await core.find(done.operation_id) == done
    probed = await core.call(core.plugin.Probe, rig.ps.ProbeRequest())
    assert probed.readiness == rig.ps.ProbeResponse.READINESS_DRAINING
    await core.close()
    assert mock.stop() == 0


async def test_sigterm_waits_for_what_runs(start_mock: StartMock) -> None:
    """A stop never leaves an operation half done: exit status 0, and the effect is booked."""
    mock = start_mock()
    core = rig.Core(mock.target)
    await core.connect(config=_slow())
    health: Any = health_pb2_grpc.HealthStub(core.channel)
    for service in ("", "payhub.plugin.v1.PluginService"):
        check = await health.Check(health_pb2.HealthCheckRequest(service=service), timeout=10)
        assert check.status == health_pb2.HealthCheckResponse.SERVING
    operation_id = rig.new_operation_id()
    # The caller is gone before the effect: only the tracker knows of it.
    call = core.stub.AuthorizePayment(core.authorization(operation_id=operation_id), timeout=5)
    # On a slow machine it is done already, and there is nothing left to wait for.
    with contextlib.suppress(patience.Missed):
        await core.running(operation_id)
    call.cancel()
    assert await asyncio.to_thread(mock.stop) == 0
    assert len(mock.effects(operation_id)) == 1
    await core.close()


async def test_the_providers_time_goes_on_where_it_stood(start_mock: StartMock) -> None:
    """A clock that was moved is not set back by a crash, and what is due still happens."""
    first = start_mock()
    core = rig.Core(first.target)
    await core.connect()
    waiting = await core.authorize("tok_action_required")
    further.Shop(core, first.http).advance(800 / 86_400)
    await core.close()
    first.kill()

    second = start_mock({"PROVIDER_MOCK_CLOCK_OFFSET_S": "5"})
    again = rig.Core(second.target)
    again.binding_id = core.binding_id
    await again.connect()
    assert (await again.find(waiting.operation_id)).state == State.STATE_ACTION_REQUIRED
    shop = further.Shop(again, second.http)
    assert 800 <= shop.press("/clock", method="GET")["offset_s"] < 801
    shop.advance(101 / 86_400)
    assert (await again.find(waiting.operation_id)).state == State.STATE_DECLINED
    await again.close()


async def test_one_ledger_has_one_process(start_mock: StartMock) -> None:
    """A second process on the same file does not start."""
    start_mock()
    with pytest.raises(AssertionError, match="open in another process"):
        start_mock()


async def test_no_canary_comes_back(start_mock: StartMock) -> None:
    """A payment method, a secret and a client secret are in no answer and no log line."""
    mock = start_mock({"PROVIDER_MOCK_LOG_LEVEL": "debug"})
    core = rig.Core(mock.target)
    await core.connect()
    canary = "tok_canary_7f3a"
    secret = rig.ps.SecretValue(slot="api_key", version=1, value=b"canary_secret_91c2")
    await core.configure("{}", generation=2, secrets=[secret])
    stray = rig.ps.SecretValue(slot="stray", version=1, value=b"canary_secret_91c2")
    told = []
    with pytest.raises(rig.Refused) as refused:
        await core.configure("{}", generation=3, secrets=[stray])
    told.append(refused.value.text)
    told.append(str(await core.authorize(canary)))
    for request in (
        core.authorization(canary, amount_minor=-1),
        core.authorization(canary, currency="ZZZ"),
        core.authorization(canary + "x" * 300),
    ):
        with pytest.raises(rig.Refused) as refused:
            await core.call(core.stub.AuthorizePayment, request)
        told.append(refused.value.text)
    with pytest.raises(rig.Refused) as refused:
        await core.authorize("tok_bug")
    told.append(refused.value.text)
    waiting = await core.authorize("tok_action_required")
    await core.close()
    assert mock.stop() == 0
    log = mock.log.read_text()
    for text in (log, *told):
        assert "canary" not in text
    assert waiting.action.client_secret not in log
    assert "the scenario asks for a bug" in log
    lines = [json.loads(line) for line in log.splitlines()]
    assert all({"ts", "level", "event", "service"} <= line.keys() for line in lines)
    operation_id = waiting.operation_id
    assert any(line.get("operation_id") == operation_id for line in lines)


async def test_the_ledger_can_be_read_while_the_provider_writes(
    core: rig.Core, bank: rig.MockProcess
) -> None:
    """The oracle sees a consistent state at any moment."""
    writing = asyncio.gather(
        *(core.authorize(sale=True, not_after_s=40.0, timeout_s=30.0) for _ in range(100))
    )
    while not writing.done():
        await asyncio.to_thread(bank.books)
    await writing

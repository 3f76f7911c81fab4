"""A real provider process and its lease at a core that comes, goes and changes its mind."""

import asyncio
import itertools
import json
import pathlib
import signal
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
import pytest
from payhub.registry.v1 import registry_service_pb2 as rs

from provider_sdk import registration
from servicekit import errors
from tests.integration.provider import registry, rig

StartMock = Callable[..., rig.MockProcess]
SLOW_S = 1.2
SLOW = f'{{"latency_ms": {SLOW_S * 1e3:.0f}}}'
# Longer than any hiccup of the machine: what starves a renewal is then the provider's load.
LEASE_S = 3.0
RENEWALS = 8
STANDING_BY = "core lets this instance stand by: only probes and look-ups come"
CARRYING_ON = "core lets this instance carry on"


@pytest.fixture
async def core() -> AsyncIterator[registry.Registry]:
    """A registry that listens."""
    core = registry.Registry()
    await core.start()
    yield core
    await core.stop()


async def _started(start_mock: StartMock, core: registry.Registry, **env: str) -> rig.MockProcess:
    """Starts a provider that has a key; the registry serves meanwhile."""
    told = {"PLUGIN_CORE_ENDPOINT": core.target, "PLUGIN_KEY": registry.KEY, **env}
    return await asyncio.to_thread(
        start_mock, {name: value for name, value in told.items() if value}
    )


async def _registered(core: registry.Registry, count: int = 1) -> None:
    # It pauses up to 5 s between two tries.
    await rig.until(lambda: len(core.registered) >= count, timeout_s=30)


def _events(mock: rig.MockProcess) -> list[dict[str, Any]]:
    """Returns the lines of the log that are written to their end."""
    lines = mock.log.read_text().splitlines(keepends=True)
    return [json.loads(line) for line in lines if line.endswith("\n")]


async def _slow_call(mock: rig.MockProcess) -> tuple[rig.Core, "asyncio.Future[Any]"]:
    """Starts a payment that takes SLOW_S; returns the connection and the payment."""
    caller = rig.Core(mock.target)
    await caller.connect(config=SLOW)
    operation_id = rig.new_operation_id()
    running = asyncio.ensure_future(caller.authorize(operation_id=operation_id))
    await caller.running(operation_id)
    return caller, running


async def test_it_registers_whenever_core_comes(
    start_mock: StartMock, tmp_path: pathlib.Path
) -> None:
    """Neither core nor the key has to be there first; meanwhile the provider serves."""
    core = registry.Registry()
    await core.start()
    await core.stop()
    key_file = tmp_path / "plugin.key"
    mock = await _started(start_mock, core, PLUGIN_KEY="", PLUGIN_KEY_FILE=str(key_file))
    caller = rig.Core(mock.target)
    await caller.connect()
    await caller.authorize()
    await core.start()
    key_file.write_text(f"{registry.KEY}\n")
    await _registered(core)
    [request] = core.registered
    told = await caller.call(caller.plugin.Handshake, rig.ps.HandshakeRequest())
    assert request.identity == told.identity
    assert request.endpoint == mock.target
    assert core.keys == {f"Bearer {registry.KEY}"}

    core.sessions.clear()  # as a core with a new database
    await _registered(core, 2)
    await core.stop()
    await caller.authorize()
    core.sessions.clear()
    await core.start()
    await _registered(core, 3)
    assert {one.identity.instance_id for one in core.registered} == {request.identity.instance_id}
    await caller.close()
    assert await asyncio.to_thread(mock.stop) == 0
    assert registry.KEY not in mock.log.read_text()
    await core.stop()


async def test_the_lease_is_renewed_in_time_under_load(start_mock: StartMock) -> None:
    """No gap between renewals is as long as the lease, however busy the provider is."""
    core = registry.Registry(lease_s=LEASE_S)
    await core.start()
    mock = await _started(start_mock, core)
    caller = rig.Core(mock.target)
    await caller.connect()
    await _registered(core)
    end_s = time.monotonic() + RENEWALS * LEASE_S

    async def pay() -> None:
        while len(core.renewed_s) < RENEWALS and time.monotonic() < end_s:
            await caller.authorize()

    await asyncio.gather(*(pay() for _ in range(8)))
    gaps_s = [later - one for one, later in itertools.pairwise(core.renewed_s)]
    assert len(gaps_s) >= RENEWALS - 1
    assert max(gaps_s) < LEASE_S
    assert len(core.registered) == 1
    await caller.close()
    await core.stop()


async def test_a_retired_instance_ends_what_runs_and_leaves(
    start_mock: StartMock, core: registry.Registry
) -> None:
    """It exits with 0 after its last call; SIGTERM meanwhile does not cut the drain short."""
    mock = await _started(start_mock, core)
    await _registered(core)
    caller, running = await _slow_call(mock)
    core.directive = rs.DIRECTIVE_RETIRE
    check = rig.ps.ProbeRequest()

    async def is_stopping() -> bool:
        try:
            await caller.call(caller.plugin.Probe, check)
        except rig.Refused:
            return True
        return False

    await rig.until(is_stopping)
    mock.process.send_signal(signal.SIGTERM)
    done = await running
    assert done.state == rig.Operation.STATE_SUCCEEDED
    assert await asyncio.to_thread(mock.wait) == 0
    assert core.left == list(core.sessions.values())
    await caller.close()


async def test_the_lease_is_kept_through_the_drain(
    start_mock: StartMock, core: registry.Registry
) -> None:
    """On SIGTERM it is renewed until the last call has ended, then closed."""
    mock = await _started(start_mock, core)
    await _registered(core)
    began_s = time.monotonic()
    caller, running = await _slow_call(mock)
    mock.process.send_signal(signal.SIGTERM)
    signalled_s = time.monotonic()
    await running
    during = [moment_s for moment_s in core.renewed_s if moment_s > signalled_s + 0.1]
    assert during
    assert await asyncio.to_thread(mock.wait) == 0
    assert core.left == list(core.sessions.values())
    [left_s] = core.left_s
    assert began_s + SLOW_S < left_s
    assert core.renewed_s[-1] < left_s
    await caller.close()


async def test_core_may_refuse_for_a_while_and_let_it_stand_by(
    start_mock: StartMock, core: registry.Registry
) -> None:
    """A refusal is told once with a way out; STAND_BY and words of later versions end nothing."""
    core.refusal = errors.RpcError(
        grpc.StatusCode.PERMISSION_DENIED, "PLUGIN_UNKNOWN", "mock is not on the allowlist"
    )
    mock = await _started(start_mock, core)
    await rig.until(lambda: "PLUGIN_UNKNOWN" in mock.log.read_text())
    core.refusal = None
    await _registered(core)
    [told] = [line for line in _events(mock) if line["event"] == "not registered yet"]
    assert told["reason"] == "PLUGIN_UNKNOWN"
    assert "payctl plugins allow" in told["way_out"]
    for directive in (rs.DIRECTIVE_STAND_BY, 99, rs.DIRECTIVE_CONTINUE):
        core.directive = directive
        renewed = len(core.renewed_s)
        await rig.until(lambda count=renewed + 3: len(core.renewed_s) >= count)  # type: ignore[misc]
    caller = rig.Core(mock.target)
    await caller.connect()
    assert (await caller.authorize()).state == rig.Operation.STATE_SUCCEEDED
    await caller.close()
    await rig.until(lambda: CARRYING_ON in mock.log.read_text())
    assert [line["event"] for line in _events(mock)].count(STANDING_BY) == 1
    assert len(core.registered) == 1


async def test_a_core_that_hangs_keeps_nothing_from_stopping(
    start_mock: StartMock, core: registry.Registry
) -> None:
    """The process serves and exits with 0 while RegisterInstance gets no answer."""
    core.hangs = True
    mock = await _started(start_mock, core)
    caller = rig.Core(mock.target)
    await caller.connect()
    await caller.authorize()
    await caller.close()
    await rig.until(lambda: bool(core.keys))
    begun_s = time.monotonic()
    assert await asyncio.to_thread(mock.stop) == 0
    # Nearly the whole of which it would take to wait for the answer.
    assert time.monotonic() - begun_s < registration.REGISTER_TIMEOUT_S - 2

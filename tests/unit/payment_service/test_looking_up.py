"""What a look-up rules out, and from when on."""

import asyncio
from dataclasses import replace
from typing import Any

import grpc.aio
import pytest
from grpc_status import rpc_status
from payhub.plugin.v1 import capability_pb2

from payment_service.domain import model, outcomes
from payment_service.provider_client import (
    client,
    configuring,
    introduction,
    loading,
    requests,
)
from provider_sdk import errors
from servicekit import errors as kit_errors
from servicekit import tls
from tests import fake_clock
from tests.unit.payment_service import build, unconfigured

ANSWERS_AFTER_S = 8.0
SKEW_S = 2.0
FINDS = introduction.Known(
    plugin_version="1.0.0",
    instance_id="i",
    capabilities=frozenset({capability_pb2.CAPABILITY_OPERATION_LOOKUP}),
    currencies=frozenset(),
)


class _Stub:
    """Answers NOT_FOUND, a while after it has looked."""

    def __init__(self, clock: fake_clock.FakeClock) -> None:
        self._clock = clock

    async def GetOperation(self, request: Any, timeout: float, metadata: Any) -> Any:
        self._clock.advance(ANSWERS_AFTER_S)
        told = errors.to_rpc(errors.NotFound("no such operation"), domain="mock")
        status = rpc_status.to_status(kit_errors.to_status(told))
        trailing = grpc.aio.Metadata(*status.trailing_metadata)
        raise grpc.aio.AioRpcError(status.code, grpc.aio.Metadata(), trailing, status.details)


async def _welcome(_: introduction.Handshake) -> str:
    return ""


async def look_up(
    asked_after_s: float, had: introduction.Known | None, behind_s: float = 0.0
) -> outcomes.Outcome:
    """Returns what a NOT_FOUND tells that was asked for so long after the fence."""
    clock = fake_clock.FakeClock()
    asked = client.ProviderClient(
        name="mock",
        endpoint="127.0.0.1:1",
        bindings=unconfigured.Bindings(),
        limits=client.Limits(skew_s=SKEW_S),
        dialer=tls.IN_CLEAR,
        clock=clock,
        welcome=_welcome,
        welcomed=lambda: None,
        load=loading.Load(clock, lambda *_: None),
    )
    try:
        asked.known = FINDS
        held = configuring.Configured(tenant_id="default", generation=1)
        asked.configuring.held["b-1"] = held
        asked._stubs[requests.Service.PAYMENT] = _Stub(clock)
        not_after_us = clock.now_us() - round(asked_after_s * 1_000_000)
        doubt = build.operation(
            model.Kind.SALE, state=model.OperationState.IN_DOUBT, not_after_us=not_after_us
        )
        async with asyncio.timeout(30):
            return (await asked.look_up(doubt, "", had, behind_s)).report.outcome
    finally:
        await asked.close()


@pytest.mark.parametrize(
    ("asked_after_s", "outcome"),
    [
        (-1.0, outcomes.Outcome.UNKNOWN),
        (SKEW_S, outcomes.Outcome.UNKNOWN),
        (SKEW_S + 0.001, outcomes.Outcome.NOT_SENT),
    ],
)
async def test_what_may_arrive_while_it_is_looked_up_is_not_ruled_out(
    asked_after_s: float, outcome: outcomes.Outcome
) -> None:
    """NOT_FOUND counts if it was asked for after the fence, however late it is answered."""
    assert await look_up(asked_after_s, None) is outcome


@pytest.mark.parametrize(
    ("had", "outcome"),
    [
        (FINDS, outcomes.Outcome.NOT_SENT),
        (replace(FINDS, request_max_s=60.0), outcomes.Outcome.UNKNOWN),
        (replace(FINDS, capabilities=frozenset()), outcomes.Outcome.UNKNOWN),
        (introduction.NOTHING, outcomes.Outcome.UNKNOWN),
    ],
    ids=["finds", "sends for longer", "leaves no trace", "forgotten"],
)
async def test_what_another_version_had_is_ruled_out_by_both(
    had: introduction.Known, outcome: outcomes.Outcome
) -> None:
    """By the one that looks, and by the one that left what is looked for, or did not."""
    assert await look_up(30.0, had) is outcome


@pytest.mark.parametrize(
    ("asked_after_s", "outcome"),
    [(SKEW_S + 300.0, outcomes.Outcome.UNKNOWN), (SKEW_S + 300.1, outcomes.Outcome.NOT_SENT)],
)
async def test_the_fence_must_have_passed_on_the_clock_that_is_furthest_behind(
    asked_after_s: float, outcome: outcomes.Outcome
) -> None:
    """By that clock a request that stood still would still be in time."""
    assert await look_up(asked_after_s, None, behind_s=300.0) is outcome

"""What holds for operations and look-ups in one process, whatever a provider does."""

import asyncio
import uuid
from typing import Any

import pydantic
import pytest
from payhub.plugin.v1 import capability_pb2
from payhub.provider.v1 import operation_pb2
from payhub.provider.v1 import payment_provider_service_pb2 as pps

from provider_sdk import errors, host, operations, provider
from tests import fake_clock

BINDING_ID = str(uuid.uuid4())
REQUEST_MAX_S = 30.0
LOOKS_FOR_S = 8.0


class Config(pydantic.BaseModel):
    """Nothing to configure."""


class Slow(provider.Provider[Config]):
    """A provider whose upstream system takes its time.

    Args:
        clock: Goes on while it looks something up.
    """

    plugin_id = "slow"
    plugin_version = "1.0.0"
    config_model = Config
    capabilities = frozenset(
        {capability_pb2.CAPABILITY_SALE, capability_pb2.CAPABILITY_OPERATION_LOOKUP}
    )
    upstream_request_max_s = REQUEST_MAX_S

    def __init__(self, clock: fake_clock.FakeClock) -> None:
        self.clock = clock
        self.gate = asyncio.Event()

    async def authorize(
        self, request: pps.AuthorizePaymentRequest, call: provider.Call[Config]
    ) -> operation_pb2.Operation:
        """Succeeds once the gate is open."""
        await self.gate.wait()
        return operation_pb2.Operation(state=operation_pb2.Operation.STATE_SUCCEEDED)

    async def get_operation(
        self, operation_id: str, binding: provider.Binding[Config], *, timeout_s: float
    ) -> operation_pb2.Operation:
        """Looks, and is a while about saying that there was nothing."""
        self.clock.advance(LOOKS_FOR_S)
        raise errors.NotFound("no such operation")


class Context:
    """Of a call that has time."""

    def time_remaining(self) -> float:
        """Returns seconds."""
        return 30.0


def _host(*, max_concurrent_calls: int = 10) -> host.Host:
    clock = fake_clock.FakeClock()
    plugin = Slow(clock)
    plugin.max_concurrent_calls = max_concurrent_calls
    state = host.Host(plugin, clock=clock)
    state.put_binding(
        provider.Binding(binding_id=BINDING_ID, generation=1, config=Config(), secrets={})
    )
    return state


@pytest.mark.parametrize(
    ("ended_s", "kind"),
    [
        (REQUEST_MAX_S - LOOKS_FOR_S / 2, errors.LookupInconclusive),
        (REQUEST_MAX_S + 0.001, errors.NotFound),
    ],
)
async def test_what_may_arrive_while_it_is_looked_up_is_not_ruled_out(
    ended_s: float, kind: type[errors.ProviderError]
) -> None:
    """Not found is a promise if nothing could be under way when upstream was asked."""
    state = _host()
    request = pps.GetOperationRequest(binding_id=BINDING_ID, operation_id="op_1")
    request.hints.not_after.FromMicroseconds(state.clock.now_us() - round(ended_s * 1e6))
    context: Any = Context()
    with pytest.raises(errors.ProviderError) as told:
        await operations.Operations(state).look_up(request, context)
    assert type(told.value) is kind


async def test_a_look_up_that_is_disabled_rules_nothing_out() -> None:
    """As while an upstream index lags: what it does not find may have taken place."""
    state = _host()
    state.provider.disabled = {capability_pb2.CAPABILITY_OPERATION_LOOKUP: "the index lags"}
    request = pps.GetOperationRequest(binding_id=BINDING_ID, operation_id="op_1")
    context: Any = Context()
    with pytest.raises(errors.LookupInconclusive):
        await operations.Operations(state).look_up(request, context)


def _sale(state: host.Host) -> pps.AuthorizePaymentRequest:
    request = pps.AuthorizePaymentRequest(capture_method=pps.CAPTURE_METHOD_AUTOMATIC)
    request.context.binding_id = BINDING_ID
    request.context.operation_id = f"op_{uuid.uuid4().hex}"
    request.context.not_after.FromMicroseconds(state.clock.now_us() + 30_000_000)
    return request


async def test_a_provider_may_learn_at_its_start_how_many_calls_it_takes() -> None:
    """What the handshake states counts: as many run, and one more leaves nothing behind."""
    state = _host(max_concurrent_calls=1)
    plugin: Any = state.provider
    running = operations.Operations(state)
    context: Any = Context()
    plugin.max_concurrent_calls = 2

    async def sell(request: pps.AuthorizePaymentRequest) -> provider.Answer:
        needed = [capability_pb2.CAPABILITY_SALE]
        return await running.run(request, context, needed, plugin.authorize)

    requests = [_sale(state) for _ in range(3)]
    begun = [asyncio.create_task(sell(request)) for request in requests[:2]]
    await asyncio.sleep(0)
    with pytest.raises(errors.Busy):
        await sell(requests[2])
    plugin.gate.set()
    async with asyncio.timeout(30):
        await asyncio.gather(*begun)
        await sell(requests[2])

"""Plugins that hang, crash, answer garbage or claim what they haven't: only they suffer."""

import asyncio
import contextlib
import dataclasses
import pathlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
import grpc.aio
import pytest
from google.protobuf import json_format
from payhub.plugin.v1 import plugin_service_pb2 as ps
from payhub.plugin.v1 import plugin_service_pb2_grpc
from payhub.provider.v1 import operation_pb2
from payhub.provider.v1 import payment_provider_service_pb2 as provider_pb

from provider_sdk import errors as plugin_errors
from servicekit import errors as kit_errors
from tests.integration.payment_service import (
    crashing,
    inside,
    operator,
    registrant,
    rig,
    sidecars,
)

Sidecar = sidecars.Sidecar
Operation = operation_pb2.Operation
Answer = provider_pb.AuthorizePaymentResponse
# Nobody renews the leases of these tests.
LEASE_S = 600.0
# An undecodable answer, as bytes on the wire.
NOISE = b"\xff\xff\xff\xffnot a message"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Neighbours:
    """A service with a plugin that works beside the one under test."""

    admin: operator.Operator
    plug: registrant.Registrant

    async def others_go_on(self) -> None:
        """Fails unless payments through the good one succeed."""
        paid = await asyncio.gather(*[self.admin.caller.create(provider="good") for _ in range(3)])
        assert [rig.state(each) for each in paid] == ["SUCCEEDED"] * 3

    async def pay(self, **fields: Any) -> rig.Payment:
        """Pays through the plugin under test."""
        return await self.admin.caller.create(provider="bad", **fields)

    async def becomes_quarantined(self, version: str = "1.0.0") -> str:
        """Returns why a version is quarantined, once it is."""

        async def quarantined() -> str:
            answer = await self.admin.call("GetPlugin", "bad")
            (found,) = [each for each in answer.versions if each.version == version]
            return str(found.quarantine_reason)

        why: str = await rig.until(quarantined)
        assert (await self.admin.story("bad")).count("plugin.quarantined") == 1
        return why


@pytest.fixture
def url(tmp_path: pathlib.Path) -> str:
    """A database of one dialect, for what never touches it."""
    return f"sqlite:///{tmp_path}/payments.db"


@contextlib.asynccontextmanager
async def beside_a_good_one(database_url: str, **changes: Any) -> AsyncIterator[Neighbours]:
    """Runs a service with a plugin `good` that is enabled."""
    async with (
        Sidecar("good") as good,
        registrant.plugged(database_url, plugin_lease_s=LEASE_S, **changes) as (admin, plug),
    ):
        await registrant.enable(admin, plug, good)
        yield Neighbours(admin=admin, plug=plug)


class Lying(Sidecar):
    """Answers payments with what `make` makes of a good answer."""

    make: Callable[[Operation], None] = staticmethod(lambda _: None)

    async def AuthorizePayment(
        self, request: provider_pb.AuthorizePaymentRequest, context: Any
    ) -> Answer:
        """Takes the money and says something else."""
        answer = await super().AuthorizePayment(request, context)
        self.make(answer.operation)
        return answer


def _other_operation(answer: Operation) -> None:
    answer.operation_id = "op_of_somebody_else"


def _no_state(answer: Operation) -> None:
    answer.state = Operation.STATE_UNSPECIFIED


def _unknown_state(answer: Operation) -> None:
    answer.state = 99  # type: ignore[assignment]


def _no_object(answer: Operation) -> None:
    answer.provider_object_id = ""


def _unstorable(answer: Operation) -> None:
    answer.provider_object_id = "obj\0"


def _endless(answer: Operation) -> None:
    answer.provider_operation_id = "x" * 100_000


def _empty_decline(answer: Operation) -> None:
    answer.state = Operation.STATE_DECLINED


def _empty_action(answer: Operation) -> None:
    answer.state = Operation.STATE_ACTION_REQUIRED


async def _is_quarantined_for(
    found: Neighbours, bad: Lying, make: Callable[[Operation], None]
) -> str:
    bad.make = make
    await registrant.enable(found.admin, found.plug, bad)
    for _ in range(3):
        assert rig.state(await found.pay()) == "IN_DOUBT"
    why = await found.becomes_quarantined()
    charged = len(bad.charged)
    refused = await found.pay()
    assert (rig.state(refused), refused.failure.reason) == ("FAILED", "PROVIDER_QUARANTINED")
    assert len(bad.charged) == charged
    await found.others_go_on()
    return why


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (_other_operation, "the answer is about another operation"),
        (_no_state, "the answer has no state that the contract knows"),
        (_unknown_state, "the answer has no state that the contract knows"),
        (_no_object, "succeeded without the payment's id at the provider"),
        (_endless, "the answer breaks the contract: provider_operation_id: must be at most"),
        (_empty_decline, "declined without a decline"),
        (_empty_action, "asks for an action without saying which"),
    ],
    ids=lambda value: value.__name__[1:] if callable(value) else "",
)
async def test_answers_that_break_the_contract_quarantine_the_version(
    url: str, make: Callable[[Operation], None], why: str
) -> None:
    """Nobody knows what they mean, so the payment is in doubt; three are enough."""
    async with Lying("bad") as bad, beside_a_good_one(url) as found:
        told = await _is_quarantined_for(found, bad, make)
        assert told.startswith(f"broken contract: {why}")


async def test_texts_that_a_database_does_not_take_break_the_contract(database_url: str) -> None:
    """NUL can't be stored everywhere: the payment would never leave its first state."""
    async with Lying("bad") as bad, beside_a_good_one(database_url) as found:
        assert "holds NUL" in await _is_quarantined_for(found, bad, _unstorable)


class Ailing(Sidecar):
    """Is impaired for a reason that PostgreSQL does not keep, since a time of no calendar."""

    async def Probe(self, request: ps.ProbeRequest, context: Any) -> ps.ProbeResponse:
        """Quotes what its upstream said."""
        answer = await super().Probe(request, context)
        answer.readiness = ps.ProbeResponse.READINESS_DEGRADED
        answer.degraded_reasons.append("upstream says a\0b")
        status = answer.bindings.add(binding_id="other")
        status.secret_warnings.add(slot="key").expire_time.seconds = 10**13
        status.credential_time.seconds = 10**13
        return answer


async def test_what_no_database_takes_of_one_hides_nothing_of_others(database_url: str) -> None:
    """What is impaired is told as far as it can be, and what becomes of others is, too."""

    async def told(admin: operator.Operator, plugin_id: str, what: str) -> None:
        async def is_told() -> bool:
            history = await admin.history(plugin_id)
            return any(what in each.reason for each in history)

        await rig.until(is_told)

    async with Ailing("bad") as bad, beside_a_good_one(database_url) as found:
        await registrant.enable(found.admin, found.plug, bad)
        async with Sidecar("later") as later:
            await registrant.enable(found.admin, found.plug, later)
        await told(found.admin, "later", "AVAILABLE: no connection")
        await told(found.admin, "bad", "upstream says ab")
        health = await found.admin.call("GetPluginHealth", "bad")
        assert "upstream says ab" in json_format.MessageToJson(health)


class Noisy(Sidecar):
    """Answers payments with bytes that are no message."""

    async def start(self, port: int = 0) -> "Noisy":
        """Serves raw bytes."""

        async def noise(request: bytes, context: Any) -> bytes:
            self.charged.append("?")
            return NOISE

        self._server = grpc.aio.server()
        plugin_service_pb2_grpc.add_PluginServiceServicer_to_server(self, self._server)
        raw: dict[str, Any] = {"AuthorizePayment": grpc.unary_unary_rpc_method_handler(noise)}
        handler = grpc.method_handlers_generic_handler(sidecars.SERVICE, raw)
        self._server.add_generic_rpc_handlers((handler,))
        self.target = f"127.0.0.1:{self._server.add_insecure_port(f'127.0.0.1:{port}')}"
        await self._server.start()
        return self


async def test_bytes_that_are_no_message_are_a_broken_contract(url: str) -> None:
    """Whatever was done upstream, nobody can tell; the service itself takes no harm."""
    async with Noisy("bad") as bad, beside_a_good_one(url) as found:
        await registrant.enable(found.admin, found.plug, bad)
        doubts = [await found.pay() for _ in range(3)]
        assert [rig.state(each) for each in doubts] == ["IN_DOUBT"] * 3
        assert "not a message" in await found.becomes_quarantined()
        await found.others_go_on()


class Boasting(Sidecar):
    """Claims to sell and does not."""

    async def AuthorizePayment(
        self, request: provider_pb.AuthorizePaymentRequest, context: Any
    ) -> Answer:
        """Refuses, though it claims the capability."""
        problem = plugin_errors.NotSupported("sales are not offered")
        await sidecars.fail(context, plugin_errors.to_rpc(problem, domain="bad"))


async def test_a_capability_that_is_claimed_falsely_quarantines_the_version(
    url: str,
) -> None:
    """Nothing was done, which is certain; an operator learns which capability it is."""
    async with Boasting("bad") as bad, beside_a_good_one(url) as found:
        await registrant.enable(found.admin, found.plug, bad)
        for _ in range(3):
            failed = await found.pay()
            assert (rig.state(failed), failed.failure.reason) == ("FAILED", "NOT_SUPPORTED")
        assert "CAPABILITY_SALE" in await found.becomes_quarantined()
        await found.others_go_on()
        # Another version ends it, without an operator.
        async with Sidecar("bad", "1.0.1") as better:
            await found.plug.register(better)
            await inside.connected(found.admin.service, "bad", instances=2)
            assert rig.state(await found.pay()) == "SUCCEEDED"


async def test_a_plugin_that_hangs_leaves_doubts_and_no_waiting_neighbours(
    url: str,
) -> None:
    """Its breaker opens; until then it may tie up no more than its bound."""
    async with (
        Sidecar("bad") as bad,
        beside_a_good_one(
            url, provider_calls_max=8, breaker_calls_min=8, breaker_open_first_s=30.0
        ) as found,
    ):
        await registrant.enable(found.admin, found.plug, bad)
        bad.answers = asyncio.Event()
        hanging = [asyncio.create_task(found.pay()) for _ in range(20)]

        async def full() -> bool:
            return len(bad.charged) == 8

        await rig.until(full)
        await found.others_go_on()
        ended = [each.failure.reason or rig.state(each) for each in await asyncio.gather(*hanging)]
        assert sorted(ended) == ["IN_DOUBT"] * 8 + ["PROVIDER_BUSY"] * 12
        refused = await found.pay()
        assert refused.failure.reason == "BREAKER_OPEN"
        await found.others_go_on()
        bad.answers.set()


async def test_a_plugin_that_crashes_on_every_call_is_quarantined(database_url: str) -> None:
    """Each crash leaves one doubt; the third makes a crash loop, until a person releases it."""
    async with beside_a_good_one(database_url) as found:
        port = 0
        for number in range(4):
            async with crashing.process("bad", "1.0.0", port) as (told, child):
                port = int(told.target.rpartition(":")[2])
                if number == 0:
                    await registrant.enable(found.admin, found.plug, told)
                else:
                    await found.plug.register(told)
                if number == 3:
                    assert "crash loop: 3 crashes" in await found.becomes_quarantined()
                    refused = await found.pay()
                    assert refused.failure.reason == "PROVIDER_QUARANTINED"
                    assert child.returncode is None, "it was left alone"
                    break
                await inside.connected(found.admin.service, "bad")
                assert rig.state(await found.pay()) == "IN_DOUBT"
                assert await child.wait() == -9
                await found.others_go_on()
        await found.others_go_on()
        await found.admin.call("ReleaseVersion", "bad", version="1.0.0")
        fixed = await Sidecar("bad").start(port)
        try:
            await found.plug.register(fixed)
            await inside.connected(found.admin.service, "bad")
            assert rig.state(await found.pay()) == "SUCCEEDED"
        finally:
            await fixed.stop()


async def test_a_generation_that_is_stale_is_no_failure(url: str) -> None:
    """Another replica was here first with a newer configuration: the operation goes on."""
    async with Stale("bad") as bad, beside_a_good_one(url) as found:
        await registrant.enable(found.admin, found.plug, bad)
        bad.is_ahead = True
        assert rig.state(await found.pay()) == "SUCCEEDED"
        assert "Configure" in bad.asked


class Stale(Sidecar):
    """Has a newer generation of everything than it is sent, once it is told so."""

    is_ahead = False

    async def Configure(self, request: Any, context: Any) -> Any:
        """Refuses an older generation, as the contract says."""
        if self.is_ahead:
            self.asked.append("Configure")
            problem = kit_errors.RpcError(
                grpc.StatusCode.FAILED_PRECONDITION, "STALE_GENERATION", "a newer one is in force"
            )
            await sidecars.fail(context, problem)
        return await super().Configure(request, context)

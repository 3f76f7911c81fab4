"""The service killed while a webhook is on its way, or a doubt is sent again: once all the same."""

import asyncio
import contextlib
import io
import json
import pathlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import grpc
import pytest
from google.protobuf import json_format
from payhub.plugin.v1 import capability_pb2
from payhub.provider.v1 import payment_provider_service_pb2 as pps
from payhub.provider.v1 import provider_object_pb2 as objects

from deploy import stack
from payment_service.provider_client import registry
from tests.integration.payment_service import billing, conftest, hooking, records, rig

POINTS = (
    "payment_service.after_webhook_stored",
    "payment_service.before_webhook_applied",
    "payment_service.after_webhook_applied",
)
RESEND = "payment_service.before_resend"


class Bank(hooking.Bank):
    """Takes a repeat for the same operation, loses its first answers, and can't look up."""

    def __init__(self) -> None:
        super().__init__()
        lookup = capability_pb2.CAPABILITY_OPERATION_LOOKUP
        kept = [one for one in self.handshake.capabilities if one.capability != lookup]
        del self.handshake.capabilities[:]
        self.handshake.capabilities.extend(kept)
        self.handshake.capabilities.add(
            capability=capability_pb2.CAPABILITY_UPSTREAM_IDEMPOTENCY, enabled=True
        )
        self.handshake.upstream_idempotency_retention.FromSeconds(86_400)
        self.loses = 0
        self.paid: dict[str, int] = {}

    async def AuthorizePayment(
        self, request: pps.AuthorizePaymentRequest, context: Any
    ) -> pps.AuthorizePaymentResponse:
        """Takes the money once per operation."""
        operation_id = request.context.operation_id
        self.paid[operation_id] = self.paid.get(operation_id, 0) + 1
        if self.loses:
            self.loses -= 1
            await context.abort(grpc.StatusCode.UNAVAILABLE, "gone")
        return await super().AuthorizePayment(request, context)


@contextlib.asynccontextmanager
async def calling(
    processes: stack.Stack, bank: Bank, stored: records.Records
) -> AsyncIterator[billing.Billing]:
    """Calls the service once its provider is connected."""
    async with rig.Caller(processes.target(stack.PAYMENTS), processes.dev_key()) as caller:

        async def ready() -> bool:
            answer = await caller.call(caller.status.GetStatus, rig.status_request())
            return bool(answer.providers and answer.providers[0].ready)

        await rig.until(ready)
        service: Any = _Outside(caller)
        yield billing.Billing(service=service, bank=bank, records=stored)


class _Outside:
    def __init__(self, caller: rig.Caller) -> None:
        self.caller = caller


async def _send(processes: stack.Stack, told: Any) -> int:
    """Sends a webhook as the provider does; 0 if nobody answered."""
    body = json_format.MessageToJson(told).encode()
    place = f"webhooks/mock/{registry.binding_id('default', 'mock')}"
    url = f"{processes.http_url(stack.PAYMENTS)}/{place}"
    headers = {"X-Signature": hooking.sign(body)}
    try:
        async with (
            aiohttp.ClientSession() as session,
            session.post(url, data=io.BytesIO(body), headers=headers) as answer,
        ):
            return answer.status
    except (aiohttp.ClientError, OSError):
        return 0


@pytest.mark.timeout(300)
async def test_killed_at_any_boundary_a_webhook_is_applied_once(
    new_database_url: Callable[[], str], tmp_path: pathlib.Path
) -> None:
    """The provider sends again what was not answered; the object changes once, with one event."""
    url = new_database_url()
    env = conftest.RESOLVER | {
        "PAYMENT_SERVICE_PROVIDER_TIMEOUT_S": "1.5",
        "PAYMENT_SERVICE_PLUGIN_CRASHES_MAX": "0",
    }
    async with Bank() as bank:
        env["PAYMENT_SERVICE_PROVIDERS"] = json.dumps({"mock": bank.target})
        processes = stack.Stack(
            tmp_path / "svc", env=env, databases={stack.PAYMENTS: url}, names=(stack.PAYMENTS,)
        )
        stored = records.Records(url)
        try:
            await asyncio.to_thread(processes.start)
            async with calling(processes, bank, stored) as shop:
                method = await shop.attach((await shop.customer()).id)
            for number, point in enumerate(POINTS):
                await _restart(processes, {"PAYHUB_FAIL_POINTS": f"{point}:1"})
                async with calling(processes, bank, stored):
                    pass
                card = objects.CardDetails(brand="visa", last4=f"{number:04}")
                identity = method.mirror.provider_object_id
                told = hooking.told(bank.put(identity, payment_method={"card": card}))
                status = await _send(processes, told)
                assert status in (0, 200), point
                assert (
                    await asyncio.to_thread(processes.wait_exit, stack.PAYMENTS, timeout_s=40.0)
                    == -9
                )
                await asyncio.to_thread(processes.restart, stack.PAYMENTS)
                async with calling(processes, bank, stored) as shop:

                    async def taken(again: Any = told) -> bool:
                        return await _send(processes, again) == 200

                    await rig.until(taken)
                    after = await shop.method(method.id)
                    assert after.card.last4 == f"{number:04}", point
                    # Dense versions, each with one event; one more for each webhook.
                    assert len(stored.story(after)) == 2 + number + 1
            await _sent_again(processes, bank, stored)
        finally:
            stored.close()
            await asyncio.to_thread(processes.stop)


async def _sent_again(processes: stack.Stack, bank: Bank, stored: records.Records) -> None:
    """A doubt whose repeat is killed before it leaves is repeated by the next process, once."""
    await _restart(processes, {"PAYHUB_FAIL_POINTS": f"{RESEND}:1"})
    async with calling(processes, bank, stored) as shop:
        bank.loses = 1
        # The process may end before it has said so much as that.
        with contextlib.suppress(rig.Refused):
            assert rig.state(await shop.caller.create()) == "IN_DOUBT"
    assert await asyncio.to_thread(processes.wait_exit, stack.PAYMENTS, timeout_s=40.0) == -9
    await asyncio.to_thread(processes.restart, stack.PAYMENTS)
    async with calling(processes, bank, stored) as shop:
        (doubt,) = (await shop.caller.list()).payments
        settled = await shop.caller.becomes(doubt.id, "SUCCEEDED")
        assert "payment.in_doubt" in stored.story(settled)
        (operation,) = settled.operations
        # The lost first call and one repeat, both under one id.
        assert bank.paid == {operation.id: 2}


async def _restart(processes: stack.Stack, env: dict[str, str]) -> None:
    await asyncio.to_thread(processes.kill, stack.PAYMENTS)
    await asyncio.to_thread(processes.restart, stack.PAYMENTS, env)

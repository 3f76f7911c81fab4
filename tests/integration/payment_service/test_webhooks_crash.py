"""The service killed while a webhook is on its way, or a doubt is sent again: once all the same."""

import contextlib
import io
import pathlib
from collections.abc import Callable
from typing import Any

import aiohttp
import grpc
import pytest
from google.protobuf import json_format
from payhub.plugin.v1 import capability_pb2
from payhub.provider.v1 import payment_provider_service_pb2 as pps
from payhub.provider.v1 import provider_object_pb2 as objects

from deploy import stack
from payment_service.domain import bindings
from tests.integration.payment_service import billing, hooking, killable, rig

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


async def _send(processes: stack.Stack, told: Any) -> int:
    """Sends a webhook as the provider does; 0 if nobody answered."""
    body = json_format.MessageToJson(told).encode()
    place = f"webhooks/mock/{bindings.binding_id('default', 'mock')}"
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
    async with (
        Bank() as bank,
        killable.Killable(tmp_path / "svc", url, bank, billing.Billing) as core,
    ):
        async with core.calling() as shop:
            method = await shop.attach((await shop.customer()).id)
        for number, point in enumerate(POINTS):
            await core.arm(point)
            async with core.calling():
                pass
            card = objects.CardDetails(brand="visa", last4=f"{number:04}")
            identity = method.mirror.provider_object_id
            told = hooking.told(bank.put(identity, payment_method={"card": card}))
            status = await _send(core.processes, told)
            assert status in (0, 200), point
            await core.is_killed()
            async with core.calling() as shop:

                async def taken(again: Any = told) -> bool:
                    return await _send(core.processes, again) == 200

                await rig.until(taken)
                after = await shop.method(method.id)
                assert after.card.last4 == f"{number:04}", point
                # Dense versions, each with one event; one more for each webhook.
                assert len(shop.records.story(after)) == 2 + number + 1
        await _sent_again(core, bank)


async def _sent_again(core: killable.Killable[billing.Billing], bank: Bank) -> None:
    """A doubt whose repeat is killed before it leaves is repeated by the next process, once."""
    await core.arm(RESEND)
    async with core.calling() as shop:
        bank.loses = 1
        # The process may end before it has said so much as that.
        with contextlib.suppress(rig.Refused):
            assert rig.state(await shop.caller.create()) == "IN_DOUBT"
    await core.is_killed()
    async with core.calling() as shop:
        (doubt,) = (await shop.caller.list()).payments
        settled = await shop.caller.becomes(doubt.id, "SUCCEEDED")
        assert "payment.in_doubt" in shop.records.story(settled)
        (operation,) = settled.operations
        # The lost first call and one repeat, both under one id.
        assert bank.paid == {operation.id: 2}

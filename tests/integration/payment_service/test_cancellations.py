"""Cancellations that had to wait: none is forgotten, and none is in another's way."""

import asyncio
from typing import Any

import pytest
from payhub.provider.v1 import payment_provider_service_pb2 as provider_pb

from deploy import stack
from payment_service import resolver
from payment_service.db import payments
from payment_service.domain.mirrors import objects
from payment_service.usecases import cancellations, driving, refunds, settling
from payment_service.usecases import payments as payment_cases
from tests.integration.payment_service import inside, merchant, paying, rig, sidecars


async def test_wishes_that_can_not_be_met_keep_no_other_waiting(
    database_url: str, bank: stack.Stack
) -> None:
    """Those of a provider that is gone, or can't do it, stay first in line for ever."""
    names = ", ".join(payments.COLUMNS)
    changed = {
        "id": "'pay_' || n",
        "state": "2",
        "provider": "'gone'",
        "cancel_requested": "1",
        "updated_us": "1",
    }
    values = ", ".join(changed.get(name, name) for name in payments.COLUMNS)
    numbers = " union all ".join(f"select {n} as n" for n in range(3 * resolver.BATCH_MAX))
    copy = f"insert into payments ({names}) select {values} from payments, ({numbers}) as many"
    # A doubt stays one until somebody asks for it, so that its cancellation has to wait.
    looks: dict[str, Any] = {"resolver_doubt_first_s": 3600, "resolver_longest_s": 3600}
    async with inside.running(database_url, bank.target(stack.MOCK), **looks) as service:
        await inside.connected(service)
        caller = service.caller
        await caller.create(token="", confirm=False)
        await service.parts.ctx.db.write(lambda conn: conn.query(copy))
        doubt = await caller.create("tok_no_answer")
        assert (await caller.cancel(doubt.id)).cancel_requested

        async def returned() -> bool:
            return (await caller.get(doubt.id)).amounts.refunded_minor == 1000

        await rig.until(returned)


async def test_what_a_wish_is_carried_out_on_is_read_again_under_its_lock(
    database_url: str, bank: stack.Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wish that another process met meanwhile, or whose outcome is unknown, begins nothing."""
    looks: dict[str, Any] = {"resolver_doubt_first_s": 3600, "resolver_longest_s": 3600}
    async with inside.running(database_url, bank.target(stack.MOCK), **looks) as service:
        await inside.connected(service)
        caller, ctx = service.caller, service.parts.ctx
        held = await caller.create(manual=True)
        settler = settling.Settler(ctx)
        driver = driving.Driver(ctx, settler)
        carrying = cancellations.Cancellations(
            ctx,
            settler,
            payment_cases.Payments(ctx, settler, driver),
            refunds.Refunds(ctx, settler, driver),
        )
        # The service's own resolver sees none of them.
        monkeypatch.setattr(payments, "to_cancel", lambda *_, **__: [])
        # As both stood when they were read without the lock.
        monkeypatch.setattr(carrying, "_possible", lambda _: True)
        assert not await carrying.carry_out(caller.tenant, held.id)
        assert await caller.get(held.id) == held
        doubt = await caller.create("tok_no_answer")
        wish = await caller.cancel(doubt.id)
        assert (rig.state(wish), wish.cancel_requested) == ("IN_DOUBT", True)
        assert not await carrying.carry_out(caller.tenant, doubt.id)
        assert rig.operations(await caller.get(doubt.id)) == [("SALE", "IN_DOUBT")]


class Away(paying.Payer):
    """A provider whose refunds end as `script["RefundPayment"]` says: `not_sent`, or well."""

    async def RefundPayment(
        self, request: provider_pb.RefundPaymentRequest, context: Any
    ) -> provider_pb.RefundPaymentResponse:
        """Gives it back, or can't reach the bank."""
        if self.script["RefundPayment"]:
            self.script["RefundPayment"].pop(0)
            await sidecars.away(context)
        self.effects.append(("RefundPayment", request.context.operation_id))
        return await super().RefundPayment(request, context)


async def test_a_wish_that_does_not_reach_the_provider_is_carried_out_later(
    database_url: str,
) -> None:
    """Cancel was answered with a promise; that nothing could be sent at once does not end it."""
    bank = Away()
    bank.answers = asyncio.Event()
    bank.script["AuthorizePayment"] = ["hang"]
    bank.script["RefundPayment"] = ["not_sent", "not_sent"]
    async with paying.running(database_url, paying.Clock(), bank) as shop:
        caller = shop.caller
        creating = asyncio.create_task(caller.create())

        async def asked() -> bool:
            return bool(bank.asked_for)

        await rig.until(asked)
        (under_way,) = (await caller.list()).payments
        assert (await caller.cancel(under_way.id)).cancel_requested
        bank.answers.set()
        paid = await creating

        async def returned() -> rig.Payment | None:
            now = await caller.becomes_known(paid.id)
            return now if now.amounts.refunded_minor else None

        after: rig.Payment = await rig.until(returned)
        assert not after.cancel_requested
        assert rig.operations(after) == [
            ("SALE", "SUCCEEDED"),
            ("REFUND", "NOT_SENT"),
            ("REFUND", "NOT_SENT"),
            ("REFUND", "SUCCEEDED"),
        ]
        shop.records.story(after)
    assert [name for name, _ in bank.effects] == ["AuthorizePayment", "RefundPayment"]


async def test_a_wish_is_met_by_what_was_returned_elsewhere(database_url: str) -> None:
    """Somebody refunded the whole in the provider's dashboard before its outcome was known."""
    slow: dict[str, Any] = {"resolver_doubt_first_s": 3600, "resolver_longest_s": 3600}
    async with merchant.running(database_url, **slow) as shop:
        shop.bank.script["AuthorizePayment"] = ["drop"]
        doubt = await shop.caller.create()
        assert (await shop.caller.cancel(doubt.id)).cancel_requested
        (request,) = shop.bank.asked_for
        identity = shop.bank.has_payment(
            shop.bank.made_by(request.context.operation_id),
            1000,
            core_id=doubt.id,
            refunded_minor=1000,
        )
        await shop.hears(objects.ObjectKind.PAYMENT, identity)
        # Whoever asks for it has it looked up.
        await shop.caller.becomes(doubt.id, "SUCCEEDED")

        async def met() -> rig.Payment | None:
            payment = await shop.caller.get(doubt.id)
            return None if payment.cancel_requested else payment

        paid: rig.Payment = await rig.until(met)
        assert rig.operations(paid) == [("SALE", "SUCCEEDED")]
        assert paid.amounts.foreign_refunded_minor == 1000
        told = shop.records.story(paid)
        assert [one for one in told if one == "payment.updated"] == ["payment.updated"] * 2
        wish, end = (
            one
            for one in shop.records.payment_events(paid.id)
            if list(one.changed.paths) == ["cancel_requested"]
        )
        assert (wish.payment.cancel_requested, end.payment.cancel_requested) == (True, False)

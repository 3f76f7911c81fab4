"""Webhooks in any order, repeated at random, end where the ordered ones end."""

import asyncio
import os
import pathlib
import random
from typing import Any

from google.protobuf import json_format
from payhub.provider.v1 import provider_object_pb2 as objects

from payment_service.usecases.webhooks import receiving
from tests.integration.payment_service import hooking, rig

# `WEBHOOKS=10000` sends as many as the figure in docs/webhooks.md was seen with.
COUNT = int(os.environ.get("WEBHOOKS", "400"))
AT_ONCE = 24
_S = objects.SubscriptionObject
_STATES = (_S.STATE_ACTIVE, _S.STATE_PAST_DUE, _S.STATE_PAUSED)


async def _entities(hooks: hooking.Hooks, count: int) -> list[Any]:
    """Makes payment methods and subscriptions in equal numbers."""
    made: list[Any] = []
    plan = await hooks.bill.plan()
    for _ in range(count):
        customer = await hooks.bill.customer()
        made.append(await hooks.bill.attach(customer.id))
        made.append(await hooks.bill.subscribe(customer.id, plan.id))
    return made


def _story(hooks: hooking.Hooks, entity: Any, length: int, seed: int) -> list[Any]:
    """Changes an object *length* times at the provider; returns a webhook of each change."""
    chance = random.Random(seed)
    told = []
    identity = entity.mirror.provider_object_id
    for number in range(length):
        # Some changes share a moment of the provider's clock.
        hooks.bank.frozen = chance.random() < 0.15
        if entity.id.startswith("pmt_"):
            card = objects.CardDetails(brand="visa", last4=f"{number:04}", expire_year=2040)
            content: dict[str, Any] = {"payment_method": {"card": card}}
        else:
            state, quantity = chance.choice(_STATES), 1 + chance.randrange(9)
            content = {"subscription": {"state": state, "quantity": quantity}}
        told.append(hooks.told(hooks.bank.put(identity, **content)))
    hooks.bank.frozen = False
    return told


async def _deliver(hooks: hooking.Hooks, told: list[Any]) -> None:
    """Hands webhooks to the receiver as the endpoint does, several at once."""
    limit = asyncio.Semaphore(AT_ONCE)

    async def one(message: Any) -> None:
        body = json_format.MessageToJson(message).encode()
        request = receiving.Request(
            provider="mock",
            binding_id=hooks.binding_id,
            headers=(("x-signature", hooks.signature(body)),),
            body=body,
            body_bytes=len(body),
        )
        async with limit:
            webhook = await hooks.service.parts.webhooks.receiver.receive(request)
            assert webhook.http_status == 200

    await asyncio.gather(*map(one, told))


def _shown(entity: Any) -> dict[str, Any]:
    """Returns what an entity says, without what belongs to it alone."""
    shown = json_format.MessageToDict(entity)
    own = ("id", "customerId", "version", "createTime", "updateTime", "latestInvoiceId")
    for name in (*own, "currentPeriodStart", "currentPeriodEnd"):
        shown.pop(name, None)
    shown["mirror"] = {"syncState": shown["mirror"]["syncState"]}
    return shown


async def _now(hooks: hooking.Hooks, entity: Any) -> Any:
    if entity.id.startswith("pmt_"):
        return await hooks.bill.method(entity.id)
    return await hooks.bill.subscription(entity.id)


async def test_any_order_ends_as_the_right_one(tmp_path: pathlib.Path) -> None:
    """Shuffled and repeated webhooks leave every object as the ordered ones leave its twin."""
    async with hooking.running(f"sqlite:///{tmp_path}/payments.db") as hooks:
        pairs = 4
        entities = await _entities(hooks, 2 * pairs)
        ordered, shuffled = entities[: 2 * pairs], entities[2 * pairs :]
        # A third of the shuffled ones come twice.
        length = max(COUNT * 3 // (7 * len(ordered)), 2)
        told_right = [_story(hooks, one, length, n) for n, one in enumerate(ordered)]
        told_wrong = [_story(hooks, one, length, n) for n, one in enumerate(shuffled)]
        for steps in zip(*told_right, strict=True):
            await _deliver(hooks, list(steps))
        mixed = [message for story in told_wrong for message in story]
        mixed += random.Random(1).sample(mixed, len(mixed) // 3)
        random.Random(2).shuffle(mixed)
        await _deliver(hooks, mixed)

        async def done() -> bool:
            rows = hooks.records.rows("select count(*) from inbound_webhooks where state in (1, 6)")
            return rows == [(0,)]

        await rig.until(done, timeout_s=50)
        for right, wrong in zip(ordered, shuffled, strict=True):
            there, here = await _now(hooks, right), await _now(hooks, wrong)
            assert _shown(here) == _shown(there)
            hooks.records.story(here)
        states = hooks.records.rows(
            "select state, count(*) from inbound_webhooks group by state order by state"
        )
        assert {state for state, _ in states} == {2, 3}
        assert sum(count for _, count in states) == len(mixed) + len(ordered) * length

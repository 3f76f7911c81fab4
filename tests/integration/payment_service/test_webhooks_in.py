"""Webhooks in: kept before they are answered, believed by their signature, applied once."""

import asyncio
import json
import random
from dataclasses import replace
from typing import Any

import grpc
import pydantic
import pytest
from payhub.admin.v1 import inbound_webhook_service_pb2 as pb
from payhub.payments.v1 import billing_events_pb2
from payhub.provider.v1 import notice_provider_service_pb2 as nps
from payhub.provider.v1 import operation_pb2
from payhub.provider.v1 import provider_object_pb2 as objects

from payment_service.domain import bindings
from tests.integration.payment_service import billing, hooking, inside, rig

_O = operation_pb2.Operation


async def test_what_a_webhook_tells_is_applied_once(hooks: hooking.Hooks) -> None:
    """An object changes once however often its event comes, and each arrival is kept."""
    customer = await hooks.bill.customer()
    method = await hooks.bill.attach(customer.id)
    identity = method.mirror.provider_object_id
    changed = hooks.bank.put(
        identity, payment_method={"card": objects.CardDetails(brand="visa", last4="9999")}
    )
    told = hooks.told(changed, event_type="payment_method.updated")
    status, first = await hooks.send(told)
    assert status == 200
    found = (await hooks.get(first)).webhook
    assert (rig.state(found), list(found.entity_ids)) == ("APPLIED", [method.id])
    assert (await hooks.bill.method(method.id)).card.last4 == "9999"
    story = hooks.records.story(await hooks.bill.method(method.id))
    status, second = await hooks.send(told)
    assert (status, rig.state((await hooks.get(second)).webhook)) == (200, "DUPLICATE")
    assert hooks.records.story(await hooks.bill.method(method.id)) == story
    # Another event with the same content changes nothing either.
    status, third = await hooks.send(hooks.told(changed))
    assert (status, rig.state((await hooks.get(third)).webhook)) == (200, "APPLIED")
    assert hooks.records.story(await hooks.bill.method(method.id)) == story
    (event,) = hooks.records.events(first)
    payload = billing_events_pb2.WebhookEvent.FromString(event.data)
    assert (event.type, payload.event_type) == ("webhook.received", "payment_method.updated")


async def test_money_is_asked_for_before_it_is_believed(hooks: hooking.Hooks) -> None:
    """A webhook that hints at money is answered, and then the provider is asked."""
    payment = await hooks.bill.caller.create()
    operation = payment.operations[0]
    hint = _O(operation_id=operation.id, state=_O.STATE_DECLINED)
    reference = objects.ObjectReference(
        kind=objects.OBJECT_KIND_PAYMENT, provider_object_id=payment.provider_payment_id
    )
    status, webhook_id = await hooks.send(hooks.told(operations=[hint], refetch=[reference]))
    assert status == 200
    # The sidecar can't look the payment up: the webhook waits, and nothing is believed.
    await hooks.becomes(webhook_id, "PARKED")
    assert rig.state(await hooks.bill.caller.get(payment.id)) == "SUCCEEDED"


async def test_a_pending_payment_ends_by_its_webhook(hooks: hooking.Hooks) -> None:
    """What a webhook says of an operation takes the same way as an answer."""
    payment = await hooks.bill.caller.create(confirm=False)
    hooks.bank.script["AuthorizePayment"] = ["pending"]
    payment = await hooks.bill.caller.confirm(payment.id)
    operation = payment.operations[0]
    report = _O(
        operation_id=operation.id,
        state=_O.STATE_SUCCEEDED,
        provider_object_id="pay_1",
        amount=payment.amount,
    )
    assert rig.state(payment) == "PROCESSING"
    status, webhook_id = await hooks.send(hooks.told(operations=[report]))
    assert status == 200
    assert rig.state((await hooks.get(webhook_id)).webhook) == "APPLIED"
    assert rig.state(await hooks.bill.caller.get(payment.id)) == "SUCCEEDED"


async def test_a_webhook_that_leaves_out_what_matters_is_only_a_hint(
    hooks: hooking.Hooks,
) -> None:
    """A payment without its id could never be refunded: the provider is asked instead."""
    hooks.bank.script["AuthorizePayment"] = ["pending"]
    payment = await hooks.bill.caller.create()
    report = _O(
        operation_id=payment.operations[0].id,
        state=_O.STATE_SUCCEEDED,
        amount=payment.amount,
    )
    status, webhook_id = await hooks.send(hooks.told(operations=[report]))
    assert status == 200
    # The sidecar has no look-up of payments.
    await hooks.becomes(webhook_id, "PARKED")
    assert rig.state(await hooks.bill.caller.get(payment.id)) == "PROCESSING"


async def test_who_is_not_believed_changes_nothing(hooks: hooking.Hooks) -> None:
    """Bad signatures, bodies and addresses are refused, kept for audit, and told once."""
    customer = await hooks.bill.customer()
    method = await hooks.bill.attach(customer.id)
    stored = hooks.records.rows("select count(*) from operations")
    changed = hooks.bank.put(
        method.mirror.provider_object_id,
        payment_method={"card": objects.CardDetails(last4="0000")},
    )
    told = hooks.told(changed)
    for expected, call in (
        (401, hooks.send(told, secret=b"whsec_wrong")),
        (401, hooks.send(told, secret=b"whsec_wrong")),
        (400, hooks.send(None, body=b"no json")),
        (404, hooks.send(told, path=f"mock/{bindings.binding_id('t-nobody', 'mock')}")),
        (404, hooks.send(told, path=f"other/{bindings.binding_id('t-inside', 'mock')}")),
        (404, hooks.send(told, path="mock/not-a-uuid")),
        (413, hooks.send(None, body=b"x" * 1_048_577)),
    ):
        status, _ = await call
        assert status == expected
    async with hooks.session.get(f"{hooks.url}/webhooks/mock/{'0' * 8}") as response:
        assert response.status in (404, 405)
    assert (await hooks.bill.method(method.id)).card.last4 == "4242"
    listed = await hooks.call("ListInboundWebhooks", pb.ListInboundWebhooksRequest(page_size=4))
    rest = await hooks.call(
        "ListInboundWebhooks",
        pb.ListInboundWebhooksRequest(page_size=4, page_token=listed.next_page_token),
    )
    rows = [*listed.webhooks, *rest.webhooks]
    assert [one.http_status for one in rows] == [413, 404, 404, 400, 401, 401]
    assert {rig.state(one) for one in rows} == {"REJECTED"}
    whole = await hooks.get(rows[-1].id)
    assert (whole.body, dict(whole.headers)) == (b"", {})
    refused = await rig.refusal(
        hooks.call("ReplayInboundWebhook", pb.ReplayInboundWebhookRequest(webhook_id=rows[-1].id))
    )
    assert (refused.code, refused.reason) == (
        grpc.StatusCode.FAILED_PRECONDITION,
        "STATE_CONFLICT",
    )
    told_types = [event.type for event in hooks.records.all_events() if "webhook" in event.type]
    assert told_types == ["webhook.rejected"]
    assert hooks.records.rows("select count(*) from operations") == stored


async def test_a_plugin_that_quotes_its_secret_tells_nobody(
    database_url: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Neither operators, nor events, nor the log learn it from why a webhook was refused."""
    canary = "canary" * 100
    held = pydantic.SecretStr(json.dumps({"mock": {"webhook_secret": canary}}))
    failed = nps.AUTHENTICITY_FAILED

    async def quote(*_: object) -> nps.VerifyWebhookResponse:
        return nps.VerifyWebhookResponse(
            authenticity=failed, detail=f"not signed with {canary}"[:255]
        )

    monkeypatch.setattr(hooking.Bank, "VerifyWebhook", quote)
    async with hooking.running(database_url, provider_secrets=held) as hooks:
        status, webhook_id = await hooks.send(hooks.told())
        assert status == 401
        shown = await hooks.get(webhook_id)
        assert shown.webhook.detail.startswith("not signed with ")
        told = hooks.records.rows("select envelope from outbox")
        stored = hooks.records.rows("select detail, told from inbound_webhooks")
        assert "canary" not in f"{shown} {told} {stored}"
    assert "canary" not in capfd.readouterr().err


async def test_what_no_database_takes_is_no_answer(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A plugin may quote what anybody sent: that neither makes core fail, nor leaves a webhook
    that nothing ends.
    """
    nul = "no such type: a\0b"
    authentic = {"authenticity": nps.AUTHENTICITY_AUTHENTIC}
    answers: list[tuple[int, str, dict[str, Any]]] = [
        (401, "REJECTED", {"authenticity": nps.AUTHENTICITY_FAILED, "detail": nul}),
        (503, "RECEIVED", {**authentic, "provider_event_id": nul}),
        (503, "RECEIVED", {**authentic, "provider_event_id": "ev_1", "event_type": nul}),
    ]
    answer: dict[str, Any] = {}

    async def quote(*_: object) -> nps.VerifyWebhookResponse:
        return nps.VerifyWebhookResponse(**answer)

    monkeypatch.setattr(hooking.Bank, "VerifyWebhook", quote)
    async with hooking.running(database_url) as hooks:
        for status, state, fields in answers:
            answer.clear()
            answer.update(fields)
            got, webhook_id = await hooks.send(hooks.told())
            assert got == status
            found = (await hooks.get(webhook_id)).webhook
            assert (rig.state(found), "\0" in str(found)) == (state, False)


async def test_what_is_not_known_yet_waits_and_is_tried_again(hooks: hooking.Hooks) -> None:
    """An unknown operation parks its webhook, and a replay does so again while it is unknown."""
    report = _O(operation_id=f"op_{'0' * 32}", state=_O.STATE_SUCCEEDED)
    status, webhook_id = await hooks.send(hooks.told(operations=[report]))
    assert status == 200
    parked = (await hooks.get(webhook_id)).webhook
    assert rig.state(parked) == "PARKED"
    assert parked.HasField("next_attempt_time")
    assert "not known here" in parked.detail
    again = await hooks.call(
        "ReplayInboundWebhook", pb.ReplayInboundWebhookRequest(webhook_id=webhook_id)
    )
    assert rig.state(again.webhook) == "PARKED"
    cases = hooks.service.parts.webhook_daemon
    assert await cases.run_once() == 0


async def test_a_sidecar_that_is_away_makes_the_provider_come_back(hooks: hooking.Hooks) -> None:
    """What can't be verified is not taken, and applied once it can be."""
    customer = await hooks.bill.customer()
    method = await hooks.bill.attach(customer.id)
    changed = hooks.bank.put(
        method.mirror.provider_object_id,
        payment_method={"card": objects.CardDetails(last4="7777")},
    )
    told = hooks.told(changed)
    port = int(hooks.bank.target.rpartition(":")[2])
    await hooks.bank.stop()
    status, webhook_id = await hooks.send(told)
    assert status == 503
    assert rig.state((await hooks.get(webhook_id)).webhook) == "RECEIVED"
    await hooks.bank.start(port)

    async def taken() -> bool:
        status, _ = await hooks.send(told)
        return status == 200

    await rig.until(taken)
    assert (await hooks.bill.method(method.id)).card.last4 == "7777"
    again = await hooks.call(
        "ReplayInboundWebhook", pb.ReplayInboundWebhookRequest(webhook_id=webhook_id)
    )
    # On a slow machine the first one is due again before another one is taken.
    assert rig.state(again.webhook) in ("DUPLICATE", "APPLIED")
    applied = hooks.records.rows("select count(*) from inbound_webhooks where state = 2")
    assert applied == [(1,)]


async def test_any_order_with_repeats_ends_the_same(hooks: hooking.Hooks) -> None:
    """Shuffled and repeated webhooks leave what the newest of them told."""
    customer = await hooks.bill.customer()
    methods = [await hooks.bill.attach(customer.id) for _ in range(3)]
    told = []
    for number in range(12):
        method = methods[number % 3]
        snapshot = hooks.bank.put(
            method.mirror.provider_object_id,
            payment_method={"card": objects.CardDetails(brand="visa", last4=f"{number:04}")},
        )
        told.append(hooks.told(snapshot))
    shuffled = told * 2
    random.Random(7).shuffle(shuffled)
    statuses = await asyncio.gather(*map(hooks.send, shuffled))
    assert {status for status, _ in statuses} == {200}
    last = [(await hooks.bill.method(method.id)).card.last4 for method in methods]
    assert last == ["0009", "0010", "0011"]
    assert hooks.records.rows("select count(*) from webhook_events") == [(12,)]


async def test_nobody_without_the_admin_scope_sees_webhooks(hooks: hooking.Hooks) -> None:
    """Webhooks hold what providers say of payers, so only operators read them."""
    _, secret = await hooks.service.parts.keys.create(
        tenant_id="t-inside", scopes=rig.PAY, name="k"
    )
    async with rig.Caller(hooks.bill.caller.target, secret, "t-inside") as stranger:
        other = replace(
            hooks,
            bill=billing.Billing(
                service=inside.InProcess(parts=hooks.service.parts, caller=stranger),
                bank=hooks.bank,
                records=hooks.records,
            ),
        )
        refused = await rig.refusal(
            other.call("ListInboundWebhooks", pb.ListInboundWebhooksRequest())
        )
    assert refused.code is grpc.StatusCode.PERMISSION_DENIED


async def test_operators_list_show_and_replay(hooks: hooking.Hooks) -> None:
    """`payctl webhooks in` shows what came and what became of it, and tries again."""
    report = _O(operation_id=f"op_{'0' * 32}", state=_O.STATE_SUCCEEDED)
    _, parked = await hooks.send(hooks.told(operations=[report], event_type="late.one"))
    await hooks.send(hooks.told(irrelevant=True))
    terminal = hooks.terminal()
    out, _ = await terminal("list", "--state", "parked")
    assert (parked in out, "PARKED" in out) == (True, True)
    page = await terminal.json("list", "--limit", "1")
    assert (len(page["webhooks"]), bool(page["next_page_token"])) == (1, True)
    out, _ = await terminal("show", parked, "--body")
    assert "late.one" in out
    assert '"operations"' in out
    await terminal("replay", parked, code=4)
    _, err = await terminal("show", f"whk_{'0' * 32}", code=1)
    assert "next: " in err
    await terminal("list", "--state", "lost", code=2)


async def test_a_replay_tells_nothing_a_second_time(hooks: hooking.Hooks) -> None:
    """What was applied may be tried again: its one event and its notice were told before. A
    notice that would tell a state is none, nor is what no event can be called.
    """
    customer = await hooks.bill.customer()
    await hooks.bill.attach(customer.id, set_default=True)
    plan = await hooks.bill.plan()
    subscription = await hooks.bill.subscribe(customer.id, plan.id, trial_days=9)
    told = hooks.told(
        hooks.bank.objects[subscription.mirror.provider_object_id],
        notices=["subscription.canceled", "subscription.Over!", "subscription.trial_ending"],
    )
    _, webhook_id = await hooks.send(told)
    story = hooks.records.story(await hooks.bill.subscription(subscription.id))
    assert story[-1] == "subscription.trial_ending"
    assert not {"subscription.canceled", "subscription.Over!"} & set(story)
    await hooks.terminal()("replay", webhook_id)
    assert rig.state((await hooks.get(webhook_id)).webhook) == "APPLIED"
    assert [event.type for event in hooks.records.events(webhook_id)] == ["webhook.received"]
    assert hooks.records.story(await hooks.bill.subscription(subscription.id)) == story

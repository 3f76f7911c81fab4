"""Nothing that may have been done at Stripe is told as not done, whatever was tried last."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any
from unittest import mock

import pytest
from aiohttp import web
from payhub.provider.v1 import billing_provider_service_pb2 as bps

from provider_sdk import calls, errors
from provider_stripe import calling, config, transport
from tests.integration.provider import rig
from tests.integration.provider_stripe import stripe_rig

_O = rig.Operation
Core = stripe_rig.Core


async def test_a_refused_repeat_does_not_undo_the_request_before(core: Core) -> None:
    """A failure that Stripe wants repeated stays unknown if the repeat finds no way in."""
    operation_id = rig.new_operation_id()
    path = "/v1/payment_intents$"
    await core.order("faults", kind="error_500_after_commit", path=path, should_retry="true")
    await core.order("faults", kind="rate_limit", path=path, times=3)
    with pytest.raises(rig.Refused) as refused:
        await core.authorize("pm_card_visa", sale=True, operation_id=operation_id)
    assert await core.made(operation_id) == 1
    assert (refused.value.reason, refused.value.effect) == ("UPSTREAM_NO_ANSWER", "UNKNOWN")
    found = await core.look(operation_id, "AuthorizePayment")
    assert found.operation.state == _O.STATE_SUCCEEDED


@pytest.mark.parametrize("kind", ["error_500_stored", "error_500_after_commit"])
async def test_a_void_is_not_held_up_by_a_fault_that_stripe_repeats(core: Core, kind: str) -> None:
    """Stripe answers a key with its own fault for a day; the next attempt cancels by another."""
    held = await core.authorize("pm_card_visa")
    operation_id = rig.new_operation_id()
    await core.order("faults", kind=kind, path="/cancel$")

    async def void(attempt: int) -> rig.Operation:
        return await core.void(
            held.operation_id,
            provider_payment_id=held.provider_object_id,
            operation_id=operation_id,
            attempt=attempt,
        )

    with pytest.raises(rig.Refused) as refused:
        await void(1)
    assert (refused.value.reason, refused.value.effect) == ("UPSTREAM_NO_ANSWER", "UNKNOWN")
    for attempt in (2, 3):
        assert (await void(attempt)).state == _O.STATE_SUCCEEDED


async def test_a_repeated_cancellation_that_finds_nothing_is_unknown(core: Core) -> None:
    """Stripe has no such subscription once it is canceled, which a repeat gets to hear."""
    customer = await core.customer()
    method = (await core.attach(customer)).objects[0].provider_object_id
    price = (await core.plan()).provider_object_id
    made = await core.subscribe(customer, price, provider_payment_method_id=method)
    await core.order("faults", kind="error_500_after_commit", method="DELETE", should_retry="true")
    request = bps.CancelSubscriptionRequest(
        context=core.context(), provider_subscription_id=made.objects[0].provider_object_id
    )
    with pytest.raises(rig.Refused) as refused:
        await core.call(core.more.billing.CancelSubscription, request)
    assert (refused.value.reason, refused.value.effect) == ("UPSTREAM_NO_ANSWER", "UNKNOWN")
    again = await core.call(core.more.billing.CancelSubscription, request)
    assert again.operation.state == _O.STATE_SUCCEEDED


@pytest.mark.parametrize("step", ["/v1/customers/", "/v1/payment_methods/[^/]+$"])
async def test_a_method_that_was_attached_is_not_told_as_left_alone(core: Core, step: str) -> None:
    """Where only a later step of an attachment is refused, a repeat has to finish it."""
    customer = await core.customer()
    operation_id = rig.new_operation_id()
    await core.order("faults", kind="rate_limit", method="POST", path=step, times=3)
    with pytest.raises(rig.Refused) as refused:
        await core.attach(customer, set_default=True, operation_id=operation_id)
    assert len(await core.listed("payment_methods", customer=customer)) == 1
    assert (refused.value.reason, refused.value.effect) == ("UPSTREAM_NO_ANSWER", "UNKNOWN")
    again = await core.attach(customer, set_default=True, operation_id=operation_id)
    assert again.operation.state == _O.STATE_SUCCEEDED
    assert len(await core.listed("payment_methods", customer=customer)) == 1


class _Slow:
    """A server that takes its time: notes what arrives, and answers when it is told to."""

    def __init__(self) -> None:
        self.arrived: list[str] = []
        self.answer = asyncio.Event()

    async def handle(self, request: web.Request) -> web.Response:
        self.arrived.append(request.method)
        await self.answer.wait()
        return web.json_response({"id": "pi_1", "object": "payment_intent"})


def _call(not_after_s: float) -> calling.Call:
    return calls.Call(
        operation_id=rig.new_operation_id(),
        binding=mock.Mock(),
        attempt=1,
        timeout_s=not_after_s,
        not_after_us=round((time.time() + not_after_s) * 1e6),
        customer_action_allowed=False,
        now_us=lambda: round(time.time() * 1e6),
    )


async def _served(
    handler: Any,
    act: Callable[[transport.Account], Awaitable[None]],
    *,
    host: str = "127.0.0.1",
) -> None:
    """Runs *act* with an account whose only connection leads to *handler*."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    way = transport.Transport(f"http://{host}:{port}", connect_timeout_s=5, connections_max=1)
    await way.open()
    try:
        await act(transport.Account(way, "sk_test_1", config.StripeConfig()))
    finally:
        await way.close()
        await runner.cleanup()


async def test_nothing_waits_for_a_free_connection_beyond_its_fence() -> None:
    """A request that finds all connections taken until `not_after` is not sent any more."""
    slow = _Slow()

    async def act(account: transport.Account) -> None:
        api, deadline = account.api.payment_intents, calling.Deadline(20)
        reading = asyncio.create_task(
            calling.read(account, deadline, lambda: api.retrieve_async("pi_1"))
        )
        await rig.until(lambda: slow.arrived == ["GET"])
        call = _call(0.2)
        sending = asyncio.create_task(
            calling.send(account, deadline, call, lambda: api.create_async({}), None)
        )
        try:
            await rig.until(lambda: call.now_us() > call.not_after_us + 100_000)
        finally:
            slow.answer.set()
        await reading
        with pytest.raises(errors.Unreachable):
            await sending
        assert slow.arrived == ["GET"]

    await _served(slow.handle, act)


async def test_a_redirection_into_nothing_is_not_taken_for_nothing_sent() -> None:
    """What was answered was sent, wherever the answer points."""
    arrived: list[str] = []

    async def elsewhere(request: web.Request) -> web.Response:
        arrived.append(request.method)
        return web.Response(status=303, headers={"Location": "http://127.0.0.1:1/done"})

    async def act(account: transport.Account) -> None:
        api = account.api.payment_intents
        with pytest.raises(errors.NoAnswer):
            await calling.send(
                account, calling.Deadline(5), _call(5), lambda: api.create_async({}), None
            )
        assert arrived == ["POST"]

    await _served(elsewhere, act)


async def test_what_one_key_is_given_to_keep_is_not_sent_with_another() -> None:
    """The pool is shared by all bindings, cookies are by none."""
    arrived: list[str] = []

    async def keeping(request: web.Request) -> web.Response:
        arrived.append(request.headers.get("Cookie", ""))
        answer = web.json_response({"id": "pi_1", "object": "payment_intent"})
        answer.set_cookie("session", "of-the-first")
        return answer

    async def act(account: transport.Account) -> None:
        for _ in range(2):
            api, deadline = account.api.payment_intents, calling.Deadline(5)
            await calling.read(account, deadline, lambda: api.retrieve_async("pi_1"))  # noqa: B023
        assert arrived == ["", ""]

    await _served(keeping, act, host="localhost")


async def test_what_was_sent_is_in_no_log(core: Core, sidecar: rig.Sidecar) -> None:
    """Stripe's messages quote what they refuse; the SDK's own lines don't bring them out."""

    def written() -> str:
        return sidecar.log.read_text()

    before = written().count("CreateCustomer")
    for token in ("tok_kept_to_oneself", "pm_kept_to_oneself"):
        with pytest.raises(rig.Refused):
            await core.authorize(token)
    with pytest.raises(rig.Refused):
        await core.create_customer(name="Ada", email="kept to oneself")
    await rig.until(lambda: written().count("CreateCustomer") > before)
    assert "kept" not in written()

"""What the SDK promises for a provider's services beside payments."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import grpc
import grpc.aio
import pytest
from payhub.plugin.v1 import capability_pb2
from payhub.provider.v1 import billing_provider_service_pb2 as bps
from payhub.provider.v1 import checkout_provider_service_pb2 as cps
from payhub.provider.v1 import dispute_provider_service_pb2 as dps
from payhub.provider.v1 import notice_provider_service_pb2 as nps
from payhub.provider.v1 import operation_pb2, provider_object_pb2
from payhub.provider.v1 import payment_method_provider_service_pb2 as mps
from payhub.provider.v1 import payment_provider_service_pb2 as pps

from provider_sdk import provider, soundness
from tests.integration.provider import further, keeper, rig

Operation = operation_pb2.Operation
ProviderObject = provider_object_pb2.ProviderObject
SUCCEEDED = operation_pb2.Operation.STATE_SUCCEEDED


@pytest.fixture
async def served() -> AsyncIterator[tuple[keeper.Keeper, rig.Core, further.Stubs]]:
    """A provider that keeps payment methods, core's binding to it and its further services."""
    async with keeper.served() as running:
        yield running


def _method(core_id: str = "", *, object_id: str = "pm_1") -> ProviderObject:
    one = ProviderObject(provider_object_id=object_id, core_id=core_id)
    one.state_time.FromSeconds(1_700_000_000)
    one.payment_method.type = "card"
    return one


def _attach(core: rig.Core, token: str = "tok_a", **context: Any) -> mps.AttachPaymentMethodRequest:
    return mps.AttachPaymentMethodRequest(
        context=core.context(**context),
        payment_method_id="pmt_1",
        token=token,
        provider_customer_id="cus_1",
    )


def _webhook(body: bytes = b"evt_1", *, age_s: int = 0) -> nps.WebhookRequest:
    request = nps.WebhookRequest(body=body)
    request.receive_time.FromSeconds(int(time.time()) - age_s)
    return request


async def test_objects_travel_with_operations_and_look_ups(
    served: tuple[keeper.Keeper, rig.Core, further.Stubs],
) -> None:
    """An answer carries objects, gets core's id where upstream has none; hints reach look-ups."""
    plugin, core, stubs = served
    plugin.answer = provider.Answer(Operation(state=SUCCEEDED), [_method()])
    request = _attach(core)
    answer = await core.call(stubs.methods.AttachPaymentMethod, request)
    assert answer.operation.operation_id == request.context.operation_id
    assert [one.core_id for one in answer.objects] == ["pmt_1"]
    find = pps.GetOperationRequest(
        binding_id=core.binding_id,
        operation_id=request.context.operation_id,
        hints=pps.OperationHints(provider_object_id="pm_1", method="AttachPaymentMethod"),
    )
    found = await core.call(core.stub.GetOperation, find)
    assert [one.provider_object_id for one in found.objects] == ["pm_1"]
    assert plugin.hints == [find.hints]
    plugin.answer = Operation(state=SUCCEEDED)
    detach = mps.DetachPaymentMethodRequest(
        context=core.context(), provider_payment_method_id="pm_1"
    )
    assert list((await core.call(stubs.methods.DetachPaymentMethod, detach)).objects) == []


async def test_what_another_instance_may_still_send_is_not_ruled_out(
    served: tuple[keeper.Keeper, rig.Core, further.Stubs],
) -> None:
    """Not found is a promise only when no request that began in time can be under way, for as
    long as the handshake says.
    """
    plugin, core, _ = served
    plugin.upstream_request_max_s = 600.0
    said = await core.call(core.plugin.Handshake, rig.ps.HandshakeRequest())
    assert said.upstream_request_max.ToSeconds() == 600
    find = pps.GetOperationRequest(
        binding_id=core.binding_id, operation_id=rig.new_operation_id(), hints=pps.OperationHints()
    )
    for ended_s, reason in ((300, "LOOKUP_INCONCLUSIVE"), (900, "NOT_FOUND")):
        find.hints.not_after.FromSeconds(int(time.time()) - ended_s)
        with pytest.raises(rig.Refused) as refused:
            await core.call(core.stub.GetOperation, find)
        assert refused.value.reason == reason
    plugin.upstream_request_max_s = 0.0
    find.hints.not_after.FromSeconds(int(time.time()) + 300)
    with pytest.raises(rig.Refused) as refused:
        await core.call(core.stub.GetOperation, find)
    assert refused.value.reason == "NOT_FOUND"


async def test_cores_id_goes_to_the_object_that_has_it(
    served: tuple[keeper.Keeper, rig.Core, further.Stubs],
) -> None:
    """Whatever else changed with it, such as the default before, stays nobody's."""
    plugin, core, stubs = served
    told = [_method(object_id="pm_old_default"), _method("pmt_1", object_id="pm_new")]
    plugin.answer = provider.Answer(Operation(state=SUCCEEDED, provider_object_id="pm_new"), told)
    answer = await core.call(stubs.methods.AttachPaymentMethod, _attach(core))
    assert [one.core_id for one in answer.objects] == ["", "pmt_1"]
    told[1].core_id = ""
    answer = await core.call(stubs.methods.AttachPaymentMethod, _attach(core))
    assert [one.core_id for one in answer.objects] == ["", "pmt_1"]


@pytest.mark.parametrize(
    "objects",
    [
        [],
        [_method("pmt_of_another")],
        [_method("pmt_1"), ProviderObject(provider_object_id="pm_2")],
        [_method("pmt_1")] * 17,
    ],
)
async def test_a_success_without_its_object_is_unknown(
    served: tuple[keeper.Keeper, rig.Core, further.Stubs], objects: list[ProviderObject]
) -> None:
    """No object, another's, one without a time, too many: PLUGIN_BUG, effect unknown."""
    plugin, core, stubs = served
    plugin.answer = provider.Answer(Operation(state=SUCCEEDED), objects)
    with pytest.raises(rig.Refused) as refused:
        await core.call(stubs.methods.AttachPaymentMethod, _attach(core))
    assert (refused.value.reason, refused.value.effect) == ("PLUGIN_BUG", "UNKNOWN")


async def test_one_flight_per_operation_id_whatever_the_service(
    served: tuple[keeper.Keeper, rig.Core, further.Stubs],
) -> None:
    """Duplicates wait for the first; other parameters, or another RPC, are a mismatch."""
    plugin, core, stubs = served
    plugin.answer = provider.Answer(Operation(state=SUCCEEDED), [_method()])
    plugin.gate.clear()
    request = _attach(core)
    operation_id = request.context.operation_id
    running = [
        asyncio.ensure_future(core.call(stubs.methods.AttachPaymentMethod, request))
        for _ in range(2)
    ]
    await core.running(operation_id)
    for work in (
        core.call(stubs.methods.AttachPaymentMethod, _attach(core, "b", operation_id=operation_id)),
        core.authorize(sale=True, operation_id=operation_id),
    ):
        with pytest.raises(rig.Refused) as refused:
            await work
        assert (refused.value.reason, refused.value.effect) == ("OPERATION_MISMATCH", "NONE")
    plugin.gate.set()
    first, second = await asyncio.gather(*running)
    assert first == second
    assert len(plugin.calls) == 1


async def test_undeclared_services_refuse_with_nothing_done(
    served: tuple[keeper.Keeper, rig.Core, further.Stubs],
) -> None:
    """The handshake lists what is served; what is not says NOT_SUPPORTED, effect none."""
    plugin, core, stubs = served
    told = await core.call(core.plugin.Handshake, rig.ps.HandshakeRequest())
    assert [name.rsplit(".", 1)[1] for name in told.services] == [
        "PluginService",
        "PaymentProviderService",
        "PaymentMethodProviderService",
        "NoticeProviderService",
    ]
    sale = core.authorization(sale=True)
    for method, request in (
        (stubs.billing.ArchivePlan, bps.ArchivePlanRequest(provider_price_id="price_1")),
        (
            stubs.billing.CancelSubscription,
            bps.CancelSubscriptionRequest(provider_subscription_id="sub_1"),
        ),
        (stubs.checkouts.CreateCheckout, cps.CreateCheckoutRequest(amount=rig.money(1))),
        (stubs.disputes.AcceptDispute, dps.AcceptDisputeRequest(provider_dispute_id="dp_1")),
        (core.stub.AuthorizePayment, pps.AuthorizePaymentRequest(off_session=True)),
        (core.stub.AuthorizePayment, pps.AuthorizePaymentRequest(save_payment_method=True)),
    ):
        if isinstance(request, pps.AuthorizePaymentRequest):
            request.MergeFrom(sale)
        request.context.CopyFrom(core.context())
        with pytest.raises(rig.Refused) as refused:
            await core.call(method, request)
        assert refused.value.code is grpc.StatusCode.UNIMPLEMENTED
        assert (refused.value.reason, refused.value.effect) == ("NOT_SUPPORTED", "NONE")
    assert plugin.calls == []


async def test_a_webhook_is_held_against_the_secrets_of_its_time(
    served: tuple[keeper.Keeper, rig.Core, further.Stubs],
) -> None:
    """Every version in force at the receipt, highest first; nothing of a forgery gets through,
    and nothing of a secret.
    """
    plugin, core, stubs = served
    plugin.verdict = nps.VerifyWebhookResponse(
        authenticity=nps.AUTHENTICITY_AUTHENTIC, provider_event_id="evt_1", objects=[_method()]
    )

    async def verify(request: nps.WebhookRequest) -> nps.VerifyWebhookResponse:
        answer: nps.VerifyWebhookResponse = await core.call(
            stubs.notices.VerifyWebhook,
            nps.VerifyWebhookRequest(binding_id=core.binding_id, request=request),
            timeout_s=4.0,
        )
        return answer

    assert await verify(_webhook()) == plugin.verdict
    assert plugin.secrets == [b"new", b"old"]
    assert plugin.tolerances_s == [300]
    await verify(_webhook(age_s=7200))
    assert plugin.secrets == [b"new", b"old", b"gone"]
    plugin.verdict.authenticity = nps.AUTHENTICITY_UNSPECIFIED
    plugin.verdict.detail = "no signature fits"
    assert await verify(_webhook()) == nps.VerifyWebhookResponse(
        authenticity=nps.AUTHENTICITY_FAILED, detail="no signature fits"
    )
    plugin.verdict.detail = f"{'x' * 253}gone"
    assert (await verify(_webhook())).detail == f"{'x' * 253}**"
    parsed = await core.call(
        stubs.notices.ParseWebhook, nps.ParseWebhookRequest(request=_webhook()), timeout_s=2.0
    )
    assert parsed.provider_event_id == "evt_1"
    plugin.verdict = nps.VerifyWebhookResponse(authenticity=nps.AUTHENTICITY_AUTHENTIC)
    with pytest.raises(rig.Refused) as refused:
        await verify(_webhook())
    assert refused.value.reason == "PLUGIN_BUG"


async def test_a_fetch_answers_with_the_object_asked_for(
    served: tuple[keeper.Keeper, rig.Core, further.Stubs],
) -> None:
    """The one asked for or NOT_FOUND; another one is a bug of the plugin."""
    plugin, core, stubs = served

    async def fetch(object_id: str) -> nps.FetchObjectResponse:
        reference = provider_object_pb2.ObjectReference(
            kind=provider_object_pb2.OBJECT_KIND_PAYMENT_METHOD, provider_object_id=object_id
        )
        request = nps.FetchObjectRequest(binding_id=core.binding_id, reference=reference)
        answer: nps.FetchObjectResponse = await core.call(stubs.notices.FetchObject, request)
        return answer

    plugin.fetched = nps.FetchObjectResponse(object=_method())
    assert (await fetch("pm_1")).object == _method()
    for object_id, reason in (("pm_2", "PLUGIN_BUG"), ("pm_none", "NOT_FOUND")):
        with pytest.raises(rig.Refused) as refused:
            await fetch(object_id)
        assert refused.value.reason == reason


def test_a_provider_is_checked_both_ways_before_it_is_served() -> None:
    """A capability needs its methods and other capabilities; a method needs its capability."""

    class Boastful(keeper.Keeper):
        plugin_id = "boastful"
        capabilities = frozenset(
            {
                capability_pb2.CAPABILITY_SALE,
                capability_pb2.CAPABILITY_OPERATION_LOOKUP,
                capability_pb2.CAPABILITY_SUBSCRIPTIONS,
                capability_pb2.CAPABILITY_CHECKOUT,
                capability_pb2.CAPABILITY_OBJECT_FETCH,
                capability_pb2.CAPABILITY_PAYMENT_METHODS,
            }
        )

    with pytest.raises(ValueError, match=r"^boastful: ") as refused:
        soundness.require_sound(Boastful())
    for problem in (
        "CAPABILITY_SUBSCRIPTIONS needs the method create_subscription",
        "CAPABILITY_CHECKOUT needs the method expire_checkout",
        "CAPABILITY_SUBSCRIPTIONS needs CAPABILITY_PLANS",
        "CAPABILITY_PAYMENT_METHODS needs CAPABILITY_CUSTOMERS",
        "the method verify_webhook needs CAPABILITY_WEBHOOKS",
        "the method create_customer needs CAPABILITY_CUSTOMERS",
    ):
        assert problem in str(refused.value)
    soundness.require_sound(keeper.Keeper())

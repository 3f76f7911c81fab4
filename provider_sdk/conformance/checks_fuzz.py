"""Check that no message ends in a bug or ends the process.

Owns rule 67. Collected by `catalog`. Leaves out what would stop the provider on
purpose: Drain and NotifyLifecycle.
"""

import asyncio
from typing import Any

import grpc
import grpc.aio
from google.protobuf import message_factory, text_format
from google.protobuf.message import Message
from payhub.plugin.v1 import plugin_service_pb2
from payhub.plugin.v1 import plugin_service_pb2 as ps
from payhub.provider.v1 import (
    billing_provider_service_pb2,
    checkout_provider_service_pb2,
    dispute_provider_service_pb2,
    notice_provider_service_pb2,
    payment_method_provider_service_pb2,
    payment_provider_service_pb2,
)

from provider_sdk.conformance import attempts, checks, fuzz, mirrored, webhooks
from provider_sdk.conformance import binding as bindings
from provider_sdk.conformance import run as runs

MESSAGES = 5_000
AT_ONCE = 16
TIMEOUT_S = 5.0
LEFT_OUT = frozenset({"Drain", "NotifyLifecycle"})
# A bug of the provider, or nobody knows.
BUGS = frozenset(
    {
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.UNKNOWN,
        grpc.StatusCode.DATA_LOSS,
        grpc.StatusCode.DEADLINE_EXCEEDED,
    }
)
# By the stub of the run. One that is not offered must refuse as well as one that is.
_SERVICES = {
    stub: module.DESCRIPTOR.services_by_name[name]
    for stub, module, name in (
        ("plugin", plugin_service_pb2, "PluginService"),
        ("provider", payment_provider_service_pb2, "PaymentProviderService"),
        ("methods", payment_method_provider_service_pb2, "PaymentMethodProviderService"),
        ("billing", billing_provider_service_pb2, "BillingProviderService"),
        ("checkouts", checkout_provider_service_pb2, "CheckoutProviderService"),
        ("disputes", dispute_provider_service_pb2, "DisputeProviderService"),
        ("notices", notice_provider_service_pb2, "NoticeProviderService"),
    )
}


@checks.check(
    number=67,
    title="5,000 random messages that are valid by type cause no INTERNAL and end no process.",
    phase=checks.Phase.LOAD,
    timeout_s=300.0,
)
async def fuzzed(run: runs.Run) -> None:
    """Sends random messages, and proper ones with one field spoilt, to every method."""
    binding = await run.new_binding()
    # A binding of its own takes what random configurations do.
    victim = await run.new_binding()
    words = (binding.binding_id, victim.binding_id, *run.profile.instruments.values())
    valid = await _valid(binding, victim)
    methods = [
        (getattr(run, stub), method)
        for stub, service in _SERVICES.items()
        for method in service.methods
        if method.name not in LEFT_OUT
    ]
    before = run.handshake.identity.instance_id
    left = iter(range(MESSAGES))

    async def send() -> None:
        for _ in left:
            stub, method = run.random.choice(methods)
            # RemoveBinding of a real one would starve everything after it.
            base = valid.get(method.name)
            if base is not None and run.random.random() < 0.6:
                request = fuzz.spoil(base, run.random, words=words)
            else:
                kind = message_factory.GetMessageClass(method.input_type)
                request = fuzz.message(kind, run.random)
            await _survives(run, getattr(stub, method.name), method.name, request)

    try:
        with run.breaches.overlooked():
            async with asyncio.TaskGroup() as group:
                for _ in range(AT_ONCE):
                    group.create_task(send())
    except* checks.Failed as failures:
        first: Any = failures.exceptions[0]
        raise first from None
    finally:
        # A random handshake may have withdrawn the offer.
        after = (await run.shake_hands()).identity.instance_id
    if after != before:
        raise checks.Failed("the process ended on the way", fix="let no message end the process")
    run.note(f"{MESSAGES} messages, seed {run.seed}")


async def _valid(binding: bindings.Binding, victim: bindings.Binding) -> dict[str, Message]:
    """Returns a proper request for most methods, by name."""
    found: dict[str, Message] = {
        "Configure": ps.ConfigureRequest(
            binding_id=victim.binding_id, generation=2, config=victim.sent()
        ),
        "ValidateConfig": ps.ValidateConfigRequest(config=victim.sent()),
    }
    for attempt in await attempts.of_every_kind(binding):
        found[attempt.method_name] = attempt.request
    for making in await mirrored.of_every_kind(binding):
        found[making.attempt.method_name] = making.attempt.request
    if binding.run.profile.webhooks is not None:
        event = webhooks.Webhook(binding.run, binding)
        found["VerifyWebhook"] = notice_provider_service_pb2.VerifyWebhookRequest(
            binding_id=binding.binding_id, request=event.request()
        )
        found["ParseWebhook"] = notice_provider_service_pb2.ParseWebhookRequest(
            request=event.request()
        )
    return found


async def _survives(run: runs.Run, method: Any, name: str, request: Message) -> None:
    try:
        await method(request, timeout=TIMEOUT_S)
    except grpc.aio.AioRpcError as error:
        refused = run.refused(error)
        if refused.code in BUGS:
            # Not JSON: that has no form for a timestamp out of range.
            shown = text_format.MessageToString(request, as_one_line=True)
            raise checks.Failed(
                f"{name} with {shown[:400]} gave {refused.shown()}",
                fix="validate what comes in; repeat it with the same --seed",
            ) from None

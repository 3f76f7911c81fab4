"""Checks 3, 7, 12, 13 and 79: what is served, and what any message may look like.

Owns health, services, unknown fields, deadlines, sizes and the rules of answers.
Collected by `catalog`.
"""

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

import grpc
import grpc.aio
from google.protobuf import descriptor_pool, message_factory
from google.protobuf.message import Message
from grpc_health.v1 import health_pb2
from payhub.plugin.v1 import capability_pb2
from payhub.plugin.v1 import plugin_service_pb2 as ps
from payhub.provider.v1 import payment_provider_service_pb2 as pps

from provider_sdk.conformance import attempts, checks, refusal, wire
from provider_sdk.conformance import run as runs

MESSAGE_BYTES_MAX = 4 * 1024 * 1024

_CAP = capability_pb2

# Would stop the provider for everybody, or may be left out by any plugin.
_NOT_CALLED = {"Drain"}
_OPTIONAL = {"MigrateConfig", "NotifyLifecycle"}
# What only a provider that declares it has to answer otherwise than with NOT_SUPPORTED.
_METHODS_OF: Mapping[capability_pb2.Capability, Sequence[str]] = {
    _CAP.CAPABILITY_MANUAL_CAPTURE: ("CapturePayment",),
    _CAP.CAPABILITY_VOID: ("VoidPayment",),
    _CAP.CAPABILITY_REFUND: ("RefundPayment",),
    _CAP.CAPABILITY_INCREMENTAL_AUTHORIZATION: ("IncrementAuthorization",),
    _CAP.CAPABILITY_CUSTOMERS: ("CreateCustomer", "UpdateCustomer"),
    _CAP.CAPABILITY_PAYMENT_METHODS: (
        "AttachPaymentMethod",
        "DetachPaymentMethod",
        "SetDefaultPaymentMethod",
    ),
    _CAP.CAPABILITY_PLANS: ("CreatePlan", "ArchivePlan"),
    _CAP.CAPABILITY_SUBSCRIPTIONS: (
        "CreateSubscription",
        "ChangeSubscription",
        "CancelSubscription",
        "ReactivateSubscription",
    ),
    _CAP.CAPABILITY_CHECKOUT: ("CreateCheckout", "ExpireCheckout"),
    _CAP.CAPABILITY_DISPUTES: ("SubmitEvidence", "AcceptDispute"),
    _CAP.CAPABILITY_WEBHOOKS: ("ParseWebhook", "VerifyWebhook"),
    _CAP.CAPABILITY_OBJECT_FETCH: ("FetchObject",),
}
_BY_CAPABILITY = {
    method: capability for capability, methods in _METHODS_OF.items() for method in methods
}
_REFUSES = (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.FAILED_PRECONDITION)


@checks.check(
    number=3,
    title="grpc.health.v1 answers SERVING for the whole and for each service name.",
)
async def health_is_serving(run: runs.Run) -> None:
    """Asks for the empty name and for each service of the handshake."""
    for name in ("", *run.handshake.services):
        request = health_pb2.HealthCheckRequest(service=name)
        try:
            answer = await run.call(run.health.Check, request, timeout_s=5.0)
            shown = health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)
        except refusal.Refused as refused:
            shown = refused.code.name
        if shown != "SERVING":
            raise checks.Failed(
                f"health of {name or 'the whole (empty name)'} is {shown}",
                fix="register it with the health servicer and set it to SERVING",
            )


@checks.check(
    number=7,
    title="Every listed service is served, and what is not served answers UNIMPLEMENTED.",
)
async def services_are_served(run: runs.Run) -> None:
    """Calls each method with an empty request, and methods that do not exist."""
    missing = [name for name in runs.SERVICES if name not in run.handshake.services]
    if missing:
        raise checks.Failed(
            f"the handshake does not list {', '.join(missing)}",
            fix="list the full name of every service the process serves",
        )
    try:
        await _all_served(run)
    finally:
        # An empty handshake was among them, and the last offer counts.
        await run.shake_hands()
    for path in (
        "/payhub.plugin.v1.PluginService/NoSuchMethod",
        "/payhub.provider.v9.PaymentProviderService/AuthorizePayment",
    ):
        code = await _code(run, path, ps.ProbeRequest())
        if code is not _C.UNIMPLEMENTED:
            raise checks.Failed(
                f"{path} does not exist and answers {code.name}",
                fix="answer UNIMPLEMENTED for methods and services that are not served",
            )


_C = grpc.StatusCode


async def _all_served(run: runs.Run) -> None:
    for service in run.handshake.services:
        for method, request in _methods(service):
            if method in _NOT_CALLED | _OPTIONAL:
                continue
            needed = _BY_CAPABILITY.get(method)
            if needed is not None and not run.has(needed):
                continue
            if await _code(run, f"/{service}/{method}", request) is _C.UNIMPLEMENTED:
                raise checks.Failed(
                    f"{service}.{method} answers UNIMPLEMENTED",
                    fix="serve the method, or do not list the service or declare the capability",
                )


def _methods(service: str) -> list[tuple[str, Message]]:
    """Returns each method with an empty request; none for a service not known here."""
    try:
        found = descriptor_pool.Default().FindServiceByName(service)
    except KeyError:
        return []
    return [
        (method.name, message_factory.GetMessageClass(method.input_type)())
        for method in found.methods
    ]


async def _code(run: runs.Run, path: str, request: Message) -> grpc.StatusCode:
    method = run.channel.unary_unary(path, request_serializer=type(request).SerializeToString)
    try:
        await run.call(method, request, timeout_s=5.0)
    except refusal.Refused as refused:
        return refused.code
    return _C.OK


@checks.check(number=12, part="a", title="Unknown fields in requests of the plugin are ignored.")
async def unknown_fields_of_the_plugin(run: runs.Run) -> None:
    """Adds a field to every message of every request of PluginService."""
    binding = await run.new_binding()
    configure = ps.ConfigureRequest(
        binding_id=binding.binding_id, generation=2, config=binding.sent()
    )
    for name, request in (
        ("Handshake", ps.HandshakeRequest(services=runs.SERVICES, core_capabilities=runs.OFFER)),
        ("GetConfigSchema", ps.GetConfigSchemaRequest()),
        ("ValidateConfig", ps.ValidateConfigRequest(config=binding.sent())),
        ("Configure", configure),
        ("Probe", ps.ProbeRequest()),
        ("RemoveBinding", ps.RemoveBindingRequest(binding_id=binding.binding_id)),
    ):
        await _accepted(run, name, getattr(run.plugin, name), request)


@checks.check(number=12, part="b", title="Unknown fields in requests of a payment are ignored.")
async def unknown_fields_of_a_payment(run: runs.Run) -> None:
    """Adds a field to every message of a payment, and repeats the payment without it."""
    binding = await run.new_binding()
    plain = binding.authorization()
    known = pps.AuthorizePaymentRequest()
    known.CopyFrom(plain)
    answer = await _accepted(run, "AuthorizePayment", run.provider.AuthorizePayment, plain)
    repeated = await run.call(run.provider.AuthorizePayment, known)
    if repeated.operation.provider_object_id != answer.operation.provider_object_id:
        raise checks.Failed(
            "a repeat without the unknown field made another payment",
            fix="leave unknown fields out of the comparison of repeats",
        )
    paid = answer.operation
    if run.has(capability_pb2.CAPABILITY_MANUAL_CAPTURE):
        capture = binding.capturing(paid.provider_object_id)
        await _accepted(run, "CapturePayment", run.provider.CapturePayment, capture)
    if run.has(capability_pb2.CAPABILITY_REFUND):
        refund = binding.refunding(paid.provider_object_id)
        await _accepted(run, "RefundPayment", run.provider.RefundPayment, refund)
    if run.has(capability_pb2.CAPABILITY_VOID):
        other = await binding.authorize(sale=False)
        void = binding.voiding(other.operation_id, payment_id=other.provider_object_id)
        await _accepted(run, "VoidPayment", run.provider.VoidPayment, void)
    if run.has(capability_pb2.CAPABILITY_OPERATION_LOOKUP):
        find = pps.GetOperationRequest(
            binding_id=binding.binding_id, operation_id=paid.operation_id
        )
        await _accepted(run, "GetOperation", run.provider.GetOperation, find)


async def _accepted(run: runs.Run, name: str, method: Any, request: Any) -> Any:
    try:
        return await run.call(method, wire.add_unknown(request))
    except refusal.Refused as refused:
        raise checks.Failed(
            f"{name} with a field it does not know: {refused.shown()}",
            fix="ignore fields that are not known; a later core may send them",
        ) from refused


@checks.check(
    number=13,
    part="a",
    title="A call without a deadline is refused, and nothing is done.",
)
async def deadline_is_required(run: runs.Run) -> None:
    """Calls without a timeout; the suite itself waits no longer than 10 s."""
    binding = await run.new_binding()
    request = binding.authorization()
    try:
        async with asyncio.timeout(10.0):
            await _refused_without_deadline(run, request)
    except TimeoutError:
        raise checks.Failed(
            "no answer within 10 s to a call without a deadline", fix=_FIX
        ) from None
    if run.has(capability_pb2.CAPABILITY_OPERATION_LOOKUP):
        await run.expect_status(
            binding.find(request.context.operation_id),
            what="the look-up of what was refused without a deadline",
            code=grpc.StatusCode.NOT_FOUND,
            fix="do nothing in a call that is refused",
        )


_FIX = "refuse calls without a deadline before anything else"


async def _refused_without_deadline(run: runs.Run, request: pps.AuthorizePaymentRequest) -> None:
    await run.expect_status(
        run.call(run.plugin.Probe, ps.ProbeRequest(), timeout_s=None),
        what="Probe without a deadline",
        code=_REFUSES,
        fix=_FIX,
    )
    await run.expect_status(
        run.call(run.provider.AuthorizePayment, request, timeout_s=None),
        what="AuthorizePayment without a deadline",
        code=_REFUSES,
        effect="NONE",
        fix=_FIX,
    )


@checks.check(
    number=13,
    part="b",
    title="A message of more than 4 MiB is refused and does not end the process.",
)
async def large_message_is_refused(run: runs.Run) -> None:
    """Sends one byte too many, as a field nobody knows."""
    method = run.channel.unary_unary(f"/{runs.SERVICES[0]}/Handshake")
    instance_id = run.handshake.identity.instance_id
    await run.expect_status(
        run.call(method, wire.filler(MESSAGE_BYTES_MAX + 1)),
        what="a message of 4 MiB and one byte",
        code=(grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.INVALID_ARGUMENT),
        fix="limit what the server receives to 4 MiB",
    )
    answer = await run.shake_hands()
    if answer.identity.instance_id != instance_id:
        raise checks.Failed(
            "another process answers after the large message",
            fix="let no request end the process",
        )


@checks.check(
    number=79,
    title="Every answer of the whole run keeps the rules beside its fields; its times can be told "
    "and its texts hold no NUL.",
    phase=checks.Phase.LAST,
)
async def answers_keep_the_rules(run: runs.Run) -> None:
    """Asks for operations of every kind and outcome, and looks at all that was ever answered."""
    binding = await run.new_binding()
    for attempt in await attempts.of_every_kind(binding):
        await attempt.send()
    for name in ("decline", "pending", "action_required"):
        if name in run.profile.instruments:
            # An instrument may take only another currency.
            with contextlib.suppress(refusal.Refused):
                await binding.authorize(name)
    await run.call(run.plugin.Probe, ps.ProbeRequest(), timeout_s=5.0)
    if seen := run.breaches.seen():
        raise checks.Failed(
            "; ".join(seen[:10]),
            fix="keep the rules: core takes such an answer of a payment for an unknown outcome, "
            "and the third within an hour quarantines the version",
        )

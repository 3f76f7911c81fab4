"""Checks of requests that must be refused with nothing done.

Owns rules 45, 46 and 58. Collected by `catalog`. Never sends what a provider
could carry out, except to see that it is still there.
"""

import time
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
from payhub.plugin.v1 import capability_pb2
from payhub.provider.v1 import operation_pb2
from payhub.provider.v1 import payment_provider_service_pb2 as pps

from provider_sdk.conformance import attempts, checks, refusal
from provider_sdk.conformance import binding as bindings
from provider_sdk.conformance import run as runs

MANUAL_CAPTURE = capability_pb2.CAPABILITY_MANUAL_CAPTURE
VOID = capability_pb2.CAPABILITY_VOID
REFUND = capability_pb2.CAPABILITY_REFUND
CUSTOMERS = capability_pb2.CAPABILITY_CUSTOMERS
LOOKUP = capability_pb2.CAPABILITY_OPERATION_LOOKUP

# Every provider's reserve is a matter of its own; the last is less than any.
LATE_S = (-60.0, -0.001, 0.002)

Call = Callable[[], Awaitable[Any]]


def malformed(binding: bindings.Binding) -> list[tuple[str, pps.AuthorizePaymentRequest]]:
    """Returns authorizations with one thing wrong each, and what that is."""
    found = []

    def wrong(what: str) -> pps.AuthorizePaymentRequest:
        request = binding.authorization()
        found.append((what, request))
        return request

    wrong("an amount of zero").amount.amount_minor = 0
    wrong("a negative amount").amount.amount_minor = -1
    wrong("no amount").ClearField("amount")
    wrong("no currency").amount.currency_code = ""
    wrong("the unknown currency ZZZ").amount.currency_code = "ZZZ"
    wrong("a currency in small letters").amount.currency_code = "eur"
    wrong("a currency of four letters").amount.currency_code = "EURO"
    wrong("no capture method").capture_method = pps.CAPTURE_METHOD_UNSPECIFIED
    wrong("an unknown capture method").capture_method = 99  # type: ignore[assignment]
    wrong("no payment method").payment_method = ""
    wrong("no fence").context.ClearField("not_after")
    wrong("an operation id of one letter").context.operation_id = "x"
    return found


async def _refuses_malformed(run: runs.Run, binding: bindings.Binding) -> None:
    for what, request in malformed(binding):
        refused = await run.expect_status(
            run.call(run.provider.AuthorizePayment, request),
            what=f"an authorization with {what}",
            code=grpc.StatusCode.INVALID_ARGUMENT,
            reason="INVALID_REQUEST",
            effect="NONE",
            fix="validate the request before anything else; protovalidate knows the rules",
        )
        if not refused.fields:
            raise checks.Failed(
                f"an authorization with {what} was refused without naming a field",
                fix="attach google.rpc.BadRequest with the path of the field",
            )


@checks.check(
    number=45,
    part="a",
    title="A field that is missing or malformed is INVALID_ARGUMENT with effect NONE, and the "
    "field is named.",
)
async def malformed_is_refused(run: runs.Run) -> None:
    """Sends authorizations, captures and refunds with one thing wrong each."""
    binding = await run.new_binding()
    await _refuses_malformed(run, binding)
    paid = await binding.pay()
    for amount_minor in (0, -1):
        tries: list[tuple[str, Call]] = []
        if run.has(REFUND):
            tries.append(("refund", lambda minor=amount_minor: binding.refund(paid, minor)))  # type: ignore[misc]
        if run.has(MANUAL_CAPTURE):
            tries.append(("capture", lambda minor=amount_minor: binding.capture(paid, minor)))  # type: ignore[misc]
        for name, call in tries:
            await run.expect_status(
                call(),
                what=f"a {name} of {amount_minor}",
                code=grpc.StatusCode.INVALID_ARGUMENT,
                reason="INVALID_REQUEST",
                effect="NONE",
            )


@checks.check(
    number=45,
    part="b",
    title="What is missing or malformed never reaches the upstream system.",
    needs_upstream=True,
)
async def malformed_stays_here(run: runs.Run) -> None:
    """Counts what arrives upstream while malformed authorizations are sent."""
    upstream = attempts.double(run)
    binding = await run.new_binding()
    upstream.reset()
    for _, request in malformed(binding):
        try:
            await run.call(run.provider.AuthorizePayment, request)
        except refusal.Refused:
            continue
    arrived = upstream.mutations()
    if arrived:
        first = arrived[0].params
        raise checks.Failed(
            f"{len(arrived)} malformed operations were sent upstream, the first for "
            f"{first.get('amount_minor')} {first.get('currency')!r}",
            fix="validate before you send",
        )


@checks.check(
    number=46, title="An identifier that does not exist upstream is NOT_FOUND with effect NONE."
)
async def unknown_payment(run: runs.Run) -> None:
    """Names a payment that never was, to every operation that takes one."""
    binding = await run.new_binding()
    never = operation_pb2.Operation(
        operation_id=run.new_operation_id(), provider_object_id=f"never_{run.token()}"
    )
    tries: list[tuple[str, Call]] = []
    if run.has(MANUAL_CAPTURE):
        tries.append(("a capture", lambda: binding.capture(never, 1)))
    if run.has(REFUND):
        tries.append(("a refund", lambda: binding.refund(never, 1)))
    if run.has(VOID):
        tries.append(("a void", lambda: binding.void(never)))
    if run.has(CUSTOMERS):
        request = pps.UpdateCustomerRequest(
            context=binding.context(),
            provider_customer_id=f"never_{run.token()}",
            details=pps.CustomerDetails(name="Nobody"),
        )
        tries.append(("an update", lambda: run.call(run.provider.UpdateCustomer, request)))
    for what, call in tries:
        await run.expect_status(
            call(),
            what=f"{what} of something unknown",
            code=grpc.StatusCode.NOT_FOUND,
            reason="NOT_FOUND",
            effect="NONE",
        )


@checks.check(
    number=58,
    title="A call that arrives after not_after, or with less time than the reserve, is refused "
    "with TOO_LATE and effect NONE.",
    prefers_upstream=True,
)
async def too_late(run: runs.Run) -> None:
    """Sends operations whose fence has passed, or passes at once."""
    binding = await run.new_binding()
    prepared = await attempts.of_every_kind(binding)
    if run.upstream is not None:
        run.upstream.reset()
    # Elsewhere the clock may be another.
    late_s = LATE_S if run.process is not None else LATE_S[:1]
    for attempt in prepared:
        for left_s in late_s:
            fence = attempt.request.context.not_after
            fence.FromMicroseconds(round((time.time() + left_s) * 1e6))
            await run.expect_status(
                attempt.send(),
                what=f"{attempt.name} {left_s:g} s before its not_after",
                code=grpc.StatusCode.FAILED_PRECONDITION,
                reason="TOO_LATE",
                effect="NONE",
                fix="before you act, compare not_after with the clock, and refuse what has less "
                "time left than it takes to act and answer",
            )
    if run.upstream is not None and run.upstream.mutation_count:
        raise checks.Failed(
            f"{run.upstream.mutation_count} operations were sent upstream after not_after",
            fix="refuse before sending",
        )
    for attempt in prepared:
        if run.has(LOOKUP):
            await run.expect_status(
                binding.find(attempt.operation_id),
                what=f"the look-up of {attempt.name} refused as too late",
                code=grpc.StatusCode.NOT_FOUND,
                effect="NONE",
            )
        run.expect_state(
            await attempt.again().send(),
            operation_pb2.Operation.STATE_SUCCEEDED,
            what=f"{attempt.name} with a fresh not_after",
        )

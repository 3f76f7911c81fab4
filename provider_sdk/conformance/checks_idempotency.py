"""Checks that one operation id has one effect.

Owns rules 34, 35, 36 and 38. Collected by `catalog`. Where there is no upstream
double to count at, the ceilings of a payment count instead.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import grpc
from payhub.plugin.v1 import capability_pb2
from payhub.provider.v1 import operation_pb2
from payhub.provider.v1 import payment_provider_service_pb2 as pps

from provider_sdk.conformance import attempts, checks, checks_lookup, refusal
from provider_sdk.conformance import binding as bindings
from provider_sdk.conformance import run as runs

MANUAL_CAPTURE = capability_pb2.CAPABILITY_MANUAL_CAPTURE
SALE = capability_pb2.CAPABILITY_SALE
PARTIAL_REFUND = capability_pb2.CAPABILITY_PARTIAL_REFUND
# One of them is what lets core send an operation again, or believe that it is not there.
REMEMBERS = (
    capability_pb2.CAPABILITY_OPERATION_LOOKUP,
    capability_pb2.CAPABILITY_UPSTREAM_IDEMPOTENCY,
)

TIMES = 10
FIX = "find the operation by its id before acting, in the same step as recording it"
DERIVED = "send the operation id, or a fixed derivation of it, as idempotency key, in every version"
DURABLE = "store the operation where it outlives the process before you answer it"


async def in_sequence(attempt: attempts.Attempt) -> None:
    """Sends one operation ten times; expects equal answers."""
    first = await attempt.send()
    for _ in range(TIMES - 1):
        attempt = attempt.again()
        _same(first, await attempt.send(), what=f"{attempt.name} sent again")


async def at_once(attempt: attempts.Attempt) -> None:
    """Sends one operation ten times concurrently; expects equal answers or IN_PROGRESS."""
    answers = [one.operation for one in await attempts.at_once(attempt, TIMES)]
    for answer in answers[1:]:
        _same(answers[0], answer, what=f"{attempt.name} sent {TIMES} times at once")


def _same(first: operation_pb2.Operation, later: operation_pb2.Operation, *, what: str) -> None:
    names = ("state", "provider_object_id", "provider_operation_id", "amount")
    for name in names:
        if getattr(first, name) != getattr(later, name):
            raise checks.Failed(
                f"{what}: {name} was {_shown(first, name)} and is {_shown(later, name)}", fix=FIX
            )


def _shown(operation: operation_pb2.Operation, name: str) -> str:
    return str(getattr(operation, name)).replace("\n", " ").strip() or "(empty)"


async def _partly_refunded(binding: bindings.Binding) -> tuple[attempts.Attempt, int]:
    """Returns a refund of a third of a fresh payment, and what is left after it."""
    paid = await binding.pay()
    whole, part = paid.amount.amount_minor, paid.amount.amount_minor // 3
    refund = attempts.refund(binding, paid, part)
    return refund, whole - part


async def _counts_once(refund: attempts.Attempt, left_minor: int) -> None:
    """Expects exactly *left_minor* to be refundable: the refund was booked once."""
    request = refund.request
    binding = refund.binding
    last = binding.refunding(
        request.provider_payment_id, left_minor, currency=request.amount.currency_code
    )
    try:
        await binding.run.call(binding.run.provider.RefundPayment, last)
    except refusal.Refused as refused:
        raise checks.Failed(
            f"after one refund sent {TIMES} times, the rest can't be refunded: {refused.shown()}",
            fix=FIX,
        ) from refused


@checks.check(number=34, part="a", title="The same operation id sent again gets equal answers.")
async def repeats_are_equal(run: runs.Run) -> None:
    """Repeats an authorization and a partial refund ten times in sequence."""
    binding = await run.new_binding()
    await in_sequence(attempts.authorization(binding))
    if run.has(PARTIAL_REFUND):
        refund, left_minor = await _partly_refunded(binding)
        await in_sequence(refund)
        await _counts_once(refund, left_minor)


@checks.check(
    number=34,
    part="b",
    title="The same operation id sent ten times in sequence has one effect upstream.",
    needs_upstream=True,
)
async def repeats_have_one_effect(run: runs.Run) -> None:
    """Repeats an operation of every kind and counts at the upstream double."""
    binding = await run.new_binding()
    for attempt in await attempts.of_every_kind(binding):
        booked = _booked(run)
        await in_sequence(attempt)
        _one_effect(run, attempt, booked)


@checks.check(
    number=34,
    part="c",
    title="The same operation id sent again after the process was killed gets equal answers.",
    prefers_upstream=True,
    needs_process=True,
)
async def repeats_outlive_the_process(run: runs.Run) -> None:
    """Carries out an operation of every kind, kills the process, and sends each again."""
    _remembers(run)
    async with run.spare() as other:
        first = await other.new_binding()
        sent = [(one, await one.send()) for one in await attempts.of_every_kind(first)]
        booked = _booked(run) if run.upstream is not None else 0
        await other.restart(kill=True)
        binding = await checks_lookup.taken_over(other, first)
        await _again(binding, sent, booked, when="after a SIGKILL", fix=DURABLE)


@checks.check(
    number=34,
    part="d",
    title="The same operation id sent under the version before and again under this one gets equal "
    "answers and has one effect upstream.",
    needs_upstream=True,
    needs_process=True,
)
async def repeats_across_versions(run: runs.Run) -> None:
    """Carries out an operation of every kind in the version before, and sends each again."""
    _remembers(run)
    async with run.spare(previous=True) as older:
        told = checks_lookup.versions(older, run)
        before = await older.new_binding()
        sent = [(one, await one.send()) for one in await attempts.of_every_kind(before)]
        booked = _booked(run)
        binding = await checks_lookup.taken_over(run, before)
        await _again(binding, sent, booked, when=f"from {told}", fix=DERIVED)


def _remembers(run: runs.Run) -> None:
    if not any(run.has(capability) for capability in REMEMBERS):
        raise checks.NotProven(
            "the provider offers neither OPERATION_LOOKUP nor UPSTREAM_IDEMPOTENCY",
            cause=checks.Cause.CAPABILITY,
        )


async def _again(
    binding: bindings.Binding,
    sent: Sequence[tuple[attempts.Attempt, operation_pb2.Operation]],
    booked: int,
    *,
    when: str,
    fix: str,
) -> None:
    """Sends operations again through another process; expects the same answers and no effect."""
    for attempt, answer in sent:
        again = dataclasses.replace(attempt, binding=binding).again()
        what = f"{attempt.name} sent again {when}"
        try:
            _same(answer, await again.send(), what=what)
        except refusal.Refused as refused:
            raise checks.Failed(f"{what}: {refused.shown()}", fix=fix) from refused
    run = binding.run
    if run.upstream is not None and _booked(run) != booked:
        raise checks.Failed(
            f"{len(sent)} operations sent again {when} had "
            f"{_booked(run) - booked} more effects upstream",
            fix=DERIVED,
        )


@checks.check(
    number=35,
    part="a",
    title="The same operation id sent ten times at once is carried out once; the others get "
    "equal answers or OPERATION_IN_PROGRESS.",
)
async def duplicates_at_once(run: runs.Run) -> None:
    """Sends an authorization and a partial refund ten times concurrently."""
    binding = await run.new_binding()
    await at_once(attempts.authorization(binding))
    if run.has(PARTIAL_REFUND):
        refund, left_minor = await _partly_refunded(binding)
        await at_once(refund)
        await _counts_once(refund, left_minor)


@checks.check(
    number=35,
    part="b",
    title="The same operation id sent ten times at once has one effect upstream.",
    needs_upstream=True,
)
async def duplicates_have_one_effect(run: runs.Run) -> None:
    """Sends an operation of every kind ten times at once and counts at the double."""
    upstream = attempts.double(run)
    binding = await run.new_binding()
    for attempt in await attempts.of_every_kind(binding):
        booked = _booked(run)
        # Slow enough for all ten to meet.
        upstream.slow(0.1)
        await at_once(attempt)
        upstream.lift()
        _one_effect(run, attempt, booked)


def _booked(run: runs.Run) -> int:
    return len(attempts.double(run).effects())


def _one_effect(run: runs.Run, attempt: attempts.Attempt, before: int) -> None:
    count = _booked(run) - before
    if count != 1:
        raise checks.Failed(
            f"{attempt.name} sent {TIMES} times had {count} effects upstream",
            fix="send the operation id, or a fixed derivation of it, as idempotency key",
        )


@checks.check(
    number=36,
    title="An operation id sent again with other parameters is OPERATION_MISMATCH, and nothing "
    "is done.",
)
async def mismatch(run: runs.Run) -> None:
    """Changes amount, currency, instrument, capture method, payment, kind and binding."""
    binding = await run.new_binding()
    first = attempts.authorization(binding)
    paid = await first.send()
    for what, request in await _changed(binding, first.request):
        await _refuses(run, what, run.provider.AuthorizePayment, request)
    if run.has(MANUAL_CAPTURE):
        other = await binding.authorize(sale=False)
        used = binding.capturing(paid.provider_object_id)
        captured = await run.call(run.provider.CapturePayment, used)
        elsewhere = pps.CapturePaymentRequest()
        elsewhere.CopyFrom(used)
        elsewhere.provider_payment_id = other.provider_object_id
        await _refuses(run, "another payment", run.provider.CapturePayment, elsewhere)
        as_capture = binding.capturing(
            other.provider_object_id, operation_id=first.operation_id, attempt=2
        )
        await _refuses(run, "another kind", run.provider.CapturePayment, as_capture)
        again = await run.call(run.provider.CapturePayment, used)
        _same(captured.operation, again.operation, what="the capture after the mismatches")
    _same(paid, await first.again().send(), what="the authorization after the mismatches")


async def _changed(
    binding: bindings.Binding, first: pps.AuthorizePaymentRequest
) -> Sequence[tuple[str, pps.AuthorizePaymentRequest]]:
    """Returns copies of *first* with one parameter changed each, and which."""
    run = binding.run
    found = []

    def changed(what: str) -> pps.AuthorizePaymentRequest:
        copy = pps.AuthorizePaymentRequest()
        copy.CopyFrom(first)
        copy.context.attempt = 2
        found.append((what, copy))
        return copy

    changed("another amount").amount.amount_minor += 1
    others = [code for code in run.profile.currencies if code != first.amount.currency_code]
    if others:
        changed("another currency").amount.currency_code = others[0]
    if "decline" in run.profile.instruments:
        changed("another instrument").payment_method = run.instrument("decline")
    if run.has(SALE) and run.has(MANUAL_CAPTURE):
        changed("another capture method").capture_method = pps.CAPTURE_METHOD_AUTOMATIC
    other = await run.new_binding()
    changed("another binding").context.binding_id = other.binding_id
    return found


async def _refuses(run: runs.Run, what: str, method: Any, request: Any) -> None:
    await run.expect_status(
        run.call(method, request),
        what=f"a used operation id with {what}",
        code=grpc.StatusCode.ALREADY_EXISTS,
        reason="OPERATION_MISMATCH",
        effect="NONE",
        fix="compare with what the id was first used for, binding and kind included",
    )


@checks.check(
    number=38,
    title="The idempotency key sent upstream is the same on every attempt of an operation, and "
    "differs between operations.",
    needs_upstream=True,
)
async def same_key_upstream(run: runs.Run) -> None:
    """Lets the first attempts of each kind fail upstream and compares the keys."""
    upstream = attempts.double(run)
    binding = await run.new_binding()
    used: dict[str, str] = {}
    troubles: tuple[Callable[[], None], ...] = (
        upstream.close_after_reading,
        lambda: upstream.fail(503),
    )
    for prepared in await attempts.of_every_kind(binding):
        attempt = prepared
        upstream.reset()
        for trouble in troubles:
            trouble()
            try:
                await attempt.send()
            except refusal.Refused as refused:
                if refused.effect != "UNKNOWN":
                    raise
            attempt = attempt.again()
        upstream.lift()
        await attempt.send()
        keys = {exchange.key for exchange in upstream.mutations()}
        if len(keys) != 1 or "" in keys:
            raise checks.Failed(
                f"three attempts of {attempt.name} were sent upstream under {len(keys)} keys"
                f"{' (or none)' if '' in keys else ''}",
                fix="derive the idempotency key from the operation id alone, never per attempt",
            )
        (key,) = keys
        if key in used:
            raise checks.Failed(
                f"{attempt.name} was sent under the key of {used[key]}",
                fix="give every operation id a key of its own",
            )
        used[key] = attempt.name

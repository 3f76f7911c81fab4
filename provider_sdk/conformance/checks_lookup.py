"""Checks of what must outlive a process: look-ups, and payments of another version.

Owns rules 47, 59 and 80. Collected by `catalog`. The memory that processes share is the
upstream double, or what a provider without an upstream system keeps in its state.
"""

import asyncio
import functools

import grpc
from payhub.plugin.v1 import capability_pb2
from payhub.provider.v1 import operation_pb2

from provider_sdk.conformance import attempts, checks, exchanges, refusal
from provider_sdk.conformance import binding as bindings
from provider_sdk.conformance import run as runs

State = operation_pb2.Operation

MANUAL_CAPTURE = capability_pb2.CAPABILITY_MANUAL_CAPTURE
REFUND = capability_pb2.CAPABILITY_REFUND
LOOKUP = capability_pb2.CAPABILITY_OPERATION_LOOKUP
LOOKUPS = exchanges.LOOKUPS

# How long callers of operations wait that are looked up meanwhile.
CALLER_S = 2.0

_HTML = b"HTTP/1.1 404 Not Found\r\ncontent-length: 13\r\n\r\n<html></html>"


async def taken_over(run: runs.Run, from_: bindings.Binding) -> bindings.Binding:
    """Configures the binding of another process, or of an earlier life, in this one."""
    binding = bindings.Binding(
        run, binding_id=from_.binding_id, config=from_.config, secrets=from_.secrets
    )
    await binding.configure(generation=max(from_.generation, 1))
    return binding


def versions(older: runs.Run, run: runs.Run) -> str:
    """Returns which version follows which.

    Raises:
        NotProven: They are the same.
    """
    was, now = (each.handshake.identity.plugin_version for each in (older, run))
    if was == now:
        raise checks.NotProven(f"`previous` starts {was} too; make it start the version before")
    return f"{was} to {now}"


@checks.check(
    number=47,
    title="What was authorized and captured under the version before can be captured, refunded "
    "and found under this one.",
    needs=(REFUND,),
    needs_upstream=True,
    needs_process=True,
)
async def across_versions(run: runs.Run) -> None:
    """Pays through the version before, refunds and captures through this one."""
    async with run.spare(previous=True) as older:
        told = versions(older, run)
        before = await older.new_binding()
        paid = await before.pay()
        held = await before.authorize() if run.has(MANUAL_CAPTURE) else None
        run.note(told)
        binding = await taken_over(run, before)
        refunded = await binding.refund(paid)
        run.expect_state(
            refunded,
            State.STATE_SUCCEEDED,
            what=f"the refund of a payment made before, {told}",
        )
        if held is not None:
            captured = await binding.capture(held)
            run.expect_state(
                captured, State.STATE_SUCCEEDED, what="the capture of an older authorization"
            )
        if run.has(LOOKUP):
            found = await binding.find(paid.operation_id)
            run.expect_state(found, State.STATE_SUCCEEDED, what="the look-up of an older payment")


async def _everything(
    binding: bindings.Binding,
) -> list[tuple[attempts.Attempt, operation_pb2.Operation]]:
    """Carries out an operation of every kind and outcome."""
    prepared = await attempts.of_every_kind(binding)
    for name in ("decline", "pending", "action_required"):
        if name in binding.run.profile.instruments:
            prepared.append(attempts.authorization(binding, instrument=name))
    return [(attempt, await attempt.send()) for attempt in prepared]


@checks.check(
    number=59,
    part="a",
    title="GetOperation finds every operation, also after a restart; NOT_FOUND is only for ids "
    "that were never sent.",
    needs=(LOOKUP,),
    prefers_upstream=True,
    needs_process=True,
)
async def finds_everything(run: runs.Run) -> None:
    """Looks operations of every kind up, restarts the process, and looks again."""
    async with run.spare() as other:
        first = await other.new_binding()
        sent = await _everything(first)
        await _finds(first, sent, when="")
        await _does_not_find(first, when="")
        await other.restart(kill=True)
        binding = await taken_over(other, first)
        await _finds(binding, sent, when=" after a restart")
        await _does_not_find(binding, when=" after a restart")


async def _finds(
    binding: bindings.Binding,
    sent: list[tuple[attempts.Attempt, operation_pb2.Operation]],
    *,
    when: str,
) -> None:
    for attempt, answer in sent:
        try:
            found = await binding.find(attempt.operation_id)
        except refusal.Refused as refused:
            raise checks.Failed(
                f"{attempt.name} is not found{when}: {refused.shown()}",
                fix="ask the upstream system by the key the operation was sent with, or keep "
                "operations where they outlive the process",
            ) from refused
        waited = answer.state in (State.STATE_PENDING, State.STATE_ACTION_REQUIRED)
        if found.operation_id != attempt.operation_id or (
            found.state != answer.state and not waited
        ):
            raise checks.Failed(
                f"the look-up of {attempt.name}{when} gives {State.State.Name(found.state)}, the "
                f"call gave {State.State.Name(answer.state)}",
                fix="answer with the operation as it stands",
            )


async def _does_not_find(binding: bindings.Binding, *, when: str) -> None:
    run = binding.run
    await run.expect_status(
        binding.find(run.new_operation_id()),
        what=f"the look-up of an id never sent{when}",
        code=grpc.StatusCode.NOT_FOUND,
        reason="NOT_FOUND",
        effect="NONE",
    )


@checks.check(
    number=59,
    part="b",
    title="A look-up that can't reach upstream is LOOKUP_INCONCLUSIVE, never NOT_FOUND.",
    needs=(LOOKUP,),
    needs_upstream=True,
)
async def inconclusive(run: runs.Run) -> None:
    """Looks up what was sent, and what was not, while upstream is in every kind of trouble."""
    upstream = attempts.double(run)
    binding = await run.new_binding()
    paid = await binding.authorize()
    for what, trouble in (
        ("refuses connections", upstream.go_down),
        ("hangs", upstream.hang),
        ("answers 500", lambda: upstream.fail(500, only=LOOKUPS)),
        ("answers 404 with an HTML page", lambda: upstream.answer_raw(_HTML, only=LOOKUPS)),
        ("breaks off", lambda: upstream.close_after_reading(only=LOOKUPS)),
    ):
        trouble()
        for operation_id in (paid.operation_id, run.new_operation_id()):
            await run.expect_status(
                run.in_time(functools.partial(binding.find, operation_id, timeout_s=2.0)),
                what=f"a look-up while upstream {what}",
                code=grpc.StatusCode.UNAVAILABLE,
                reason="LOOKUP_INCONCLUSIVE",
                fix="answer NOT_FOUND only if upstream says that it does not know the key",
            )
        upstream.lift()
    found = await binding.find(paid.operation_id)
    run.expect_state(found, State.STATE_SUCCEEDED, what="the look-up after the trouble")


@checks.check(
    number=59,
    part="c",
    title="A look-up of what is still being sent is never NOT_FOUND, whatever its caller does.",
    needs=(LOOKUP,),
    needs_upstream=True,
)
async def not_while_it_runs(run: runs.Run) -> None:
    """Looks operations up that upstream has and has not carried out, before and after their
    calls have ended.
    """
    upstream = attempts.double(run)
    binding = await run.new_binding()
    prepared = await attempts.of_every_kind(binding)
    upstream.reset()
    upstream.pause()
    calling = [asyncio.create_task(one.send(timeout_s=CALLER_S)) for one in prepared]

    async def have_arrived() -> bool:
        return len(upstream.mutations()) >= len(prepared)

    try:
        await run.until(
            have_arrived,
            what=f"{len(prepared)} operations arriving upstream",
            fix="send an operation upstream as soon as it comes",
        )
        await _nothing_denied(prepared, when="while upstream has it")
    finally:
        await asyncio.gather(*calling, return_exceptions=True)
    # One that was broken off is the matter of check 52.
    if not any(exchange.aborted for exchange in upstream.mutations()):
        await _nothing_denied(prepared, when="while upstream has it and its call has ended")
    upstream.release()


async def _nothing_denied(prepared: list[attempts.Attempt], *, when: str) -> None:
    for attempt in prepared:
        try:
            await attempt.binding.find(attempt.operation_id)
        except refusal.Refused as refused:
            if refused.code is grpc.StatusCode.NOT_FOUND:
                raise checks.Failed(
                    f"the look-up of {attempt.name} {when}: {refused.shown()}",
                    rule="NOT_FOUND is a promise that the operation will not take place.",
                    fix="answer OPERATION_IN_PROGRESS until the request upstream has ended",
                ) from refused


@checks.check(
    number=80,
    title="A look-up of what was pending tells once it is decided, and so does a repeat.",
    needs=(LOOKUP,),
    prefers_upstream=True,
)
async def pending_is_decided(run: runs.Run) -> None:
    """Pays with the instrument `pending`; the double decides within a second."""
    if "pending" not in run.profile.instruments:
        raise checks.NotProven(
            "the profile has no instrument `pending`", cause=checks.Cause.CAPABILITY
        )
    attempt = attempts.authorization(await run.new_binding(), instrument="pending")
    answer = await attempt.send()
    run.expect_state(answer, State.STATE_PENDING, what="the instrument `pending`")
    decided: list[operation_pb2.Operation] = []

    async def is_decided() -> bool:
        found = await attempt.binding.find(attempt.operation_id)
        if found.state != State.STATE_PENDING:
            decided.append(found)
        return bool(decided)

    try:
        await run.until(
            is_decided,
            what="a look-up that tells what became of a pending payment",
            fix="look up where it is decided, not what was answered first",
        )
    except checks.Failed:
        if run.upstream is not None:
            raise
        text = "the instrument `pending` is not decided within 10 s"
        raise checks.NotProven(text) from None
    for what, told in (
        ("the look-up of what was pending", decided[-1]),
        ("its repeat", await attempt.again().send()),
    ):
        if told.state not in (State.STATE_SUCCEEDED, State.STATE_DECLINED) or (
            told.state != decided[-1].state
        ):
            raise checks.Failed(
                f"{what} gives {State.State.Name(told.state)}",
                fix="answer what the provider decided: SUCCEEDED or DECLINED",
            )

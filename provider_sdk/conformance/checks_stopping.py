"""Checks 30 to 32: orderly and disorderly ends.

Owns Drain, SIGTERM and SIGKILL. Every check stops a process of its own.
Collected by `catalog`.
"""

import asyncio
import contextlib

import grpc
from payhub.plugin.v1 import capability_pb2
from payhub.provider.v1 import operation_pb2
from payhub.provider.v1 import payment_provider_service_pb2 as pps

from provider_sdk.conformance import binding as bindings
from provider_sdk.conformance import checks, checks_health, refusal
from provider_sdk.conformance import run as runs
from provider_sdk.conformance import upstream as upstreams

State = operation_pb2.Operation

_LOOKUP = capability_pb2.CAPABILITY_OPERATION_LOOKUP
_DEDUPLICATES = capability_pb2.CAPABILITY_UPSTREAM_IDEMPOTENCY


@checks.check(
    number=30,
    part="a",
    title="After Drain new calls get DRAINING, look-ups are answered, and Drain succeeds again.",
    needs_process=True,
)
async def drained_refuses(run: runs.Run) -> None:
    """Drains an idle process."""
    async with run.spare() as other:
        binding = await other.new_binding()
        paid = await binding.authorize()
        if remaining := await checks_health.drain(other):
            raise checks.Failed(
                f"Drain of an idle process reports {remaining} calls",
                fix="count running calls only",
            )
        await _refused(other, binding)
        if other.has(_LOOKUP):
            found = await binding.find(paid.operation_id)
            other.expect_state(found, paid.state, what="the look-up after Drain")
        await checks_health.drain(other)


@checks.check(
    number=30,
    part="b",
    title="Drain lets running calls finish and waits for them.",
    needs_process=True,
    needs_upstream=True,
)
async def drain_waits(run: runs.Run) -> None:
    """Drains while upstream holds a call."""
    assert run.upstream is not None
    async with run.spare() as other:
        binding = await other.new_binding()
        async with asyncio.TaskGroup() as group:
            paying = await _held(other, binding, run.upstream, group)
            draining = group.create_task(checks_health.drain(other, grace_s=10.0))
            await other.until(
                lambda: _is_refused(binding),
                what="DRAINING while Drain waits",
                fix="refuse new calls as soon as Drain arrives",
            )
            if draining.done():
                raise checks.Failed(
                    "Drain returned while a call was running",
                    fix="wait for running calls until the grace period ends",
                )
            run.upstream.release()
        _finished(paying.result(), "the call that ran during Drain")
        if draining.result():
            raise checks.Failed(
                f"Drain reports {draining.result()} calls though all had finished",
                fix="count what is still running when Drain returns",
            )


@checks.check(
    number=31,
    part="a",
    title="SIGTERM ends the process with status 0 within its grace.",
    needs_process=True,
)
async def sigterm_is_clean(run: runs.Run) -> None:
    """Stops an idle process."""
    async with run.spare() as other:
        assert other.process is not None
        binding = await other.new_binding()
        await binding.authorize()
        other.process.terminate()
        _clean(await other.process.ended(run.profile.stop_grace_s), run)


@checks.check(
    number=31,
    part="b",
    title="SIGTERM lets running calls finish.",
    needs_process=True,
    needs_upstream=True,
)
async def sigterm_waits(run: runs.Run) -> None:
    """Stops a process while upstream holds a call."""
    assert run.upstream is not None
    async with run.spare() as other:
        assert other.process is not None
        binding = await other.new_binding()
        async with asyncio.TaskGroup() as group:
            paying = await _held(other, binding, run.upstream, group)
            other.process.terminate()
            # Long enough for a process that does not wait to end the call.
            await asyncio.sleep(0.5)
            run.upstream.release()
        _finished(paying.result(), "the call that ran during SIGTERM")
        _clean(await other.process.ended(run.profile.stop_grace_s), run)


@checks.check(
    number=32,
    title="After SIGKILL in the middle of a call the operation is resolvable, with one effect.",
    needs_process=True,
    needs_upstream=True,
)
async def kill_leaves_one_effect(run: runs.Run) -> None:
    """Kills the process once upstream has acted, before it can answer."""
    assert run.upstream is not None
    if not run.has(_LOOKUP) and not run.has(_DEDUPLICATES):
        raise checks.NotProven(
            "the provider offers neither OPERATION_LOOKUP nor UPSTREAM_IDEMPOTENCY",
            cause=checks.Cause.CAPABILITY,
        )
    async with run.spare() as other:
        binding = await other.new_binding()
        run.upstream.pause(acts=True)
        request = binding.authorization(not_after_s=60.0)
        operation_id = request.context.operation_id
        call = asyncio.ensure_future(
            other.call(other.provider.AuthorizePayment, request, timeout_s=20.0)
        )
        await _arrived(other, run.upstream)
        assert other.process is not None
        await other.process.kill()
        with contextlib.suppress(refusal.Refused, asyncio.CancelledError):
            await call
        run.upstream.release()
        await other.restart(kill=True)
        await binding.configure()
        if other.has(_LOOKUP):
            await other.until(
                lambda: _is_found(binding, operation_id),
                what="the operation found after the restart",
                fix="look the operation up by its id where it survives a restart",
            )
        if other.has(_DEDUPLICATES):
            await other.until(
                lambda: _is_repeated(other, request),
                what="the success of the operation, repeated after the restart",
                fix="answer the operation as it stands upstream",
            )
        effects = run.upstream.effects(operation_id)
        if len(effects) != 1:
            raise checks.Failed(
                f"{len(effects)} effects upstream for one operation id",
                fix="send the operation id, or a fixed derivation of it, as idempotency key",
            )


async def _held(
    run: runs.Run,
    binding: bindings.Binding,
    upstream: upstreams.Upstream,
    group: asyncio.TaskGroup,
) -> "asyncio.Task[operation_pb2.Operation | refusal.Refused]":
    """Starts a payment that upstream holds until it is released."""
    upstream.pause()

    async def pay() -> operation_pb2.Operation | refusal.Refused:
        try:
            return await binding.authorize(timeout_s=20.0)
        except refusal.Refused as refused:
            return refused

    paying = group.create_task(pay())
    await _arrived(run, upstream)
    return paying


async def _arrived(run: runs.Run, upstream: upstreams.Upstream) -> None:
    async def is_there() -> bool:
        return upstream.mutation_count >= 1

    await run.until(
        is_there,
        what="the payment upstream",
        fix="send payments to the upstream double; see `upstream` of the profile",
    )


async def _is_found(binding: bindings.Binding, operation_id: str) -> bool:
    try:
        found = await binding.find(operation_id)
    except refusal.Refused as refused:
        if refused.code is grpc.StatusCode.NOT_FOUND:
            raise checks.Failed(
                "the operation took place and the look-up says NOT_FOUND",
                rule="NOT_FOUND is a promise that the operation did not take place.",
                fix="look where the effect is recorded, or answer LOOKUP_INCONCLUSIVE",
            ) from refused
        return False
    return bool(found.state == State.STATE_SUCCEEDED)


async def _is_repeated(run: runs.Run, request: pps.AuthorizePaymentRequest) -> bool:
    """Whether a repeat says that upstream acted; it may have to wait, and never ends otherwise."""
    try:
        again = await run.call(run.provider.AuthorizePayment, request)
    except refusal.Refused as refused:
        if refused.effect == "NONE":
            raise
        return False
    state = again.operation.state
    if state not in (State.STATE_PENDING, State.STATE_SUCCEEDED):
        raise checks.Failed(
            f"the operation took place and its repeat says {State.State.Name(state)}",
            fix="answer the operation as it stands upstream",
        )
    return bool(state == State.STATE_SUCCEEDED)


async def _is_refused(binding: bindings.Binding) -> bool:
    """Whether a new payment meets DRAINING; one that is taken is held like the first."""
    try:
        await binding.authorize(timeout_s=0.5)
    except refusal.Refused as refused:
        return refused.reason == "DRAINING"
    return False


async def _refused(run: runs.Run, binding: bindings.Binding) -> None:
    await run.expect_status(
        binding.authorize(),
        what="a payment after Drain",
        code=grpc.StatusCode.UNAVAILABLE,
        reason="DRAINING",
        effect="NONE",
    )


def _finished(ended: operation_pb2.Operation | refusal.Refused, what: str) -> None:
    if isinstance(ended, refusal.Refused):
        raise checks.Failed(f"{what} failed: {ended.shown()}", fix="wait for running calls")
    if ended.state != State.STATE_SUCCEEDED:
        raise checks.Failed(
            f"{what} ended in {State.State.Name(ended.state)}", fix="let running calls finish"
        )


def _clean(status: int | None, run: runs.Run) -> None:
    if status is None:
        raise checks.Failed(
            f"the process runs on {run.profile.stop_grace_s:g} s after SIGTERM",
            fix="stop on SIGTERM, or raise `stop_grace_s` of the profile",
        )
    if status != 0:
        raise checks.Failed(
            f"the process ended with status {status} after SIGTERM",
            fix="handle SIGTERM: drain, then exit with 0",
        )

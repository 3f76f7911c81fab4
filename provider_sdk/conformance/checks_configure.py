"""Checks 17 to 23: applying configurations.

Owns generations, whole-or-nothing, and that bindings are apart. Collected by
`catalog`.
"""

import asyncio

import grpc
from payhub.plugin.v1 import capability_pb2
from payhub.plugin.v1 import plugin_service_pb2 as ps

from provider_sdk.conformance import binding as bindings
from provider_sdk.conformance import checks, refusal
from provider_sdk.conformance import run as runs

CALLS = 50
WORKERS = 10

_NOT_CONFIGURED = "BINDING_NOT_CONFIGURED"
_PRECONDITION = grpc.StatusCode.FAILED_PRECONDITION


@checks.check(
    number=17,
    part="a",
    title="Configure with the generation in force succeeds again.",
)
async def configure_repeats(run: runs.Run) -> None:
    """Sends the same generation twice, and pays in between and after."""
    binding = await run.new_binding(generation=4)
    await binding.pay()
    answer = await binding.configure(generation=4)
    if answer.applied_generation != 4:
        raise checks.Failed(
            f"the repeat of generation 4 answers {answer.applied_generation}",
            fix="answer the generation in force",
        )
    await binding.pay()


@checks.check(
    number=17,
    part="b",
    title="Configure with the generation in force starts nothing upstream again.",
    needs_upstream=True,
)
async def repeat_stays_home(run: runs.Run) -> None:
    """Counts what arrives upstream; something of the plugin's own may come in between."""
    assert run.upstream is not None
    binding = await run.new_binding(generation=1)
    for _ in range(3):
        before = run.upstream.request_count
        await binding.configure(generation=1)
        if run.upstream.request_count == before:
            return
    raise checks.Failed(
        "each of three repeats of one generation sent something upstream",
        fix="return at once if the generation is in force",
    )


@checks.check(
    number=18,
    title="A lower generation is refused with STALE_GENERATION, and the newer one still works.",
)
async def stale_generation(run: runs.Run) -> None:
    """Goes back one generation."""
    binding = await run.new_binding(generation=5)
    await run.expect_status(
        binding.configure(generation=4),
        what="Configure with generation 4 while 5 is in force",
        code=_PRECONDITION,
        reason="STALE_GENERATION",
    )
    await _in_force(binding, 5)


@checks.check(
    number=19,
    title="After an invalid Configure the old generation still serves payments.",
)
async def invalid_changes_nothing(run: runs.Run) -> None:
    """Sends what is no configuration, and a secret nobody knows."""
    binding = await run.new_binding(generation=1)
    canary = run.canaries.new("unknown")
    for what, config, secrets in (
        ("text that is no JSON", "{broken", None),
        ("an unknown secret slot", None, {**run.secrets, "conformance_unknown": canary}),
    ):
        refused = await run.expect_status(
            binding.configure(generation=2, config=config, secrets=secrets),
            what=f"Configure with {what}",
            code=grpc.StatusCode.INVALID_ARGUMENT,
            reason="CONFIG_INVALID",
        )
        if not refused.fields:
            raise checks.Failed(
                f"Configure with {what} is refused without a field violation",
                rule="CONFIG_INVALID carries one field violation per diagnostic.",
                fix="add google.rpc.BadRequest",
            )
        await _in_force(binding, 1)


async def _in_force(binding: bindings.Binding, generation: int) -> None:
    applied = await binding.applied_generation()
    if applied != generation:
        raise checks.Failed(
            f"Probe reports generation {applied} after a refused Configure, {generation} before",
            fix="apply a configuration whole or not at all",
        )
    await binding.pay()


@checks.check(
    number=20,
    part="a",
    title="Configure between 50 payments lets none of them fail.",
)
async def configure_under_calls(run: runs.Run) -> None:
    """Pays with ten workers while generations rise."""
    binding = await run.new_binding()
    workers = min(WORKERS, run.handshake.max_concurrent_calls or WORKERS)

    async def work() -> None:
        for _ in range(CALLS // workers):
            await _paid(binding)

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(work()) for _ in range(workers)]
        while not all(task.done() for task in tasks):
            await binding.configure()
            await asyncio.sleep(0.01)


@checks.check(
    number=20,
    part="b",
    title="Configure while 50 calls wait for upstream lets none of them fail.",
    needs_upstream=True,
)
async def configure_over_running_calls(run: runs.Run) -> None:
    """Changes the generation once they all wait."""
    assert run.upstream is not None
    upstream = run.upstream
    binding = await run.new_binding()
    calls = min(CALLS, run.handshake.max_concurrent_calls or CALLS)
    upstream.pause()
    async with asyncio.TaskGroup() as group:
        for _ in range(calls):
            group.create_task(_paid(binding))

        async def all_wait() -> bool:
            return upstream.mutation_count >= calls

        await run.until(
            all_wait,
            what=f"{calls} calls at once upstream",
            fix="let calls of one binding run side by side, or lower max_concurrent_calls",
        )
        await binding.configure()
        upstream.release()


async def _paid(binding: bindings.Binding) -> None:
    try:
        await binding.authorize()
    except refusal.Refused as refused:
        raise checks.Failed(
            f"a payment failed while Configure ran: {refused.shown()}",
            rule="Calls already running finish on the generation they started with.",
            fix="let each call keep the configuration it started with",
        ) from refused


@checks.check(
    number=21,
    title="Payments and operations of one binding do not exist for another.",
)
async def bindings_are_apart(run: runs.Run) -> None:
    """Uses the payment of one merchant account through another."""
    mine = await run.new_binding()
    paid = await mine.authorize()
    other = await run.other_account()
    fix = "look payments up within the account of the binding"
    if run.has(capability_pb2.CAPABILITY_MANUAL_CAPTURE):
        await run.expect_status(
            other.capture(paid),
            what="the capture of another binding's payment",
            code=grpc.StatusCode.NOT_FOUND,
            effect="NONE",
            fix=fix,
        )
    if run.has(capability_pb2.CAPABILITY_REFUND):
        captured = await mine.pay()
        await run.expect_status(
            other.refund(captured),
            what="the refund of another binding's payment",
            code=grpc.StatusCode.NOT_FOUND,
            effect="NONE",
            fix=fix,
        )
    if run.has(capability_pb2.CAPABILITY_OPERATION_LOOKUP):
        await run.expect_status(
            other.find(paid.operation_id),
            what="the look-up of another binding's operation",
            code=grpc.StatusCode.NOT_FOUND,
            fix=fix,
        )


@checks.check(
    number=22,
    title="A restarted process holds no binding and says BINDING_NOT_CONFIGURED.",
    needs_process=True,
)
async def restart_forgets(run: runs.Run) -> None:
    """Restarts a process that was configured."""
    async with run.spare() as other:
        binding = await other.new_binding()
        await binding.authorize()
        await other.restart()
        await _not_configured(other, binding, "a payment after a restart")
        await binding.configure()
        await binding.pay()


@checks.check(
    number=23,
    title="RemoveBinding succeeds twice; later calls say BINDING_NOT_CONFIGURED.",
)
async def removal_repeats(run: runs.Run) -> None:
    """Removes a binding twice, and one that never was."""
    binding = await run.new_binding()
    await binding.authorize()
    for _ in range(2):
        await binding.remove()
    await _not_configured(run, binding, "a payment of a removed binding")
    never = await run.new_binding(configure=False)
    await never.remove()


async def _not_configured(run: runs.Run, binding: bindings.Binding, what: str) -> None:
    probe = await run.call(run.plugin.Probe, ps.ProbeRequest(), timeout_s=5.0)
    if binding.binding_id in {one.binding_id for one in probe.bindings}:
        raise checks.Failed(
            "Probe still lists the binding",
            rule="Probe lists the bindings whose configuration is in force.",
            fix="keep configurations in memory only, and drop what is removed",
        )
    await run.expect_status(
        binding.authorize(),
        what=what,
        code=_PRECONDITION,
        reason=_NOT_CONFIGURED,
        effect="NONE",
    )
    if run.has(capability_pb2.CAPABILITY_OPERATION_LOOKUP):
        await run.expect_status(
            binding.find(run.new_operation_id()),
            what="a look-up without a configured binding",
            code=_PRECONDITION,
            reason=_NOT_CONFIGURED,
        )

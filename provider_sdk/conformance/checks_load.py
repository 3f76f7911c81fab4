"""Checks under load: limits, isolation, overhead.

Owns rules 64 to 66. Collected by `catalog`. Sends a few hundred calls at most,
unless the run asks for a longer look at memory.
"""

import asyncio
import statistics
import time

import grpc

from provider_sdk.conformance import attempts, checks, memory
from provider_sdk.conformance import binding as bindings
from provider_sdk.conformance import run as runs

CONCURRENT_MAX = 512
BEYOND = 5
QUICKLY_S = 1.0

SLOW_S = 1.5
SLOW_CALLS = 10
NEIGHBOUR_CALLS = 20
NEIGHBOUR_ROUNDS = 3
# A neighbour that has to wait for the slow ones takes about as long as they do.
NEIGHBOUR_MAX_S = SLOW_S / 3

RATE_PER_S = 50
MEASURE_S = 3.0
ROUNDS = 5
UPSTREAM_S = 0.02
OVERHEAD_MAX_S = 0.025


@checks.check(
    number=64,
    title="Calls beyond max_concurrent_calls are refused quickly with PLUGIN_BUSY and effect "
    "NONE; those below it are carried out.",
    needs_upstream=True,
    phase=checks.Phase.LOAD,
)
async def concurrency_limit(run: runs.Run) -> None:
    """Fills the provider with calls that upstream holds; most further ones are quickly refused."""
    upstream = attempts.double(run)
    limit = run.handshake.max_concurrent_calls
    if not limit:
        raise checks.NotProven("the provider states no limit", cause=checks.Cause.CAPABILITY)
    if limit > CONCURRENT_MAX:
        raise checks.NotProven(
            f"{limit} calls at once are more than the suite holds; set a limit of "
            f"{CONCURRENT_MAX} or less in the profile's `upstream` section"
        )
    binding = await run.new_binding()
    upstream.reset()
    upstream.pause(acts=True)
    filling = [asyncio.create_task(binding.authorize(timeout_s=30.0)) for _ in range(limit)]
    took_s: list[float] = []
    try:

        async def is_full() -> bool:
            return len(upstream.mutations()) >= limit

        await run.until(
            is_full,
            what=f"{limit} calls arriving upstream",
            fix="take as many calls as max_concurrent_calls says",
        )
        for _ in range(BEYOND):
            begun_s = time.monotonic()
            await run.expect_status(
                binding.authorize(timeout_s=5.0),
                what=f"call {limit + 1} at once",
                code=grpc.StatusCode.RESOURCE_EXHAUSTED,
                reason="PLUGIN_BUSY",
                effect="NONE",
                fix="count the calls in progress and refuse before doing anything",
            )
            took_s.append(time.monotonic() - begun_s)
        # Any one of them may have met a machine that was busy elsewhere.
        if statistics.median(took_s) > QUICKLY_S:
            raise checks.Failed(
                f"calls beyond the limit were refused after {statistics.median(took_s):.1f} s",
                fix="refuse at once instead of queueing",
            )
        upstream.release()
        await asyncio.gather(*filling)
    finally:
        for task in filling:
            task.cancel()
        await asyncio.gather(*filling, return_exceptions=True)
    if len(upstream.effects()) != limit:
        raise checks.Failed(
            f"{limit} calls were taken, and {len(upstream.effects())} had an effect upstream",
            fix="let a refused call have no effect",
        )
    await binding.authorize()


@checks.check(
    number=65,
    title="One binding whose upstream is slow does not slow another one.",
    level=checks.SHOULD,
    needs_upstream=True,
    phase=checks.Phase.LOAD,
)
async def slow_neighbour(run: runs.Run) -> None:
    """Slows the operations of one amount, sent by one binding, and times another's.

    The quietest of three rounds counts.
    """
    slow, quick = await run.new_binding(), await run.new_binding()
    await quick.authorize()
    slowest_s = float("inf")
    for _ in range(NEIGHBOUR_ROUNDS):
        # The suite, the double and the provider share one machine with others.
        slowest_s = min(slowest_s, await _beside(run, slow, quick))
        if slowest_s <= NEIGHBOUR_MAX_S:
            break
    run.note(f"slowest neighbour {slowest_s * 1e3:.0f} ms")
    if slowest_s > NEIGHBOUR_MAX_S:
        raise checks.Failed(
            f"while one binding's upstream took {SLOW_S:g} s, a call of another took "
            f"{slowest_s:.2f} s",
            fix="give bindings connections of their own, and never block the event loop",
        )


async def _beside(run: runs.Run, slow: bindings.Binding, quick: bindings.Binding) -> float:
    """Returns the longest that a call of *quick* takes beside those of *slow*, seconds."""
    upstream = attempts.double(run)
    upstream.reset()
    slow_minor = run.profile.amount_minor + 1
    upstream.slow(SLOW_S, amount_minor=slow_minor)
    calls = min(SLOW_CALLS, max(1, (run.handshake.max_concurrent_calls or SLOW_CALLS) - 1))
    waiting = [asyncio.create_task(slow.authorize(amount_minor=slow_minor)) for _ in range(calls)]
    try:

        async def are_slow() -> bool:
            return len(upstream.mutations()) >= calls

        await run.until(
            are_slow,
            what=f"{calls} calls of one binding arriving upstream at once",
            fix="do not send one operation at a time",
        )
        slowest_s = await _slowest(quick, NEIGHBOUR_CALLS)
        await asyncio.gather(*waiting)
    finally:
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
    return slowest_s


async def _slowest(binding: bindings.Binding, calls: int) -> float:
    slowest_s = 0.0
    for _ in range(calls):
        begun_s = time.monotonic()
        await binding.authorize()
        slowest_s = max(slowest_s, time.monotonic() - begun_s)
    return slowest_s


@checks.check(
    number=66,
    title="The 99th percentile of what the provider adds to upstream's latency is below 25 ms at "
    "50 calls a second, and memory does not grow.",
    level=checks.SHOULD,
    needs_upstream=True,
    phase=checks.Phase.LOAD,
    timeout_s=7_200.0,
)
async def overhead(run: runs.Run) -> None:
    """Sends 50 calls a second; the quietest of five rounds counts."""
    attempts.double(run).slow(UPSTREAM_S)
    binding = await run.new_binding()
    await _round(binding, seconds=0.4)
    best_s = float("inf")
    for _ in range(ROUNDS):
        # The suite, the double and the provider share one machine with others.
        best_s = min(best_s, await _round(binding, seconds=MEASURE_S))
        if best_s < OVERHEAD_MAX_S:
            break
    run.note(f"overhead p99 {best_s * 1e3:.1f} ms at {RATE_PER_S} calls/s")
    if best_s >= OVERHEAD_MAX_S:
        raise checks.Failed(
            f"the 99th percentile of the overhead is {best_s * 1e3:.0f} ms in the quietest of "
            f"{ROUNDS} rounds of {MEASURE_S:g} s",
            fix="find out where a call waits; keep connections or make them concurrently",
        )
    await _memory(run, binding)


async def _round(binding: bindings.Binding, *, seconds: float) -> float:
    """Calls at the rate for a while; returns the 99th percentile of the overhead, seconds."""
    upstream = attempts.double(binding.run)
    arrived = len(upstream.exchanges)
    loop = asyncio.get_running_loop()
    begin_s = loop.time()
    sent = [
        asyncio.create_task(_timed(binding, begin_s + number / RATE_PER_S))
        for number in range(round(seconds * RATE_PER_S))
    ]
    took_s = sorted(await asyncio.gather(*sent))
    upstream_s = statistics.median(
        exchange.took_s for exchange in list(upstream.exchanges)[arrived:]
    )
    return took_s[min(len(took_s) - 1, int(len(took_s) * 0.99))] - upstream_s


async def _timed(binding: bindings.Binding, at_s: float) -> float:
    loop = asyncio.get_running_loop()
    await asyncio.sleep(at_s - loop.time())
    begun_s = loop.time()
    await binding.authorize()
    return loop.time() - begun_s


async def _memory(run: runs.Run, binding: bindings.Binding) -> None:
    """Watches the provider's memory under load, if the run asks for it."""
    seconds = run.options.memory_s
    if not seconds:
        run.note("memory not measured (--memory-seconds 600 does)")
        return
    pid = run.process.pid if run.process is not None else None
    if pid is None:
        raise checks.NotProven("the provider is no process of the suite; its memory is unknown")
    watch = memory.Watch(pid)
    loop = asyncio.get_running_loop()
    end_s = loop.time() + seconds
    while loop.time() < end_s:
        await _round(binding, seconds=min(1.0, max(0.1, end_s - loop.time())))
        watch.look()
    growth = watch.growth()
    run.note(f"memory {growth.text} over {seconds:g} s")
    if growth.grows:
        raise checks.Failed(
            f"memory grew under a steady load: {growth.text} over {seconds:g} s",
            fix="look for what is kept per operation",
        )

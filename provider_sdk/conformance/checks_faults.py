"""Checks of what a provider says when its upstream system fails.

Owns rules 48 to 55 and 57. Collected by `catalog`. Every check needs the
upstream double; strange answers are in `checks_answers`.
"""

import asyncio
import re
import uuid
from collections.abc import Callable

import grpc
from payhub.provider.v1 import operation_pb2

from provider_sdk.conformance import attempts, checks, refusal
from provider_sdk.conformance import run as runs
from provider_sdk.conformance import upstream as upstreams

State = operation_pb2.Operation

NO_ANSWER_CODES = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
RETRY_AFTER_S = 7
PATIENCE_S = 0.7

_REASON = re.compile(r"[A-Z][A-Z0-9_]+")


async def _expect_none(
    run: runs.Run, attempt: attempts.Attempt, *, what: str, code: grpc.StatusCode, reason: str
) -> refusal.Refused:
    return await run.expect_status(
        attempt.send(),
        what=f"{attempt.name} {what}",
        code=code,
        reason=reason,
        effect="NONE",
        fix=f"raise what travels as {reason}; nothing reached the upstream system",
    )


async def _expect_no_answer(run: runs.Run, attempt: attempts.Attempt, *, what: str) -> None:
    await run.expect_status(
        attempt.send(),
        what=f"{attempt.name} {what}",
        code=NO_ANSWER_CODES,
        reason="UPSTREAM_NO_ANSWER",
        effect="UNKNOWN",
        fix="once a byte was sent, only a complete answer tells what happened",
    )


async def _settled(attempt: attempts.Attempt, *, after: str) -> None:
    """Expects *attempt* to be found carried out."""
    found = await attempts.outcome(attempt)
    attempt.binding.run.expect_state(
        found, State.STATE_SUCCEEDED, what=f"the look-up of {attempt.name} {after}"
    )


@checks.check(
    number=48,
    title="If no connection upstream comes about, the call is UNAVAILABLE with effect NONE.",
    needs_upstream=True,
)
async def connection_refused(run: runs.Run) -> None:
    """Refuses connections, then lets the same operations through."""
    upstream = attempts.double(run)
    binding = await run.new_binding()
    prepared = await attempts.of_every_kind(binding)
    await upstream.hang_up()
    upstream.go_down()
    for attempt in prepared:
        await _expect_none(
            run,
            attempt,
            what="while connections are refused",
            code=grpc.StatusCode.UNAVAILABLE,
            reason="UPSTREAM_UNREACHABLE",
        )
    upstream.come_up()
    for attempt in prepared:
        answer = await attempt.again().send()
        run.expect_state(
            answer, State.STATE_SUCCEEDED, what=f"{attempt.name} sent again after the outage"
        )


@checks.check(
    number=49,
    title="If upstream closes the connection after it read the request, the effect is UNKNOWN.",
    needs_upstream=True,
)
async def closed_after_reading(run: runs.Run) -> None:
    """Closes without an answer, whether the operation was booked or not."""
    upstream = attempts.double(run)
    binding = await run.new_binding()
    for acts in (False, True):
        prepared = await attempts.of_every_kind(binding)
        for attempt in prepared:
            upstream.close_after_reading(acts=acts)
            await _expect_no_answer(run, attempt, what="when upstream closes after reading")
            upstream.lift()
            if acts:
                await _settled(attempt, after="that was booked and not answered")


@checks.check(
    number=50,
    title="If upstream hangs, the provider answers before core's deadline with "
    "UPSTREAM_NO_ANSWER and effect UNKNOWN.",
    needs_upstream=True,
)
async def hanging(run: runs.Run) -> None:
    """Never answers, with several deadlines."""
    upstream = attempts.double(run)
    binding = await run.new_binding()
    prepared = await attempts.of_every_kind(binding)
    upstream.hang()

    async def one(attempt: attempts.Attempt, timeout_s: float) -> None:
        tries = [attempt]

        async def send() -> operation_pb2.Operation:
            sent = tries[-1]
            tries.append(sent.again())
            return await sent.send(timeout_s=timeout_s)

        refused = await run.expect_status(
            run.in_time(send),
            what=f"{attempt.name} with a deadline of {timeout_s:g} s",
            code=(*NO_ANSWER_CODES, grpc.StatusCode.ABORTED),
            reason=("UPSTREAM_NO_ANSWER", "OPERATION_IN_PROGRESS"),
            effect="UNKNOWN",
            fix="answer before the deadline what is known until then, a repeat that waits for "
            "the first attempt too",
        )
        sent = tries[-2].request.context.attempt
        if refused.reason == "OPERATION_IN_PROGRESS" and sent == 1:
            raise checks.Failed(
                f"the first attempt of {attempt.name}: {refused.shown()}",
                fix="answer UPSTREAM_NO_ANSWER where upstream gave none in time",
            )

    for timeout_s in (1.5, 3.0):
        await asyncio.gather(*(one(attempt, timeout_s) for attempt in prepared))
        prepared = [attempt.again() for attempt in prepared]


@checks.check(
    number=51,
    title="A 5xx from upstream leaves the effect UNKNOWN, and what was booked is found later.",
    needs_upstream=True,
)
async def server_errors(run: runs.Run) -> None:
    """Answers 500, 502, 503 and 504 to operations that were booked."""
    upstream = attempts.double(run)
    binding = await run.new_binding()
    for status in (500, 502, 503, 504):
        for attempt in await attempts.of_every_kind(binding):
            upstream.fail(status, acts=True)
            await _expect_no_answer(run, attempt, what=f"answered with {status}")
            upstream.lift()
            await _settled(attempt, after=f"that was booked and answered with {status}")


@checks.check(
    number=52,
    title="A client whose deadline expires does not end the upstream request; its result is "
    "found later.",
    needs_upstream=True,
)
async def deadline_expires(run: runs.Run) -> None:
    """Holds the upstream request until long after the client's deadline."""
    await _left_alone(run, cancel=False)


@checks.check(
    number=53,
    title="A client that cancels does not end the upstream request; its result is found later.",
    needs_upstream=True,
)
async def client_cancels(run: runs.Run) -> None:
    """Cancels the call while the upstream request is held."""
    await _left_alone(run, cancel=True)


async def _left_alone(run: runs.Run, *, cancel: bool) -> None:
    """Leaves an operation of every kind in the middle, all at once."""
    upstream = attempts.double(run)
    prepared = await attempts.of_every_kind(await run.new_binding())
    upstream.reset()
    upstream.pause()
    calling = [
        asyncio.create_task(attempt.send(timeout_s=10.0 if cancel else 0.8)) for attempt in prepared
    ]

    async def have_arrived() -> bool:
        return len(upstream.mutations()) >= len(prepared)

    await run.until(
        have_arrived,
        what=f"{len(prepared)} operations arriving upstream",
        fix="send an operation upstream as soon as it comes",
    )
    if cancel:
        for task in calling:
            task.cancel()
    await asyncio.gather(*calling, return_exceptions=True)
    # Long enough for a provider to notice, were it to give up with its caller.
    await asyncio.sleep(PATIENCE_S)
    left = "the client cancelled the call" if cancel else "the client's deadline expired"
    for exchange in upstream.mutations():
        if exchange.aborted:
            raise checks.Failed(
                f"an upstream request ({exchange.params.get('kind')}) was broken off when {left}",
                fix="run upstream requests as tasks of their own, shielded from the call",
            )
    upstream.release()
    for attempt in prepared:
        await _settled(attempt, after=f"after {left}")
    count = len(upstream.effects())
    if count != len(prepared):
        raise checks.Failed(
            f"{len(prepared)} operations had {count} effects upstream after {left}",
            fix="repeat upstream requests only under the same idempotency key",
        )


@checks.check(
    number=54,
    title="429 with Retry-After is RESOURCE_EXHAUSTED with an equal RetryInfo and effect NONE.",
    needs_upstream=True,
)
async def rate_limited(run: runs.Run) -> None:
    """Limits the rate of every kind of operation."""
    upstream = attempts.double(run)
    binding = await run.new_binding()
    prepared = await attempts.of_every_kind(binding)
    upstream.limit_rate(str(RETRY_AFTER_S))
    for attempt in prepared:
        refused = await _expect_none(
            run,
            attempt,
            what="while the rate is limited",
            code=grpc.StatusCode.RESOURCE_EXHAUSTED,
            reason="UPSTREAM_RATE_LIMITED",
        )
        if refused.retry_after_s != RETRY_AFTER_S:
            raise checks.Failed(
                f"{attempt.name}: Retry-After was {RETRY_AFTER_S} s, RetryInfo says "
                f"{'nothing' if refused.retry_after_s is None else refused.retry_after_s}",
                fix="pass Retry-After on as google.rpc.RetryInfo",
            )


@checks.check(
    number=55,
    title="401 and 403 are FAILED_PRECONDITION CREDENTIALS_REJECTED, never UNAUTHENTICATED.",
    needs_upstream=True,
)
async def credentials_rejected(run: runs.Run) -> None:
    """Rejects the credentials of every kind of operation."""
    upstream = attempts.double(run)
    binding = await run.new_binding()
    prepared = await attempts.of_every_kind(binding)
    for status in (401, 403):
        upstream.reject_credentials(status)
        for attempt in prepared:
            await _expect_none(
                run,
                attempt,
                what=f"answered with {status}",
                code=grpc.StatusCode.FAILED_PRECONDITION,
                reason="CREDENTIALS_REJECTED",
            )
        prepared = [attempt.again() for attempt in prepared]


@checks.check(
    number=57,
    title="Every status of a money call other than OK carries one ErrorInfo and one Failure "
    "that agree.",
    needs_upstream=True,
)
async def statuses_are_complete(run: runs.Run) -> None:
    """Provokes every failure of every kind of operation and looks at its details."""
    upstream = attempts.double(run)
    binding = await run.new_binding()
    prepared = await attempts.of_every_kind(binding)
    for name, provoke in _troubles(upstream):
        provoke()
        for attempt in prepared:
            await _is_complete(run, attempt, name)
        upstream.lift()
    for name, spoiled in _spoilt(prepared):
        await _is_complete(run, spoiled, name)


Provoke = Callable[[], None]


def _troubles(upstream: upstreams.Upstream) -> list[tuple[str, Provoke]]:
    return [
        ("while connections are refused", upstream.go_down),
        ("when upstream closes after reading", upstream.close_after_reading),
        ("answered with 500", lambda: upstream.fail(500)),
        ("answered with 418", lambda: upstream.fail(418)),
        ("answered with 429 without Retry-After", lambda: upstream.fail(429)),
        ("answered with 401", lambda: upstream.fail(401)),
        (
            "answered with what is no HTTP",
            lambda: upstream.answer_raw(b"\x00\xff\r\n\r\n", acts=False),
        ),
    ]


def _spoilt(prepared: list[attempts.Attempt]) -> list[tuple[str, attempts.Attempt]]:
    found = []
    for attempt in prepared:
        unknown = attempt.again()
        unknown.request.context.binding_id = str(uuid.uuid4())
        found.append(("for an unknown binding", unknown))
        late = attempt.again()
        late.request.context.not_after.FromMicroseconds(1)
        found.append(("after not_after", late))
        invalid = attempt.again()
        invalid.request.context.operation_id = ""
        found.append(("without an operation id", invalid))
    return found


async def _is_complete(run: runs.Run, attempt: attempts.Attempt, name: str) -> None:
    try:
        await attempt.send()
    except refusal.Refused as refused:
        problems = refused.problems(domain=run.plugin_id)
        if not _REASON.fullmatch(refused.reason):
            problems.append(
                f"the reason {refused.reason[:64]!r} is not of the form {_REASON.pattern}"
            )
        if problems:
            raise checks.Failed(
                f"{attempt.name} {name}: {refused.shown()} ({'; '.join(problems)})",
                fix="attach one google.rpc.ErrorInfo and one Failure with the same reason",
            ) from refused
    else:
        raise checks.Failed(
            f"{attempt.name} {name}: got OK", fix="answer with a status if nothing is known"
        )

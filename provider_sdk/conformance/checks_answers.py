"""Checks of what a provider makes of answers no upstream system should give.

Owns rule 56. Collected by `catalog`. Needs the upstream double, which books the
operation and then answers with rubbish.
"""

import json
from collections.abc import Iterator

from payhub.provider.v1 import operation_pb2

from provider_sdk.conformance import attempts, checks, refusal
from provider_sdk.conformance import run as runs

# An answer that a provider should not read to its end.
HUGE_BYTES = 8 * 1024 * 1024
NESTED = 100_000
# Seen in a status, it proves that the body was passed on.
MARK = "upstream-body-3f9c1e"

FIX = "take what is not a complete, proper answer for none: UPSTREAM_NO_ANSWER, effect UNKNOWN"


def _http(body: bytes, *, status: str = "200 OK", kind: str = "application/json") -> bytes:
    head = f"HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + body


def strange_answers(key: str) -> Iterator[tuple[str, bytes]]:
    """Yields answers to an operation that are wrong in one way each.

    Args:
        key: Idempotency key of some other operation.
    """
    html = f"<html><body><h1>{MARK}</h1></body></html>".encode()
    told = {
        "id": MARK,
        "key": key,
        "kind": "authorize",
        "state": "succeeded",
        "object": "upay_0",
        "amount_minor": 1,
        "currency": "EUR",
        "state_us": 1,
    }
    proper = json.dumps(told).encode()
    yield "an HTML page with status 200", _http(html, kind="text/html")
    yield "an HTML page with status 502", _http(html, status="502 Bad Gateway", kind="text/html")
    yield "an HTML page with status 404", _http(html, status="404 Not Found", kind="text/html")
    yield "a redirect", b"HTTP/1.1 302 Found\r\nlocation: /x\r\ncontent-length: 0\r\n\r\n"
    yield "an empty body", _http(b"")
    yield "no JSON", _http(f"{MARK} is not JSON".encode())
    yield "half of a JSON object", _http(proper[: len(proper) // 2])
    yield "less than Content-Length says", _http(proper)[:-10]
    yield "a JSON list", _http(f'["{MARK}"]'.encode())
    yield "JSON null", _http(b"null")
    yield "an empty JSON object", _http(b"{}")
    yield "JSON nested 100,000 deep", _http(b"[" * NESTED)
    yield "bytes that are not UTF-8", _http(b'{"state": "\xff\xfe' + MARK.encode() + b'"}')
    yield "an unknown state", _http(json.dumps({**told, "state": MARK}).encode())
    yield "numbers where text belongs", _http(json.dumps({**told, "object": 7}).encode())
    yield "an amount beyond 64 bits", _http(json.dumps({**told, "amount_minor": 2**70}).encode())
    yield "another operation", _http(proper)
    yield "no HTTP at all", f"{MARK}\x00\x01\r\n\r\n".encode()
    yield "an endless header", b"HTTP/1.1 200 OK\r\nx: " + MARK.encode() * 20_000
    yield (
        "a cut chunk",
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n40\r\n" + proper[:20]),
    )
    yield "8 MiB of JSON", _http(b'{"x": "' + b"y" * HUGE_BYTES + b'"}')


@checks.check(
    number=56,
    title="A malformed, truncated, huge or HTML answer leaves the effect UNKNOWN, ends no "
    "process, and its body is in no status.",
    needs_upstream=True,
)
async def strange(run: runs.Run) -> None:
    """Books operations and answers them with rubbish of every kind."""
    upstream = attempts.double(run)
    binding = await run.new_binding()
    await binding.authorize()
    other_key = upstream.mutations()[-1].key
    for what, raw in strange_answers(other_key):
        attempt = attempts.authorization(binding)
        upstream.answer_raw(raw)
        await _stays_unknown(run, attempt, what)
        upstream.lift()
        found = await attempts.outcome(attempt)
        run.expect_state(
            found,
            operation_pb2.Operation.STATE_SUCCEEDED,
            what=f"the look-up of an authorization that was answered with {what}",
        )
    rest = await attempts.of_every_kind(binding)
    upstream.answer_raw(_http(f"<html>{MARK}</html>".encode(), kind="text/html"))
    for attempt in rest[1:]:
        await _stays_unknown(run, attempt, "an HTML page")
    upstream.lift()
    before = run.handshake.identity.instance_id
    if (await run.shake_hands()).identity.instance_id != before:
        raise checks.Failed("the process ended on the way", fix="let no answer end the process")


async def _stays_unknown(run: runs.Run, attempt: attempts.Attempt, what: str) -> None:
    try:
        answer = await attempt.send()
    except refusal.Refused as refused:
        if refused.effect != "UNKNOWN" or refused.problems(domain=run.plugin_id):
            raise checks.Failed(
                f"{attempt.name} answered with {what}: expected effect UNKNOWN, got "
                f"{refused.shown()}",
                fix=FIX,
            ) from refused
        if MARK in refused.text:
            raise checks.Failed(
                f"{attempt.name} answered with {what}: the status repeats what came",
                rule="No status carries the body of an upstream answer.",
                fix="describe what was wrong in words of your own",
            ) from refused
    else:
        state = operation_pb2.Operation.State.Name(answer.state)
        raise checks.Failed(
            f"{attempt.name} answered with {what}: expected effect UNKNOWN, got OK, {state}",
            fix=FIX,
        )

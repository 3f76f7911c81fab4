"""Check of what a provider writes about the operations it carries out.

Owns rule 68. Collected by `catalog`. Reads the output of the process the suite
started; looks for values, not for names of fields.
"""

import asyncio
import json
import secrets
from typing import Any

from provider_sdk.conformance import attempts, checks
from provider_sdk.conformance import run as runs

FIX = "bind trace id, operation id and plugin id to every line of a call; provider_sdk does it"
WRITTEN_S = 1.0


@checks.check(
    number=68,
    title="Log lines are JSON with trace id, operation id and plugin id, and the trace context "
    "goes on upstream.",
    needs_upstream=True,
    needs_process=True,
)
async def logs_and_trace(run: runs.Run) -> None:
    """Sends an operation within a trace and reads what was logged and sent."""
    upstream = attempts.double(run)
    binding = await run.new_binding()
    attempt = attempts.authorization(binding)
    trace_id = secrets.token_hex(16)
    traceparent = f"00-{trace_id}-{secrets.token_hex(8)}-01"
    written = len(run.log_lines())
    upstream.reset()
    await attempt.method(attempt.request, timeout=10.0, metadata=(("traceparent", traceparent),))
    sent = upstream.mutations()[-1].headers.get("traceparent", "")
    if trace_id not in sent:
        raise checks.Failed(
            f"the upstream request had {'another' if sent else 'no'} traceparent",
            rule="The trace context goes on upstream.",
            fix="send the traceparent of the call, with a span of your own or as it came",
        )
    wanted = {trace_id, attempt.operation_id, run.plugin_id}

    async def is_logged() -> bool:
        return any(wanted <= _values(line) for line in run.log_lines()[written:])

    await run.until(
        is_logged,
        what="a JSON log line with trace id, operation id and plugin id",
        fix=FIX,
    )
    lines = run.log_lines()[written:]
    if not _values(lines[-1]):
        # Perhaps it is being written.
        await asyncio.sleep(WRITTEN_S)
        lines = run.log_lines()[written : written + len(lines)]
    for line in lines:
        if not _values(line):
            raise checks.Failed(f"a log line is not a JSON object: {line[:80]!r}", fix=FIX)


def _values(line: str) -> set[str]:
    """Returns every text value in a JSON line; nothing if it is no JSON object."""
    try:
        parsed = json.loads(line)
    except (ValueError, RecursionError):
        return set()
    return set(_texts(parsed)) if isinstance(parsed, dict) else set()


def _texts(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [text for part in inner for text in _texts(part)]

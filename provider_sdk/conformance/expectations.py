"""What a check expects of an answer, and how it says what came instead.

Owns the comparison of a status or a state with what is right. Called through
`Run`. Never calls anything by itself.
"""

from collections.abc import Awaitable, Sequence
from typing import Any

import grpc
from payhub.provider.v1 import operation_pb2

from provider_sdk.conformance import checks, refusal

Code = grpc.StatusCode | tuple[grpc.StatusCode, ...]
Text = str | tuple[str, ...]


async def status(
    call: Awaitable[Any],
    *,
    domain: str,
    what: str,
    code: Code,
    reason: Text | None = None,
    effect: str | None = None,
    fix: str = "",
) -> refusal.Refused:
    """Expects *call* to be refused, and returns with what.

    Args:
        call: A call of a run.
        domain: The plugin id.
        what: What was tried, as a noun: `a capture after the void`.
        code: Status, or those that are right.
        reason: ErrorInfo.reason, or those that are right; None for any.
        effect: NONE or UNKNOWN; the details must then be one ErrorInfo and one
            Failure that agree. None where no Failure is due.
        fix: What an author can do about it.

    Raises:
        Failed: It went otherwise.
    """
    codes = code if isinstance(code, tuple) else (code,)
    wanted = _wanted(codes, reason, effect)
    fix = fix or f"answer {wanted}"
    try:
        answer = await call
    except refusal.Refused as refused:
        found = []
        if refused.code not in codes:
            found.append(f"the status is {refused.code.name}")
        if reason is not None and refused.reason not in _texts(reason):
            found.append(f"the reason is {refused.reason or '(none)'}")
        if effect is not None:
            found += refused.problems(domain=domain)
            if refused.effect != effect:
                found.append(f"the effect is {refused.effect}")
        if found:
            raise checks.Failed(
                f"{what}: expected {wanted}, got {refused.shown()} ({'; '.join(found)})",
                fix=fix,
            ) from refused
        return refused
    raise checks.Failed(f"{what}: expected {wanted}, got OK ({_shown(answer)})", fix=fix)


def state(
    operation: operation_pb2.Operation,
    wanted: operation_pb2.Operation.State,
    *,
    what: str,
    fix: str = "",
) -> None:
    """Expects *operation* to stand in *state*.

    Raises:
        Failed: It does not.
    """
    if operation.state != wanted:
        name = _state(wanted)
        raise checks.Failed(
            f"{what}: expected {name}, got {_shown(operation)}",
            fix=fix or f"answer {name}, or correct the profile if the instrument is wrong",
        )


def _wanted(codes: Sequence[grpc.StatusCode], reason: Text | None, effect: str | None) -> str:
    parts = [" or ".join(code.name for code in codes)]
    if reason is not None:
        parts.append(f"reason {' or '.join(_texts(reason))}")
    if effect is not None:
        parts.append(f"effect {effect}")
    return " with ".join((parts[0], " and ".join(parts[1:]))) if len(parts) > 1 else parts[0]


def _texts(text: Text) -> tuple[str, ...]:
    return (text,) if isinstance(text, str) else text


def _state(state: int) -> str:
    try:
        return operation_pb2.Operation.State.Name(state)
    except ValueError:
        return f"state {state}"


def _shown(answer: Any) -> str:
    """Says what came in one line, without anything the payer's front end may need."""
    operation = getattr(answer, "operation", answer)
    if isinstance(operation, operation_pb2.Operation):
        text = _state(operation.state)
        if operation.HasField("amount"):
            text += f" of {operation.amount.amount_minor} {operation.amount.currency_code}"
        if operation.HasField("decline"):
            text += f", decline reason {operation.decline.reason}"
        return text
    return type(answer).__name__

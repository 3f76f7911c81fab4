"""The trace a caller sent is carried on, and nothing else is."""

import contextvars
from collections.abc import Callable

import pytest

from provider_sdk import tracing
from servicekit import rpc

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def _in_call(metadata: list[tuple[str, str | bytes]], ask: Callable[[], str]) -> str:
    """Asks while a call with *metadata* is served."""

    def serve() -> str:
        rpc._current.set(rpc.Call("a.B.C", metadata))
        return ask()

    return contextvars.copy_context().run(serve)


def test_a_traceparent_is_carried_on_as_it_came() -> None:
    """The header goes on whole, and its second part is the trace id."""
    metadata: list[tuple[str, str | bytes]] = [("user-agent", "x"), ("traceparent", TRACEPARENT)]
    assert _in_call(metadata, tracing.current) == TRACEPARENT
    assert _in_call(metadata, tracing.trace_id) == "0af7651916cd43dd8448eb211c80319c"


@pytest.mark.parametrize(
    "sent",
    [
        "",
        "hello",
        TRACEPARENT.upper(),
        TRACEPARENT + "\r\nx: y",
        "ff" + TRACEPARENT[2:],
        f"00-{'0' * 32}-b7ad6b7169203331-01",
        f"00-0af7651916cd43dd8448eb211c80319c-{'0' * 16}-01",
        TRACEPARENT.encode(),
    ],
)
def test_anything_else_is_no_trace(sent: str | bytes) -> None:
    """A header that is not of the W3C form reaches neither logs nor upstream."""
    assert _in_call([("traceparent", sent)], tracing.current) == ""


def test_outside_of_a_call_there_is_no_trace() -> None:
    """Start-up and background work have none."""
    assert contextvars.Context().run(tracing.current) == ""
    assert _in_call([], tracing.trace_id) == ""

"""The RPC being served: whose it is, how it is named, how long it may take, which trace it is of.

Owns reading the request id and the trace from a call's metadata, and what the rest of the
process asks of the call it works for. Begun by `interceptor`; read by servicers, and by clients
that carry a trace on. Never answers a call.
"""

import contextvars
import re
import time
from collections.abc import Iterable
from typing import Any

from servicekit import ids, logs

REQUEST_ID_HEADER = "x-request-id"
# W3C Trace Context, level 1.
TRACE_HEADER = "traceparent"

# Nothing that looks like a key gets into the logs as a request id.
_REQUEST_ID = re.compile(r"(?!phk_|sk_)[A-Za-z0-9._:-][A-Za-z0-9._:_-]{0,63}")
_TRACEPARENT = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}"
)

Metadata = Iterable[tuple[str, Any]]


class Call:
    """The RPC being served.

    Attributes:
        method: protobuf full name, `package.Service.Method`.
        request_id: the caller's, or a new one.
        named: whether the request id is the caller's.
        principal: what `authenticate` returned.
        deadline_s: seconds the call had left when it arrived; None: no deadline.
        metadata: what the caller sent, (name, value) pairs.
        traceparent: the trace the call belongs to, as the caller sent it; empty for none.
    """

    __slots__ = (
        "deadline_s",
        "metadata",
        "method",
        "named",
        "principal",
        "request_id",
        "started_s",
        "traceparent",
    )

    def __init__(self, method: str, metadata: Metadata) -> None:
        self.method = method
        self.metadata = metadata
        self.named = False
        self.request_id = self.traceparent = ""
        for name, value in metadata:
            if name == REQUEST_ID_HEADER:
                if _REQUEST_ID.fullmatch(value):
                    self.named, self.request_id = True, value
            elif name == TRACE_HEADER and isinstance(value, str) and _TRACEPARENT.fullmatch(value):
                self.traceparent = value
        if not self.named:
            self.request_id = ids.new_id("req")
        self.principal: Any = None
        self.deadline_s: float | None = None
        self.started_s = time.perf_counter()

    def remaining_s(self) -> float | None:
        """Return the seconds left now (0 when over), or None without a deadline."""
        if self.deadline_s is None:
            return None
        return max(self.deadline_s - (time.perf_counter() - self.started_s), 0.0)


_current: contextvars.ContextVar[Call] = contextvars.ContextVar("call")
_metadata: contextvars.ContextVar[Metadata] = contextvars.ContextVar("metadata")

arrived = _metadata.set


def current() -> Call:
    """Return the call being served; LookupError outside of one."""
    return _current.get()


def begin(method: str) -> Call:
    """Return the call that arrived in this task, current from now on and named in its log lines."""
    call = Call(method, _metadata.get())
    _current.set(call)
    bound = {"request_id": call.request_id}
    if call.traceparent:
        bound["trace_id"] = trace_id(call.traceparent)
    logs.replace_bound(bound)
    return call


def trace_id(traceparent: str) -> str:
    """Return the 32 hex digits that all parts of a trace share."""
    return traceparent[3:35]


def trace_onward() -> Metadata | None:
    """Return what carries the trace of the call being served on to the next one, if it has one."""
    call = _current.get(None)
    return ((TRACE_HEADER, call.traceparent),) if call is not None and call.traceparent else None

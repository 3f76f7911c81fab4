"""The trace a call belongs to, so that upstream requests can carry it on.

Owns how providers ask for the W3C `traceparent` that core sent. Called by providers for their
upstream requests. Never starts a trace.
"""

from servicekit import rpc

HEADER = rpc.TRACE_HEADER


def current() -> str:
    """Returns the traceparent of the call being served, to be sent on; empty without one."""
    try:
        return rpc.current().traceparent
    except LookupError:
        return ""


def trace_id() -> str:
    """Returns the 32 hex digits that all parts of the current trace share; empty without one."""
    return rpc.trace_id(current())

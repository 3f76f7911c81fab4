"""The trace a call belongs to, so that logs and upstream requests can carry it on.

Owns reading the W3C `traceparent` a caller sent. Called by the servicer for the
log and by providers for their upstream requests. Never starts a trace.
"""

import re

from servicekit import rpc

HEADER = "traceparent"

_TRACEPARENT = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?!0{32})(?P<trace>[0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}"
)


def current() -> str:
    """Returns the traceparent of the call being served, to be sent on; empty without one."""
    try:
        metadata = rpc.current().metadata
    except LookupError:
        return ""
    for name, value in metadata:
        if name == HEADER:
            return value if isinstance(value, str) and _TRACEPARENT.fullmatch(value) else ""
    return ""


def trace_id() -> str:
    """Returns the 32 hex digits that all parts of the current trace share; empty without one."""
    return current()[3:35]

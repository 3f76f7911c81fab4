"""What the contract says of one RPC: may it be repeated, and how long may it take.

Owns the reading of `idempotency_level` and `limits` from the method descriptors, so that
the client repeats and times calls by the same numbers as the server. Called at import time
by the modules that make calls. Never holds a number of its own.
"""

import enum
from dataclasses import dataclass
from typing import Any

from google.protobuf import descriptor, descriptor_pb2
from payhub.options.v1 import options_pb2


class Effects(enum.Enum):
    """What a repeated call can do."""

    NONE = "none"
    """A read: repeat it at will."""
    ONCE = "once"
    """A mutation that takes effect once however often the same request is sent."""
    EACH_TIME = "each_time"
    """A mutation that takes effect every time: never repeated by the client."""


_EFFECTS = {
    descriptor_pb2.MethodOptions.NO_SIDE_EFFECTS: Effects.NONE,
    descriptor_pb2.MethodOptions.IDEMPOTENT: Effects.ONCE,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """One RPC of the contract."""

    full_name: str
    effects: Effects
    deadline_s: float
    """Deadline of a call whose caller gave none, and of each of several attempts; 0 for a
    stream."""
    longest_s: float
    """The most that one attempt may take; 0 for a stream."""


def method(file: descriptor.FileDescriptor, service: str, name: str) -> Method:
    """Return what the contract declares for `service`/`name`.

    Raises KeyError if `file` has no such RPC.
    """
    found = file.services_by_name[service].methods_by_name[name]
    options = found.GetOptions()
    extensions: Any = options.Extensions  # protobuf's stubs know extensions of mypy-protobuf only
    limits: options_pb2.CallLimits = extensions[options_pb2.limits]
    return Method(
        full_name=found.full_name,
        effects=_EFFECTS.get(options.idempotency_level, Effects.EACH_TIME),
        deadline_s=limits.default_deadline.ToMicroseconds() / 1e6,
        longest_s=limits.max_deadline.ToMicroseconds() / 1e6,
    )

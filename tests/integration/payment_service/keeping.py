"""The objects that a provider in the test's own process keeps.

Owns making and changing them, each change a moment later than the last. Part of `upstream`;
its tests change objects here as a provider does that nobody asked.
"""

import itertools
from typing import Any

from google.protobuf import timestamp_pb2
from payhub.provider.v1 import provider_object_pb2

_P = provider_object_pb2
START_US = 1_800_000_000_000_000


class Kept:
    """Objects by their identity, and the clock of their changes."""

    def __init__(self) -> None:
        # Microseconds of its own clock; every change takes one second, unless `frozen`.
        self.now_us = START_US
        self.frozen = False
        self.objects: dict[str, _P.ProviderObject] = {}
        self._numbers = itertools.count(1)

    def new_id(self, prefix: str) -> str:
        """Returns a fresh identifier."""
        return f"{prefix}_{next(self._numbers)}"

    def put(self, identity: str, **content: Any) -> _P.ProviderObject:
        """Makes or changes an object; returns it as it is then."""
        if not self.frozen:
            self.now_us += 1_000_000
        known = self.objects.get(identity)
        made = _P.ProviderObject()
        if known is not None:
            made.CopyFrom(known)
        for name, value in content.items():
            if isinstance(value, dict):
                part = getattr(made, name)
                part.SetInParent()
                for field, one in value.items():
                    _set(part, field, one)
            else:
                setattr(made, name, value)
        made.provider_object_id = identity
        made.state_time.FromMicroseconds(self.now_us)
        self.objects[identity] = made
        told = _P.ProviderObject()
        told.CopyFrom(made)
        return told


def _set(part: Any, field: str, value: Any) -> None:
    if isinstance(value, bool | int | str):
        target = part.DESCRIPTOR.fields_by_name[field]
        if target.message_type is timestamp_pb2.Timestamp.DESCRIPTOR:
            getattr(part, field).FromMicroseconds(value)
        else:
            setattr(part, field, value)
    elif value is None:
        part.ClearField(field)
    else:
        getattr(part, field).CopyFrom(value)

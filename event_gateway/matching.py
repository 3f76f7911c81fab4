"""Decides which events a filter selects.

Owns the meaning of `payhub.events.v1.Filter`, once its tenants are settled.
Called by the streams and by queries, for memory and storage alike. Never
decides which tenants a caller may name.
"""

from collections.abc import Iterable, Sequence

from payhub.events.v1 import event_pb2

from event_gateway.db import read

# Types are remembered with their answer; producers choose them, so the memory
# has a limit.
_REMEMBERED_TYPES_MAX = 4096


class Matcher:
    """One filter over the tenants in force.

    Two with an equal `key` select the same events.
    """

    __slots__ = (
        "_entity_ids",
        "_entity_types",
        "_exact",
        "_prefixes",
        "_remembered",
        "_tenants",
        "key",
    )

    def __init__(self, tenants: Sequence[str], spec: event_pb2.Filter) -> None:
        self._tenants = frozenset(tenants)
        self._exact = frozenset(name for name in spec.types if not name.endswith(".*"))
        self._prefixes = tuple(sorted({name[:-1] for name in spec.types if name.endswith(".*")}))
        self._entity_types = frozenset(spec.entity_types)
        self._entity_ids = frozenset(spec.entity_ids)
        self._remembered: dict[str, bool] = {}
        self.key = (
            self._tenants,
            self._exact,
            self._prefixes,
            self._entity_types,
            self._entity_ids,
        )

    @property
    def selection(self) -> read.Selection:
        """What storage needs to find the same events."""
        return read.Selection(
            tenants=tuple(sorted(self._tenants)),
            entity_ids=tuple(sorted(self._entity_ids)),
            matches=self.matches,
        )

    def matches(self, tenant_id: str, type_name: str, entity_type: str, entity_id: str) -> bool:
        """Whether the filter selects an event of that tenant, type and entity."""
        if tenant_id not in self._tenants:
            return False
        if (self._exact or self._prefixes) and not self._selects_type(type_name):
            return False
        if self._entity_types and entity_type not in self._entity_types:
            return False
        return not self._entity_ids or entity_id in self._entity_ids

    def any(self, entries: Iterable[tuple[int, str, str, str, str, bytes]]) -> bool:
        """Whether the filter selects one of *entries*."""
        matches = self.matches
        return any(
            matches(tenant_id, type_name, entity_type, entity_id)
            for _, tenant_id, type_name, entity_type, entity_id, _ in entries
        )

    def _selects_type(self, type_name: str) -> bool:
        answer = self._remembered.get(type_name)
        if answer is None:
            answer = type_name in self._exact or type_name.startswith(self._prefixes)
            if len(self._remembered) >= _REMEMBERED_TYPES_MAX:
                self._remembered.clear()
            self._remembered[type_name] = answer
        return answer

"""Decides which events a filter selects.

Owns the meaning of `payhub.events.v1.Filter`, once its tenants are settled.
Called by the streams and by queries, for memory and storage alike. Never
decides which tenants a caller may name.
"""

from collections.abc import Sequence

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
        "_entity_types",
        "_exact",
        "_prefixes",
        "_remembered",
        "by_entity",
        "entity_ids",
        "key",
        "tenants",
    )

    def __init__(self, tenants: Sequence[str], spec: event_pb2.Filter) -> None:
        self.tenants = frozenset(tenants)
        self._exact = frozenset(name for name in spec.types if not name.endswith(".*"))
        self._prefixes = tuple(sorted({name[:-1] for name in spec.types if name.endswith(".*")}))
        self._entity_types = frozenset(spec.entity_types)
        self.entity_ids = frozenset(spec.entity_ids)
        self.by_entity = bool(self._entity_types or self.entity_ids)
        self._remembered: dict[str, bool] = {}
        self.key = (
            self.tenants,
            self._exact,
            self._prefixes,
            self._entity_types,
            self.entity_ids,
        )

    @property
    def selection(self) -> read.Selection:
        """What storage needs to find the same events."""
        return read.Selection(
            tenants=tuple(sorted(self.tenants)),
            entity_ids=tuple(sorted(self.entity_ids)),
            matches=self.matches,
            by_rows=not (self._exact or self._prefixes or self._entity_types),
        )

    def matches(self, tenant_id: str, type_name: str, entity_type: str, entity_id: str) -> bool:
        """Whether the filter selects an event of that tenant, type and entity."""
        if tenant_id not in self.tenants:
            return False
        if not self.selects_type(type_name):
            return False
        return not self.by_entity or self.selects_entity(entity_type, entity_id)

    def selects_entity(self, entity_type: str, entity_id: str) -> bool:
        """Whether the filter selects that entity, tenant and type aside."""
        if self._entity_types and entity_type not in self._entity_types:
            return False
        return not self.entity_ids or entity_id in self.entity_ids

    def selects_type(self, type_name: str) -> bool:
        """Whether the filter selects that type, tenant and entity aside."""
        if not self._exact and not self._prefixes:
            return True
        answer = self._remembered.get(type_name)
        if answer is None:
            answer = type_name in self._exact or type_name.startswith(self._prefixes)
            if len(self._remembered) >= _REMEMBERED_TYPES_MAX:
                self._remembered.clear()
            self._remembered[type_name] = answer
        return answer

"""Streams with the same filter and pace: judged together, answered with the same bytes.

Owns the inverted index from an event's tenant and type to the filters that select it,
what each filter has of the newest events, and the responses that streams share. Called
by the hub at every wake-up and by the streams. Never wakes anybody itself.
"""

import asyncio
import time
from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, TypeVar

from event_gateway import matching, window

if TYPE_CHECKING:
    from event_gateway import hub

# Passed places after which sleeping readers are woken to say where they are.
CHECKPOINT_EVERY = 10_000
# A prepared response is used by the readers of one wake-up, not later: it
# carries the server's clock.
_READY_FOR_S = 0.1
# Of those kept at a time: readers in step share one, and each that is not is one response more.
_READY_MAX = 64
# Types are remembered with their groups; producers choose them, so the memory has a limit.
_REMEMBERED_TYPES_MAX = 4096

Key = TypeVar("Key")

# Where a response starts, and what bounds it.
ReadyKey = tuple[int, int, int]
# A response, the place it ends at, and how many events it holds.
Ready = tuple[bytes, int, int]


class Group:
    """Streams with the same filter, pace and form of events."""

    __slots__ = (
        "_fresh",
        "_fresh_from",
        "_ready",
        "_ready_at",
        "_ready_until_s",
        "key",
        "matcher",
        "members",
        "noisy_to",
        "pace",
        "thin",
        "waiting",
        "wake_every",
        "window",
        "woken_at",
    )

    def __init__(self, matcher: matching.Matcher, pace: "Pace", *, thin: bool) -> None:
        self.matcher = matcher
        self.pace = pace
        self.thin = thin
        self.key = (matcher.key, thin)
        self.window = pace.window
        self.members = 0
        self.waiting: set[hub.Stream] = set()
        self.wake_every = CHECKPOINT_EVERY
        self.woken_at = pace.judged
        # Nothing in (noisy_to, pace.judged] matches.
        self.noisy_to = pace.judged
        # What matches in (_fresh_from, pace.judged]; None once that is not known.
        self._fresh: list[window.Row] | None = None
        self._fresh_from = 0
        self._ready: dict[ReadyKey, Ready] = {}
        self._ready_at = 0
        self._ready_until_s = 0.0

    @property
    def horizon(self) -> int:
        """Up to where live streams may read now: the rest waits for the next wake-up."""
        return self.pace.judged

    def skip(self, position: int) -> int:
        """Returns the place up to which nothing matches after *position*, as far as known."""
        return self.pace.judged if self.noisy_to <= position < self.pace.judged else position

    def batch(self, after: int, *, upto: int, events_max: int, bytes_max: int) -> window.Batch:
        """Collects what matches in (*after*, *upto*], or the first part of it."""
        if self._fresh is None or after < self._fresh_from or upto != self.pace.judged:
            return self.window.batch(
                after, self.matcher, upto=upto, events_max=events_max, bytes_max=bytes_max
            )
        chunks: list[bytes] = []
        total = 0
        position = after
        for row in self._fresh:
            if row[0] <= after:
                continue
            total += len(row[5])
            if chunks and (len(chunks) == events_max or total > bytes_max):
                return window.Batch(chunks=chunks, position=position)
            chunks.append(row[5])
            position = row[0]
        return window.Batch(chunks=chunks, position=max(upto, after))

    def ready(self, key: ReadyKey) -> Ready | None:
        """Returns the response another stream got at the same place just now."""
        if self._ready_at != self.pace.judged or time.monotonic() > self._ready_until_s:
            self._ready.clear()
            return None
        return self._ready.get(key)

    def keep(self, key: ReadyKey, ready: Ready) -> None:
        """Remembers the response of a live stream for the others."""
        if self.members < 2 or len(self._ready) >= _READY_MAX:
            return
        if not self._ready:
            self._ready_at = self.pace.judged
            self._ready_until_s = time.monotonic() + _READY_FOR_S
        self._ready[key] = ready

    def found(self, after: int, rows: list[window.Row], head: int) -> None:
        """Takes what matches in (*after*, *head*]."""
        self._fresh, self._fresh_from = rows, after
        self.noisy_to = head

    def forget(self) -> None:
        """Frees what was kept of the newest events; the window has it still."""
        self._fresh = None
        self._ready.clear()


class Pace:
    """Groups that are woken together, at most once in `delay_s`.

    Args:
        log: The shared window.
        delay_s: Shortest time between two wake-ups, seconds.
    """

    def __init__(self, log: window.Window, delay_s: float) -> None:
        self.window = log
        self.delay_s = delay_s
        self.judged = log.head
        self.ticked_s = -delay_s
        self.tick: asyncio.Handle | None = None
        self.groups: dict[Hashable, Group] = {}
        self._by_tenant: dict[str, set[Group]] = {}
        self._by_entity: dict[tuple[str, str], set[Group]] = {}
        self._index: dict[str, dict[str, tuple[Group, ...]]] = {}
        self._kept: list[Group] = []
        self._look_at = 0

    def group(self, matcher: matching.Matcher, *, thin: bool) -> Group:
        """Returns the group of a filter; it stays until `drop`."""
        group = self.groups.get((matcher.key, thin))
        if group is not None:
            return group
        if not self.groups:
            self.judged = self.window.head
            self._look_at = self.judged
        group = Group(matcher, self, thin=thin)
        self.groups[group.key] = group
        for tenant_id in matcher.tenants:
            self._by_tenant.setdefault(tenant_id, set()).add(group)
            for entity_id in matcher.entity_ids:
                self._by_entity.setdefault((tenant_id, entity_id), set()).add(group)
            self._index.pop(tenant_id, None)
        return group

    def drop(self, group: Group) -> None:
        """Forgets a group that has no members left."""
        del self.groups[group.key]
        for tenant_id in group.matcher.tenants:
            _discard(self._by_tenant, tenant_id, group)
            for entity_id in group.matcher.entity_ids:
                _discard(self._by_entity, (tenant_id, entity_id), group)
            self._index.pop(tenant_id, None)

    def look_sooner(self, group: Group, wake_every: int) -> None:
        """Says that a member of *group* wants a cursor every *wake_every* places."""
        group.wake_every = min(group.wake_every, wake_every)
        self._look_at = min(self._look_at, self.judged + wake_every)

    def judge(self) -> list[Group]:
        """Looks at what came since the last time; returns the groups with something to do.

        What it costs grows with the events and with the filters that select them: a filter
        that selects none of them is not looked at.
        """
        log, after = self.window, self.judged
        head = self.judged = log.head
        for group in self._kept:
            group.forget()
        self._kept = []
        if after < log.start:
            # Some of it has left the window already.
            for group in self.groups.values():
                group.noisy_to = group.woken_at = head
            return list(self.groups.values())
        for group, rows in self._sort(log.since(after)).items():
            group.found(after, rows, head)
            group.woken_at = head
            self._kept.append(group)
        return [*self._kept, *self._checkpoints(head)]

    def _sort(self, rows: Sequence[window.Row]) -> dict[Group, list[window.Row]]:
        found: dict[Group, list[window.Row]] = {}
        by_entity = self._by_entity
        for row in rows:
            groups = self._selecting(row[1], row[2])
            if by_entity and (named := by_entity.get((row[1], row[4]))):
                groups = (*groups, *(one for one in named if one.matcher.selects_type(row[2])))
            for group in groups:
                if group.matcher.by_entity and not group.matcher.selects_entity(row[3], row[4]):
                    continue
                lot = found.get(group)
                if lot is None:
                    found[group] = [row]
                else:
                    lot.append(row)
        return found

    def _selecting(self, tenant_id: str, type_name: str) -> tuple[Group, ...]:
        """Returns the groups that take that tenant and type and do not name entities."""
        by_type = self._index.get(tenant_id)
        if by_type is None:
            if tenant_id not in self._by_tenant:
                return ()
            by_type = self._index[tenant_id] = {}
        groups = by_type.get(type_name)
        if groups is None:
            if len(by_type) >= _REMEMBERED_TYPES_MAX:
                by_type.clear()
            groups = by_type[type_name] = tuple(
                group
                for group in self._by_tenant[tenant_id]
                if not group.matcher.entity_ids and group.matcher.selects_type(type_name)
            )
        return groups

    def _checkpoints(self, head: int) -> list[Group]:
        """Returns the groups whose sleeping readers passed enough places to be told."""
        if head < self._look_at:
            return []
        due = [group for group in self.groups.values() if head - group.woken_at >= group.wake_every]
        for group in due:
            group.woken_at = head
        self._look_at = min(
            (group.woken_at + group.wake_every for group in self.groups.values()), default=head
        )
        return due


def _discard(index: dict[Key, set[Group]], key: Key, group: Group) -> None:
    remaining = index[key]
    remaining.discard(group)
    if not remaining:
        del index[key]

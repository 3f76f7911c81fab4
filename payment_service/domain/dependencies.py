"""Which plugins need which: the order to enable and disable them in.

Owns walking the graph and naming what stands in the way by its path. Edges come from the
allowlist and from what plugins say of themselves. Called by the lifecycle and by
upgrades. Pure.
"""

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from payment_service.domain import admission, plugins


class Kind(enum.StrEnum):
    """What is wrong with a path."""

    MISSING = "missing"
    NOT_ENABLED = "not_enabled"
    VERSION = "version"
    CYCLE = "cycle"
    NEEDED = "needed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """What stands in the way.

    `path` leads from the plugin asked for to the one in the way. `needs` is a version
    specifier and `found` a version, both '' where versions are not the problem. `order`
    is what would have to be done first, in that order.
    """

    kind: Kind
    path: tuple[str, ...]
    needs: str = ""
    found: str = ""
    order: tuple[str, ...] = ()

    @property
    def path_text(self) -> str:
        """The path as people read it."""
        return " > ".join(self.path)

    @property
    def message(self) -> str:
        """One sentence with the way out."""
        first, last = self.path[0], self.path[-1]
        match self.kind:
            case Kind.MISSING:
                return (
                    f"{first} needs {last} ({self.path_text}), which is not on the allowlist; "
                    "allow it and enable it first"
                )
            case Kind.NOT_ENABLED:
                return (
                    f"{first} needs plugins that are not enabled ({self.path_text}); "
                    f"enable first, in this order: {', '.join(self.order)}"
                )
            case Kind.VERSION:
                return (
                    f"{self.path[-2]} needs {last} {self.needs}, which is at "
                    f"{self.found or 'no version yet'} ({self.path_text}); "
                    f"bring {last} to such a version first"
                )
            case Kind.CYCLE:
                return (
                    f"plugins need each other in a circle ({self.path_text}); "
                    "take one of these dependencies off the allowlist or out of its plugin"
                )
            case Kind.NEEDED:
                return (
                    f"{', '.join(self.order)} need {first} ({self.path_text}); disable them "
                    "first in this order, or ask for it with cascade"
                )


@dataclass(frozen=True, slots=True, kw_only=True)
class Graph:
    """Plugins and what they need.

    `needs` has an entry for every plugin that is there; `versions` says at which version
    each one is, '' if none has been seen.
    """

    needs: Mapping[str, tuple[plugins.Dependency, ...]]
    versions: Mapping[str, str]
    enabled: frozenset[str]


def merge(
    own: Iterable[plugins.Dependency], operators: Iterable[plugins.Dependency]
) -> tuple[plugins.Dependency, ...]:
    """Returns what a plugin builds on: its own list, in which the operator's word wins."""
    merged = {each.plugin_id: each for each in (*own, *operators)}
    return tuple(merged.values())


def to_enable(graph: Graph, plugin_id: str) -> tuple[str, ...] | Problem:
    """Returns what to enable for *plugin_id*, each after what it needs, itself last.

    Plugins that are enabled already are left out, but must be of a version that fits.
    """
    order: list[str] = []
    problem = _visit(graph, plugin_id, (), order)
    return problem if problem is not None else tuple(order)


def _visit(
    graph: Graph, plugin_id: str, above: tuple[str, ...], order: list[str]
) -> Problem | None:
    path = (*above, plugin_id)
    if plugin_id in above:
        return Problem(kind=Kind.CYCLE, path=path[above.index(plugin_id) :])
    if plugin_id in order:
        return None
    for dependency in graph.needs.get(plugin_id, ()):
        needed = dependency.plugin_id
        problem = None
        if dependency.required:
            if needed not in graph.needs:
                return Problem(kind=Kind.MISSING, path=(*path, needed))
            problem = _visit(graph, needed, path, order)
        if problem is None and (dependency.required or needed in graph.enabled):
            problem = _misfit(graph, path, dependency)
        if problem is not None:
            return problem
    if plugin_id not in graph.enabled:
        order.append(plugin_id)
    return None


def _misfit(graph: Graph, path: tuple[str, ...], dependency: plugins.Dependency) -> Problem | None:
    found = graph.versions.get(dependency.plugin_id, "")
    if admission.version_matches(dependency.version_specifier, found):
        return None
    return Problem(
        kind=Kind.VERSION,
        path=(*path, dependency.plugin_id),
        needs=dependency.version_specifier,
        found=found,
    )


def circle(graph: Graph, plugin_id: str) -> Problem | None:
    """Returns the circle of needs that *plugin_id* is part of, or None."""
    path = _path(graph, plugin_id, plugin_id)
    return Problem(kind=Kind.CYCLE, path=path) if path else None


def not_enabled(order: tuple[str, ...], graph: Graph) -> Problem:
    """The problem of enabling the last of *order* alone, while others must come first."""
    plugin_id = order[-1]
    path = _path(graph, plugin_id, order[0]) or (plugin_id, order[0])
    return Problem(kind=Kind.NOT_ENABLED, path=path, order=order[:-1])


def to_disable(graph: Graph, plugin_id: str) -> tuple[str, ...]:
    """Returns what to disable for *plugin_id*: every enabled plugin that needs it, directly
    or not, each before what it needs; itself last.
    """
    order: list[str] = []

    def visit(needed: str) -> None:
        for each in sorted(graph.enabled):
            if each not in order and each != plugin_id and _needs(graph, each, needed):
                order.append(each)
                visit(each)

    visit(plugin_id)
    # A dependent found late may stand above one found early: sort by what is needed.
    ordered: list[str] = []
    left = set(order)
    while left:
        free = sorted(
            each for each in left if not any(_needs(graph, o, each) for o in left - {each})
        )
        # In a circle nobody is free; any order is as good as another then.
        ordered += free or sorted(left)
        left -= set(ordered)
    return (*ordered, plugin_id)


def needed(order: tuple[str, ...], graph: Graph) -> Problem:
    """The problem of disabling the last of *order* alone, while others need it."""
    plugin_id, user = order[-1], order[-2]
    path = _path(graph, user, plugin_id) or (user, plugin_id)
    return Problem(kind=Kind.NEEDED, path=tuple(reversed(path)), order=order[:-1])


def broken_by(graph: Graph, plugin_id: str, version: str) -> Problem | None:
    """Returns which enabled plugin can't go on if *plugin_id* comes to *version*, or None."""
    for user in sorted(graph.enabled):
        for dependency in graph.needs.get(user, ()):
            if dependency.plugin_id != plugin_id:
                continue
            if not admission.version_matches(dependency.version_specifier, version):
                return Problem(
                    kind=Kind.VERSION,
                    path=(user, plugin_id),
                    needs=dependency.version_specifier,
                    found=version,
                )
    return None


def _needs(graph: Graph, user: str, needed_id: str) -> bool:
    return any(each.plugin_id == needed_id and each.required for each in graph.needs.get(user, ()))


def _path(graph: Graph, start: str, end: str) -> tuple[str, ...]:
    """Returns a shortest path of needs from *start* to *end*, or () if there is none."""
    paths: list[tuple[str, ...]] = [(start,)]
    seen = {start}
    for path in paths:
        for dependency in graph.needs.get(path[-1], ()):
            each = dependency.plugin_id
            if dependency.required and each == end:
                return (*path, each)
            if dependency.required and each not in seen:
                seen.add(each)
                paths.append((*path, each))
    return ()

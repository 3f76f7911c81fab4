"""Graphs of plugins from short texts.

Owns what tests of dependencies start from. Called by those tests and properties. Never
asserts.
"""

from collections.abc import Mapping

from payment_service.domain import dependencies, plugins


def needs(*wanted: str) -> tuple[plugins.Dependency, ...]:
    """Returns dependencies from texts like `ledger>=2` or `ledger?`."""
    made = []
    for text in wanted:
        name = text.rstrip("?")
        position = next((i for i, c in enumerate(name) if c in "<>=!~"), len(name))
        made.append(
            plugins.Dependency(
                plugin_id=name[:position],
                version_specifier=name[position:],
                required=not text.endswith("?"),
            )
        )
    return tuple(made)


def of(
    edges: Mapping[str, tuple[str, ...]], enabled: str = "", versions: dict[str, str] | None = None
) -> dependencies.Graph:
    """Returns a graph; everything is at version 1.0 unless told otherwise."""
    return dependencies.Graph(
        needs={name: needs(*wanted) for name, wanted in edges.items()},
        versions=dict.fromkeys(edges, "1.0") | (versions or {}),
        enabled=frozenset(enabled.split()),
    )

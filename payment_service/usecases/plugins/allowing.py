"""The allowlist: which plugins may come, in which versions, from where.

Owns checking and writing its entries, and the graph of what plugins need. Called by the
API and at start. Takes effect at once: what is no longer admitted loses its lease.
"""

from collections.abc import Iterable
from dataclasses import replace

from payment_service.db import instances
from payment_service.db import plugins as rows
from payment_service.domain import admission, dependencies, plugins
from payment_service.usecases.plugins import plugin_changes, plugin_events, plugin_refusals
from servicekit import errors, storage

PLUGINS_MAX = 1000


class Allowlist(plugin_changes.Changes):
    """The use cases of the allowlist."""

    async def allow(
        self,
        entry: plugins.Entry,
        *,
        why: plugin_events.Why,
        must_be_new: bool = False,
        expected_revision: int = 0,
    ) -> plugins.Plugin:
        """Puts a plugin on the allowlist or replaces its entry; does nothing if it is equal.

        Args:
            entry: The whole entry.
            why: Who and why.
            must_be_new: Refuse one that is on the list already.
            expected_revision: The revision the caller has seen, 0 for any.

        Raises:
            errors.RpcError: INVALID_FIELD, PLUGIN_EXISTS, STALE_GENERATION,
                PLUGIN_DEPENDENCY for a circle, PLUGIN_STATE_CONFLICT for another kind.
        """
        if violations := problems(entry):
            raise errors.invalid_fields(violations)

        def keep(conn: storage.Connection, ids: plugin_events.Ids, now_us: int) -> plugins.Plugin:
            known = rows.load_all(conn, lock=True)
            before = known.get(entry.plugin_id)
            if before is not None and expected_revision not in (0, before.revision):
                raise plugin_refusals.stale_revision(before, expected_revision)
            after = _allowed(before, entry, must_be_new, now_us)
            if after == before:
                return after
            if before is None and len(known) >= PLUGINS_MAX:
                raise errors.overloaded(
                    f"{PLUGINS_MAX} plugins are known, which is the most", retry_after_s=60.0
                )
            graph = graph_of((known | {entry.plugin_id: after}).values())
            # What is missing may come later; a circle never opens by itself.
            if (circle := dependencies.circle(graph, entry.plugin_id)) is not None:
                raise plugin_refusals.dependency(circle)
            _send_away(conn, entry)
            is_new = before is None or not before.entry.allowed
            return plugin_events.write(
                conn,
                before,
                after,
                event_type="plugin.discovered" if is_new else "plugin.config_changed",
                why=why,
                event_id=ids(),
                now_us=now_us,
            )

        return await self._change(keep)


def problems(entry: plugins.Entry) -> list[tuple[str, str]]:
    """Returns what is wrong with an entry, as (field path, text)."""
    found = [
        ("allowance.version_specifier", admission.specifier_problem(entry.version_specifier)),
        ("allowance.endpoint_pattern", admission.pattern_problem(entry.endpoint_pattern)),
    ]
    if entry.static_endpoint:
        text = admission.endpoint_problem(entry.static_endpoint)
        found.append(("allowance.static_endpoint", text))
    elif not entry.endpoint_pattern:
        text = "set it, or static_endpoint: nothing could ever be this plugin otherwise"
        found.append(("allowance.endpoint_pattern", text))
    for number, permission in enumerate(entry.permissions):
        text = admission.permission_problem(permission)
        found.append((f"allowance.permissions[{number}]", text))
    seen: set[str] = set()
    for number, dependency in enumerate(entry.dependencies):
        path = f"allowance.dependencies[{number}]"
        text = admission.specifier_problem(dependency.version_specifier)
        found.append((f"{path}.version_specifier", text))
        if dependency.plugin_id == entry.plugin_id:
            found.append((f"{path}.plugin_id", "a plugin can't need itself"))
        if dependency.plugin_id in seen:
            found.append((f"{path}.plugin_id", "is named twice"))
        seen.add(dependency.plugin_id)
    return [(path, text) for path, text in found if text]


def graph_of(known: Iterable[plugins.Plugin]) -> dependencies.Graph:
    """Returns what the plugins of the allowlist need."""
    there = [each for each in known if each.entry.allowed]
    return dependencies.Graph(
        needs={
            each.id: dependencies.merge(each.manifest.dependencies, each.entry.dependencies)
            for each in there
        },
        versions={each.id: each.current_version for each in there},
        enabled=frozenset(each.id for each in there if each.state is plugins.PluginState.ENABLED),
    )


def _allowed(
    before: plugins.Plugin | None, entry: plugins.Entry, must_be_new: bool, now_us: int
) -> plugins.Plugin:
    discovered = plugins.PluginState.DISCOVERED
    if before is None:
        return plugins.Plugin(entry=entry, state=discovered, created_us=now_us)
    if not before.entry.allowed:
        # It tried to come before, or was uninstalled: it begins anew.
        return replace(before, entry=entry, state=discovered)
    if must_be_new:
        raise plugin_refusals.exists(before)
    if before.entry.kind != entry.kind and before.state is not discovered:
        raise plugin_refusals.conflict(
            before, f"{before.id} is registered as another kind; uninstall it first"
        )
    return replace(before, entry=entry)


def _send_away(conn: storage.Connection, entry: plugins.Entry) -> None:
    """Ends the leases of instances that *entry* does not admit."""
    for each in instances.load_all(conn):
        if each.plugin_id == entry.plugin_id and not admits(entry, each):
            instances.remove(conn, each.session_id)


def admits(entry: plugins.Entry, instance: plugins.Instance) -> bool:
    """Whether an instance may be where it is, in its version."""
    if not admission.version_matches(entry.version_specifier, instance.version):
        return False
    if instance.static:
        return instance.endpoint == entry.static_endpoint
    return admission.endpoint_matches(entry.endpoint_pattern, instance.endpoint)

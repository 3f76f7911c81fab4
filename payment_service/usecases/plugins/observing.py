"""What is observed of plugins, and which of their versions are in use.

Owns conditions, quarantine and the versions that take operations. Called by the probing
of instances, by upgrades and by operators. Never calls a plugin.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace

from payhub.plugin.v1 import plugin_service_pb2

from payment_service.db import instances, versions
from payment_service.db import plugins as rows
from payment_service.domain import admission, dependencies, plugins
from payment_service.usecases.plugins import (
    allowing,
    plugin_changes,
    plugin_events,
    plugin_refusals,
    plugin_snapshots,
)
from servicekit import storage

Condition = plugins.Condition
Conditions = Mapping[Condition, plugins.ConditionStatus]

_TEXT_CHARS_MAX = 500


class Observations(plugin_changes.Changes):
    """The use cases of what is observed."""

    async def observe(self, plugin_id: str, seen: Conditions) -> None:
        """Keeps conditions as they are seen now; `since_us` is filled in here.

        Nothing is written unless one holds that did not, or for another reason.
        """
        known = self._ctx.catalog.view.plugin(plugin_id)
        if known is None or not _news(known, seen):
            return

        def keep(conn: storage.Connection, ids: plugin_events.Ids, now_us: int) -> None:
            before = rows.load(conn, plugin_id, lock=True)
            if before is None or not before.entry.allowed:
                return
            if news := _news(before, seen):
                after = _with(before, news, now_us)
                reason = ", ".join(f"{c.name}: {_told(s)}" for c, s in news.items())
                plugin_events.write(
                    conn,
                    before,
                    after,
                    event_type="plugin.health_changed",
                    why=plugin_events.Why(reason=reason[:_TEXT_CHARS_MAX]),
                    event_id=ids(),
                    now_us=now_us,
                )

        await self._change(keep)

    async def quarantine(
        self, plugin_id: str, version: str, *, why: plugin_events.Why
    ) -> plugins.Plugin:
        """Takes a version out of use until it is released; does nothing if it is.

        Raises:
            errors.RpcError: PLUGIN_UNKNOWN, VERSION_UNKNOWN.
        """

        def keep(conn: storage.Connection, ids: plugin_events.Ids, now_us: int) -> plugins.Plugin:
            before = plugin_changes.locked(conn, plugin_id)
            seen(conn, plugin_id, version)
            reason = why.reason[:_TEXT_CHARS_MAX]
            if not versions.quarantine(conn, plugin_id, version, reason=reason, now_us=now_us):
                return before
            return plugin_events.write(
                conn,
                before,
                judged(conn, before, now_us),
                event_type="plugin.quarantined",
                why=why,
                event_id=ids(),
                now_us=now_us,
                version=version,
            )

        return await self._change(keep)

    async def release(
        self, plugin_id: str, version: str, *, why: plugin_events.Why
    ) -> plugins.Plugin:
        """Takes a version back into use, with no crash counted; does nothing if it is.

        Raises:
            errors.RpcError: PLUGIN_UNKNOWN, VERSION_UNKNOWN.
        """

        def keep(conn: storage.Connection, ids: plugin_events.Ids, now_us: int) -> plugins.Plugin:
            before = plugin_changes.locked(conn, plugin_id)
            seen(conn, plugin_id, version)
            if not versions.release(conn, plugin_id, version):
                return before
            instances.forget_starts(conn, plugin_id, version)
            return plugin_events.write(
                conn,
                before,
                judged(conn, before, now_us),
                event_type="plugin.released",
                why=why,
                event_id=ids(),
                now_us=now_us,
                version=version,
            )

        return await self._change(keep)

    async def set_versions(
        self,
        plugin_id: str,
        *,
        current: str,
        previous: str = "",
        canary: str = "",
        percent: int = 0,
        event_type: str,
        version: str,
        why: plugin_events.Why,
        check: Callable[[storage.Connection, plugins.Plugin], None] | None = None,
        also: Callable[[storage.Connection], None] | None = None,
    ) -> plugins.Plugin:
        """Says which versions take new operations from now on.

        Args:
            plugin_id: Which plugin.
            current: The version that takes them, but for those of the canary.
            previous: What can be rolled back to, '' for nothing.
            canary: The version on trial, '' for none.
            percent: Its share.
            event_type: What this is, like `plugin.upgrade_started`.
            version: The version that is concerned.
            why: Who and why.
            check: Looks at the plugin under its lock first, and may refuse.
            also: Writes more in the same transaction.

        Raises:
            errors.RpcError: PLUGIN_UNKNOWN, VERSION_UNKNOWN, PLUGIN_QUARANTINED if a version
                that is to take operations is, PLUGIN_DEPENDENCY if it would take a version
                that an enabled plugin needs, or what *check* raises.
        """

        def keep(conn: storage.Connection, ids: plugin_events.Ids, now_us: int) -> plugins.Plugin:
            before = plugin_changes.locked(conn, plugin_id)
            if check is not None:
                check(conn, before)
            after = _in_use(conn, before, current, previous, canary, percent, now_us)
            if after == before:
                return before
            _require_fit(conn, before, after)
            if also is not None:
                also(conn)
                # What it wrote may have changed the plugin too.
                before = plugin_changes.locked(conn, plugin_id)
                after = _in_use(conn, before, current, previous, canary, percent, now_us)
            return plugin_events.write(
                conn,
                before,
                after,
                event_type=event_type,
                why=why,
                event_id=ids(),
                now_us=now_us,
                version=version,
            )

        return await self._change(keep)


def _require_fit(conn: storage.Connection, before: plugins.Plugin, after: plugins.Plugin) -> None:
    """Raises if a version is quarantined, or an enabled plugin can't go on with it.

    Versions that take no more than before are left alone.
    """
    for version in sorted(
        {after.current_version, after.canary_version} - {"", before.current_version}
    ):
        if (found := seen(conn, after.id, version)).quarantined_us:
            raise plugin_refusals.quarantined(found)
    known = {before.current_version, before.canary_version, before.previous_version}
    graph = allowing.graph_of(rows.load_all(conn).values())
    for version in sorted({after.current_version, after.canary_version} - known - {""}):
        if (problem := dependencies.broken_by(graph, after.id, version)) is not None:
            raise plugin_refusals.dependency(problem)


def _in_use(
    conn: storage.Connection,
    before: plugins.Plugin,
    current: str,
    previous: str,
    canary: str,
    percent: int,
    now_us: int,
) -> plugins.Plugin:
    found = seen(conn, before.id, current)
    handshake = plugin_service_pb2.HandshakeResponse.FromString(found.handshake)
    after = replace(
        before,
        current_version=current,
        previous_version=previous,
        canary_version=canary,
        canary_percent=percent if canary else 0,
        manifest=plugin_snapshots.manifest(handshake),
    )
    return judged(conn, after, now_us)


def seen(conn: storage.Connection, plugin_id: str, version: str) -> plugins.Version:
    """Returns a version that was seen.

    Raises:
        errors.RpcError: VERSION_UNKNOWN.
    """
    found = versions.load(conn, plugin_id, version)
    if found is None:
        known = [each.version for each in versions.load_all(conn).get(plugin_id, ())]
        raise plugin_refusals.version_unknown(plugin_id, version, known)
    return found


def judged(conn: storage.Connection, plugin: plugins.Plugin, now_us: int) -> plugins.Plugin:
    """Returns *plugin* with the conditions that follow from its versions.

    A quarantine counts for versions in use and for newer ones; what an upgrade has left
    behind counts no more.
    """
    newest = admission.version_order(plugin.current_version)
    in_use = {plugin.current_version, plugin.canary_version}
    bad = [
        each
        for each in versions.load_all(conn).get(plugin.id, ())
        if each.quarantined_us
        and (each.version in in_use or admission.version_order(each.version) > newest)
    ]
    told: dict[Condition, plugins.ConditionStatus] = {}
    if bad:
        detail = "; ".join(f"{each.version}: {each.quarantine_reason}" for each in bad)
        told[Condition.QUARANTINED] = plugins.ConditionStatus(
            holds=True, reason="VERSION_QUARANTINED", detail=detail[:_TEXT_CHARS_MAX]
        )
    elif Condition.QUARANTINED in plugin.conditions:
        told[Condition.QUARANTINED] = plugins.ConditionStatus(holds=False)
    if plugin.canary_version:
        detail = f"{plugin.canary_version} takes {plugin.canary_percent} % of new operations"
        told[Condition.UPGRADING] = plugins.ConditionStatus(
            holds=True, reason="CANARY", detail=detail
        )
    elif Condition.UPGRADING in plugin.conditions:
        told[Condition.UPGRADING] = plugins.ConditionStatus(holds=False)
    return _with(plugin, _news(plugin, told), now_us)


def _told(status: plugins.ConditionStatus) -> str:
    return status.detail or status.reason or ("yes" if status.holds else "no")


def _news(plugin: plugins.Plugin, seen_now: Conditions) -> Conditions:
    """Returns what of *seen_now* differs from what is known, without regard to when."""
    news = {}
    for condition, status in seen_now.items():
        known = plugin.conditions.get(condition)
        if known is None or (known.holds, known.reason) != (status.holds, status.reason):
            news[condition] = status
    return news


def _with(plugin: plugins.Plugin, news: Conditions, now_us: int) -> plugins.Plugin:
    if not news:
        return plugin
    conditions = dict(plugin.conditions)
    for condition, status in news.items():
        known = conditions.get(condition)
        same = known is not None and known.holds == status.holds
        since_us = known.since_us if known is not None and same else now_us
        conditions[condition] = replace(status, since_us=since_us)
    return replace(plugin, conditions=conditions)

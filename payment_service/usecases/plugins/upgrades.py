"""Upgrades: another version of a plugin beside the current one, tried, promoted, or left.

Owns which versions may take operations, and what the instances of the others are told.
Called by the API, and by itself when a version has stood by long enough. Never moves an
operation: payments follow their binding, and any version can serve them.
"""

import asyncio
from collections.abc import Callable, Mapping

from payhub.admin.v1 import plugin_admin_pb2

from payment_service.db import instances, versions
from payment_service.db import plugins as plugin_rows
from payment_service.domain import admission, plugins
from payment_service.provider_client import fleet
from payment_service.usecases import context
from payment_service.usecases.bindings import configurations
from payment_service.usecases.plugins import (
    lifecycle,
    plugin_events,
    plugin_refusals,
    upgrade_checks,
)
from servicekit import errors, logs, loop, storage

_log = logs.get_logger(__name__)

SWEEP_EVERY_S = 5.0
DRAIN_GRACE_S = 30.0

Check = Callable[[storage.Connection, plugins.Plugin], None]


class Upgrades:
    """The use cases of upgrades.

    Args:
        ctx: What lies outside.
        life: Writes which versions are in use.
        configured: Fits configurations to another version.
        stand_by_s: How long a version that was left stands by for a rollback, seconds.
    """

    def __init__(
        self,
        ctx: context.Context,
        life: lifecycle.Lifecycle,
        configured: configurations.Configurations,
        stand_by_s: float,
    ) -> None:
        self._ctx = ctx
        self._life = life
        self._configured = configured
        self._stand_by_s = stand_by_s

    async def start(
        self,
        plugin_id: str,
        version: str,
        percent: int,
        *,
        dry_run: bool = False,
        why: plugin_events.Why,
    ) -> tuple[plugins.Plugin, list[plugin_admin_pb2.BindingMigration]]:
        """Puts a version on trial, or changes its share of new operations.

        Returns:
            The plugin, and what the upgrade makes of its configurations.

        Raises:
            errors.RpcError: PLUGIN_UNKNOWN, VERSION_UNKNOWN, PLUGIN_NOT_ALLOWED,
                PLUGIN_QUARANTINED, REPORT_REQUIRED, PLUGIN_STATE_CONFLICT, UPGRADE_REFUSED.
        """
        plugin = await self._plugin(plugin_id)
        if version == plugin.current_version:
            return plugin, []
        if plugin.canary_version not in ("", version):
            raise plugin_refusals.conflict(
                plugin,
                f"{plugin.canary_version} of {plugin_id} is on trial: promote it or roll it "
                f"back before {version} is tried",
            )
        found = await self._require_fit(plugin, version)
        await self._require_capabilities(plugin, found)
        fitted = await self._fitted(plugin_id, version)
        migrations = fitted.migrations()
        if dry_run:
            return plugin, migrations

        def tell(conn: storage.Connection) -> None:
            instances.direct(conn, plugin_id, version, plugins.Directive.CONTINUE)

        changed = await self._life.set_versions(
            plugin_id,
            current=plugin.current_version,
            previous=plugin.previous_version,
            canary=version,
            percent=percent,
            event_type="plugin.upgrade_started",
            version=version,
            why=why,
            check=_unchanged(plugin),
            also=tell,
        )
        return changed, migrations

    async def promote(self, plugin_id: str, *, why: plugin_events.Why) -> plugins.Plugin:
        """Makes the version on trial the current one; the one before stands by.

        Raises:
            errors.RpcError: as for `start`.
        """
        plugin = await self._plugin(plugin_id)
        version, left = plugin.canary_version, plugin.current_version
        if not version:
            raise upgrade_checks.refused(
                plugin_id, "", "not_started", "no version is on trial; start one first"
            )
        await self._require_fit(plugin, version)
        fitted = await self._fitted(plugin_id, version)
        dropped = plugin.previous_version if plugin.previous_version != version else ""
        return await self._switch(
            plugin,
            current=version,
            previous=left,
            directives={
                version: plugins.Directive.CONTINUE,
                left: plugins.Directive.STAND_BY,
                **({dropped: plugins.Directive.RETIRE} if dropped else {}),
            },
            event_type=plugin_rows.PROMOTED,
            version=version,
            fitted=fitted,
            why=why,
        )

    async def roll_back(
        self, plugin_id: str, version: str, *, why: plugin_events.Why
    ) -> plugins.Plugin:
        """Leaves *version*: ends its trial, or goes back to the one before; it stands by.

        Does nothing if *version* takes no operations any more.

        Raises:
            errors.RpcError: PLUGIN_UNKNOWN, VERSION_UNKNOWN, PLUGIN_QUARANTINED,
                UPGRADE_REFUSED.
        """
        plugin = await self._plugin(plugin_id)
        back_to, fitted = plugin.current_version, None
        if version == plugin.current_version:
            back_to = plugin.previous_version
            if not back_to:
                text = f"there is no version to go back to from {version}"
                raise upgrade_checks.refused(plugin_id, version, "not_started", text)
            await self._require_fit(plugin, back_to)
            fitted = await self._fitted(plugin_id, back_to)
        elif version != plugin.canary_version:
            self._require_left(plugin, version)
            return plugin
        stays = plugin.previous_version if version == plugin.canary_version else ""
        return await self._switch(
            plugin,
            current=back_to,
            previous=stays,
            directives={
                back_to: plugins.Directive.CONTINUE,
                version: plugins.Directive.STAND_BY,
            },
            event_type="plugin.upgrade_rolled_back",
            version=version,
            fitted=fitted,
            why=why,
        )

    async def run(self, stop: asyncio.Event) -> None:
        """Retires versions that have stood by long enough, until *stop* is set."""
        idle_s = min(SWEEP_EVERY_S, self._stand_by_s)
        await loop.run_forever(self.sweep, idle_s=idle_s, stop=stop, name="upgrades")

    async def sweep(self) -> int:
        """Retires what has stood by long enough after a promotion; returns 0."""
        for plugin in list(self._ctx.catalog.view.plugins.values()):
            if plugin.previous_version and not plugin.canary_version:
                await self._retire(plugin)
        return 0

    async def _retire(self, plugin: plugins.Plugin) -> None:
        promoted = await self._ctx.db.read(
            lambda conn: plugin_rows.newest_us(conn, plugin.id, plugin_rows.PROMOTED)
        )
        over_us = self._ctx.clock.now_us() - promoted
        if promoted and over_us < round(self._stand_by_s * 1_000_000):
            return
        provider = self._ctx.providers.find(plugin.id)
        if provider is None or not provider.has(plugin.current_version):
            # Whoever may have to take over again must not be sent away.
            return
        left = plugin.previous_version

        def tell(conn: storage.Connection) -> None:
            instances.direct(conn, plugin.id, left, plugins.Directive.RETIRE)

        try:
            await self._life.set_versions(
                plugin.id,
                current=plugin.current_version,
                event_type="plugin.upgrade_ended",
                version=left,
                why=plugin_events.Why(reason=f"{left} stood by for {self._stand_by_s:g} s"),
                check=_unchanged(plugin),
                also=tell,
            )
        except errors.RpcError as refused:
            _log.info("not retired now", plugin_id=plugin.id, version=left, why=refused.message)
            return
        remaining = await provider.drain(DRAIN_GRACE_S, left)
        _log.info("version retired", plugin_id=plugin.id, version=left, remaining=remaining)

    async def _switch(
        self,
        plugin: plugins.Plugin,
        *,
        current: str,
        previous: str,
        directives: Mapping[str, plugins.Directive],
        event_type: str,
        version: str,
        fitted: configurations.Upgrade | None,
        why: plugin_events.Why,
    ) -> plugins.Plugin:
        again = plugin_events.fresh_ids(self._ctx.new_id)
        now_us = self._ctx.clock.now_us()

        def also(conn: storage.Connection) -> None:
            for each, directive in directives.items():
                instances.direct(conn, plugin.id, each, directive)
            if fitted is not None:
                fitted.write(conn, why=why, ids=again(), now_us=now_us)

        return await self._life.set_versions(
            plugin.id,
            current=current,
            previous=previous,
            event_type=event_type,
            version=version,
            why=why,
            check=_unchanged(plugin),
            also=also,
        )

    async def _plugin(self, plugin_id: str) -> plugins.Plugin:
        view = await self._ctx.catalog.refresh()
        plugin = view.plugin(plugin_id)
        if plugin is None or not plugin.entry.allowed:
            raise plugin_refusals.unknown(plugin_id, view.plugins)
        if not plugin.current_version:
            raise plugin_refusals.version_unknown(plugin_id, "", ())
        return plugin

    def _require_left(self, plugin: plugins.Plugin, version: str) -> None:
        """Raises unless *version*, which takes no operations, can have been rolled back."""
        self._seen(plugin, version)
        if version == plugin.previous_version:
            text = (
                f"{version} is what {plugin.id} goes back to; name the version to leave, "
                f"{plugin.canary_version or plugin.current_version}"
            )
            raise upgrade_checks.refused(plugin.id, version, "not_started", text)

    def _seen(self, plugin: plugins.Plugin, version: str) -> plugins.Version:
        view = self._ctx.catalog.view
        found = view.version(plugin.id, version)
        if found is None:
            seen = [each.version for each in view.versions.get(plugin.id, ())]
            raise plugin_refusals.version_unknown(plugin.id, version, seen)
        return found

    async def _require_fit(self, plugin: plugins.Plugin, version: str) -> plugins.Version:
        """Returns a version that may take operations now, as far as it alone is concerned."""
        found = self._seen(plugin, version)
        if found.quarantined_us:
            raise plugin_refusals.quarantined(found)
        specifier = plugin.entry.version_specifier
        if not admission.version_matches(specifier, version):
            text = f"{plugin.id} is allowed in versions {specifier}, and this is {version}"
            raise plugin_refusals.not_allowed(plugin.id, version, specifier, text)
        provider = self._ctx.providers.find(plugin.id)
        if provider is None or not any(e.version == version for e in provider.links.values()):
            text = f"no instance of {version} is running; deploy one first"
            raise upgrade_checks.refused(plugin.id, version, "not_running", text)
        if not _takes(provider, version):
            why = next(e.detail for e in provider.links.values() if e.version == version)
            text = f"no instance of {version} is ready: {why or 'it is draining'}"
            raise upgrade_checks.refused(plugin.id, version, "not_ready", text)
        if plugin.entry.requires_report:
            report = await self._ctx.db.read(
                lambda conn: versions.load_report(conn, plugin.id, version, found.schema_digest)
            )
            if report is None or not report.passed:
                raise plugin_refusals.report_required(found)
        return found

    async def _require_capabilities(
        self, plugin: plugins.Plugin, candidate: plugins.Version
    ) -> None:
        """Raises if *candidate* lacks what the current version has and payments use."""
        current = self._ctx.catalog.view.version(plugin.id, plugin.current_version)
        if current is None:
            return
        missing = await self._ctx.db.read(
            lambda conn: upgrade_checks.missing(conn, current, candidate)
        )
        if missing:
            names = ", ".join(missing)
            text = f"{candidate.version} lacks {names}, which payments use"
            raise upgrade_checks.refused(
                plugin.id, candidate.version, "capability", text, missing=names
            )

    async def _fitted(self, plugin_id: str, version: str) -> configurations.Upgrade:
        fitted = await self._configured.check_upgrade(plugin_id, version)
        if fitted.refused:
            violations = fitted.violations()
            field, text = violations[0]
            raise upgrade_checks.refused(
                plugin_id,
                version,
                "config",
                f"{version} does not take the configuration of a binding: {field}: {text}",
                violations=violations,
            )
        return fitted


def _takes(provider: fleet.Provider, version: str) -> bool:
    return any(not each.draining for each in provider.instances(version))


def _unchanged(seen: plugins.Plugin) -> Check:
    """Returns a check that nobody has changed the versions of a plugin meanwhile."""

    def check(conn: storage.Connection, plugin: plugins.Plugin) -> None:
        if (plugin.current_version, plugin.canary_version, plugin.previous_version) != (
            seen.current_version,
            seen.canary_version,
            seen.previous_version,
        ):
            raise plugin_refusals.stale_revision(plugin, seen.revision)

    return check

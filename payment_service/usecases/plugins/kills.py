"""Kill switches: an operator's order to send nothing of a kind.

Owns setting, clearing and listing them. Called by the API; routing obeys them through the
catalog. Never stops a look-up.
"""

from payment_service.db import plugins as rows
from payment_service.domain import plugins
from payment_service.usecases.plugins import plugin_changes, plugin_events
from servicekit import errors, storage

SWITCHES_MAX = 10_000


class Kills(plugin_changes.Changes):
    """The use cases of kill switches."""

    async def set(
        self, *, tenant_id: str, plugin_id: str, operation: str, why: plugin_events.Why
    ) -> plugins.KillSwitch:
        """Sets a switch; one that is set gets the new reason.

        Args:
            tenant_id: Whose operations, '' for everybody's.
            plugin_id: Of which plugin.
            operation: Lower-case name of the kind, '' for all.
            why: Who and why.

        Raises:
            errors.RpcError: PLUGIN_UNKNOWN, OVERLOADED.
        """

        def keep(
            conn: storage.Connection, ids: plugin_events.Ids, now_us: int
        ) -> plugins.KillSwitch:
            before = plugin_changes.locked(conn, plugin_id)
            if len(rows.kills(conn)) >= SWITCHES_MAX:
                text = f"{SWITCHES_MAX} kill switches are set; set a wider one instead"
                raise errors.overloaded(text, retry_after_s=60.0)
            switch = plugins.KillSwitch(
                tenant_id=tenant_id,
                plugin_id=plugin_id,
                operation=operation,
                actor=why.actor,
                reason=why.reason,
                set_us=now_us,
            )
            rows.kill(conn, switch)
            _note(conn, before, "plugin.kill_switch_set", why, ids, now_us)
            return switch

        return await self._change(keep)

    async def clear(
        self, *, tenant_id: str, plugin_id: str, operation: str, why: plugin_events.Why
    ) -> bool:
        """Clears exactly that switch; returns whether it was set.

        Raises:
            errors.RpcError: PLUGIN_UNKNOWN.
        """

        def keep(conn: storage.Connection, ids: plugin_events.Ids, now_us: int) -> bool:
            before = rows.load(conn, plugin_id, lock=True)
            cleared = rows.unkill(
                conn, tenant_id=tenant_id, plugin_id=plugin_id, operation=operation
            )
            if cleared and before is not None:
                _note(conn, before, "plugin.kill_switch_cleared", why, ids, now_us)
            return cleared

        return await self._change(keep)

    async def list(
        self, *, plugin_id: str, tenant_id: str, after: tuple[str, str, str], most: int
    ) -> list[plugins.KillSwitch]:
        """Returns at most *most* switches by plugin, tenant and operation, after *after*."""
        found = await self._ctx.db.read(rows.kills)
        return [
            each
            for each in found
            if (each.plugin_id, each.tenant_id, each.operation) > after
            and plugin_id in ("", each.plugin_id)
            and tenant_id in ("", each.tenant_id)
        ][:most]


def _note(
    conn: storage.Connection,
    plugin: plugins.Plugin,
    event_type: str,
    why: plugin_events.Why,
    ids: plugin_events.Ids,
    now_us: int,
) -> None:
    plugin_events.write(
        conn, plugin, plugin, event_type=event_type, why=why, event_id=ids(), now_us=now_us
    )

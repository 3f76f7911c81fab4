"""Looking at plugins: one, many, and what happened to them.

Owns reading them for operators, from the database, so that an answer is never older than
the question. Called by the API. Never changes anything.
"""

from collections.abc import Sequence, Set

from payment_service.db import plugins as rows
from payment_service.db import versions
from payment_service.domain import plugins
from payment_service.usecases import context
from payment_service.usecases.plugins import plugin_refusals
from servicekit import storage

State = plugins.PluginState
Seen = tuple[plugins.Version, plugins.Report | None]

VERSIONS_MAX = 100


class Lists:
    """The use cases of looking."""

    def __init__(self, ctx: context.Context) -> None:
        self._ctx = ctx

    async def get(self, plugin_id: str) -> tuple[plugins.Plugin, list[Seen]]:
        """Returns a plugin with the versions of it that were seen, the newest first.

        Raises:
            errors.RpcError: PLUGIN_UNKNOWN.
        """

        def look(conn: storage.Connection) -> tuple[plugins.Plugin | None, list[Seen]]:
            seen = sorted(
                versions.load_all(conn).get(plugin_id, ()),
                key=lambda each: (-each.first_seen_us, each.version),
            )
            return rows.load(conn, plugin_id), [
                (
                    each,
                    versions.load_report(conn, plugin_id, each.version, each.schema_digest),
                )
                for each in seen[:VERSIONS_MAX]
            ]

        plugin, seen = await self._ctx.db.read(look)
        if plugin is None:
            raise plugin_refusals.unknown(plugin_id, self._ctx.catalog.view.plugins)
        return plugin, seen

    async def listed(
        self,
        *,
        states: Set[State],
        enabled_only: bool,
        active_only: bool,
        after: str,
        most: int,
    ) -> list[plugins.Plugin]:
        """Returns at most *most* plugins by id, after the id *after*.

        Without *states* all but uninstalled ones; active is enabled and ready.
        """
        known = await self._ctx.db.read(rows.load_all)
        wanted = states or set(State) - {State.UNINSTALLED}
        found = [
            each
            for name, each in known.items()
            if name > after
            and each.state in wanted
            and (each.state is State.ENABLED or not (enabled_only or active_only))
            and (each.holds(plugins.Condition.READY) or not active_only)
        ]
        return found[:most]

    async def history(
        self, plugin_id: str, *, below: int, most: int
    ) -> Sequence[plugins.HistoryRow]:
        """Returns at most *most* changes with a revision under *below*, newest first.

        Raises:
            errors.RpcError: PLUGIN_UNKNOWN.
        """
        found = await self._ctx.db.read(
            lambda conn: rows.history(conn, plugin_id, below=below, most=most)
        )
        if not found and self._ctx.catalog.view.plugin(plugin_id) is None:
            raise plugin_refusals.unknown(plugin_id, self._ctx.catalog.view.plugins)
        return found

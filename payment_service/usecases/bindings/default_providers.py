"""Default providers: set, get, and the events that tell of them.

Owns writing a change of one, with its event, through which every one goes. Called by the API and
at start. A change that changes nothing tells nothing.
"""

from payhub.admin.v1 import binding_admin_service_pb2, default_provider_events_pb2

from payment_service.db import default_providers as rows
from payment_service.domain import model, routing
from payment_service.usecases import context, events
from payment_service.usecases.bindings import binding_refusals
from payment_service.usecases.plugins import plugin_events, plugin_refusals
from servicekit import logs, storage

_log = logs.get_logger(__name__)

ENTITY = "default_provider"
# The entity id of the installation's default, whose events are those of `system`; a tenant's
# default has the tenant's name for both, so none can be taken for it.
INSTALLATION = "installation"


class DefaultProviders:
    """The use cases of default providers."""

    def __init__(self, ctx: context.Context) -> None:
        self._ctx = ctx

    async def set(
        self, caller: context.Caller, tenant_id: str, plugin_id: str, reason: str
    ) -> None:
        """Sets which provider serves payments of a tenant that name none; '' for none.

        Raises:
            errors.RpcError: PLUGIN_UNKNOWN, BINDING_UNKNOWN.
        """
        view = await self._ctx.catalog.refresh()
        plugin = view.plugin(plugin_id) if plugin_id else None
        if plugin_id and (plugin is None or not plugin.entry.allowed):
            raise plugin_refusals.unknown(plugin_id, view.plugins)
        if plugin_id and tenant_id and view.binding(tenant_id, plugin_id) is None:
            raise binding_refusals.unknown(tenant_id, plugin_id, routing.usable(view, tenant_id))
        why, event_id = plugin_events.by(caller, reason), self._ctx.new_id("evt")
        now_us = self._ctx.clock.now_us()

        def change(conn: storage.Connection) -> bool:
            before = rows.lock(conn, tenant_id)
            return write(conn, before, plugin_id, why=why, event_id=event_id, now_us=now_us)

        changed = await self._ctx.db.write(change)
        self._ctx.outbox_written.set()
        await self._ctx.catalog.refresh()
        if changed:
            _log.info(
                "default provider set",
                tenant_id=tenant_id,
                plugin_id=plugin_id,
                actor=caller.actor,
                reason=reason,
            )

    def get(self, tenant_id: str) -> tuple[str, bool]:
        """Returns a tenant's default provider, '' for none, and whether it is inherited."""
        defaults = self._ctx.catalog.view.defaults
        own = defaults.get(tenant_id, "")
        return own or defaults.get("", ""), bool(tenant_id and not own)


def write(
    conn: storage.Connection,
    before: rows.Default,
    plugin_id: str,
    *,
    why: plugin_events.Why,
    event_id: str,
    now_us: int,
) -> bool:
    """Writes a change of a default that was locked, and its event; returns whether it is one."""
    if before.plugin_id == plugin_id:
        return False
    after = rows.Default(
        tenant_id=before.tenant_id, plugin_id=plugin_id, version=before.version + 1
    )
    rows.save(conn, after)
    payload = default_provider_events_pb2.DefaultProviderEvent(
        default_provider=_message(after), reason=why.reason
    )
    events.note_changes(
        ("plugin_id",),
        payload.default_provider,
        _message(before),
        payload.changed,
        payload.previous,
    )
    entity = events.Entity(
        ENTITY,
        after.tenant_id or INSTALLATION,
        after.version,
        after.tenant_id or plugin_events.TENANT,
        "",
        now_us,
    )
    cause = model.Cause(correlation_id=why.request_id, idempotency_key="", actor=why.actor)
    kind = "default_provider.set" if plugin_id else "default_provider.cleared"
    events.write(conn, kind, entity, payload, cause=cause, event_id=event_id)
    return True


def _message(default: rows.Default) -> binding_admin_service_pb2.DefaultProvider:
    return binding_admin_service_pb2.DefaultProvider(
        tenant_id=default.tenant_id, plugin_id=default.plugin_id
    )

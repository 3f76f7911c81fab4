"""An operator of a payment service in the test's own process.

Owns the administration side of the tests of this folder: plugins, their bindings, what
is told of them. Called by those tests. Reads events as they wait in the outbox.
"""

import contextlib
from collections.abc import AsyncIterator
from typing import Any

from payhub.admin.v1 import binding_admin_service_pb2, plugin_admin_service_pb2_grpc
from payhub.admin.v1 import plugin_admin_service_pb2 as pb
from payhub.plugin.v1 import plugin_events_pb2, plugin_pb2, plugin_service_pb2

from payment_service.db import plugins as rows
from payment_service.domain import plugins
from servicekit import storage
from tests import shells
from tests.integration.payment_service import inside, rig, sidecars

WHY = "a test wants it"
_OUTBOX = storage.Statement(
    "select envelope from outbox where entity_type = :kind and entity_id = :id order by id"
)


class Operator:
    """Administers the plugins of one service.

    Args:
        service: Which service.
    """

    def __init__(self, service: inside.InProcess) -> None:
        self.service = service
        self.caller = service.caller
        self._stub: Any = plugin_admin_service_pb2_grpc.PluginAdminServiceStub(
            service.caller.channel
        )

    async def call(self, name: str, plugin_id: str = "", **fields: Any) -> Any:
        """Calls an RPC of PluginAdminService with a reason where it takes one."""
        kind = getattr(pb, f"{name}Request")
        if "reason" in kind.DESCRIPTOR.fields_by_name:
            fields.setdefault("reason", WHY)
        if plugin_id:
            fields["plugin_id"] = plugin_id
        return await self.caller.call(getattr(self._stub, name), kind(**fields))

    def terminal(self) -> shells.Terminal:
        """Returns a terminal for `payctl plugins …`."""
        target, key = self.caller.target, self.caller.key
        return shells.Terminal("plugins", PAYHUB_TARGET=target, PAYHUB_KEY=key)

    async def allow(self, plugin_id: str, *, new: bool = False, **entry: Any) -> plugin_pb2.Plugin:
        """Puts a plugin on the allowlist."""
        allowance = plugin_pb2.PluginAllowance(
            plugin_id=plugin_id, kind=plugin_service_pb2.PLUGIN_KIND_PROVIDER, **entry
        )
        answer = await self.call("AllowPlugin", allowance=allowance, must_be_new=new)
        plugin: plugin_pb2.Plugin = answer.plugin
        return plugin

    async def bind(self, plugin_id: str, config_json: str = "{}", tenant: str = "*") -> Any:
        """Makes a binding."""
        request = binding_admin_service_pb2.CreateBindingRequest(
            tenant_id=tenant, plugin_id=plugin_id, config_json=config_json, reason=WHY
        )
        return await self.caller.call(self.caller.bindings.CreateBinding, request)

    async def plugin(self, plugin_id: str) -> plugin_pb2.Plugin:
        """Returns a plugin."""
        found: plugin_pb2.Plugin = (await self.call("GetPlugin", plugin_id)).plugin
        return found

    async def becomes(self, plugin_id: str, state: str) -> plugin_pb2.Plugin:
        """Returns a plugin once it is in a state."""

        async def there() -> plugin_pb2.Plugin | None:
            found = await self.plugin(plugin_id)
            return found if state_of(found) == state else None

        found: plugin_pb2.Plugin = await rig.until(there)
        return found

    async def registered(self, sidecar: sidecars.Sidecar, **entry: Any) -> None:
        """Allows a sidecar at its address and waits until it is registered."""
        plugin_id = sidecar.handshake.identity.plugin_id
        await self.allow(plugin_id, static_endpoint=sidecar.target, **entry)
        await self.becomes(plugin_id, "REGISTERED")

    async def initialized(self, sidecar: sidecars.Sidecar, **entry: Any) -> None:
        """Allows, binds and initializes a sidecar."""
        plugin_id = sidecar.handshake.identity.plugin_id
        await self.registered(sidecar, **entry)
        await self.bind(plugin_id)
        await inside.connected(self.service, plugin_id)
        await self.call("InitializePlugin", plugin_id)

    async def history(self, plugin_id: str) -> list[Any]:
        """Returns what happened to a plugin, oldest first."""
        page = await self.call("ListPluginHistory", plugin_id, page_size=200)
        return list(reversed(page.entries))

    async def story(self, plugin_id: str, *, but: str = "plugin.health_changed") -> list[str]:
        """Returns the types of a plugin's events, checked against its history and row.

        Args:
            plugin_id: Which plugin.
            but: A type that is left out, because it comes when it comes.
        """
        history = await self.history(plugin_id)
        envelopes = await self.service.parts.ctx.db.read(
            lambda conn: conn.all(_OUTBOX, {"kind": "plugin", "id": plugin_id})
        )
        told = [events_of(bytes(row[0])) for row in envelopes]
        versions = list(range(1, len(told) + 1))
        assert [event.entity_version for event, _ in told] == versions, "dense from 1"
        # Changes made meanwhile are in one of the two lists only.
        for entry, (event, payload) in zip(history, told, strict=False):
            assert (entry.event_type, entry.revision) == (event.type, event.entity_version)
            assert (entry.actor, entry.reason) == (event.cause.actor, payload.reason)
            assert (event.tenant_id, event.source) == ("system", "payments")
            assert payload.plugin.revision == event.entity_version
        return [event.type for event, _ in told if event.type != but]

    async def row(self, plugin_id: str) -> plugins.Plugin:
        """Returns a plugin as it is stored."""
        found = await self.service.parts.ctx.db.read(lambda conn: rows.load(conn, plugin_id))
        assert found is not None
        return found


def events_of(envelope: bytes) -> tuple[Any, plugin_events_pb2.PluginEvent]:
    """Returns an event and its payload."""
    from payhub.events.v1 import event_pb2

    event = event_pb2.Event.FromString(envelope)
    return event, plugin_events_pb2.PluginEvent.FromString(event.data)


def state_of(plugin: plugin_pb2.Plugin) -> str:
    """Returns the name of a plugin's state."""
    return str(plugin_pb2.Plugin.State.Name(plugin.state)).removeprefix("STATE_")


@contextlib.asynccontextmanager
async def operating(database_url: str, **providers: sidecars.Sidecar) -> AsyncIterator[Operator]:
    """Runs a service whose environment names *providers*, and returns who administers it."""
    first = next(iter(providers.values()), None)
    if first is None:
        async with (
            sidecars.Sidecar("mock") as mock,
            inside.running(database_url, mock.target) as service,
        ):
            yield Operator(service)
        return
    targets = {name: each.target for name, each in providers.items()}
    async with inside.running(database_url, first.target, providers=targets) as service:
        yield Operator(service)

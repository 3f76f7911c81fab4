"""Plugins that register themselves, as far as core hears of it.

Owns the plugin's side of RegistryService. Called by the tests of this folder; what serves
at the endpoint is a sidecar of the test.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

from payhub.admin.v1 import key_service_pb2
from payhub.plugin.v1 import plugin_service_pb2
from payhub.registry.v1 import registry_service_pb2 as pb
from payhub.registry.v1 import registry_service_pb2_grpc

from tests.integration.payment_service import inside, operator, rig, sidecars

RENEW_S = 0.2
ANYWHERE = r"127\.0\.0\.1:[0-9]+"


class Registrant:
    """Somebody with a key that registers instances.

    Args:
        caller: Connected with that key.
    """

    def __init__(self, caller: rig.Caller) -> None:
        self.caller = caller
        self._stub: Any = registry_service_pb2_grpc.RegistryServiceStub(caller.channel)

    async def register(
        self, sidecar: sidecars.Sidecar, endpoint: str = "", **claims: str
    ) -> pb.RegisterInstanceResponse:
        """Registers a sidecar; *claims* are fields of the identity that are told otherwise."""
        identity = plugin_service_pb2.PluginIdentity()
        identity.CopyFrom(sidecar.handshake.identity)
        for name, value in claims.items():
            setattr(identity, name, value)
        request = pb.RegisterInstanceRequest(identity=identity, endpoint=endpoint or sidecar.target)
        answer: pb.RegisterInstanceResponse = await self.caller.call(
            self._stub.RegisterInstance, request
        )
        return answer

    async def renew(self, session_id: str) -> pb.RenewLeaseResponse:
        """Extends a lease."""
        answer: pb.RenewLeaseResponse = await self.caller.call(
            self._stub.RenewLease, pb.RenewLeaseRequest(session_id=session_id)
        )
        return answer

    async def leave(self, session_id: str) -> None:
        """Closes a lease."""
        request = pb.DeregisterInstanceRequest(session_id=session_id)
        await self.caller.call(self._stub.DeregisterInstance, request)

    @contextlib.asynccontextmanager
    async def keeping(self, sidecar: sidecars.Sidecar) -> AsyncIterator[str]:
        """Registers a sidecar and renews its lease; yields the session. Says no good-bye."""
        session_id = (await self.register(sidecar)).session_id

        async def renew() -> None:
            while True:
                await asyncio.sleep(RENEW_S)
                await self.renew(session_id)

        renewing = asyncio.create_task(renew())
        try:
            yield session_id
        finally:
            renewing.cancel()
            with contextlib.suppress(asyncio.CancelledError, rig.Refused):
                await renewing


@contextlib.asynccontextmanager
async def registering(
    service: inside.InProcess, plugin_id: str = "", scopes: tuple[str, ...] = ("plugins:register",)
) -> AsyncIterator[Registrant]:
    """Makes a key, for one plugin if it is named, and yields who has it."""
    request = key_service_pb2.CreateKeyRequest(
        tenant_id="system", scopes=scopes, name="plugin", plugin_id=plugin_id
    )
    made = await service.caller.call(service.caller.keys.CreateKey, request)
    async with rig.Caller(service.caller.target, made.secret, "system") as caller:
        yield Registrant(caller)


@contextlib.asynccontextmanager
async def plugged(
    database_url: str, **changes: Any
) -> AsyncIterator[tuple[operator.Operator, Registrant]]:
    """Runs a service that knows no plugin, with an operator and a registrant of any plugin."""
    quick: dict[str, Any] = {"providers": {}, "plugin_probe_s": 0.2}
    async with (
        inside.running(database_url, "", **(quick | changes)) as service,
        registering(service) as registrant,
    ):
        yield operator.Operator(service), registrant


async def enable(
    admin: operator.Operator, registrant: Registrant, sidecar: sidecars.Sidecar, **entry: Any
) -> str:
    """Allows, registers, binds, initializes and enables; returns the session."""
    plugin_id = sidecar.handshake.identity.plugin_id
    await admin.allow(plugin_id, **({"endpoint_pattern": ANYWHERE} | entry))
    session_id = (await registrant.register(sidecar)).session_id
    await admin.bind(plugin_id)

    async def initialized() -> bool:
        try:
            await admin.call("InitializePlugin", plugin_id)
        except rig.Refused as refused:
            # A process of its own may be slower than the service is patient.
            if "no instance answers" not in str(refused):
                raise
            return False
        return True

    await rig.until(initialized)
    await admin.call("EnablePlugin", plugin_id)
    return session_id

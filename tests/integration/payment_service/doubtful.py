"""A provider that can't tell what became of an operation, and a service whose clock moves on.

Owns both, and how a doubt is made and looked at. Called by the tests of what is sent again. Never
decides what is sent to whom.
"""

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import grpc
from google.protobuf import duration_pb2
from payhub.plugin.v1 import capability_pb2
from payhub.provider.v1 import payment_provider_service_pb2 as pps

from provider_sdk import errors as plugin_errors
from servicekit import storage
from tests.integration.payment_service import operator, paying, registrant, rig, sidecars

OLD, NEW = "1.0.0", "1.1.0"
LOOKS = 5
_VERSION = storage.Statement("select plugin_version from operations where entity_id = :id")


class Unsure(sidecars.Sidecar):
    """A provider that remembers operations and can't look them up, or the other way round.

    Args:
        version: In which version.
        remembers_s: For how long it takes a repeat for the same operation, seconds.
        finds: Whether it looks operations up, and has none.
    """

    def __init__(self, version: str, *, remembers_s: int = 86400, finds: bool = False) -> None:
        super().__init__("other", version)
        if remembers_s:
            idempotent = capability_pb2.CAPABILITY_UPSTREAM_IDEMPOTENCY
            self.handshake.capabilities.add(capability=idempotent, enabled=True)
            retention = duration_pb2.Duration(seconds=remembers_s)
            self.handshake.upstream_idempotency_retention.CopyFrom(retention)
        if finds:
            lookup = capability_pb2.CAPABILITY_OPERATION_LOOKUP
            self.handshake.capabilities.add(capability=lookup, enabled=True)
        self.finds = finds
        # How many calls break off before they are answered.
        self.silent = 0
        # Refuses what it is called for, with nothing done.
        self.problem: plugin_errors.ProviderError | None = None
        self.refused = 0
        self.looked_up: list[str] = []
        # What was stored of the operations that came, as they came.
        self.stored: list[str] = []
        self.desk: Desk | None = None

    async def AuthorizePayment(
        self, request: pps.AuthorizePaymentRequest, context: Any
    ) -> pps.AuthorizePaymentResponse:
        """Takes the money, unless it is to be silent or to refuse."""
        if self.problem is not None:
            self.refused += 1
            await sidecars.fail(context, plugin_errors.to_rpc(self.problem, domain="other"))
        if self.desk is not None:
            self.stored.append(await self.desk.version(request.payment_id))
        if self.silent:
            self.silent -= 1
            self.charged.append(request.context.operation_id)
            await context.abort(grpc.StatusCode.UNAVAILABLE, "broken")
        return await super().AuthorizePayment(request, context)

    async def GetOperation(
        self, request: pps.GetOperationRequest, context: Any
    ) -> pps.GetOperationResponse:
        """Can't tell, or has none."""
        self.looked_up.append(request.operation_id)
        problem: plugin_errors.ProviderError = plugin_errors.LookupInconclusive("lists lag here")
        if self.finds:
            problem = plugin_errors.NotFound("there is none")
        await sidecars.fail(context, plugin_errors.to_rpc(problem, domain="other"))


class Desk:
    """A service whose provider runs in its old version, and its clock.

    Args:
        admin: Who administers.
        plug: Who registers.
        clock: Of the service.
    """

    def __init__(
        self, admin: operator.Operator, plug: registrant.Registrant, clock: paying.Clock
    ) -> None:
        self.admin = admin
        self.plug = plug
        self.clock = clock
        self.db = admin.service.parts.ctx.db

    async def version(self, payment_id: str) -> str:
        """Returns which version had the operation of a payment, as it is stored."""
        (row,) = await self.db.read(lambda conn: conn.all(_VERSION, {"id": payment_id}))
        return str(row[0])

    async def create(self) -> rig.Payment:
        """Makes a payment."""
        return await self.admin.caller.create(provider="other")

    async def doubt(self, sidecar: Unsure) -> rig.Payment:
        """Makes a payment of which a sidecar does not say what became of it."""
        sidecar.silent = 1
        payment = await self.create()
        assert rig.state(payment) == "IN_DOUBT"
        assert sidecar.charged == [payment.operations[0].id]
        return payment

    async def deploy(self, sidecar: Unsure) -> str:
        """Registers another instance and returns its session once it takes operations."""
        session_id = (await self.plug.register(sidecar)).session_id
        await self.ready(sidecar)
        return session_id

    async def ready(self, sidecar: Unsure, *, is_ready: bool = True) -> None:
        """Waits until the service sees an instance as it is."""
        wanted = sidecar.handshake.identity.instance_id

        async def seen() -> bool:
            told = await self.admin.call("GetPluginHealth", "other")
            states = [each.ready for each in told.instances if each.instance_id == wanted]
            return (states or [False]) == [is_ready]

        await rig.until(seen)

    async def upgrade(self, version: str = NEW, *, promote: bool) -> None:
        """Has a version take everything new, on trial or for good."""
        await self.admin.call("StartUpgrade", "other", version=version, percent=100)
        if promote:
            await self.admin.call("PromoteUpgrade", "other")

    async def looked_at(self, payment: rig.Payment) -> None:
        """Waits until a doubt was looked at LOOKS more times, and is one still."""
        before = (await self.admin.caller.get(payment.id)).operations[0].attempts

        async def looked() -> bool:
            found = await self.admin.caller.get(payment.id)
            assert rig.state(found) == "IN_DOUBT"
            return found.operations[0].attempts >= before + LOOKS

        await rig.until(looked)

    async def paid(self, payment: rig.Payment) -> None:
        """Waits until a payment has succeeded."""
        await self.admin.caller.becomes(payment.id, "SUCCEEDED")


@contextlib.asynccontextmanager
async def two(desk: Desk) -> AsyncIterator[tuple[Unsure, Unsure]]:
    """Runs the provider in both versions; the old one takes what is new."""
    async with Unsure(OLD) as old, Unsure(NEW) as new:
        await registrant.enable(desk.admin, desk.plug, old)
        await desk.ready(old)
        await desk.deploy(new)
        yield old, new

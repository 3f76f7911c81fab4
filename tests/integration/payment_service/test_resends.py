"""Which version of a provider a doubt is sent to again, and asked about."""

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
import pytest_asyncio
from google.protobuf import duration_pb2
from payhub.payments.v1 import payment_pb2
from payhub.plugin.v1 import capability_pb2
from payhub.provider.v1 import payment_provider_service_pb2 as pps

from payment_service.provider_client import roster
from payment_service.usecases import resending
from provider_sdk import errors as plugin_errors
from servicekit import storage
from tests.integration.payment_service import operator, paying, registrant, rig, sidecars

OLD, NEW, NEWER = "1.0.0", "1.1.0", "1.2.0"
# Nobody renews the leases of these tests.
LEASE_S = 600.0
# A doubt is sent again after this; clocks are moved on.
TIMEOUT_S = 20.0
FENCED_S = TIMEOUT_S + 1.0
SALE = payment_pb2.Operation.KIND_SALE
LOOKS = 5
_VERSION = storage.Statement("select plugin_version from operations where entity_id = :id")
_FORGET = storage.Statement("update operations set plugin_version = '' where entity_id = :id")

_EMPTY = storage.Statement("update operations set request = :none where entity_id = :id")


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


@pytest_asyncio.fixture
async def desk(database_url: str) -> AsyncIterator[Desk]:
    """A service that knows no provider."""
    clock = paying.Clock()
    async with registrant.plugged(
        database_url, clock=clock, plugin_lease_s=LEASE_S, provider_timeout_s=TIMEOUT_S
    ) as (admin, plug):
        yield Desk(admin, plug, clock)


@contextlib.asynccontextmanager
async def two(desk: Desk) -> AsyncIterator[tuple[Unsure, Unsure]]:
    """Runs the provider in both versions; the old one takes what is new."""
    async with Unsure(OLD) as old, Unsure(NEW) as new:
        await registrant.enable(desk.admin, desk.plug, old)
        await desk.ready(old)
        await desk.deploy(new)
        yield old, new


async def test_a_version_that_was_promoted_over_gets_its_own_doubts(desk: Desk) -> None:
    """It stands by, and what it had is sent to it again; all else goes to the new one."""
    async with two(desk) as (old, new):
        doubt = await desk.doubt(old)
        await desk.upgrade(promote=True)
        desk.clock.advance(FENCED_S)
        await desk.paid(doubt)
        assert old.charged == doubt.operations[0].id.split() * 2
        paid = await desk.create()
        assert new.charged == [paid.operations[0].id]
        assert await desk.version(doubt.id) == OLD
        assert await desk.version(paid.id) == NEW


async def test_a_version_that_was_rolled_back_gets_its_own_doubts(desk: Desk) -> None:
    """It is asked about them while it is on trial; from then on the one that stays is."""
    async with two(desk) as (old, new):
        await desk.upgrade(promote=False)
        doubt = await desk.doubt(new)
        await desk.looked_at(doubt)
        assert set(new.looked_up) == {doubt.operations[0].id}
        assert not old.looked_up
        await desk.admin.call("RollBackUpgrade", "other", version=NEW)
        desk.clock.advance(FENCED_S)
        await desk.paid(doubt)
        assert new.charged == doubt.operations[0].id.split() * 2
        assert not old.charged
        assert old.looked_up


async def test_a_version_that_is_away_is_waited_for(desk: Desk) -> None:
    """What crashed may come back, and then it gets its doubts."""
    async with two(desk) as (old, new):
        doubt = await desk.doubt(old)
        await desk.upgrade(promote=True)
        await old.stop()
        await desk.ready(old, is_ready=False)
        desk.clock.advance(FENCED_S)
        await desk.looked_at(doubt)
        assert not new.charged
        await old.start(int(old.target.rpartition(":")[2]))
        await desk.paid(doubt)
        assert old.charged == doubt.operations[0].id.split() * 2
        assert not new.charged


@pytest.mark.parametrize("remembers_s", [86400, 160])
async def test_a_version_that_does_not_come_back_leaves_its_doubts(
    desk: Desk, remembers_s: int
) -> None:
    """Its successor ends them, rather than a person: the contract has it derive the same keys.
    Before the provider forgets them, too.
    """
    async with Unsure(OLD, remembers_s=remembers_s) as old, Unsure(NEW) as new:
        await registrant.enable(desk.admin, desk.plug, old)
        await desk.ready(old)
        await desk.deploy(new)
        doubt = await desk.doubt(old)
        await desk.upgrade(promote=True)
        await old.stop()
        await desk.ready(old, is_ready=False)
        desk.clock.advance(min(resending.RETURN_S, roster.SHARE * remembers_s / 2))
        await desk.paid(doubt)
        assert new.charged == [doubt.operations[0].id]
        assert await desk.version(doubt.id) == OLD


@pytest.mark.parametrize("how", ["quarantined", "rolled back and left", "drained"])
async def test_a_version_that_is_out_of_use_is_not_waited_for(desk: Desk, how: str) -> None:
    """Quarantine, a good-bye and a drain say that it gets nothing any more."""
    async with Unsure(OLD) as old, Unsure(NEW) as new:
        await registrant.enable(desk.admin, desk.plug, old)
        session_id = await desk.deploy(new)
        await desk.upgrade(promote=False)
        doubt = await desk.doubt(new)
        if how == "quarantined":
            await desk.admin.call("QuarantineVersion", "other", version=NEW)
        else:
            await desk.admin.call("RollBackUpgrade", "other", version=NEW)
        if how == "rolled back and left":
            await desk.plug.leave(session_id)
        if how == "drained":
            new.draining = True
            await desk.ready(new, is_ready=False)
        desk.clock.advance(FENCED_S)
        await desk.paid(doubt)
        assert old.charged == new.charged == [doubt.operations[0].id]


async def test_a_process_that_was_replaced_in_place_leaves_its_doubts_at_once(desk: Desk) -> None:
    """At a static endpoint the successor takes over as soon as it is there."""
    async with Unsure(OLD) as old:
        await desk.admin.initialized(old)
        await desk.admin.call("EnablePlugin", "other")
        doubt = await desk.doubt(old)
        await old.stop()
        new = Unsure(NEW)
        await new.start(int(old.target.rpartition(":")[2]))
        try:
            await desk.ready(new)
            desk.clock.advance(FENCED_S)
            await desk.paid(doubt)
            assert new.charged == [doubt.operations[0].id]
        finally:
            await new.stop()


async def test_what_nobody_knows_the_version_of_goes_where_new_operations_go(desk: Desk) -> None:
    """As what was made before, or by a replica of an older version."""
    async with two(desk) as (old, new):
        doubt = await desk.doubt(old)
        await desk.db.write(lambda conn: conn.run(_FORGET, {"id": doubt.id}))
        await desk.upgrade(promote=True)
        desk.clock.advance(FENCED_S)
        await desk.paid(doubt)
        assert new.charged == [doubt.operations[0].id]


async def test_who_gets_an_operation_is_stored_before_it_is_sent(desk: Desk) -> None:
    """With the intent; and once more where another version takes it than was meant to."""
    async with two(desk) as (old, new):
        old.desk = new.desk = desk
        assert rig.state(await desk.create()) == "SUCCEEDED"
        assert old.stored == [OLD]
        # It has stopped taking anything, and core has not seen it yet.
        old.problem = plugin_errors.Draining("stopping")
        doubt = await desk.doubt(new)
        assert (old.stored, new.stored) == ([OLD], [NEW])
        old.problem = None
        desk.clock.advance(FENCED_S)
        await desk.paid(doubt)
        assert new.charged == doubt.operations[0].id.split() * 2


async def test_what_can_not_be_stored_is_not_sent(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A doubt of which nobody knows who had it could be sent to another one."""
    takers = desk.admin.service.parts.plugins.takers

    async def fails(*_: Any) -> bool:
        raise storage.StorageUnavailable("gone")

    async def moved_on(*_: Any) -> bool:
        return False

    async with two(desk) as (old, new):
        old.problem = plugin_errors.Draining("stopping")
        for broken in (fails, moved_on):
            monkeypatch.setattr(takers, "note", broken)
            await desk.ready(old)
            failed = await desk.create()
            assert (rig.state(failed), failed.failure.reason) == ("FAILED", "NOT_STORED")
        assert not new.charged


@pytest.mark.parametrize("how", ["disabled", "killed"])
async def test_what_an_operator_has_stopped_is_not_sent_again(desk: Desk, how: str) -> None:
    """A repeat may charge a payer like a first attempt; look-ups go on, and so does it later."""
    async with Unsure(OLD) as old:
        await registrant.enable(desk.admin, desk.plug, old)
        await desk.ready(old)
        doubt = await desk.doubt(old)
        if how == "disabled":
            await desk.admin.call("DisablePlugin", "other")
        else:
            await desk.admin.call("SetKillSwitch", "other", operation=SALE)
        desk.clock.advance(FENCED_S)
        await desk.looked_at(doubt)
        assert old.charged == [doubt.operations[0].id]
        if how == "disabled":
            await desk.admin.call("EnablePlugin", "other")
        else:
            await desk.admin.call("ClearKillSwitch", "other", operation=SALE)
        await desk.paid(doubt)
        assert old.charged == doubt.operations[0].id.split() * 2


async def test_a_refused_repeat_says_nothing_of_the_first_attempt(desk: Desk) -> None:
    """That a repeat had no effect leaves the doubt, which the next one ends."""
    async with Unsure(OLD) as old:
        await registrant.enable(desk.admin, desk.plug, old)
        await desk.ready(old)
        doubt = await desk.doubt(old)
        old.problem = plugin_errors.StateConflict("not as it stands")
        desk.clock.advance(FENCED_S)
        await desk.looked_at(doubt)
        assert old.refused
        old.problem = None
        desk.clock.advance(FENCED_S)
        await desk.paid(doubt)
        assert old.charged == doubt.operations[0].id.split() * 2


@pytest.mark.parametrize("how", ["canceled", "looked up", "recovered"])
async def test_what_nobody_wants_or_may_repeat_is_not_sent_again(desk: Desk, how: str) -> None:
    """A payment that is to be canceled, one that its provider looks up, and one of which nobody
    knows what was sent.
    """
    async with Unsure(OLD, finds=how == "looked up") as old:
        # Also where look-ups are declared they may fail to tell.
        old.finds = False
        void = capability_pb2.CAPABILITY_VOID
        old.handshake.capabilities.add(capability=void, enabled=True)
        await registrant.enable(desk.admin, desk.plug, old)
        await desk.ready(old)
        doubt = await desk.doubt(old)
        if how == "canceled":
            assert (await desk.admin.caller.cancel(doubt.id)).cancel_requested
        if how == "recovered":
            await desk.db.write(lambda conn: conn.run(_EMPTY, {"id": doubt.id, "none": b""}))
        desk.clock.advance(FENCED_S)
        await desk.looked_at(doubt)
        assert old.charged == [doubt.operations[0].id]


async def test_what_a_version_could_not_look_up_its_successor_does_not_rule_out(
    desk: Desk,
) -> None:
    """It left nothing to find it by: that the new one finds nothing proves nothing. So what it
    had is sent again, as before.
    """
    async with Unsure(OLD) as old, Unsure(NEW, finds=True) as new:
        await registrant.enable(desk.admin, desk.plug, old)
        await desk.ready(old)
        await desk.deploy(new)
        doubt = await desk.doubt(old)
        await desk.upgrade(promote=True)
        desk.clock.advance(FENCED_S)
        await desk.paid(doubt)
        assert new.looked_up
        assert old.charged == doubt.operations[0].id.split() * 2


@pytest.mark.parametrize("remembers_s", [0, 60])
async def test_what_a_version_does_not_remember_is_not_sent_again(
    desk: Desk, remembers_s: int
) -> None:
    """However long its successor remembers: it was sent as the version before sends."""
    async with Unsure(OLD, remembers_s=remembers_s) as old, Unsure(NEW) as new:
        await registrant.enable(desk.admin, desk.plug, old)
        await desk.ready(old)
        await desk.deploy(new)
        doubt = await desk.doubt(old)
        await desk.upgrade(promote=True)
        desk.clock.advance(60)
        await desk.looked_at(doubt)
        await old.stop()
        await desk.ready(old, is_ready=False)
        desk.clock.advance(resending.RETURN_S)
        await desk.looked_at(doubt)
        assert old.charged == [doubt.operations[0].id]
        assert not new.charged


async def test_who_remembers_nothing_gets_nothing_again(desk: Desk) -> None:
    """The version before an upgrade takes over from one that died, but not what that had: it
    would do it once more.
    """
    async with Unsure(OLD, remembers_s=0) as old, Unsure(NEW) as new:
        await registrant.enable(desk.admin, desk.plug, old)
        await desk.ready(old)
        await desk.deploy(new)
        await desk.upgrade(promote=True)
        doubt = await desk.doubt(new)
        await new.stop()
        await desk.ready(new, is_ready=False)
        desk.clock.advance(resending.RETURN_S)
        await desk.looked_at(doubt)
        assert not old.charged

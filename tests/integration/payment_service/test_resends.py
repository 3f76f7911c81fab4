"""Which version of a provider a doubt is sent to again, and asked about."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from payhub.payments.v1 import payment_pb2
from payhub.plugin.v1 import capability_pb2

from payment_service.provider_client import roster
from payment_service.usecases import resending
from provider_sdk import errors as plugin_errors
from servicekit import storage
from tests.integration.payment_service import doubtful, paying, registrant, rig

OLD, NEW, NEWER = doubtful.OLD, doubtful.NEW, "1.2.0"
# Nobody renews the leases of these tests.
LEASE_S = 600.0
# A doubt is sent again after this; clocks are moved on.
TIMEOUT_S = 20.0
FENCED_S = TIMEOUT_S + 1.0
SALE = payment_pb2.Operation.KIND_SALE
_FORGET = storage.Statement("update operations set plugin_version = '' where entity_id = :id")
_EMPTY = storage.Statement("update operations set request = :none where entity_id = :id")


@pytest_asyncio.fixture
async def desk(database_url: str) -> AsyncIterator[doubtful.Desk]:
    """A service that knows no provider."""
    clock = paying.Clock()
    async with registrant.plugged(
        database_url, clock=clock, plugin_lease_s=LEASE_S, provider_timeout_s=TIMEOUT_S
    ) as (admin, plug):
        yield doubtful.Desk(admin, plug, clock)


async def test_a_version_that_was_promoted_over_gets_its_own_doubts(desk: doubtful.Desk) -> None:
    """It stands by, and what it had is sent to it again; all else goes to the new one."""
    async with doubtful.two(desk) as (old, new):
        doubt = await desk.doubt(old)
        await desk.upgrade(promote=True)
        desk.clock.advance(FENCED_S)
        await desk.paid(doubt)
        assert old.charged == doubt.operations[0].id.split() * 2
        paid = await desk.create()
        assert new.charged == [paid.operations[0].id]
        assert await desk.version(doubt.id) == OLD
        assert await desk.version(paid.id) == NEW


async def test_a_version_that_was_rolled_back_gets_its_own_doubts(desk: doubtful.Desk) -> None:
    """It is asked about them while it is on trial; from then on the one that stays is."""
    async with doubtful.two(desk) as (old, new):
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


async def test_a_version_that_is_away_is_waited_for(desk: doubtful.Desk) -> None:
    """What crashed may come back, and then it gets its doubts."""
    async with doubtful.two(desk) as (old, new):
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
    desk: doubtful.Desk, remembers_s: int
) -> None:
    """Its successor ends them, rather than a person: the contract has it derive the same keys.
    Before the provider forgets them, too.
    """
    async with doubtful.Unsure(OLD, remembers_s=remembers_s) as old, doubtful.Unsure(NEW) as new:
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
async def test_a_version_that_is_out_of_use_is_not_waited_for(
    desk: doubtful.Desk, how: str
) -> None:
    """Quarantine, a good-bye and a drain say that it gets nothing any more."""
    async with doubtful.Unsure(OLD) as old, doubtful.Unsure(NEW) as new:
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


async def test_a_process_that_was_replaced_in_place_leaves_its_doubts_at_once(
    desk: doubtful.Desk,
) -> None:
    """At a static endpoint the successor takes over as soon as it is there."""
    async with doubtful.Unsure(OLD) as old:
        await desk.admin.initialized(old)
        await desk.admin.call("EnablePlugin", "other")
        doubt = await desk.doubt(old)
        await old.stop()
        new = doubtful.Unsure(NEW)
        await new.start(int(old.target.rpartition(":")[2]))
        try:
            await desk.ready(new)
            desk.clock.advance(FENCED_S)
            await desk.paid(doubt)
            assert new.charged == [doubt.operations[0].id]
        finally:
            await new.stop()


async def test_what_nobody_knows_the_version_of_goes_where_new_operations_go(
    desk: doubtful.Desk,
) -> None:
    """As what was made before, or by a replica of an older version."""
    async with doubtful.two(desk) as (old, new):
        doubt = await desk.doubt(old)
        await desk.db.write(lambda conn: conn.run(_FORGET, {"id": doubt.id}))
        await desk.upgrade(promote=True)
        desk.clock.advance(FENCED_S)
        await desk.paid(doubt)
        assert new.charged == [doubt.operations[0].id]


async def test_who_gets_an_operation_is_stored_before_it_is_sent(desk: doubtful.Desk) -> None:
    """With the intent; and once more where another version takes it than was meant to."""
    async with doubtful.two(desk) as (old, new):
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
    desk: doubtful.Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A doubt of which nobody knows who had it could be sent to another one."""
    takers = desk.admin.service.parts.plugins.takers

    async def fails(*_: Any) -> bool:
        raise storage.StorageUnavailable("gone")

    async def moved_on(*_: Any) -> bool:
        return False

    async with doubtful.two(desk) as (old, new):
        old.problem = plugin_errors.Draining("stopping")
        for broken in (fails, moved_on):
            monkeypatch.setattr(takers, "note", broken)
            await desk.ready(old)
            failed = await desk.create()
            assert (rig.state(failed), failed.failure.reason) == ("FAILED", "NOT_STORED")
        assert not new.charged


@pytest.mark.parametrize("how", ["disabled", "killed"])
async def test_what_an_operator_has_stopped_is_not_sent_again(
    desk: doubtful.Desk, how: str
) -> None:
    """A repeat may charge a payer like a first attempt; look-ups go on, and so does it later."""
    async with doubtful.Unsure(OLD) as old:
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


async def test_a_refused_repeat_says_nothing_of_the_first_attempt(desk: doubtful.Desk) -> None:
    """That a repeat had no effect leaves the doubt, which the next one ends."""
    async with doubtful.Unsure(OLD) as old:
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
async def test_what_nobody_wants_or_may_repeat_is_not_sent_again(
    desk: doubtful.Desk, how: str
) -> None:
    """A payment that is to be canceled, one that its provider looks up, and one of which nobody
    knows what was sent.
    """
    async with doubtful.Unsure(OLD, finds=how == "looked up") as old:
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
    desk: doubtful.Desk,
) -> None:
    """It left nothing to find it by: that the new one finds nothing proves nothing. So what it
    had is sent again, as before.
    """
    async with doubtful.Unsure(OLD) as old, doubtful.Unsure(NEW, finds=True) as new:
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
    desk: doubtful.Desk, remembers_s: int
) -> None:
    """However long its successor remembers: it was sent as the version before sends."""
    async with doubtful.Unsure(OLD, remembers_s=remembers_s) as old, doubtful.Unsure(NEW) as new:
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


async def test_who_remembers_nothing_gets_nothing_again(desk: doubtful.Desk) -> None:
    """The version before an upgrade takes over from one that died, but not what that had: it
    would do it once more.
    """
    async with doubtful.Unsure(OLD, remembers_s=0) as old, doubtful.Unsure(NEW) as new:
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

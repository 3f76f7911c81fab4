"""Who is let in, what a lease is worth, and how it ends."""

import asyncio
import uuid
from collections.abc import Callable
from typing import Any

import grpc
import pytest
from payhub.registry.v1 import registry_service_pb2 as registry_pb

from payment_service.domain import plugins
from servicekit import encryption_keys, storage
from tests.integration.payment_service import inside, operator, registrant, rig, sidecars

Sidecar = sidecars.Sidecar
ANYWHERE = registrant.ANYWHERE


async def rows(admin: operator.Operator) -> list[plugins.Instance]:
    """Returns the instances that the catalog holds."""
    view = await admin.service.parts.ctx.catalog.refresh()
    return [each for found in view.instances.values() for each in found]


async def run_out(admin: operator.Operator) -> None:
    """Ends every lease; to wait for it would be to hope that nothing comes in between."""
    await admin.service.parts.ctx.db.write(
        lambda conn: conn.run(storage.Statement("update plugin_instances set lease_until_us = 1"))
    )


async def test_a_plugin_that_is_not_allowed_is_seen_and_not_dialled(database_url: str) -> None:
    """It becomes known to operators, gets no lease, and may come once it is allowed."""
    async with Sidecar("stranger") as stranger, registrant.plugged(database_url) as (admin, plug):
        refused = await rig.refusal(plug.register(stranger))
        assert (refused.code, refused.reason) == (grpc.StatusCode.NOT_FOUND, "PLUGIN_UNKNOWN")
        assert stranger.asked == []
        assert operator.state_of(await admin.plugin("stranger")) == "DISCOVERED"
        assert await rows(admin) == []

        await admin.allow("stranger", endpoint_pattern=ANYWHERE)
        await plug.register(stranger)
        assert operator.state_of(await admin.plugin("stranger")) == "REGISTERED"


async def test_a_repeat_gets_the_same_session(database_url: str) -> None:
    """The lease is renewed: 15 s, to be renewed every 5."""
    async with Sidecar("other") as other, registrant.plugged(database_url) as (admin, plug):
        await admin.allow("other", endpoint_pattern=ANYWHERE)
        first, second = await plug.register(other), await plug.register(other)
        assert first == second
        assert first.lease_duration.seconds == 15
        assert first.renew_interval.seconds == 5
        (row,) = await rows(admin)
        assert (row.session_id, row.endpoint, row.alive) == (first.session_id, other.target, True)
        assert (await plug.renew(first.session_id)).directive == registry_pb.DIRECTIVE_CONTINUE


async def test_an_endpoint_outside_its_pattern_is_not_dialled(database_url: str) -> None:
    """Core sends nothing to an address that a plugin made up."""
    async with Sidecar("other") as other, registrant.plugged(database_url) as (admin, plug):
        for pattern in (r"10\.0\.0\.[0-9]+:50061", ""):
            static: dict[str, Any] = {} if pattern else {"static_endpoint": "127.0.0.1:1"}
            await admin.allow("other", endpoint_pattern=pattern, **static)
            refused = await rig.refusal(plug.register(other))
            assert refused.code is grpc.StatusCode.PERMISSION_DENIED
            assert refused.reason == "ENDPOINT_NOT_ALLOWED"
            assert refused.metadata["endpoint"] == other.target
            assert refused.metadata["allowed"] == pattern
        assert other.asked == []


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("plugin_version", "9.9.9"),
        ("instance_id", "6f9619ff-8b86-4d01-b42d-00cf4fc964ff"),
        ("plugin_id", "other"),
    ],
)
async def test_whoever_answers_must_be_who_registered(
    database_url: str, field: str, value: str
) -> None:
    """Another plugin, version or process at that address gets no lease and no secret."""
    async with Sidecar("liar") as liar, registrant.plugged(database_url) as (admin, plug):
        await admin.allow("liar", endpoint_pattern=ANYWHERE)
        await admin.allow("other", endpoint_pattern=ANYWHERE)
        refused = await rig.refusal(plug.register(liar, **{field: value}))
        assert refused.code is grpc.StatusCode.FAILED_PRECONDITION
        assert refused.reason == "IDENTITY_MISMATCH"
        answered = str(getattr(liar.handshake.identity, field))
        told = {name: refused.metadata[name] for name in ("field", "registered", "answered")}
        assert told == {"field": field, "registered": value, "answered": answered}
        assert set(liar.asked) == {"Handshake"}
        assert await rows(admin) == []


async def test_what_core_can_not_use_is_refused_with_the_reason(database_url: str) -> None:
    """A version outside the specifier, no service in common, nobody at home, no duration."""
    async with (
        Sidecar("old", "0.9.0") as old,
        Sidecar("alien", services=("payhub.provider.v9.PaymentProviderService",)) as alien,
        Sidecar("gone") as gone,
        Sidecar("eternal") as eternal,
        registrant.plugged(database_url) as (admin, plug),
    ):
        await admin.allow("old", endpoint_pattern=ANYWHERE, version_specifier=">=1,<2")
        refused = await rig.refusal(plug.register(old))
        assert refused.reason == "PLUGIN_NOT_ALLOWED"
        assert refused.metadata["allowed"] == ">=1,<2"
        assert old.asked == []

        await admin.allow("alien", endpoint_pattern=ANYWHERE)
        refused = await rig.refusal(plug.register(alien))
        assert refused.reason == "NO_COMMON_VERSION"
        assert "provider.v1" in refused.metadata["offered"]
        assert "provider.v9" in refused.metadata["served"]

        await admin.allow("gone", endpoint_pattern=ANYWHERE)
        await gone.stop()
        refused = await rig.refusal(plug.register(gone))
        assert (refused.code, refused.reason) == (
            grpc.StatusCode.UNAVAILABLE,
            "INSTANCE_UNREACHABLE",
        )

        # Nanoseconds where seconds belong.
        eternal.handshake.upstream_idempotency_retention.seconds = 86_400 * 10**9
        await admin.allow("eternal", endpoint_pattern=ANYWHERE)
        refused = await rig.refusal(plug.register(eternal))
        assert refused.reason == "INSTANCE_UNREACHABLE"
        assert "upstream_idempotency_retention" in str(refused)
        assert await rows(admin) == []


async def test_one_instance_has_one_lease(database_url: str) -> None:
    """An instance id is held by its endpoint; a new process there takes over at once."""
    async with (
        Sidecar("other") as first,
        Sidecar("other") as twin,
        registrant.plugged(database_url) as (admin, plug),
    ):
        await admin.allow("other", endpoint_pattern=ANYWHERE)
        session = (await plug.register(first)).session_id
        twin.handshake.identity.instance_id = first.handshake.identity.instance_id
        refused = await rig.refusal(plug.register(twin))
        assert (refused.code, refused.reason) == (
            grpc.StatusCode.ALREADY_EXISTS,
            "INSTANCE_CONFLICT",
        )
        assert refused.metadata["endpoint"] == first.target

        # The process is replaced without a word: nobody waits for the old lease to end.
        first.handshake.identity.instance_id = str(uuid.uuid4())
        after = (await plug.register(first)).session_id
        (row,) = await rows(admin)
        assert row.session_id == after != session
        assert (await rig.refusal(plug.renew(session))).reason == "SESSION_UNKNOWN"


async def test_a_session_that_core_has_lost_is_opened_again(database_url: str) -> None:
    """SESSION_UNKNOWN tells the plugin to register, after which everything goes on."""
    async with Sidecar("other") as other, registrant.plugged(database_url) as (admin, plug):
        session = await registrant.enable(admin, plug, other)
        await admin.service.parts.ctx.db.write(
            lambda conn: conn.run(storage.Statement("delete from plugin_instances"))
        )
        refused = await rig.refusal(plug.renew(session))
        assert (refused.code, refused.reason) == (grpc.StatusCode.NOT_FOUND, "SESSION_UNKNOWN")
        assert (await plug.register(other)).session_id != session
        await inside.connected(admin.service, "other")
        assert rig.state(await admin.caller.create(provider="other")) == "SUCCEEDED"
        assert operator.state_of(await admin.plugin("other")) == "ENABLED"


async def test_who_leaves_gets_no_more_operations(database_url: str) -> None:
    """The other instance takes them; closing a lease twice is no error."""
    async with (
        Sidecar("other") as leaver,
        Sidecar("other") as stayer,
        registrant.plugged(database_url) as (admin, plug),
    ):
        session = await registrant.enable(admin, plug, leaver)
        await plug.register(stayer)
        await inside.connected(admin.service, "other", instances=2)
        await plug.leave(session)
        await plug.leave(session)
        charged = len(leaver.charged)
        for _ in range(6):
            assert rig.state(await admin.caller.create(provider="other")) == "SUCCEEDED"
        assert (len(leaver.charged), len(stayer.charged)) == (charged, 6)
        assert (await rig.refusal(plug.renew(session))).reason == "SESSION_UNKNOWN"


async def test_a_lease_that_ran_out_counts_for_nothing_once_the_instance_is_gone(
    database_url: str,
) -> None:
    """While it answers it is used, so a core that was away for long loses no provider."""
    async with Sidecar("other") as other, registrant.plugged(database_url) as (admin, plug):
        session = await registrant.enable(admin, plug, other)
        await run_out(admin)
        assert [row.alive for row in await rows(admin)] == [False]
        assert rig.state(await admin.caller.create(provider="other")) == "SUCCEEDED"
        await other.stop()
        provider = admin.service.parts.ctx.providers.find("other")
        assert provider is not None

        async def forgotten() -> bool:
            return not provider.links

        await rig.until(forgotten)
        failed = await admin.caller.create(provider="other")
        assert (rig.state(failed), failed.failure.reason) == ("FAILED", "PROVIDER_UNREACHABLE")
        assert operator.state_of(await admin.plugin("other")) == "ENABLED"

        # It comes back where it was, and its lease with it.
        await other.start(int(other.target.rpartition(":")[2]))

        async def paid() -> bool:
            await plug.renew(session)
            payment = await admin.caller.create(provider="other")
            return rig.state(payment) == "SUCCEEDED"

        await rig.until(paid)


async def test_a_core_that_was_away_finds_its_instances_again(database_url: str) -> None:
    """Their leases ran out meanwhile: they are tried before they register again."""
    key = encryption_keys.new_key()
    async with Sidecar("other") as other:
        async with registrant.plugged(database_url, encryption_keys=key) as (admin, plug):
            await registrant.enable(admin, plug, other)
            await run_out(admin)
        async with registrant.plugged(database_url, encryption_keys=key) as (admin, _):
            (row,) = await rows(admin)
            assert not row.alive
            await inside.connected(admin.service, "other")
            assert rig.state(await admin.caller.create(provider="other")) == "SUCCEEDED"


async def test_a_key_registers_its_own_plugin_alone(database_url: str) -> None:
    """A plugin's key is no key to another plugin's traffic, nor is any other scope one."""
    async with Sidecar("other") as other, registrant.plugged(database_url) as (admin, plug):
        await admin.allow("other", endpoint_pattern=ANYWHERE)
        await admin.allow("mine", endpoint_pattern=ANYWHERE)
        session = (await plug.register(other)).session_id
        async with registrant.registering(admin.service, "mine") as mine:
            for call in (mine.register(other), mine.renew(session), mine.leave(session)):
                assert (await rig.refusal(call)).reason == "PLUGIN_NOT_ALLOWED"
        nobody = registrant.Registrant(admin.caller)
        assert (await rig.refusal(nobody.renew(session))).reason == "SCOPE_MISSING"
        assert (await plug.renew(session)).directive == registry_pb.DIRECTIVE_CONTINUE


async def test_every_replica_sees_a_lease(new_postgres_database: Callable[[], str]) -> None:
    """Registered at one process, used by another that shares the database."""
    url = new_postgres_database()
    async with (
        Sidecar("other") as other,
        registrant.plugged(url) as (admin, plug),
        inside.running(url, "", providers={}, plugin_probe_s=0.2) as second,
    ):
        session = await registrant.enable(admin, plug, other)
        await inside.connected(second, "other")
        _, payment = await asyncio.gather(
            plug.renew(session), second.caller.create(provider="other")
        )
        assert rig.state(payment) == "SUCCEEDED"
        await plug.leave(session)
        provider = second.parts.ctx.providers.find("other")
        assert provider is not None

        async def gone() -> bool:
            return not provider.links

        await rig.until(gone)

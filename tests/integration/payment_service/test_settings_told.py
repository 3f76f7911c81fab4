"""Retry policies and default providers: every change is told once, with who made it."""

import asyncio
import contextlib
import itertools
from collections.abc import Sequence
from typing import Any

from google.protobuf import duration_pb2
from payhub.admin.v1 import default_provider_events_pb2
from payhub.events.v1 import event_pb2
from payhub.payments.v1 import retry_policy_events_pb2
from payhub.payments.v1 import retry_policy_service_pb2 as retries_pb

from deploy import stack
from servicekit import auth, storage
from tests.integration.payment_service import (
    binding_rig,
    conftest,
    inside,
    records,
    rehearsing,
    rig,
)

RetryPolicyEvent = retry_policy_events_pb2.RetryPolicyEvent
DefaultProviderEvent = default_provider_events_pb2.DefaultProviderEvent
# What a replica of before migration 0012 writes.
OLD_POLICY = storage.Statement(
    "insert into retry_policies (tenant_id, delays, updated_us) "
    "values (:tenant_id, :delays, :updated_us) on conflict (tenant_id) do update "
    "set delays = excluded.delays, updated_us = excluded.updated_us"
)
OLD_DEFAULT = storage.Statement(
    "insert into provider_defaults (tenant_id, plugin_id) values (:tenant_id, :plugin_id) "
    "on conflict (tenant_id) do update set plugin_id = excluded.plugin_id"
)
OLD_CLEAR = storage.Statement("delete from provider_defaults where tenant_id = :tenant_id")


async def put(caller: rig.Caller, *delays_s: int) -> retries_pb.RetryPolicy:
    """Sets the tenant's retry policy."""
    delays = [duration_pb2.Duration(seconds=each) for each in delays_s]
    request = retries_pb.SetRetryPolicyRequest(policy=retries_pb.RetryPolicy(delays=delays))
    policy: retries_pb.RetryPolicy = (
        await caller.call(caller.retries.SetRetryPolicy, request)
    ).policy
    return policy


def told(book: records.Records, kind: str, entity_id: str) -> list[event_pb2.Event]:
    """Returns the events of one entity after checking that their versions are dense."""
    found = [each for each in book.events(entity_id) if each.entity_type == kind]
    assert [each.entity_version for each in found] == list(range(1, len(found) + 1))
    return found


def delays_s(policy: retries_pb.RetryPolicy) -> list[int]:
    """Returns the waits of a policy."""
    return [each.seconds for each in policy.delays]


def defaults(events: Sequence[event_pb2.Event]) -> list[tuple[str, str, str]]:
    """Returns type, plugin before and plugin after of each."""
    payloads = [DefaultProviderEvent.FromString(each.data) for each in events]
    return [
        (event.type, payload.previous.plugin_id, payload.default_provider.plugin_id)
        for event, payload in zip(events, payloads, strict=True)
    ]


async def test_a_retry_policy_tells_each_change_of_it(
    service: conftest.Service, caller: rig.Caller
) -> None:
    """To its tenant, with who set it and what was before; the same again tells nothing."""
    first = await put(caller)
    second = await put(caller, 60, 120)
    assert await put(caller, 60, 120) == second
    events = told(service.records, "retry_policy", caller.tenant)
    assert [each.type for each in events] == ["retry_policy.set"] * 2
    for event in events:
        assert event.tenant_id == caller.tenant
        assert event.cause.actor == f"key:{auth.parse_key(caller.key)}"
        assert event.cause.correlation_id
    payloads = [RetryPolicyEvent.FromString(each.data) for each in events]
    assert [each.policy for each in payloads] == [first, second]
    assert [list(each.changed.paths) for each in payloads] == [[], ["delays"]]
    assert payloads[1].HasField("previous")
    # However many at once, none is lost and each begins where the one before it ended.
    await asyncio.gather(*(put(caller, 60 * each) for each in range(1, 9)))
    events = told(service.records, "retry_policy", caller.tenant)
    assert len(events) == 10
    payloads = [RetryPolicyEvent.FromString(each.data) for each in events]
    for before, after in itertools.pairwise(payloads):
        assert delays_s(after.previous) == delays_s(before.policy)


async def test_a_default_provider_tells_when_it_is_set_and_cleared(
    service: conftest.Service, caller: rig.Caller, admin: binding_rig.Admin
) -> None:
    """To its tenant, with who and why; set or cleared again it tells nothing."""
    for plugin in ("", "mock", "mock", "", "", "mock"):
        await admin.set_default(caller.tenant, plugin)
    events = told(service.records, "default_provider", caller.tenant)
    assert defaults(events) == [
        ("default_provider.set", "", "mock"),
        ("default_provider.cleared", "mock", ""),
        ("default_provider.set", "", "mock"),
    ]
    for event in events:
        payload = DefaultProviderEvent.FromString(event.data)
        assert (event.tenant_id, payload.reason) == (caller.tenant, binding_rig.REASON)
        assert payload.default_provider.tenant_id == caller.tenant
        assert list(payload.changed.paths) == ["plugin_id"]
        assert event.cause.actor == f"key:{auth.parse_key(admin.caller.key)}"
        assert event.cause.correlation_id
    # The one of the installation was set at start, by nobody who called.
    (made, *_) = told(service.records, "default_provider", "installation")
    assert (made.type, made.tenant_id) == ("default_provider.set", "system")
    assert made.cause.actor == "environment"
    payload = DefaultProviderEvent.FromString(made.data)
    assert (payload.default_provider.tenant_id, payload.default_provider.plugin_id) == ("", "mock")


async def test_what_older_replicas_write_leaves_versions_dense(
    database_url: str, bank: stack.Stack
) -> None:
    """They tell nothing and count nothing, whether they came first or come between."""
    target = bank.target(stack.MOCK)
    async with inside.running(database_url, target, wrap=rehearsing.Rehearsing) as service:
        caller, admin = service.caller, binding_rig.Admin(service.caller)
        tenant = {"tenant_id": caller.tenant}

        async def old(statement: storage.Statement, **values: Any) -> None:
            await service.parts.ctx.db.write(lambda conn: conn.run(statement, tenant | values))

        await old(OLD_POLICY, delays="[60000000]", updated_us=1)
        assert delays_s(await put(caller, 60)) == [60]
        await put(caller, 120)
        await old(OLD_POLICY, delays="[180000000]", updated_us=2)
        await put(caller, 240)
        await old(OLD_DEFAULT, plugin_id="mock")
        await admin.set_default(caller.tenant, "mock")
        await admin.set_default(caller.tenant, "")
        await admin.set_default(caller.tenant, "mock")
        await old(OLD_CLEAR)
        await admin.set_default(caller.tenant, "mock")
        await admin.set_default("", "")
    with contextlib.closing(records.Records(database_url)) as stored:
        events = told(stored, "retry_policy", caller.tenant)
        payloads = [RetryPolicyEvent.FromString(each.data) for each in events]
        assert [(delays_s(each.previous), delays_s(each.policy)) for each in payloads] == [
            ([60], [120]),
            ([180], [240]),
        ]
        assert defaults(told(stored, "default_provider", caller.tenant)) == [
            ("default_provider.cleared", "mock", ""),
            ("default_provider.set", "", "mock"),
            ("default_provider.set", "", "mock"),
        ]
        assert defaults(told(stored, "default_provider", "installation")) == [
            ("default_provider.set", "", "mock"),
            ("default_provider.cleared", "mock", ""),
        ]

"""Customers: kept here, made at the provider, and paying."""

import asyncio
import contextlib
from typing import Any

import grpc
import pytest
from payhub.payments.v1 import payment_events_pb2
from payhub.plugin.v1 import capability_pb2
from payhub.provider.v1 import operation_pb2
from payhub.provider.v1 import payment_provider_service_pb2 as provider_pb

from payment_service.db import operations
from payment_service.domain import model, outcomes
from payment_service.usecases import settling
from tests.integration.payment_service import conftest, inside, records, rig, upstream


async def test_a_customer_is_made_here_and_at_the_provider(
    caller: rig.Caller, service: conftest.Service
) -> None:
    """The provider's id arrives with the second event."""
    customer = await caller.create_customer(
        name="Ada Löwe", email="ada@example.com", user_id="u-1", metadata={"tier": "gold"}
    )
    assert rig.state(customer) == "SYNCED"
    assert customer.provider_customer_id
    assert customer.profile.metadata == {"tier": "gold"}
    assert await caller.get_customer(customer.id) == customer
    assert service.records.story(customer) == ["customer.created", "customer.updated"]
    assert service.ledger.effects(customer.id) == [("CREATE_CUSTOMER", "SUCCEEDED", None)]
    payment = await caller.create(references={"customer_id": customer.id})
    assert rig.state(payment) == "SUCCEEDED"
    listed = (await caller.list(customer_id=customer.id)).payments
    assert [found.id for found in listed] == [payment.id]


async def test_an_update_changes_the_fields_of_its_mask(
    caller: rig.Caller, service: conftest.Service
) -> None:
    """Fields not named stay; without a mask the profile is replaced as a whole."""
    customer = await caller.create_customer(
        name="Ada", email="ada@example.com", phone="+49 30 1", metadata={"a": "1"}
    )
    changed = await caller.update_customer(
        customer.id, ("email", "metadata"), email="ada@example.org", name="ignored"
    )
    assert rig.state(changed) == "SYNCED"
    assert changed.profile.name == "Ada"
    assert changed.profile.email == "ada@example.org"
    assert changed.profile.metadata == {}
    replaced = await caller.update_customer(customer.id, name="Grace")
    assert replaced.profile == type(replaced.profile)(name="Grace")
    assert service.records.story(replaced) == ["customer.created", *["customer.updated"] * 5]
    third = service.records.events(customer.id)[2]
    told = payment_events_pb2.CustomerEvent.FromString(third.data)
    assert set(told.changed.paths) == {"profile.email", "profile.metadata", "sync_state"}
    assert told.previous.profile.email == "ada@example.com"
    assert service.ledger.effects(customer.id) == [
        ("CREATE_CUSTOMER", "SUCCEEDED", None),
        *[("UPDATE_CUSTOMER", "SUCCEEDED", None)] * 2,
    ]


@pytest.mark.parametrize(
    ("scenario", "first", "settled"),
    [
        ("decline_other", "FAILED", "FAILED"),
        ("not_sent", "FAILED", "FAILED"),
        ("rate_limited", "FAILED", "FAILED"),
        ("pending_then_settled", "PENDING", "SYNCED"),
        ("pending_then_declined", "PENDING", "FAILED"),
        ("drop_after_commit", "IN_DOUBT", "SYNCED"),
        ("no_answer", "IN_DOUBT", "SYNCED"),
        ("bug", "IN_DOUBT", "SYNCED"),
    ],
)
async def test_a_customer_settles_like_a_payment(
    scenario: str, first: str, settled: str, caller: rig.Caller, service: conftest.Service
) -> None:
    """Refused, not sent, pending and unknown are told apart, and the unknown is looked up."""
    customer = await caller.create_customer(name="Ada", email=f"mock+{scenario}@example.com")
    assert rig.state(customer) == first
    after = await caller.customer_becomes(customer.id, settled)
    service.records.story(after)
    assert bool(after.provider_customer_id) is (settled == "SYNCED")


async def test_an_update_makes_a_customer_that_could_not_be_made(
    caller: rig.Caller, service: conftest.Service
) -> None:
    """After FAILED the provider knows nobody, so the next update creates."""
    customer = await caller.create_customer(email="mock+not_sent@example.com")
    made = await caller.update_customer(customer.id, ("email",), email="ada@example.com")
    assert rig.state(made) == "SYNCED"
    assert made.provider_customer_id
    assert service.ledger.effects(customer.id) == [("CREATE_CUSTOMER", "SUCCEEDED", None)]


class Hesitant(upstream.Upstream):
    """Makes customers, and says that they are on their way until they are `there`."""

    there = False

    async def CreateCustomer(
        self, request: provider_pb.CreateCustomerRequest, context: Any
    ) -> provider_pb.CreateCustomerResponse:
        """Makes one."""
        answer = await super().CreateCustomer(request, context)
        self.effects.append(("CreateCustomer", request.context.operation_id))
        known = type(answer.operation)()
        known.CopyFrom(answer.operation)
        self._done[request.context.operation_id] = (known, [])
        answer.operation.state = operation_pb2.Operation.STATE_PENDING
        return answer

    async def GetOperation(
        self, request: provider_pb.GetOperationRequest, context: Any
    ) -> provider_pb.GetOperationResponse:
        """Says how far it is."""
        answer = await super().GetOperation(request, context)
        if not self.there:
            answer.operation.state = operation_pb2.Operation.STATE_PENDING
        return answer


async def test_a_customer_that_may_be_being_made_is_not_made_again(database_url: str) -> None:
    """An update waits until it is known whether the provider has the customer."""
    async with Hesitant() as bank, inside.running(database_url, bank.target) as service:
        await inside.connected(service)
        caller = service.caller
        customer = await caller.create_customer(name="Ada")
        with contextlib.closing(records.Records(database_url)) as stored:
            before = stored.of_tenant(caller.tenant)
            refused = await rig.refusal(caller.update_customer(customer.id, name="Grace"))
            assert refused.code is grpc.StatusCode.FAILED_PRECONDITION
            assert refused.reason == "STATE_CONFLICT"
            assert refused.metadata["state"] == "SYNC_STATE_PENDING"
            for table in ("customers", "idempotency_keys", "outbox"):
                assert stored.of_tenant(caller.tenant)[table] == before[table]
        bank.there = True
        await caller.customer_becomes(customer.id, "SYNCED")
        changed = await caller.update_customer(customer.id, name="Grace")
        assert rig.state(changed) == "SYNCED"
        assert [name for name, _ in bank.effects] == ["CreateCustomer", "UpdateCustomer"]


async def test_a_refused_update_leaves_the_provider_behind(
    caller: rig.Caller, service: conftest.Service
) -> None:
    """The profile here is the new one, marked FAILED until an update reaches the provider."""
    customer = await caller.create_customer(email="ada@example.com")
    behind = await caller.update_customer(
        customer.id, email="mock+update.decline_other@example.com"
    )
    assert rig.state(behind) == "FAILED"
    again = await caller.update_customer(customer.id, email="ada@example.org")
    assert rig.state(again) == "SYNCED"
    assert again.version == len(service.records.story(again))


async def test_concurrent_updates_all_count_and_end_in_step(
    caller: rig.Caller, service: conftest.Service
) -> None:
    """No update is lost, versions stay dense, and the newest decides what is in step."""
    customer = await caller.create_customer(name="Ada")
    await asyncio.gather(
        *(caller.update_customer(customer.id, ("phone",), phone=str(n)) for n in range(8))
    )
    after = await caller.get_customer(customer.id)
    assert rig.state(after) == "SYNCED"
    service.records.story(after)
    updates = [row for row in service.ledger.of(customer.id) if row["kind"] == "UPDATE_CUSTOMER"]
    assert len(updates) == 8


async def test_a_payment_for_an_unknown_customer_is_refused(
    caller: rig.Caller, service: conftest.Service
) -> None:
    """Nothing is stored for a customer of nobody or of somebody else."""
    before = service.records.of_tenant(caller.tenant)
    refused = await rig.refusal(caller.create(references={"customer_id": f"cus_{'0' * 32}"}))
    assert refused.code is grpc.StatusCode.NOT_FOUND
    assert service.records.of_tenant(caller.tenant) == before


async def test_an_update_that_was_replaced_is_not_sent_again(database_url: str) -> None:
    """It would bring back the profile of before; what it did has been overwritten."""
    lookup = capability_pb2.CAPABILITY_OPERATION_LOOKUP
    others = [each for each in upstream.CAPABILITIES if each != lookup]
    bank = upstream.Upstream([*others, capability_pb2.CAPABILITY_UPSTREAM_IDEMPOTENCY])
    bank.handshake.upstream_idempotency_retention.FromSeconds(3600)
    bank.answers = asyncio.Event()
    bank.script["UpdateCustomer"] = ["hang"]
    async with (
        bank,
        inside.running(database_url, bank.target, resolver_doubt_first_s=1) as service,
    ):
        await inside.connected(service)
        caller, db = service.caller, service.parts.ctx.db
        customer = await caller.create_customer(name="Ada")
        lost = asyncio.create_task(caller.update_customer(customer.id, ("name",), name="Grace"))

        async def asked() -> bool:
            return bool(bank.calls)

        await rig.until(asked)
        newest = await caller.update_customer(customer.id, ("name",), name="Jean")
        assert rig.state(newest) == "SYNCED"
        await lost

        async def settled() -> list[model.OperationState]:
            own = await db.read(lambda conn: operations.newest(conn, customer.id, 9))
            return [] if any(each.is_open for each in own) else [each.state for each in own]

        ended = await rig.until(settled)
        assert sorted(each.name for each in ended) == ["SUCCEEDED", "SUCCEEDED", "SUPERSEDED"]
        assert await caller.get_customer(customer.id) == newest
        sent = [request.details.name for _, request in bank.calls]
        assert sent == ["Grace", "Jean"]


async def test_a_report_against_what_is_settled_is_kept_and_raised(database_url: str) -> None:
    """The provider has somebody who is not known here, or the other way round."""
    async with (
        upstream.Upstream() as bank,
        inside.running(database_url, bank.target) as service,
    ):
        await inside.connected(service)
        ctx = service.parts.ctx
        made = await service.caller.create_customer(name="Ada")
        (operation,) = await ctx.db.read(lambda conn: operations.newest(conn, made.id, 9))
        late = outcomes.Report(
            outcome=outcomes.Outcome.DECLINED, operation_version=operation.version, detail="late"
        )
        settled = await settling.Settler(ctx).settle(operation, late)
        assert settled.verdict is outcomes.Verdict.ILLEGAL
        after = await service.caller.get_customer(made.id)
        assert (rig.state(after), after.version) == ("SYNCED", made.version + 1)
        stored = records.Records(database_url)
        try:
            assert stored.story(after)[-1] == "reconciliation.discrepancy"
            kept = stored.rows("select operation_id, outcome, detail from reports")
            assert kept == [(operation.id, "declined", "late")]
        finally:
            await asyncio.to_thread(stored.close)


class Forgetful(upstream.Upstream):
    """Makes customers and does not say who they are there, until it `tells`."""

    tells = False

    async def CreateCustomer(
        self, request: provider_pb.CreateCustomerRequest, context: Any
    ) -> provider_pb.CreateCustomerResponse:
        """Makes one."""
        answer = await super().CreateCustomer(request, context)
        known = type(answer.operation)()
        known.CopyFrom(answer.operation)
        self._done[request.context.operation_id] = (known, [])
        answer.operation.provider_object_id = ""
        return answer

    async def GetOperation(
        self, request: provider_pb.GetOperationRequest, context: Any
    ) -> provider_pb.GetOperationResponse:
        """Knows who they are once it tells."""
        answer = await super().GetOperation(request, context)
        if not self.tells:
            answer.operation.provider_object_id = ""
        return answer


async def test_a_customer_without_an_id_at_the_provider_is_in_doubt(database_url: str) -> None:
    """Nothing could be attached to it or paid by it, and nobody knows what was made."""
    async with (
        Forgetful() as bank,
        inside.running(database_url, bank.target, resolver_doubt_first_s=0.5) as service,
    ):
        await inside.connected(service)
        customer = await service.caller.create_customer(name="Ada")
        assert (rig.state(customer), customer.provider_customer_id) == ("IN_DOUBT", "")
        bank.tells = True
        known = await service.caller.customer_becomes(customer.id, "SYNCED")
        assert known.provider_customer_id

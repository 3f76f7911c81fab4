"""Unary calls against a payment service that fails in planned ways."""

import asyncio
import socket
import time
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2
from payhub.admin.v1 import plugin_admin_service_pb2, plugin_admin_service_pb2_grpc

import payhub_client
from payhub_client import Payment, errors
from servicekit import ports
from tests.integration.client import conftest, fake_payments

Fault = fake_payments.Fault
FakePayments = fake_payments.FakePayments
Code = grpc.StatusCode

# gRPC rounds timeouts up on the wire, so that it can send the same bytes again.
SLACK = 1.03

PAY_10: dict[str, Any] = {"amount_minor": 1000, "currency": "EUR", "payment_method": "tok_approve"}


def lost_answer() -> Fault:
    """The effect happens and its answer is lost."""
    return Fault(status=fake_payments.status(Code.UNAVAILABLE), after_effect=True)


def refused(code: Code, reason: str, **more: Any) -> Fault:
    """Nothing happens."""
    return Fault(status=fake_payments.status(code, reason, **more))


async def test_a_payment_is_made_and_sent_with_the_callers_credentials(
    client: payhub_client.Client, payments: FakePayments
) -> None:
    """A first call sends key, request id and deadline, and returns the typed payment."""
    began_s = time.monotonic()
    payment = await client.payments.create(**PAY_10, order_id="o-1", metadata={"a": "b"})
    assert payment.state == Payment.STATE_SUCCEEDED
    assert payment.references.metadata == {"a": "b"}
    seen = payments.seen[0]
    assert seen.metadata["authorization"] == f"Bearer {conftest.KEY}"
    assert seen.metadata["x-request-id"].startswith("req_")
    assert seen.left_s + (seen.at_s - began_s) > 29.9
    assert seen.left_s <= 30 * SLACK


async def test_one_key_is_used_in_every_attempt(
    client: payhub_client.Client, payments: FakePayments
) -> None:
    """Attempts of one call share key and request id, so a lost answer makes no second payment."""
    payments.faults.extend([lost_answer(), lost_answer()])
    payment = await client.payments.create(**PAY_10)
    assert list(payments.payments) == [payment.id]
    assert len(payments.seen) == 3
    assert len({seen.key for seen in payments.seen}) == 1
    assert len({seen.metadata["x-request-id"] for seen in payments.seen}) == 1
    assert all(request == payments.requests[0] for request in payments.requests)


async def test_each_call_has_a_key_of_its_own(
    client: payhub_client.Client, payments: FakePayments
) -> None:
    """Two calls without a key are two intents."""
    await client.payments.create(**PAY_10)
    await client.payments.create(**PAY_10)
    assert len(payments.payments) == 2


async def test_an_empty_key_is_no_absent_one(
    client: payhub_client.Client, payments: FakePayments
) -> None:
    """A key that came out empty is refused: with a new one each repetition would charge again."""
    for call in (
        client.payments.create(**PAY_10, idempotency_key=""),
        client.refunds.create("pay_x", idempotency_key=""),
        client.subscriptions.create("cus_x", "plan_x", idempotency_key=""),
    ):
        with pytest.raises(errors.InvalidRequest, match="idempotency_key"):
            await call
    assert not payments.seen


async def test_a_key_in_flight_is_waited_for(
    client: payhub_client.Client, payments: FakePayments
) -> None:
    """ABORTED is repeated with the same key, and not before the delay that the server asks for."""
    payments.faults.append(
        refused(Code.ABORTED, "IDEMPOTENCY_KEY_IN_FLIGHT", retry="same_key", retry_after_s=0.2)
    )
    await client.payments.create(**PAY_10)
    first, second = payments.seen
    assert first.key == second.key
    assert second.at_s - first.at_s >= 0.2


async def test_overload_is_waited_out(client: payhub_client.Client, payments: FakePayments) -> None:
    """RESOURCE_EXHAUSTED is repeated."""
    payments.faults.append(refused(Code.RESOURCE_EXHAUSTED, "OVERLOADED", retry="same_key"))
    await client.payments.create(**PAY_10)
    assert len(payments.seen) == 2


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (Code.FAILED_PRECONDITION, "STATE_CONFLICT"),
        (Code.ALREADY_EXISTS, "IDEMPOTENCY_KEY_REUSED"),
        (Code.INVALID_ARGUMENT, "INVALID_FIELD"),
        (Code.UNAUTHENTICATED, "KEY_INVALID"),
        (Code.UNAVAILABLE, "A_REASON_OF_TOMORROW"),
    ],
)
async def test_never_means_never(
    client: payhub_client.Client, payments: FakePayments, code: Code, reason: str
) -> None:
    """What the server says not to repeat is not repeated, whatever its status code."""
    payments.faults.append(refused(code, reason))
    with pytest.raises(errors.PayhubError):
        await client.payments.create(**PAY_10)
    assert len(payments.seen) == 1


async def test_a_conflict_says_what_is_possible(
    client: payhub_client.Client, payments: FakePayments
) -> None:
    """StateConflict carries state, allowed actions, reason, key and the server's request id."""
    payments.faults.append(
        refused(
            Code.FAILED_PRECONDITION,
            "STATE_CONFLICT",
            metadata={"state": "SUCCEEDED", "allowed_actions": "REFUND"},
        )
    )
    with pytest.raises(errors.StateConflict) as caught:
        await client.payments.capture(f"pay_{0:032x}", idempotency_key="k-1")
    assert caught.value.state == "SUCCEEDED"
    assert caught.value.allowed_actions == ("REFUND",)
    assert caught.value.reason == "STATE_CONFLICT"
    assert caught.value.retry == "never"
    assert caught.value.idempotency_key == "k-1"
    assert caught.value.request_id == "srv_CapturePayment"


async def test_wrong_fields_are_named(client: payhub_client.Client, payments: FakePayments) -> None:
    """InvalidRequest carries the path and the description of each wrong field."""
    bad = error_details_pb2.BadRequest()
    bad.field_violations.add(field="amount.currency_code", description="is no currency")
    payments.faults.append(refused(Code.INVALID_ARGUMENT, "INVALID_FIELD", details=[bad]))
    with pytest.raises(errors.InvalidRequest, match=r"amount\.currency_code: is no currency") as it:
        await client.payments.create(amount_minor=1, currency="QQQ", confirm=False)
    assert it.value.field_violations[0].path == "amount.currency_code"


async def test_a_mutation_without_an_answer_is_unknown_and_repeatable(
    client: payhub_client.Client, payments: FakePayments
) -> None:
    """OutcomeUnknown carries the key; repeating with it returns what the first call made."""
    await client.status.get()
    payments.faults.append(Fault(hang_s=30, after_effect=True))
    began_s = time.monotonic()
    with pytest.raises(errors.OutcomeUnknown) as caught:
        await client.payments.create(**PAY_10, timeout_s=0.2)
    assert time.monotonic() - began_s < 20
    # On a busy machine the time may be over before the request has left.
    payments.faults.clear()
    assert caught.value.retry == "same_key"
    assert isinstance(caught.value.__cause__, errors.DeadlineExceeded)
    payment = await client.payments.create(**PAY_10, idempotency_key=caught.value.idempotency_key)
    assert list(payments.payments) == [payment.id]


async def test_a_refusal_after_a_lost_answer_leaves_the_outcome_unknown(
    client: payhub_client.Client, payments: FakePayments
) -> None:
    """An answer given before the request is looked at does not settle an earlier attempt."""
    payments.faults.extend([lost_answer(), refused(Code.UNAUTHENTICATED, "KEY_INVALID")])
    with pytest.raises(errors.OutcomeUnknown) as caught:
        await client.payments.create(**PAY_10)
    assert isinstance(caught.value.__cause__, errors.Unauthenticated)


async def test_attempts_share_one_deadline(
    client: payhub_client.Client, payments: FakePayments
) -> None:
    """No attempt gets more time than is left of the caller's, nor more than the contract's."""
    pause = refused(Code.RESOURCE_EXHAUSTED, "OVERLOADED", retry="same_key", retry_after_s=0.2)
    payments.faults.extend([pause, pause])
    await client.payments.create(**PAY_10, timeout_s=4)
    first, second, third = (seen.left_s for seen in payments.seen)
    assert 4 * SLACK >= first > second + 0.05 > third + 0.1
    await client.payments.create(**PAY_10, timeout_s=500)
    assert payments.seen[-1].left_s <= 30 * SLACK


async def test_an_only_attempt_has_all_the_time_of_its_caller(
    client: payhub_client.Client, payments: FakePayments
) -> None:
    """What is never repeated is not cut off after the contract's time, but after the caller's;
    stopping a plugin lasts as long as its calls may.
    """
    await client.keys.create(tenant_id="default", scopes=["admin"], name="x", timeout_s=25)
    assert payments.seen[-1].left_s > 20
    await client.keys.create(tenant_id="default", scopes=["admin"], name="x", timeout_s=1e12)
    assert payments.seen[-1].left_s <= 30 * SLACK
    await client.keys.create(tenant_id="default", scopes=["admin"], name="x")
    assert payments.seen[-1].left_s <= 5 * SLACK

    left_s: list[float] = []

    class Plugins(plugin_admin_service_pb2_grpc.PluginAdminServiceServicer):
        async def StopPlugin(self, request: Any, context: Any) -> Any:
            left_s.append(context.time_remaining())
            return plugin_admin_service_pb2.StopPluginResponse()

    server = grpc.aio.server()
    plugin_admin_service_pb2_grpc.add_PluginAdminServiceServicer_to_server(Plugins(), server)
    target = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    try:
        async with payhub_client.Client(target, key=conftest.KEY) as other:
            await other.plugins.stop("mock", reason="r", grace_s=200)
            await other.plugins.stop("mock", reason="r", grace_s=200, timeout_s=100)
    finally:
        await server.stop(None)
    assert left_s[0] > 200
    assert left_s[1] <= 100 * SLACK


async def test_a_pause_longer_than_the_deadline_is_not_slept(
    client: payhub_client.Client, payments: FakePayments
) -> None:
    """If the server asks for more time than is left, the call ends at once and says so."""
    payments.faults.append(
        refused(Code.RESOURCE_EXHAUSTED, "OVERLOADED", retry="same_key", retry_after_s=20)
    )
    began_s = time.monotonic()
    with pytest.raises(errors.RateLimited) as caught:
        await client.payments.create(**PAY_10, timeout_s=15)
    assert time.monotonic() - began_s < 10
    assert caught.value.retry_after_s == 20


async def test_a_slow_read_is_no_unknown_outcome(
    client: payhub_client.Client, payments: FakePayments
) -> None:
    """A read that takes too long raises DeadlineExceeded."""
    await client.status.get()
    payments.faults.append(Fault(hang_s=30))
    with pytest.raises(errors.DeadlineExceeded):
        await client.payments.get(f"pay_{0:032x}", timeout_s=0.1)


async def test_who_encrypts_is_told_of_the_certificate(payments: FakePayments) -> None:
    """gRPC does not say why no encrypted connection came about: the error names what to look at,
    and that nothing was sent.
    """
    async with payhub_client.Client(
        payments.target,
        key=conftest.KEY,
        credentials=grpc.ssl_channel_credentials(),
        connect_timeout_s=0.2,
    ) as encrypting:
        with pytest.raises(errors.Unavailable, match=r"certificate.*nothing was sent"):
            await encrypting.payments.create(**PAY_10, timeout_s=1)
    assert payments.seen == []


async def test_a_server_that_is_down_leaves_nothing_in_doubt() -> None:
    """A call that never had a connection raises Unavailable: nothing was sent, for certain."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        target = f"127.0.0.1:{unused.getsockname()[1]}"
        async with payhub_client.Client(target, key="k", connect_timeout_s=0.2) as client:
            with pytest.raises(errors.Unavailable, match="nothing was sent") as caught:
                await client.payments.create(**PAY_10)
    assert caught.value.idempotency_key


async def test_a_call_waits_for_a_server_that_comes_back() -> None:
    """A restart within the connect timeout is not seen by the caller."""
    (port,) = ports.choose(1)
    async with payhub_client.Client(f"127.0.0.1:{port}", key="k") as client:
        call = asyncio.create_task(client.payments.create(**PAY_10))
        await asyncio.sleep(0)
        with fake_payments.serving(port) as fake:
            payment = await call
            assert list(fake.payments) == [payment.id]


async def test_making_a_key_is_never_repeated(
    client: payhub_client.Client, payments: FakePayments
) -> None:
    """A mutation that is not idempotent is tried once, and its outcome is unknown after a loss."""
    payments.faults.append(lost_answer())
    with pytest.raises(errors.OutcomeUnknown, match="look what exists") as caught:
        await client.keys.create(tenant_id="default", scopes=["admin"], name="x")
    assert caught.value.retry == "never"
    assert len(payments.seen) == 1


async def test_oversize_answers_are_not_asked_for_again(
    client: payhub_client.Client, payments: FakePayments
) -> None:
    """gRPC calls an oversize answer exhaustion; asking again would bring it again. A mutation that
    has one was carried out.
    """
    payments.answer_bytes = 5_000_000
    with pytest.raises(errors.OutcomeUnknown):
        await client.payments.create(**PAY_10)
    assert len(payments.seen) == 1


async def test_cancellation_goes_through(
    client: payhub_client.Client, payments: FakePayments
) -> None:
    """A caller that is canceled stops waiting at once and sees CancelledError."""
    payments.faults.append(Fault(hang_s=30))
    call = asyncio.create_task(client.payments.create(**PAY_10))
    await asyncio.to_thread(payments.wait_for_calls, 1)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call


async def test_many_tasks_share_a_client(client: payhub_client.Client) -> None:
    """Concurrent calls go over one connection and do not mix."""
    made = await asyncio.gather(*(client.payments.create(**PAY_10) for _ in range(50)))
    assert len({payment.id for payment in made}) == 50

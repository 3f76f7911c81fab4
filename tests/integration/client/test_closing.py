"""What becomes of calls when their client is closed."""

import asyncio
from typing import Any

import grpc
import pytest

import payhub_client
from payhub_client import errors, retries
from tests.integration.client import conftest, fake_payments

Fault = fake_payments.Fault
FakePayments = fake_payments.FakePayments

PAY_10: dict[str, Any] = {"amount_minor": 1000, "currency": "EUR", "payment_method": "tok_approve"}


async def test_a_closed_client_says_so(payments: FakePayments) -> None:
    """A call on a closed client raises RuntimeError instead of hanging."""
    client = payhub_client.Client(payments.target, key="k")
    await client.close()
    await client.close()
    with pytest.raises(RuntimeError, match="closed"):
        await client.payments.create(**PAY_10)


async def test_a_call_that_is_cut_off_by_closing_has_an_unknown_outcome(
    client: payhub_client.Client, payments: FakePayments
) -> None:
    """Closing the client ends calls with an error that names the key, not as if their task had
    been canceled: the payment may have been made.
    """
    payments.faults.append(Fault(hang_s=30))
    call = asyncio.create_task(client.payments.create(**PAY_10, idempotency_key="k-1"))
    await asyncio.to_thread(payments.wait_for_calls, 1)
    await client.close()
    with pytest.raises(errors.OutcomeUnknown) as caught:
        await call
    assert caught.value.idempotency_key == "k-1"


async def test_a_read_that_is_cut_off_by_closing_leaves_nothing_in_doubt(
    client: payhub_client.Client, payments: FakePayments
) -> None:
    """A read ends with Unavailable when its client is closed."""
    payments.faults.append(Fault(hang_s=30))
    call = asyncio.create_task(client.payments.get("pay_x"))
    await asyncio.to_thread(payments.wait_for_calls, 1)
    await client.close()
    with pytest.raises(errors.Unavailable):
        await call


async def test_closing_between_two_attempts_keeps_the_key(payments: FakePayments) -> None:
    """A call that waits to repeat a lost answer ends at once, with its outcome unknown."""
    asleep = asyncio.Event()

    async def sleep(wait_s: float) -> None:
        asleep.set()
        await asyncio.sleep(wait_s)

    later = fake_payments.status(
        grpc.StatusCode.UNAVAILABLE, "UNAVAILABLE", retry="same_key", retry_after_s=15.0
    )
    payments.faults.append(Fault(status=later))
    timing = retries.Timing(sleep=sleep, chance=lambda: 0.0)
    client = payhub_client.Client(payments.target, key=conftest.KEY, timing=timing)
    call = asyncio.create_task(client.payments.create(**PAY_10, idempotency_key="k-2"))
    await asyncio.wait_for(asleep.wait(), 10)
    await client.close()
    with pytest.raises(errors.OutcomeUnknown) as caught:
        await asyncio.wait_for(call, 10)
    assert caught.value.idempotency_key == "k-2"

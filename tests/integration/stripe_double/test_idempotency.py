"""Idempotency keys and faults of the double."""

import asyncio
from typing import Any

import aiohttp
import stripe

from tests.integration.stripe_double import asking
from tests.stripe_double import clock, running


def _key(name: str, **headers: str) -> dict[str, Any]:
    return {"idempotency_key": name, "headers": headers}


async def test_same_key_is_answered_once_and_replayed(double: running.Double, client: Any) -> None:
    """A key charges once: its answer is replayed, and other parameters are refused."""
    create = client.payment_intents.create_async
    first = await create(params=asking.payment(), options=_key("k1"))
    second = await create(params=asking.payment(), options=_key("k1"))
    assert first.id == second.id
    assert "Idempotent-Replayed" not in first.last_response.headers
    assert second.last_response.headers["Idempotent-Replayed"] == "true"
    original = second.last_response.headers["Original-Request"]
    assert original == first.last_response.request_id != second.last_response.request_id
    for call in (
        create(params=asking.payment(amount=2000), options=_key("k1")),
        client.customers.create_async(params={"name": "x"}, options=_key("k1")),
    ):
        assert isinstance(await asking.refused(call), stripe.IdempotencyError)
    found = await double.order("ledger", "GET", idempotency_key="k1")
    assert found["counts"]["charged"] == 1
    assert found["sums"] == {"usd": {"charged": 1000}}


async def test_what_a_key_keeps(double: running.Double, client: Any) -> None:
    """Declines are replayed, refused parameters are not kept, and keys last 24 hours."""
    create = client.payment_intents.create_async
    for _ in range(2):
        declined = await asking.refused(
            create(params=asking.payment("pm_card_chargeDeclined"), options=_key("k1"))
        )
        assert isinstance(declined, stripe.CardError)
    assert declined.headers["Idempotent-Replayed"] == "true"
    assert isinstance(
        await asking.refused(create(params=asking.payment(amount=1), options=_key("k2"))),
        stripe.InvalidRequestError,
    )
    kept = await create(params=asking.payment(), options=_key("k2"))
    await double.order("advance", seconds=clock.DAY_S - 60)
    assert (await create(params=asking.payment(), options=_key("k2"))).id == kept.id
    await double.order("advance", seconds=120)
    assert (await create(params=asking.payment(), options=_key("k2"))).id != kept.id
    found = await double.order("ledger", "GET", idempotency_key="k2", effect="charged")
    assert found["counts"] == {"charged": 2}


async def test_key_in_flight_conflicts(double: running.Double, client: Any) -> None:
    """A key whose first request is still running answers 409 and charges once."""
    create = client.payment_intents.create_async
    await double.order("faults", kind="slow", delay_s=30)
    first = asyncio.create_task(create(params=asking.payment(), options=_key("k1")))
    await asking.until(lambda: double.world.answers)
    conflict = await asking.refused(create(params=asking.payment(), options=_key("k1")))
    assert (conflict.http_status, conflict.error.code) == (409, "idempotency_key_in_use")
    await double.order("faults", "DELETE")
    paid = await first
    assert (await create(params=asking.payment(), options=_key("k1"))).id == paid.id
    found = await double.order("ledger", "GET", effect="charged")
    assert found["counts"] == {"charged": 1}


async def test_faults_before_and_after_the_effect(double: running.Double, client: Any) -> None:
    """Each fault leaves exactly the effects that it says, and a retry with the key shows them."""
    create = client.payment_intents.create_async
    expected: dict[str, tuple[type[Any], int, str | None]] = {
        "drop_before_commit": (stripe.APIConnectionError, 0, "succeeded"),
        "drop_after_commit": (stripe.APIConnectionError, 1, "succeeded"),
        "truncate": (aiohttp.ClientPayloadError, 1, "succeeded"),
        "rate_limit": (stripe.RateLimitError, 0, "succeeded"),
        "lock_timeout": (stripe.RateLimitError, 0, "succeeded"),
        "error_500": (stripe.APIError, 0, "succeeded"),
        "error_500_stored": (stripe.APIError, 0, None),
        "error_500_after_commit": (stripe.APIError, 1, None),
    }
    for kind, (error, effects, then) in expected.items():
        for fault in ({"Double-Fault": kind}, {}):
            key = f"{kind} {bool(fault)}"
            params = asking.payment(metadata={} if fault else {"double_fault": kind})
            options = _key(key, **fault)
            failure = await asking.refused(create(params=params, options=options))
            assert isinstance(failure, error), kind
            if kind == "rate_limit":
                assert failure.headers["Retry-After"] == "1"
            if kind.startswith("error_500_"):
                assert failure.headers["Stripe-Should-Retry"] == "false"
            found = await double.order("ledger", "GET", idempotency_key=key, effect="charged")
            assert sum(found["counts"].values()) == effects, kind
            if then is None:
                again = await asking.refused(create(params=params, options=options))
                assert again.headers["Idempotent-Replayed"] == "true"
            else:
                assert (await create(params=params, options=options)).status == then
            found = await double.order("ledger", "GET", idempotency_key=key, effect="charged")
            assert sum(found["counts"].values()) == (1 if then else effects), kind


async def test_ordered_faults_match_and_run_out(double: running.Double, client: Any) -> None:
    """An order hits the requests that it names, as often as it says."""
    create = client.payment_intents.create_async
    await double.order(
        "faults",
        kind="error_500",
        method="POST",
        path="payment_intents$",
        metadata={"operation": "op_2"},
        times=2,
        should_retry="true",
    )
    await create(params=asking.payment(metadata={"operation": "op_1"}))
    for _ in range(2):
        failure = await asking.refused(
            create(params=asking.payment(metadata={"operation": "op_2"}))
        )
        assert failure.headers["Stripe-Should-Retry"] == "true"
    await create(params=asking.payment(metadata={"operation": "op_2"}))
    await double.order("declines", decline_codes=["do_not_honor", "none"])
    error = await asking.refused(asking.pay(client))
    assert error.error.decline_code == "do_not_honor"
    assert (await asking.pay(client, "pm_card_chargeDeclined")).status == "succeeded"


async def test_refused_connections(double: running.Double, client: Any) -> None:
    """While the double refuses connections nothing reaches it, and later it is there again."""
    await asking.pay(client)
    before = len(double.world.requests)
    # A machine that stops meanwhile may miss the shorter time.
    refusals = await _refusals(double, client, 0.3) or await _refusals(double, client, 3.0)
    assert refusals
    found = await double.order("ledger", "GET", effect="charged")
    assert found["counts"]["charged"] == len(double.world.requests) - before + 1


async def _refusals(double: running.Double, client: Any, for_s: float) -> int:
    """Has connections refused for a while and pays; returns how often that was refused."""
    await double.order("refuse", for_s=for_s)
    loop = asyncio.get_running_loop()
    over_s = loop.time() + for_s + 1.0
    refusals = 0
    while True:
        try:
            await asking.pay(client)
        except stripe.APIConnectionError:
            refusals += 1
            await asyncio.sleep(0.02)
        else:
            if refusals or loop.time() > over_s:
                return refusals

"""What the examples do about money where two processes, or two configurations, meet."""

import dataclasses
import pathlib
import sqlite3
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import pytest_asyncio
from payhub.provider.v1 import operation_pb2
from payhub.provider.v1 import payment_provider_service_pb2 as pps
from payhub.type.v1 import money_pb2

from examples.advanced_provider import config as configs
from examples.advanced_provider import provider as acme
from examples.simple_provider import __main__ as vouchers
from provider_sdk import errors, provider
from provider_sdk.conformance import upstream as upstreams

Operation = operation_pb2.Operation
BINDING_ID = str(uuid.uuid4())
KEY = provider.Secret(b"sk_test_canary_77", version=1)


def _now_us() -> int:
    return time.time_ns() // 1_000


def _call(
    config: Any, *, operation_id: str = "", now_us: Callable[[], int] = _now_us
) -> provider.Call[Any]:
    return provider.Call(
        operation_id=operation_id or f"op_{uuid.uuid4().hex}",
        binding=provider.Binding(
            binding_id=BINDING_ID, generation=1, config=config, secrets={"api_key": [KEY]}
        ),
        attempt=1,
        timeout_s=30.0,
        not_after_us=_now_us() + 600_000_000,
        customer_action_allowed=False,
        now_us=now_us,
    )


def _money(amount_minor: int) -> money_pb2.Money:
    return money_pb2.Money(amount_minor=amount_minor, currency_code="EUR")


def _sale(token: str) -> pps.AuthorizePaymentRequest:
    return pps.AuthorizePaymentRequest(
        amount=_money(1_000),
        payment_method=token,
        capture_method=pps.CAPTURE_METHOD_AUTOMATIC,
    )


def _at_once(work: Awaitable[Operation]) -> Operation:
    """Runs what never waits, also where the loop is busy with the caller."""
    try:
        work.__await__().send(None)
    except StopIteration as ended:
        operation: Operation = ended.value
        return operation
    raise AssertionError("it waits for something")


async def test_two_processes_on_one_file_refund_a_voucher_once(tmp_path: pathlib.Path) -> None:
    """As during an upgrade: another one books between what the first reads and what it writes."""
    first, second = (vouchers.Vouchers(tmp_path / "books.db") for _ in range(2))
    second._db.execute("pragma busy_timeout = 0")
    config = vouchers.Config()
    paid = await first.authorize(_sale("voucher_10"), _call(config))
    refund = pps.RefundPaymentRequest(
        provider_payment_id=paid.provider_object_id, amount=_money(1_000)
    )
    meanwhile: list[Exception | Operation] = []

    def other_books() -> int:
        if not meanwhile:
            try:
                meanwhile.append(_at_once(second.refund(refund, _call(config))))
            except (errors.ProviderError, sqlite3.OperationalError) as refused:
                meanwhile.append(refused)
        return _now_us()

    given = await first.refund(refund, _call(config, now_us=other_books))
    assert given.state == Operation.STATE_SUCCEEDED
    assert isinstance(meanwhile[0], sqlite3.OperationalError)
    with pytest.raises(errors.StateConflict):
        await second.refund(refund, _call(config))
    for each in (first, second):
        each._db.close()


@pytest_asyncio.fixture
async def upstream() -> AsyncIterator[upstreams.Upstream]:
    """The system that Acme asks."""
    double = upstreams.Upstream()
    await double.start()
    yield double
    await double.close()


def _acme(upstream: upstreams.Upstream) -> acme.Acme:
    return acme.Acme(upstream.url, max_concurrent_calls=8, version="2.0.0")


async def test_a_limit_lowered_since_declines_nothing_that_was_charged(
    upstream: upstreams.Upstream,
) -> None:
    """The answer to the first attempt may have been lost: the second tells what became of it."""
    plugin = _acme(upstream)
    before = configs.AcmeConfig(merchant="shop-1", limits_minor={"EUR": 5_000})
    after = configs.AcmeConfig(merchant="shop-1", limits_minor={"EUR": 500})
    call = _call(before)
    paid = await plugin.authorize(_sale("tok_approve"), call)
    assert paid.state == Operation.STATE_SUCCEEDED
    again = _call(after, operation_id=call.operation_id)
    assert await plugin.authorize(_sale("tok_approve"), again) == paid

    fresh = await plugin.authorize(_sale("tok_approve"), _call(after))
    assert fresh.decline.reason == operation_pb2.DECLINE_REASON_LIMIT_EXCEEDED
    upstream.go_down()
    with pytest.raises(errors.LookupInconclusive):
        await plugin.authorize(_sale("tok_approve"), dataclasses.replace(again, attempt=3))
    assert len(upstream.effects()) == 1


def test_no_request_outlives_the_time_its_absence_is_doubted() -> None:
    """Another instance may be asked for what this one is still sending."""
    assert acme.Acme.upstream_request_max_s >= acme.REQUEST_MAX_S

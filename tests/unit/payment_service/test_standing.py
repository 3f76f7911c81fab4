"""What is kept from acting while the database lacks what the event log has."""

import asyncio
import types
from typing import Any, NoReturn

import grpc
import prometheus_client
import pytest
from google.protobuf import descriptor_pool
from payhub.admin.v1 import health_pb2, status_service_pb2
from starlette import requests

from payment_service import resolver, retrier
from payment_service.api import access
from payment_service.usecases import standing
from payment_service.usecases.plugins import health
from payment_service.webhooks import applier, endpoint
from servicekit import auth, errors
from tests import fake_clock

SCOPES = ("admin", "payments:read", "payments:write", "plugins:register")
METHODS = [
    method
    for service in access.SERVICES
    for method in descriptor_pool.Default().FindServiceByName(service).methods
]


class Untouched:
    """What must not be asked for anything."""

    def __getattr__(self, name: str) -> NoReturn:
        raise AssertionError(f"asked for {name}")


def behind() -> standing.Standing:
    """A database that was restored."""
    made = standing.Standing()
    made.tell(is_behind=True)
    return made


def door(standing_: standing.Standing) -> tuple[access.Authenticator, Any]:
    """What lets calls in, and the metadata of one that may do everything."""
    key_id, full = auth.new_key()
    principal = auth.Principal(tenant_id="t", scopes=frozenset(SCOPES), key_id=key_id)

    async def look_up(key_id: str, digest: bytes) -> auth.Principal:
        return principal

    keys = auth.KeyCache(look_up, ttl_s=60, clock=fake_clock.FakeClock())
    return access.Authenticator(keys, standing_), (("authorization", f"Bearer {full}"),)


async def test_what_changes_something_is_refused_and_reads_are_not() -> None:
    """Every RPC by what its contract says of its effects; plugins go on saying that they live."""
    authenticate, metadata = door(behind())
    names, told = set(), set()
    for method in METHODS:
        try:
            await authenticate(method.full_name, metadata)
        except errors.RpcError as error:
            told.add((error.code, error.reason, error.retry, error.retry_after_s, error.message))
            names.add(method.name)
    ((code, reason, retry, retry_after_s, message),) = told
    assert (code, reason) == (grpc.StatusCode.UNAVAILABLE, "DATABASE_BEHIND")
    assert (retry, retry_after_s) == ("same_key", standing.RETRY_AFTER_S)
    assert "`python -m payment_service recover`" in message
    assert {"CreatePayment", "CreateRefund", "SettleDoubt", "ReplayInboundWebhook"} <= names
    left = {method.name for method in METHODS} - names
    assert left >= {"IntrospectKey", "RenewLease", "GetStatus"}
    assert all(
        name.startswith(("Get", "List", "Validate", "Diff", "Export", "Introspect"))
        or name in ("RegisterInstance", "RenewLease", "DeregisterInstance")
        for name in left
    )


async def test_calls_wait_for_the_verdict_after_a_start() -> None:
    """One that changes something is let in, or refused, once it is there; a read is at once."""
    for is_behind in (False, True):
        held = standing.Standing()
        held.hold()
        authenticate, metadata = door(held)
        await authenticate("payhub.payments.v1.PaymentService.GetPayment", metadata)
        name = "payhub.payments.v1.PaymentService.CreatePayment"
        call = asyncio.ensure_future(authenticate(name, metadata))
        done, _ = await asyncio.wait([call], timeout=0)
        assert not done
        held.tell(is_behind=is_behind)
        if is_behind:
            with pytest.raises(errors.RpcError):
                await call
        else:
            assert await call is not None


@pytest.mark.parametrize("verdict", [True, None])
async def test_nothing_acts_by_itself(verdict: bool | None) -> None:
    """Neither the resolver nor the retrier nor the webhooks' loop asks for what is due, and a
    webhook that comes is to come again.
    """
    own = behind()
    if verdict is None:
        own.hold()
    untouched: Any = Untouched()
    ctx: Any = types.SimpleNamespace(
        standing=own, clock=fake_clock.FakeClock(), db=untouched, providers=untouched
    )
    registry = prometheus_client.CollectorRegistry()
    assert await resolver.Resolver(ctx, untouched, untouched, registry).run_once() == 0
    assert await retrier.Retrier(untouched, own).run_once() == 0
    woken: Any = types.SimpleNamespace(wake=asyncio.Event())
    assert await applier.Daemon(untouched, woken, own, registry).run_once() == 0


async def test_operators_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """`payctl status` says what has to be run, and `grpc.health.v1` that all is not well, until
    it has been.
    """
    monkeypatch.setattr(health, "REPORT_EVERY_S", 0.001)
    own = behind()
    catalog = types.SimpleNamespace(view=types.SimpleNamespace(plugins={}, kills={}))
    judging = health.Health(types.SimpleNamespace(catalog=catalog, standing=own))  # type: ignore[arg-type]
    status = status_service_pb2.GetStatusResponse()
    judging.fill(status)
    assert (status.health, list(status.health_reasons)) == (
        health_pb2.HEALTH_DEGRADED,
        [standing.BEHIND],
    )
    told: asyncio.Queue[bool] = asyncio.Queue()
    stop = asyncio.Event()
    reporting = asyncio.create_task(judging.report(stop, lambda _, serving: told.put(serving)))
    assert not await told.get()
    own.tell(is_behind=False)
    assert await told.get()
    stop.set()
    await reporting


async def test_a_webhook_is_to_come_again() -> None:
    """It is neither read nor kept."""
    door_ = endpoint.Endpoint(Untouched(), behind(), body_bytes_max=1, concurrency_max=1)  # type: ignore[arg-type]
    params = {"provider": "mock", "binding": "0190a6f0-0000-7000-8000-000000000000"}
    request = requests.Request({"type": "http", "path_params": params, "headers": []})
    answer = await door_.receive(request)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")

"""Where a recovery begins to read the event log, and who it waits for."""

import asyncio
import pathlib
import types
from collections.abc import AsyncIterator
from typing import Any, cast

import grpc.aio
import pytest
from payhub.events.v1 import event_pb2, event_stream_service_pb2_grpc
from payhub.events.v1 import event_stream_service_pb2 as pb

from payment_service import composition
from payment_service.db import leases, losses, payments
from payment_service.domain import changes, model
from payment_service.recovery import following, taking
from payment_service.relay import daemon
from payment_service.usecases import events, keys
from servicekit import clock, ids, storage, tls
from tests.unit.payment_service import build

O = build.O  # noqa: E741 - the tests read best with one letter per enum
DAY_US = 86_400_000_000
CAUSE = model.Cause(idempotency_key="key-1", actor="key:abc")


class Log(event_stream_service_pb2_grpc.EventStreamServiceServicer):
    """A log that hands out what was accepted since the start that is asked for."""

    def __init__(self) -> None:
        self.events: list[event_pb2.Event] = []
        self.refuses = False

    async def GetLogInfo(self, request: Any, context: Any) -> pb.GetLogInfoResponse:
        """Says which of them is the newest of the payment service."""
        newest = self.events[-1] if self.events else event_pb2.Event()
        head = pb.PaymentsHead(log_epoch="ab", position=newest.position, event_id=newest.id)
        return pb.GetLogInfoResponse(payments_head=head)

    async def Subscribe(self, request: Any, context: Any) -> AsyncIterator[pb.SubscribeResponse]:
        """Streams the events of the wanted tenants, and ends."""
        if self.refuses:
            await context.abort(grpc.StatusCode.PERMISSION_DENIED, "not you")
        since_us = request.start.from_time.ToMicroseconds()
        found = [
            each
            for each in self.events
            if each.tenant_id in request.filter.tenant_ids
            and each.append_time.ToMicroseconds() >= since_us
        ]
        yield pb.SubscribeResponse(notice=pb.Notice(started=pb.Notice.Started(log_epoch="ab")))
        yield pb.SubscribeResponse(events=found, cursor="end")
        closing = pb.Notice.Closing(reason=pb.Notice.Closing.REASON_END_REACHED)
        yield pb.SubscribeResponse(cursor="end", notice=pb.Notice(closing=closing))


@pytest.fixture
async def log() -> AsyncIterator[tuple[Log, str]]:
    """A log, and where it listens."""
    made = Log()
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    event_stream_service_pb2_grpc.add_EventStreamServiceServicer_to_server(made, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield made, f"127.0.0.1:{port}"
    await server.stop(None)


@pytest.fixture
async def ctx(tmp_path: pathlib.Path) -> AsyncIterator[Any]:
    """What lies outside, with an empty payment database."""
    url = f"sqlite:///{tmp_path}/payments.db"
    storage.migrate(url, composition.MIGRATIONS)
    database = await storage.open_database(url)
    yield types.SimpleNamespace(
        db=database,
        clock=clock.SystemClock(),
        new_id=ids.new_id,
        provider_timeout_s=20.0,
        outbox_written=asyncio.Event(),
        dialer=tls.IN_CLEAR,
    )
    await database.close()


def told(story: build.Story, tenant_id: str, accepted_us: int) -> list[event_pb2.Event]:
    """Returns the events of a payment as the log has them since a moment."""
    change = changes.Change(payment=story.payment, steps=tuple(story.steps))
    found = []
    for position, entry in enumerate(events.of_change(change, CAUSE, ids.new_id), 1):
        made = event_pb2.Event.FromString(entry.envelope)
        made.position, made.tenant_id = position, tenant_id
        made.append_time.FromMicroseconds(accepted_us)
        found.append(made)
    return found


async def recover(ctx: Any, endpoint: str, since_us: int = 0) -> following.Following:
    """Takes everything in."""
    cases = keys.Keys(cast(Any, ctx))
    return await taking.take_back(ctx, cases, endpoint=endpoint, owner="host:1", since_us=since_us)


async def test_an_old_back_up_gets_everything_since(ctx: Any, log: tuple[Log, str]) -> None:
    """What came days ago is taken back, also if this database has newer events: those of the
    recovery's own key, of a run that was interrupted, and of a service that ran since.
    """
    served, endpoint = log
    old_us = ctx.clock.now_us() - 10 * DAY_US
    sold = build.Story(model.Kind.SALE).confirm().then(O.SUCCEEDED)
    await keys.Keys(ctx).create(tenant_id="default", scopes=("admin",), name="since the restore")
    served.events += told(sold, "default", old_us)

    await recover(ctx, endpoint)

    found = await ctx.db.read(lambda conn: payments.load(conn, "default", sold.payment.id))
    assert found is not None
    assert found.captured_minor == build.AMOUNT


async def test_a_moment_shortens_what_is_read(ctx: Any, log: tuple[Log, str]) -> None:
    """Named by the operator, it leaves out what is more than a day older, and nothing else."""
    served, endpoint = log
    now_us = ctx.clock.now_us()
    sold = build.Story(model.Kind.SALE).confirm().then(O.SUCCEEDED)
    served.events += told(sold, "default", now_us - 10 * DAY_US)
    await keys.Keys(ctx).create(tenant_id="default", scopes=("admin",), name="of the tenant")

    await recover(ctx, endpoint, since_us=now_us - 8 * DAY_US)
    assert await ctx.db.read(lambda conn: payments.load(conn, "default", sold.payment.id)) is None

    tally = (await recover(ctx, endpoint, since_us=now_us - 10 * DAY_US)).tally
    assert list(tally.payments) == [sold.payment.id]
    assert 0 < tally.oldest_us <= tally.newest_us


async def test_a_recovery_ends_what_kept_services_from_starting(
    ctx: Any, log: tuple[Log, str]
) -> None:
    """A loss that was noted stands as long as the log was not read to its end."""
    served, endpoint = log
    await ctx.db.write(lambda conn: losses.note(conn, "operation op_1 is missing"))
    served.refuses = True
    with pytest.raises(following.LogProblem):
        await recover(ctx, endpoint)
    assert await ctx.db.read(losses.find) is not None
    served.refuses = False
    await recover(ctx, endpoint)
    assert await ctx.db.read(losses.find) is None


@pytest.mark.parametrize("forged", [{"entity_type": "order"}, {"entity_version": 0}])
async def test_what_a_tenants_key_published_is_not_believed(
    ctx: Any, log: tuple[Log, str], forged: dict[str, Any]
) -> None:
    """Keys of services may publish what looks like a payment's event, but number no payment's
    events: such a payment is not made, and its money never returned.
    """
    served, endpoint = log
    sold = build.Story(model.Kind.SALE).confirm().then(O.SUCCEEDED)
    await keys.Keys(ctx).create(tenant_id="default", scopes=("admin",), name="of the tenant")
    served.events += told(sold, "default", ctx.clock.now_us())
    for each in served.events:
        each.MergeFrom(event_pb2.Event(type="order.paid"))
        for name, value in forged.items():
            setattr(each, name, value)

    tally = (await recover(ctx, endpoint)).tally

    assert await ctx.db.read(lambda conn: payments.load(conn, "default", sold.payment.id)) is None
    assert (tally.events, tally.payments, tally.missing) == (0, {}, {})


async def test_a_relay_of_its_own_is_in_the_way(
    ctx: Any, log: tuple[Log, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A relay on the same machine, with the same settings, is told from this process."""
    monkeypatch.setattr(taking, "LEASE_WAIT_S", 0.0)
    assert await ctx.db.write(
        lambda conn: leases.take(conn, name=daemon.LEASE_NAME, owner="host:1", length_us=60_000_000)
    )
    with pytest.raises(taking.InUse):
        await recover(ctx, log[1])

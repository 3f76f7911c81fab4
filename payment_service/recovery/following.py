"""Reading the event log from the time of a back-up to its head, tenant by tenant.

Owns the calls to the gateway, where reading begins, and patience while the gateway finds its
way to this process, which it asks what the key may do. Called by the command. What is read is
written down by `writing`.
"""

import asyncio
import functools
import time
from collections.abc import Sequence

import grpc
import grpc.aio
from payhub.events.v1 import event_pb2, event_stream_service_pb2_grpc
from payhub.events.v1 import event_stream_service_pb2 as pb

from payment_service.db import keys, known
from payment_service.domain import model
from payment_service.recovery import counting, envelopes, writing
from payment_service.relay import gateway
from payment_service.usecases import context, snapshots
from payment_service.usecases import keys as key_cases
from servicekit import logs, server

# The clocks of who made an event and of who accepted it need not agree better than this.
SLACK_US = 86_400_000_000
# Tenants of one filter.
TENANTS_MAX = 64
PAGE_EVENTS = 200
PATIENCE_S = 60.0
ASK_S = 5.0
ACTOR = "recovery"

_log = logs.get_logger(__name__)


class LogProblem(Exception):
    """The event log can't be read."""


class Following:
    """Takes in what the log holds; see the module.

    Args:
        ctx: What lies outside.
        endpoint: Of the gateway.
        key: May read the events of every tenant.
        since_us: When the back-up was made, epoch microseconds; 0 reads all that is kept. What
            this database holds can't tell: it may have been used since, by an earlier run, too.
    """

    def __init__(self, ctx: context.Context, endpoint: str, key: str, *, since_us: int) -> None:
        self._ctx = ctx
        self._since_us = since_us - SLACK_US
        self._channel = ctx.dialer.dial(endpoint, server.CHANNEL_OPTIONS)
        stub = event_stream_service_pb2_grpc.EventStreamServiceStub(self._channel)
        self._subscribe = stub.Subscribe
        self._info = stub.GetLogInfo
        self._metadata = (("authorization", f"Bearer {key}"),)
        self.tally = counting.Tally()
        self.passed_over = False

    async def run(self) -> None:
        """Takes everything in, the events of the installation first: they name the tenants.

        At the end the database passes for one that knows all that was in the log at the start.

        Raises:
            LogProblem: The log can't be read. What was taken in stays; the next run goes on.
        """
        try:
            newest = await self._newest()
            await self._follow((key_cases.SYSTEM_TENANT,))
            found = await self._ctx.db.read(keys.tenants)
            tenants = sorted({*found, *self.tally.tenants} - {key_cases.SYSTEM_TENANT})
            for start in range(0, len(tenants), TENANTS_MAX):
                await self._follow(tenants[start : start + TENANTS_MAX])
            await self._tell_both()
            if newest is not None:
                note = functools.partial(known.note, epoch=newest.epoch, position=newest.position)
                await self._ctx.db.write(note)
        finally:
            await self._channel.close()

    async def _newest(self) -> gateway.Newest | None:
        until_s = time.monotonic() + PATIENCE_S
        while True:
            try:
                told = await self._info(
                    pb.GetLogInfoRequest(), timeout=ASK_S, metadata=self._metadata
                )
            except grpc.aio.AioRpcError as failure:
                await _wait(failure, until_s)
            else:
                return gateway.newest(told)

    async def _follow(self, tenants: Sequence[str]) -> None:
        start = pb.StartPoint(
            expired_policy=pb.StartPoint.EXPIRED_POLICY_OLDEST, anchor=pb.StartPoint.ANCHOR_OLDEST
        )
        if self._since_us > 0:
            start.from_time.CopyFrom(snapshots.timestamp(self._since_us))
        request = pb.SubscribeRequest(
            start=start,
            filter=event_pb2.Filter(tenant_ids=tenants),
            max_batch_events=PAGE_EVENTS,
            stop_at_head=True,
            client_name=ACTOR,
        )
        until_s = time.monotonic() + PATIENCE_S
        epoch = ""
        while True:
            try:
                async for response in self._subscribe(request, metadata=self._metadata):
                    notice = response.notice
                    if notice.HasField("started"):
                        epoch = notice.started.log_epoch
                    self.passed_over |= notice.HasField("skipped")
                    await self._write(epoch, response.events)
                    request.start.CopyFrom(pb.StartPoint(after_cursor=response.cursor))
                    until_s = time.monotonic() + PATIENCE_S
                    if notice.HasField("closing") and _is_end(notice.closing):
                        return
            except grpc.aio.AioRpcError as failure:
                await _wait(failure, until_s)
            else:
                await asyncio.sleep(1.0)

    async def _write(self, epoch: str, page: Sequence[event_pb2.Event]) -> None:
        own = [event for event in page if envelopes.is_of_core(event)]
        if not own:
            return
        now_us = self._ctx.clock.now_us()
        timeout_us = round(self._ctx.provider_timeout_s * 1_000_000)
        self.tally.add(
            await self._ctx.db.write(
                lambda conn: writing.write(
                    conn, own, epoch=epoch, now_us=now_us, timeout_us=timeout_us
                )
            )
        )

    async def _tell_both(self) -> None:
        for payment_id, tenant_id in self.tally.both.items():
            tell = functools.partial(
                writing.tell_both,
                tenant_id=tenant_id,
                payment_id=payment_id,
                cause=model.Cause(actor=ACTOR),
                now_us=self._ctx.clock.now_us(),
                event_id=self._ctx.new_id("evt"),
            )
            await self._ctx.db.write(tell)


def _is_end(closing: pb.Notice.Closing) -> bool:
    return closing.reason == pb.Notice.Closing.REASON_END_REACHED


async def _wait(failure: grpc.aio.AioRpcError, until_s: float) -> None:
    """Waits before the gateway is asked again.

    Raises:
        LogProblem: It makes no sense to ask again, or not after *until_s*.
    """
    if failure.code() is not grpc.StatusCode.UNAVAILABLE or time.monotonic() > until_s:
        text = f"{failure.code().name}: {failure.details()}"
        raise LogProblem(f"the event log can't be read: {text}") from failure
    _log.info("waiting for the event gateway", problem=failure.details())
    await asyncio.sleep(1.0)

"""A small event gateway on a real socket, for the subscriber's tests.

Owns an in-memory log and streams that break in planned ways. Never used outside tests.
"""

import contextlib
import threading
from collections.abc import Iterator
from concurrent import futures
from dataclasses import dataclass, field
from typing import Any, Literal

import grpc
from google.protobuf import duration_pb2
from google.rpc import status_pb2
from grpc_status import rpc_status
from payhub.events.v1 import (
    event_pb2,
    event_stream_service_pb2,
    event_stream_service_pb2_grpc,
)
from payhub.payments.v1 import payment_events_pb2, payment_pb2

Response = event_stream_service_pb2.SubscribeResponse
Notice = event_stream_service_pb2.Notice
Closing = Notice.Closing


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """How one stream behaves: after `responses` responses it ends as `then` says."""

    responses: int = 1_000_000
    then: Literal["drop", "silence", "end"] = "drop"
    refuse: status_pb2.Status | None = None
    closing: "Closing.Reason | None" = None
    reconnect_after_s: float = 0.0
    opens_after_s: float = 0.0


@dataclass(slots=True)
class FakeLog(event_stream_service_pb2_grpc.EventStreamServiceServicer):
    """The gateway; `streams` are used up in order, later streams behave."""

    target: str = ""
    epoch: str = "e1"
    batch: int = 3
    # A reader that hears nothing for 2.5 of them opens another stream.
    heartbeat_s: float = 5.0
    overlap: int = 0
    lenient: bool = False
    events: list[event_pb2.Event] = field(default_factory=list)
    streams: list[Stream] = field(default_factory=list)
    default: Stream = field(default_factory=Stream)
    opened: list[event_stream_service_pb2.SubscribeRequest] = field(default_factory=list)
    metadata: list[dict[str, str]] = field(default_factory=list)
    _changed: threading.Condition = field(default_factory=threading.Condition)
    _stopping: bool = False

    def append(self, count: int) -> None:
        """Append `count` payment events; positions rise but are not dense."""
        with self._changed:
            for _ in range(count):
                number = len(self.events) + 1
                payment = payment_pb2.Payment(id=f"pay_{number:032x}", version=1)
                payment.state = payment_pb2.Payment.STATE_SUCCEEDED
                payment.amount.amount_minor, payment.amount.currency_code = 1250, "EUR"
                event = event_pb2.Event(
                    id=f"evt_{number:08}",
                    type="payment.succeeded",
                    type_version=1,
                    entity_type="payment",
                    entity_id=payment.id,
                    entity_version=1,
                    position=number * 2,
                    content_type="application/protobuf",
                    data_schema="payhub.payments.v1.PaymentEvent",
                    data=payment_events_pb2.PaymentEvent(payment=payment).SerializeToString(),
                )
                self.events.append(event)
            self._changed.notify_all()

    def Subscribe(self, request: Any, context: Any) -> Iterator[Response]:  # noqa: D102
        with self._changed:
            plan = self.streams.pop(0) if self.streams else self.default
            self.opened.append(request)
            self.metadata.append({k: str(v) for k, v in context.invocation_metadata()})
        gone = threading.Event()
        context.add_callback(gone.set)
        gone.wait(plan.opens_after_s)
        if plan.refuse is not None:
            context.abort_with_status(rpc_status.to_status(plan.refuse))
        position = self._start(request.start)
        started = Response(cursor=self._cursor(position), phase=Response.PHASE_CATCHING_UP)
        started.notice.started.log_epoch = self.epoch
        started.notice.started.subscription_id = f"sub_{len(self.opened)}"
        started.notice.started.heartbeat_interval.CopyFrom(_duration(self.heartbeat_s))
        if plan.responses > 0:
            yield started
        resent = self.overlap
        head = self._head()
        for _ in range(plan.responses - 1):
            events = self._after(position, context, resent)
            if events is None:
                return
            resent = 0
            position = max([position, *(each.position for each in events)])
            yield Response(events=events, cursor=self._cursor(position), phase=Response.PHASE_LIVE)
            if request.stop_at_head and position >= head:
                plan = Stream(then="end", closing=Closing.REASON_END_REACHED)
                break
        yield from self._finish(plan, position, context)

    def _finish(self, plan: Stream, position: int, context: Any) -> Iterator[Response]:
        if plan.closing is not None:
            last = Response(cursor=self._cursor(position), phase=Response.PHASE_LIVE)
            last.notice.closing.reason = plan.closing
            last.notice.closing.reconnect_after.CopyFrom(_duration(plan.reconnect_after_s))
            yield last
        if plan.then == "drop":
            context.abort(grpc.StatusCode.UNAVAILABLE, "the connection is gone")
        if plan.then == "silence":
            gone = threading.Event()
            context.add_callback(gone.set)
            gone.wait(30)

    def _start(self, start: event_stream_service_pb2.StartPoint) -> int:
        if start.WhichOneof("point") == "after_cursor":
            epoch, _, position = start.after_cursor.partition(":")
            # Tests plant the error that a gateway answers to a cursor of another epoch.
            assert self.lenient or epoch == self.epoch
            return int(position)
        return (
            0 if start.anchor == event_stream_service_pb2.StartPoint.ANCHOR_OLDEST else self._head()
        )

    def _after(self, position: int, context: Any, resent: int) -> list[event_pb2.Event] | None:
        """The next batch, empty at a heartbeat; None once nobody listens."""
        with self._changed:
            if not any(each.position > position for each in self.events):
                self._changed.wait(self.heartbeat_s)
            if self._stopping or not context.is_active():
                return None
            known = [each for each in self.events if each.position <= position]
            fresh = [each for each in self.events if each.position > position][: self.batch]
            return [*known[len(known) - min(resent, len(known)) :], *fresh]

    def _head(self) -> int:
        return self.events[-1].position if self.events else 0

    def _cursor(self, position: int) -> str:
        return f"{self.epoch}:{position}"

    def QueryEvents(self, request: Any, context: Any) -> Any:  # noqa: D102
        # Tokens are "<offset>" or "<offset>e": the page after the latter is empty, because one
        # call reads a bounded part of the log only.
        empty = request.page_token.endswith("e")
        begin, size = int(request.page_token.rstrip("e") or 0), request.page_size or 100
        after = int(request.after_cursor.partition(":")[2] or 0)
        found = [each for each in self.events if each.position > after]
        page = [] if empty else found[begin : begin + size]
        token = ""
        if empty:
            token = str(begin)
        elif begin + size < len(found):
            token = f"{begin + size}e"
        return event_stream_service_pb2.QueryEventsResponse(
            events=page, next_page_token=token, cursor=self._cursor(self._head())
        )

    def GetEvent(self, request: Any, context: Any) -> Any:  # noqa: D102
        found = next((each for each in self.events if each.id == request.id), None)
        if found is None:
            return context.abort(grpc.StatusCode.NOT_FOUND, "no such event")
        cursor = self._cursor(found.position)
        return event_stream_service_pb2.GetEventResponse(event=found, cursor=cursor)

    def GetLogInfo(self, request: Any, context: Any) -> Any:  # noqa: D102
        return event_stream_service_pb2.GetLogInfoResponse(
            log_epoch=self.epoch, head_position=self._head(), head_cursor=self._cursor(self._head())
        )

    def stop(self) -> None:
        """End every stream."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()


@contextlib.contextmanager
def serving() -> Iterator[FakeLog]:
    """Serve a fake on a loopback port."""
    fake = FakeLog()
    server = grpc.server(futures.ThreadPoolExecutor(16))
    event_stream_service_pb2_grpc.add_EventStreamServiceServicer_to_server(fake, server)
    fake.target = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    try:
        yield fake
    finally:
        fake.stop()
        server.stop(None).wait()


def _duration(seconds: float) -> duration_pb2.Duration:
    made = duration_pb2.Duration()
    made.FromNanoseconds(int(seconds * 1e9))
    return made

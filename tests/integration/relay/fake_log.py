"""A gateway over a real socket that keeps the contract and fails on request.

Owns a log in memory: idempotent by id, dense per entity, with an epoch and a
head, checked credential and limits. Called by the relay's tests. Never forgives
an event that comes before its time.
"""

import itertools
from collections.abc import Callable
from typing import Any

import grpc
import grpc.aio
from payhub.events.v1 import (
    event_ingest_service_pb2 as ingest_pb,
)
from payhub.events.v1 import (
    event_ingest_service_pb2_grpc,
    event_pb2,
    event_stream_service_pb2_grpc,
)
from payhub.events.v1 import (
    event_stream_service_pb2 as stream_pb,
)

KEY = "phk_testtesttesttest_relay"

_Result = ingest_pb.PublishResult
_Entity = tuple[str, str, str]


class FakeLog(
    event_ingest_service_pb2_grpc.EventIngestServiceServicer,
    event_stream_service_pb2_grpc.EventStreamServiceServicer,
):
    """See the module. What a test may set:

    Attributes:
        poison: Ids that are refused one by one.
        spoils: Returns the status that a batch with this event fails with, or None.
        lose_answers: So many more batches are appended and then not answered.
        before_answer: Called after a batch was appended.
        old: Whether it is of a version that knows no entities that begin late.
        denies_late: Whether nobody may say that an entity begins late.
        tells_head: Whether it tells what came last of what was published.
        told_head: What it says came last instead, if replicas of an older version noted nothing.
    """

    def __init__(self) -> None:
        self._epochs = itertools.count(0xBEEF)
        self.poison: set[str] = set()
        self.spoils: Callable[[event_pb2.Event], grpc.StatusCode | None] = lambda _: None
        self.lose_answers = 0
        self.before_answer: Callable[[], None] = lambda: None
        self.old = self.denies_late = False
        self.tells_head = True
        self.told_head: stream_pb.PaymentsHead | None = None
        # In which epoch each event came that was published.
        self._published: dict[str, str] = {}
        # Ids of events that were said to be the first of their entity that there is.
        self.said_first: list[str] = []
        # Ids as they came, batch by batch, whatever became of them.
        self.batches: list[list[str]] = []
        self.bytes_max = 0
        self.rejected: list[str] = []
        self.port = 0
        self._server: grpc.aio.Server | None = None
        self.rebuild()

    def rebuild(self) -> None:
        """Loses everything, as if the database had been deleted."""
        self.epoch = f"{next(self._epochs):08x}"
        self.events: list[event_pb2.Event] = []
        self._restart_from(0)

    def restore(self, head: int) -> None:
        """Loses what came after *head* and begins an epoch, as an operator is told to."""
        self.epoch = f"{next(self._epochs):08x}"
        self._restart_from(head)

    def rewind(self, head: int) -> None:
        """Loses what came after *head* and keeps the epoch, as a careless restore does."""
        self._restart_from(head)

    def _restart_from(self, head: int) -> None:
        del self.events[head:]
        self._positions = {event.id: n for n, event in enumerate(self.events, 1)}
        self._versions: dict[_Entity, int] = {}
        for event in self.events:
            self._versions[_entity(event)] = event.entity_version

    def append(self, event: event_pb2.Event) -> None:
        """Appends what another producer publishes."""
        self.events.append(event)
        self._positions[event.id] = len(self.events)

    @property
    def ids(self) -> list[str]:
        """Ids in the order of the log."""
        return [event.id for event in self.events]

    async def PublishEvents(self, request: Any, context: Any) -> Any:
        """Appends a batch."""
        await _check_key(context)
        self.batches.append([event.id for event in request.events])
        self.bytes_max = max(self.bytes_max, request.ByteSize())
        if not 1 <= len(request.events) <= 1000 or request.ByteSize() > 3 * 1024 * 1024:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "events: too many or too large")
        for event in request.events:
            if code := self.spoils(event):
                await context.abort(code, "this batch can't be taken")
        first = {request.events[index].id for index in request.first_remaining}
        self.said_first += sorted(first)
        if first and self.denies_late:
            await context.abort(grpc.StatusCode.PERMISSION_DENIED, "only the relay may say so")
        results = [self._publish(event, event.id in first) for event in request.events]
        self.rejected += [one.id for one in results if one.outcome == _Result.OUTCOME_REJECTED]
        self.before_answer()
        if self.lose_answers:
            self.lose_answers -= 1
            await context.abort(grpc.StatusCode.UNAVAILABLE, "the answer is lost")
        return ingest_pb.PublishEventsResponse(
            results=results, log_epoch=self.epoch, head_position=len(self.events)
        )

    async def GetLogInfo(self, request: Any, context: Any) -> Any:
        """Says where the log is."""
        await _check_key(context)
        response = stream_pb.GetLogInfoResponse(
            log_epoch=self.epoch, head_position=len(self.events)
        )
        if self.tells_head:
            response.payments_head.CopyFrom(self.told_head or self.head())
        return response

    def head(self) -> stream_pb.PaymentsHead:
        """Returns what came last of what was published."""
        for position, event in reversed([*enumerate(self.events, 1)]):
            if epoch := self._published.get(event.id):
                return stream_pb.PaymentsHead(log_epoch=epoch, position=position, event_id=event.id)
        return stream_pb.PaymentsHead()

    def _publish(self, event: event_pb2.Event, first: bool) -> Any:
        position = self._positions.get(event.id)
        if position is not None:
            return _Result(id=event.id, outcome=_Result.OUTCOME_DUPLICATE, position=position)
        expected = self._versions.get(_entity(event), 0) + 1
        if event.id in self.poison:
            return _rejected(event, _Result.REJECT_REASON_INVALID)
        begins = first and expected == 1 and not self.old
        if event.entity_version > expected and not begins:
            told = 0 if self.old else expected
            return _rejected(event, _Result.REJECT_REASON_ENTITY_VERSION_GAP, told)
        if event.entity_version < expected:
            return _rejected(event, _Result.REJECT_REASON_ENTITY_VERSION_CONFLICT)
        self._versions[_entity(event)] = event.entity_version
        self.append(event)
        self._published[event.id] = self.epoch
        return _Result(id=event.id, outcome=_Result.OUTCOME_APPENDED, position=len(self.events))

    @property
    def target(self) -> str:
        """Where it listens, also while it is stopped."""
        return f"127.0.0.1:{self.port}"

    async def start(self) -> None:
        """Listens, on the same port each time."""
        self._server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        event_ingest_service_pb2_grpc.add_EventIngestServiceServicer_to_server(self, self._server)
        event_stream_service_pb2_grpc.add_EventStreamServiceServicer_to_server(self, self._server)
        self.port = self._server.add_insecure_port(self.target)
        await self._server.start()

    async def stop(self) -> None:
        """Stops listening; calls under way break."""
        if self._server is not None:
            await self._server.stop(None)
            self._server = None


async def _check_key(context: Any) -> None:
    if ("authorization", f"Bearer {KEY}") not in context.invocation_metadata():
        await context.abort(grpc.StatusCode.UNAUTHENTICATED, "no such key")


def _entity(event: event_pb2.Event) -> _Entity:
    return (event.tenant_id, event.entity_type, event.entity_id)


def _rejected(event: event_pb2.Event, reason: Any, expected: int = 0) -> Any:
    return _Result(
        id=event.id,
        outcome=_Result.OUTCOME_REJECTED,
        reject_reason=reason,
        message="as asked",
        expected_version=expected,
    )

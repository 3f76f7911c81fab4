"""EventIngestService: what producers may append.

Owns the checks of a batch and of each event in it, and the wording of answers.
Called by gRPC behind the pipeline. Never writes; the appender does.
"""

import collections
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence

import grpc
import grpc.aio
from google.protobuf import timestamp_pb2
from google.protobuf.message import Message
from payhub.events.v1 import (
    event_ingest_service_pb2 as pb,
)
from payhub.events.v1 import (
    event_ingest_service_pb2_grpc,
    event_pb2,
)

from event_gateway import access, appender, cursor, grants, splice
from event_gateway.db import append, rows
from servicekit import auth, errors, failpoints, metrics, rpc

EVENTS_MAX = 1000
BATCH_BYTES_MAX = 3 * 1024 * 1024
# What the payment service calls itself.
PAYMENTS = "payments"
# The largest number both databases hold.
VERSION_MAX = 2**63 - 1
# Years 1 to 9999: readers' libraries take no other moment.
SECONDS_MIN, SECONDS_MAX = -62_135_596_800, 253_402_300_799

_APPENDED = pb.PublishResult.OUTCOME_APPENDED
_DUPLICATE = pb.PublishResult.OUTCOME_DUPLICATE
_REJECTED = pb.PublishResult.OUTCOME_REJECTED
_ACCEPTED = {append.Outcome.APPENDED: _APPENDED, append.Outcome.DUPLICATE: _DUPLICATE}

# Stored as text, and PostgreSQL has no text with NUL in it.
_TEXT_FIELDS = ("id", "tenant_id", "entity_type", "entity_id")


class IngestServicer(event_ingest_service_pb2_grpc.EventIngestServiceServicer):
    """Serves PublishEvents.

    Args:
        log: Where accepted events go.
        validate: Checks a message against its contract, raising INVALID_FIELD.
        registry: For the count of events by outcome.
    """

    def __init__(
        self,
        log: appender.Appender,
        *,
        validate: Callable[[Message], None],
        registry: metrics.Metrics,
    ) -> None:
        self._log = log
        self._validate = validate
        counter = registry.counter(
            "payhub_gateway_events_published_total",
            "Events in PublishEvents, by what became of them.",
            ("outcome",),
        )
        self._counts = {
            outcome: counter.labels(pb.PublishResult.Outcome.Name(outcome)[8:].lower())
            for outcome in (_APPENDED, _DUPLICATE, _REJECTED)
        }

    async def PublishEvents(
        self,
        request: pb.PublishEventsRequest,
        context: grpc.aio.ServicerContext[pb.PublishEventsRequest, pb.PublishEventsResponse],
    ) -> pb.PublishEventsResponse:
        """Appends a batch; each event stands or falls by itself."""
        check_batch(request)
        principal: auth.Principal = rpc.current().principal
        if request.first_remaining:
            check_first_remaining(request, principal)
        first = frozenset(request.first_remaining)
        is_relay = access.is_relay(principal)
        refusals = self._refusals(request, principal)
        candidates = [
            candidate(
                event,
                first_remaining=index in first,
                of_payments=is_relay and event.source == PAYMENTS,
            )
            for index, event in enumerate(request.events)
            if index not in refusals
        ]
        appended = await self._log.append(candidates)
        response = pb.PublishEventsResponse(
            results=answers(request.events, refusals, appended.verdicts),
            log_epoch=cursor.epoch_text(appended.epoch),
            head_position=appended.head,
        )
        outcomes = collections.Counter(result.outcome for result in response.results)
        for outcome, count in outcomes.items():
            self._counts[outcome].inc(count)
        failpoints.hit("event_gateway.before_publish_answer")
        return response

    def _refusals(
        self, request: pb.PublishEventsRequest, principal: auth.Principal
    ) -> dict[int, pb.PublishResult]:
        """Returns the answers for events that must not reach the log, by index."""
        refusals: dict[int, pb.PublishResult] = {}
        everything_valid = self._problem(request) is None
        anything = grants.publishes_anything(principal)
        for index, event in enumerate(request.events):
            problem = own_problem(event)
            if problem is None and not everything_valid:
                problem = self._problem(event)
            if problem is not None:
                refusals[index] = _refuse(event, pb.PublishResult.REJECT_REASON_INVALID, problem)
            elif not access.may_publish_for(principal, event.tenant_id):
                refusals[index] = _refuse(
                    event,
                    pb.PublishResult.REJECT_REASON_TENANT_FORBIDDEN,
                    f"this key may publish for tenant {principal.tenant_id} only",
                )
            elif anything:
                continue
            elif text := grants.publish_problem(principal, event.type):
                refusals[index] = _refuse(
                    event, pb.PublishResult.REJECT_REASON_TYPE_FORBIDDEN, text
                )
            elif text := grants.counting_problem(event):
                refusals[index] = _refuse(event, pb.PublishResult.REJECT_REASON_INVALID, text)
        return refusals

    def _problem(self, message: Message) -> str | None:
        try:
            self._validate(message)
        except errors.RpcError as refusal:
            return refusal.message
        return None


def check_batch(request: pb.PublishEventsRequest) -> None:
    """Checks what holds for a batch as a whole.

    Raises:
        errors.RpcError: INVALID_FIELD.
    """
    if not request.events:
        raise errors.invalid_field("events", "must hold at least 1 event")
    if len(request.events) > EVENTS_MAX:
        raise errors.invalid_field("events", f"must hold at most {EVENTS_MAX} events")
    if request.ByteSize() > BATCH_BYTES_MAX:
        raise errors.invalid_field("events", f"must take at most {BATCH_BYTES_MAX} bytes together")


def check_first_remaining(request: pb.PublishEventsRequest, principal: auth.Principal) -> None:
    """Checks who says that entities begin late, and that the batch does not belie it.

    Raises:
        errors.RpcError: PERMISSION_NOT_GRANTED, INVALID_FIELD.
    """
    if not access.is_relay(principal):
        raise errors.RpcError(
            grpc.StatusCode.PERMISSION_DENIED,
            "PERMISSION_NOT_GRANTED",
            "first_remaining: nobody but the relay may set it",
            metadata={"permission": "events:publish:first_remaining"},
        )
    lowest: dict[rows.Entity, int] = {}
    for event in request.events:
        if event.entity_version:
            entity = (event.tenant_id, event.entity_type, event.entity_id)
            version = event.entity_version
            lowest[entity] = min(lowest.get(entity, version), version)
    seen: set[int] = set()
    for number, index in enumerate(request.first_remaining):
        path = f"first_remaining[{number}]"
        if index >= len(request.events):
            raise errors.invalid_field(path, f"must be below {len(request.events)}")
        if index in seen:
            raise errors.invalid_field(path, "must not repeat an earlier one")
        seen.add(index)
        event = request.events[index]
        entity = (event.tenant_id, event.entity_type, event.entity_id)
        if event.entity_version != lowest.get(entity):
            raise errors.invalid_field(
                path, "must be the lowest version of its entity in the batch"
            )


def own_problem(event: event_pb2.Event) -> str | None:
    """Returns what is wrong with an event besides the rules in the contract, or None."""
    if event.position:
        return "position: is set by the gateway; leave it unset"
    if event.HasField("append_time"):
        return "append_time: is set by the gateway; leave it unset"
    if event.redacted:
        return "redacted: is set by the gateway; leave it unset"
    if event.entity_version > VERSION_MAX:
        return f"entity_version: must be at most {VERSION_MAX}"
    moment = event.occur_time
    if not (SECONDS_MIN <= moment.seconds <= SECONDS_MAX and 0 <= moment.nanos < 1_000_000_000):
        return "occur_time: must be a moment of the years 1 to 9999"
    for name in _TEXT_FIELDS:
        if "\0" in getattr(event, name):
            return f"{name}: must not contain the character NUL"
    return None


def candidate(
    event: event_pb2.Event, *, first_remaining: bool = False, of_payments: bool = False
) -> rows.Candidate:
    """Returns what the log asks of an event that may be published."""
    body = splice.content(event)
    return rows.Candidate(
        event_id=event.id,
        tenant_id=event.tenant_id,
        type_name=event.type,
        entity_type=event.entity_type,
        entity_id=event.entity_id,
        entity_version=event.entity_version,
        body=body,
        content_hash=hashlib.sha256(body).digest(),
        first_remaining=first_remaining,
        of_payments=of_payments,
    )


def answers(
    events: Sequence[event_pb2.Event],
    refusals: Mapping[int, pb.PublishResult],
    verdicts: Sequence[append.Verdict],
) -> Iterator[pb.PublishResult]:
    """Yields the producer's answer for each event: the refusal at its index, or what the
    log decided, in order.
    """
    times: dict[int, timestamp_pb2.Timestamp] = {}
    decided = iter(verdicts)
    for index, event in enumerate(events):
        refusal = refusals.get(index)
        if refusal is not None:
            yield refusal
            continue
        verdict = next(decided)
        outcome = _ACCEPTED.get(verdict.outcome)
        if outcome is None:
            yield _rejected(event, verdict)
            continue
        append_us = verdict.append_us
        if append_us and append_us not in times:
            times[append_us] = splice.timestamp(append_us)
        yield pb.PublishResult(
            id=event.id,
            outcome=outcome,
            position=verdict.position,
            append_time=times.get(append_us),
        )


def _rejected(event: event_pb2.Event, verdict: append.Verdict) -> pb.PublishResult:
    if verdict.outcome is append.Outcome.ID_CONFLICT:
        reason = pb.PublishResult.REJECT_REASON_EVENT_ID_CONFLICT
        text = "the log holds an event with this id and other content"
    elif verdict.outcome is append.Outcome.VERSION_CONFLICT:
        reason = pb.PublishResult.REJECT_REASON_ENTITY_VERSION_CONFLICT
        text = f"the log holds version {event.entity_version} of this entity under another id"
    else:
        reason = pb.PublishResult.REJECT_REASON_ENTITY_VERSION_GAP
        text = (
            f"version {verdict.expected_version} of this entity comes next, "
            f"not {event.entity_version}; publish what is between first"
        )
    return _refuse(event, reason, text, expected_version=verdict.expected_version)


def _refuse(
    event: event_pb2.Event,
    reason: pb.PublishResult.RejectReason,
    text: str,
    *,
    expected_version: int = 0,
) -> pb.PublishResult:
    return pb.PublishResult(
        id=event.id,
        outcome=_REJECTED,
        reject_reason=reason,
        message=text,
        expected_version=expected_version,
    )

"""Normal forms of requests with idempotency keys: two ways to write the same request are one.

Owns which ways mean the same, RPC by RPC. Called by `pages.command`, with a copy. Never fills in
what depends on the moment, such as the position that a start point stands for. Defaults are left
out in a normal form, as `payhub_client` leaves them out.
"""

from collections.abc import Callable, Mapping
from typing import Any

from google.protobuf import duration_pb2
from payhub.events.v1 import event_stream_service_pb2, webhook_pb2, webhook_service_pb2

from event_gateway.webhooks_out import definition

# How long a rotated secret signs alongside, if nothing is said.
OVERLAP_S = 86_400.0

_StartPoint = event_stream_service_pb2.StartPoint
_NEWEST = (_StartPoint.ANCHOR_UNSPECIFIED, _StartPoint.ANCHOR_NEWEST)


def _is(length: duration_pb2.Duration, seconds: float) -> bool:
    return length.ToMicroseconds() == round(seconds * 1e6)


def _start_point(point: _StartPoint) -> None:
    """What becomes of a place that has expired is asked of cursors and moments only."""
    if point.WhichOneof("point") in ("after_cursor", "from_time"):
        if point.expired_policy == _StartPoint.EXPIRED_POLICY_FAIL:
            point.ClearField("expired_policy")
        return
    point.ClearField("expired_policy")
    if point.anchor in _NEWEST:
        point.ClearField("point")


def _endpoint(given: webhook_pb2.WebhookEndpoint) -> None:
    given.types[:] = sorted(set(given.types))
    if given.state == given.STATE_ENABLED:
        given.ClearField("state")
    if given.max_in_flight == definition.MAX_IN_FLIGHT:
        given.ClearField("max_in_flight")
    if given.HasField("timeout") and _is(given.timeout, definition.TIMEOUT_S):
        given.ClearField("timeout")
    waits = zip(given.retry_schedule, definition.SCHEDULE_S, strict=False)
    same = len(given.retry_schedule) == len(definition.SCHEDULE_S)
    if same and all(_is(wait, seconds) for wait, seconds in waits):
        given.ClearField("retry_schedule")


def _create(request: webhook_service_pb2.CreateWebhookEndpointRequest) -> None:
    _endpoint(request.endpoint)
    if request.HasField("start"):
        _start_point(request.start)
        if not request.start.ByteSize():
            request.ClearField("start")


def _rotate(request: webhook_service_pb2.RotateWebhookSecretRequest) -> None:
    if request.HasField("overlap") and _is(request.overlap, OVERLAP_S):
        request.ClearField("overlap")


def _retry(request: webhook_service_pb2.RetryWebhookDeliveriesRequest) -> None:
    if request.WhichOneof("selection") == "replay_from":
        _start_point(request.replay_from)


def _seek(request: Any) -> None:
    _start_point(request.target)


# By RPC; brings a request into its normal form.
FORMS: Mapping[str, Callable[[Any], None]] = {
    "CreateWebhookEndpoint": _create,
    "RotateWebhookSecret": _rotate,
    "RetryWebhookDeliveries": _retry,
    "SeekConsumer": _seek,
}

"""Tells Payhub's subscribers when Acme has trouble, and when it is over.

Owns the events `acme.degraded` and `acme.recovered`, for which the plugin asks the
permission `events:publish:acme.*`. Told by `provider`, run beside the server. Never
holds up a payment: what can't be published waits, and the oldest is dropped.
"""

import asyncio
import collections
import json
import uuid
from collections.abc import Sequence
from typing import Any

from payhub.events.v1 import event_ingest_service_pb2 as ingest
from payhub.events.v1 import event_ingest_service_pb2_grpc, event_pb2

from provider_sdk import registration_settings
from servicekit import logs, loop, server, tls

WAITING_MAX = 100
TIMEOUT_S = 10.0
IDLE_S = 3_600.0

_log = logs.get_logger(__name__)


class Notices:
    """Events that wait to be published.

    Args:
        endpoint: `host:port` of the event gateway.
        tenant_id: Tenant of the plugin's key, which may publish for no other.
        settings: Where the key is.
        dialer: How the gateway is called.
    """

    def __init__(
        self,
        endpoint: str,
        *,
        tenant_id: str,
        settings: registration_settings.Settings,
        dialer: tls.Dialer,
    ) -> None:
        self._endpoint = endpoint
        self._tenant_id = tenant_id
        self._settings = settings
        self._dialer = dialer
        self._waiting: collections.deque[event_pb2.Event] = collections.deque(maxlen=WAITING_MAX)
        self._wake = asyncio.Event()

    def tell(self, reasons: Sequence[str]) -> None:
        """Acme is in trouble for *reasons*, or without any again well."""
        event = event_pb2.Event(
            id=f"evt_{uuid.uuid4().hex}",
            type="acme.degraded" if reasons else "acme.recovered",
            type_version=1,
            source="acme",
            tenant_id=self._tenant_id,
            entity_type="upstream",
            entity_id="acme",
            content_type="application/json",
            data=json.dumps({"reasons": list(reasons)}).encode(),
        )
        event.occur_time.GetCurrentTime()
        self._waiting.append(event)
        self._wake.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Publishes what waits until *stop* is set; tries again where it fails."""
        async with self._dialer.dial(self._endpoint, server.CHANNEL_OPTIONS) as channel:
            stub: Any = event_ingest_service_pb2_grpc.EventIngestServiceStub(channel)

            async def publish() -> int:
                return await self._publish(stub)

            await loop.run_forever(
                publish, idle_s=IDLE_S, stop=stop, wake=self._wake, name="notices"
            )

    async def _publish(self, stub: Any) -> int:
        """Publishes all that waits; the event id makes a repeat harmless."""
        events = list(self._waiting)
        if not events:
            return 0
        key = await asyncio.to_thread(self._settings.current_key)
        answer = await stub.PublishEvents(
            ingest.PublishEventsRequest(events=events),
            timeout=TIMEOUT_S,
            metadata=(("authorization", f"Bearer {key}"),),
        )
        for event, result in zip(events, answer.results, strict=True):
            if result.outcome == ingest.PublishResult.OUTCOME_REJECTED:
                _log.error("event refused", type=event.type, problem=result.message)
            if event in self._waiting:
                self._waiting.remove(event)
        return len(events)

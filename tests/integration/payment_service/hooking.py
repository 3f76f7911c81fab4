"""A provider that sends webhooks, and the endpoint they come in by.

Owns signing as that provider does, sending over HTTP, and orders of what a webhook tells.
Called by the tests of webhooks.
"""

import asyncio
import contextlib
import hashlib
import hmac
import io
import itertools
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import aiohttp
from google.protobuf import json_format
from payhub.admin.v1 import inbound_webhook_service_pb2 as pb
from payhub.admin.v1 import inbound_webhook_service_pb2_grpc
from payhub.plugin.v1 import capability_pb2
from payhub.provider.v1 import notice_provider_service_pb2 as nps
from payhub.provider.v1 import operation_pb2, provider_object_pb2
from payhub.provider.v1 import payment_provider_service_pb2 as pps

from payment_service.domain import bindings
from servicekit import http, metrics
from tests import shells
from tests.integration.payment_service import billing, inside, records, rehearsing, rig, upstream

SECRET = b"whsec_of_the_tests"
_events = itertools.count(1)


def sign(body: bytes, secret: bytes = SECRET) -> str:
    """Returns what signs a body."""
    return hmac.new(secret, body, hashlib.sha256).hexdigest()


def told(*objects: provider_object_pb2.ProviderObject, **fields: Any) -> Any:
    """Returns what a webhook tells, with an event id of its own unless one is given."""
    fields.setdefault("provider_event_id", f"ev_{next(_events)}")
    fields.setdefault("event_type", "something.happened")
    return nps.VerifyWebhookResponse(objects=objects, **fields)


class Bank(upstream.Upstream):
    """A provider whose webhooks are a VerifyWebhookResponse as JSON, signed by HMAC."""

    def __init__(self) -> None:
        super().__init__((*upstream.CAPABILITIES, capability_pb2.CAPABILITY_WEBHOOKS))
        self.verified = 0

    async def AuthorizePayment(
        self, request: pps.AuthorizePaymentRequest, context: Any
    ) -> pps.AuthorizePaymentResponse:
        """Takes the money, or says later whether it did."""
        answer = await super().AuthorizePayment(request, context)
        if self.script["AuthorizePayment"][:1] == ["pending"]:
            self.script["AuthorizePayment"].pop()
            answer.operation.state = operation_pb2.Operation.STATE_PENDING
        return answer

    async def VerifyWebhook(
        self, request: nps.VerifyWebhookRequest, context: Any
    ) -> nps.VerifyWebhookResponse:
        """Believes what was signed with the secret."""
        self.verified += 1
        headers = {header.name: header.value for header in request.request.headers}
        made = hmac.new(SECRET, request.request.body, hashlib.sha256).hexdigest()
        if not hmac.compare_digest(made, headers.get("x-signature", "")):
            return nps.VerifyWebhookResponse(
                authenticity=nps.AUTHENTICITY_FAILED, detail="not signed by us"
            )
        try:
            told = json_format.Parse(request.request.body, nps.VerifyWebhookResponse())
        except json_format.ParseError:
            return nps.VerifyWebhookResponse(authenticity=nps.AUTHENTICITY_MALFORMED)
        told.authenticity = nps.AUTHENTICITY_AUTHENTIC
        return told


@dataclass(frozen=True, slots=True, kw_only=True)
class Hooks:
    """A running service with its provider and the address of its endpoint; `stop` ends the
    `daemon` that works on webhooks in the background.
    """

    bill: billing.Billing
    bank: Bank
    url: str
    session: aiohttp.ClientSession
    stop: asyncio.Event
    daemon: asyncio.Task[None]

    @property
    def records(self) -> records.Records:
        """Its tables."""
        return self.bill.records

    @property
    def service(self) -> inside.InProcess:
        """The service."""
        return self.bill.service

    @property
    def binding_id(self) -> str:
        """The binding whose address the webhooks come to."""
        return bindings.binding_id("t-inside", "mock")

    def signature(self, body: bytes, secret: bytes = SECRET) -> str:
        """Returns what signs a body."""
        return sign(body, secret)

    def told(self, *objects: provider_object_pb2.ProviderObject, **fields: Any) -> Any:
        """Returns what a webhook tells, with an event id of its own unless one is given."""
        return told(*objects, **fields)

    async def send(
        self, told: Any, *, secret: bytes = SECRET, path: str = "", body: bytes | None = None
    ) -> tuple[int, str]:
        """Sends a webhook; returns the status and the webhook's id."""
        if body is None:
            body = json_format.MessageToJson(told).encode()
        headers = {
            "X-Signature": self.signature(body, secret),
            "Authorization": "Bearer of-a-proxy",
        }
        place = path or f"mock/{self.binding_id}"
        url = f"{self.url}/webhooks/{place}"
        async with self.session.post(url, data=io.BytesIO(body), headers=headers) as response:
            answer = await response.json() if response.content_type.endswith("json") else {}
            return response.status, answer.get("webhook", "")

    async def get(self, webhook_id: str) -> pb.GetInboundWebhookResponse:
        """Returns a webhook as operators see it."""
        request = pb.GetInboundWebhookRequest(webhook_id=webhook_id)
        answer: pb.GetInboundWebhookResponse = await self.call("GetInboundWebhook", request)
        return answer

    async def call(self, rpc: str, request: Any) -> Any:
        """Calls InboundWebhookService."""
        stub = inbound_webhook_service_pb2_grpc.InboundWebhookServiceStub(self.bill.caller.channel)
        return await self.bill.caller.call(getattr(stub, rpc), request)

    def terminal(self) -> shells.Terminal:
        """Returns a terminal for `payctl webhooks in …`."""
        caller = self.bill.caller
        return shells.Terminal(
            *("webhooks", "in"),
            PAYHUB_TARGET=caller.target,
            PAYHUB_KEY=caller.key,
            COLUMNS="250",
        )

    async def becomes(self, webhook_id: str, wanted: str) -> pb.InboundWebhook:
        """Returns a webhook once it is in a state."""

        async def there() -> pb.InboundWebhook | None:
            found = (await self.get(webhook_id)).webhook
            return found if rig.state(found) == wanted else None

        found: pb.InboundWebhook = await rig.until(there)
        return found


@contextlib.asynccontextmanager
async def running(database_url: str, **changes: Any) -> AsyncIterator[Hooks]:
    """Runs a service, its endpoint and a provider on an empty database."""
    async with (
        Bank() as bank,
        inside.running(database_url, bank.target, wrap=rehearsing.Rehearsing, **changes) as service,
        aiohttp.ClientSession() as session,
    ):
        await inside.connected(service)
        app = http.application(
            registry=metrics.Metrics(),
            readiness=http.Readiness(),
            routes=service.parts.webhooks.routes(),
        )
        server = http.Server(app, host="127.0.0.1", port=0)
        await server.start()
        stop = asyncio.Event()
        daemon = asyncio.create_task(service.parts.webhook_daemon.run(stop, idle_s=0.05))
        stored = records.Records(database_url)
        try:
            yield Hooks(
                bill=billing.Billing(service=service, bank=bank, records=stored),
                bank=bank,
                url=f"http://127.0.0.1:{server.port}",
                session=session,
                stop=stop,
                daemon=daemon,
            )
        finally:
            stop.set()
            await daemon
            await server.stop()
            await asyncio.to_thread(stored.close)

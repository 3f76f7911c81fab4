"""WebhookService: endpoints, their secrets, and what was sent to them.

Owns the checks of what tenants ask for and the wording of answers. Called by gRPC
behind the pipeline. Sending is done by `event_gateway.webhooks_out`.
"""

import json
from collections.abc import Callable
from typing import Any

import grpc
import grpc.aio
from payhub.events.v1 import event_pb2
from payhub.events.v1 import webhook_service_pb2 as pb

from event_gateway import cursor, places, problems, splice, telling
from event_gateway.api import normal, pages, webhook_views
from event_gateway.consumers import groups
from event_gateway.db import commands, consumers, lag, webhook_log, webhooks
from event_gateway.webhooks_out import (
    changes,
    definition,
    payload,
    pool,
    replay,
    secrets,
    signing,
    worker,
)
from servicekit import auth, errors, ids, rpc, storage

SERVICE = pb.DESCRIPTOR.services_by_name["WebhookService"].full_name

ENDPOINTS_MAX = 100
PAGE_SIZE_DEFAULT = 50
TEST_TYPE = "webhook.test"
_NEWEST = 2**63 - 1

_Context = grpc.aio.ServicerContext[Any, Any]


class Webhooks:
    """Serves WebhookService.

    Args:
        around: What workers use too.
        checked: Checks start points.
        running: Told when a row has changed.
        sending: Told when there may be something to send.
        plain_http: Whether http is allowed beside https.
        private: Whether private addresses are allowed.
    """

    def __init__(
        self,
        around: worker.Surroundings,
        checked: places.Places,
        running: groups.Groups,
        sending: pool.Pool,
        *,
        plain_http: bool,
        private: bool,
    ) -> None:
        self._around = around
        self._places = checked
        self._database = around.database
        self._groups = running
        self._pool = sending
        self._allowed = {"plain_http": plain_http, "private": private}

    async def create(
        self, request: pb.CreateWebhookEndpointRequest, context: _Context
    ) -> pb.CreateWebhookEndpointResponse:
        """Makes an endpoint with a fresh secret."""
        principal: auth.Principal = rpc.current().principal
        definition.check_new(request.endpoint)
        made = definition.complete(request.endpoint, **self._allowed)
        floor = await self._places.position(request.start, "start")
        endpoint_id = ids.new_id(definition.ID_PREFIX)
        secret = signing.new_secret()
        sealed = self._around.vault.seal(endpoint_id, [secrets.Secret(value=secret)])
        command = pages.command(principal, "CreateWebhookEndpoint", request)
        by = self._by(principal, request.idempotency_key)

        def create(conn: storage.Connection) -> webhooks.Endpoint | None:
            before = commands.recall(conn, command)
            if before is not None:
                return webhooks.get(conn, principal.tenant_id, before.decode())
            if webhooks.count(conn, principal.tenant_id) >= ENDPOINTS_MAX:
                raise errors.overloaded(
                    f"the tenant has {ENDPOINTS_MAX} webhook endpoints already",
                    retry_after_s=60.0,
                )
            changes.make(
                conn, principal.tenant_id, endpoint_id, made, secrets=sealed, floor=floor, by=by
            )
            commands.keep(conn, command, endpoint_id.encode())
            return webhooks.get(conn, principal.tenant_id, endpoint_id)

        stored = await self._write(create)
        if stored is None:
            raise errors.not_found("webhook endpoint", "that this idempotency key made")
        held = self._around.vault.open(stored.endpoint_id, stored.secrets)
        return pb.CreateWebhookEndpointResponse(
            endpoint=definition.shown(stored), secret=held[0].value
        )

    async def get(
        self, request: pb.GetWebhookEndpointRequest, context: _Context
    ) -> pb.GetWebhookEndpointResponse:
        """Returns an endpoint and how it does."""
        principal: auth.Principal = rpc.current().principal
        return await self._database.read(
            lambda conn: webhook_views.described(conn, _found(conn, principal, request.id))
        )

    async def list(
        self, request: pb.ListWebhookEndpointsRequest, context: _Context
    ) -> pb.ListWebhookEndpointsResponse:
        """Returns a page by id."""
        principal: auth.Principal = rpc.current().principal
        after = pages.decode_name(request.page_token)
        size = request.page_size or PAGE_SIZE_DEFAULT

        def page(conn: storage.Connection) -> pb.ListWebhookEndpointsResponse:
            rows = webhooks.page(conn, principal.tenant_id, after=after, rows=size + 1)
            token = pages.encode_name(rows[size - 1].endpoint_id) if len(rows) > size else ""
            return pb.ListWebhookEndpointsResponse(
                endpoints=[
                    webhook_views.described(conn, each, lag.ROWS_EACH) for each in rows[:size]
                ],
                next_page_token=token,
            )

        return await self._database.read(page)

    async def update(
        self, request: pb.UpdateWebhookEndpointRequest, context: _Context
    ) -> pb.UpdateWebhookEndpointResponse:
        """Sets the fields in the mask."""
        principal: auth.Principal = rpc.current().principal
        given, paths = request.endpoint, list(request.update_mask.paths)
        if not paths:
            raise errors.invalid_field("update_mask", "must name at least one field")
        by = self._by(principal)

        def update(conn: storage.Connection) -> webhooks.Endpoint:
            stored = _locked(conn, principal, given.id)
            before = definition.read(stored)
            after = definition.change(before, given, paths, **self._allowed)
            if after == before:
                return stored
            if given.etag and given.etag != str(stored.revision):
                raise problems.stale(given.etag, str(stored.revision))
            changes.change(conn, stored, after, verb="updated", by=by)
            return _found(conn, principal, given.id)

        stored = await self._write(update)
        self._told(principal, given.id)
        return pb.UpdateWebhookEndpointResponse(endpoint=definition.shown(stored))

    async def delete(
        self, request: pb.DeleteWebhookEndpointRequest, context: _Context
    ) -> pb.DeleteWebhookEndpointResponse:
        """Deletes an endpoint, if there is one."""
        principal: auth.Principal = rpc.current().principal
        by = self._by(principal)

        def delete(conn: storage.Connection) -> None:
            stored = webhooks.lock(conn, principal.tenant_id, pages.text(request.id))
            if stored is not None:
                changes.delete(conn, stored, by=by)

        await self._write(delete)
        self._told(principal, request.id)
        return pb.DeleteWebhookEndpointResponse()

    async def rotate(
        self, request: pb.RotateWebhookSecretRequest, context: _Context
    ) -> pb.RotateWebhookSecretResponse:
        """Gives an endpoint a new secret."""
        principal: auth.Principal = rpc.current().principal
        overlap_us = round(normal.OVERLAP_S * 1e6)
        if request.HasField("overlap"):
            overlap_us = request.overlap.ToMicroseconds()
        fresh = signing.new_secret()
        command = pages.command(principal, "RotateWebhookSecret", request)
        by = self._by(principal, request.idempotency_key)
        vault = self._around.vault

        def rotate(conn: storage.Connection) -> webhooks.Endpoint:
            before = commands.recall(conn, command)
            stored = _locked(conn, principal, request.id)
            if before is not None:
                return stored
            try:
                held = vault.open(request.id, stored.secrets)
            except errors.RpcError:
                # Without an overlap the one before is not needed: its key may be lost for good.
                if overlap_us:
                    raise
                held = []
            sealed = vault.seal(request.id, secrets.rotated(held, fresh, by.now_us + overlap_us))
            changes.change(
                conn,
                stored,
                definition.read(stored),
                verb="secret_rotated",
                by=by,
                secrets=sealed,
            )
            commands.keep(conn, command, request.id.encode())
            return _found(conn, principal, request.id)

        stored = await self._write(rotate)
        held = vault.open(request.id, stored.secrets)
        response = pb.RotateWebhookSecretResponse(secret=held[0].value)
        if len(held) > 1:
            response.previous_expire_time.CopyFrom(splice.timestamp(held[1].expire_us))
        return response

    async def test(
        self, request: pb.SendTestWebhookRequest, context: _Context
    ) -> pb.SendTestWebhookResponse:
        """Sends a synthetic event now."""
        principal: auth.Principal = rpc.current().principal
        stored = await self._database.read(lambda conn: _found(conn, principal, request.id))
        endpoint = definition.read(stored)
        now_us = self._around.time.now_us()
        event = event_pb2.Event(
            id=ids.new_id("evt"),
            type=request.type or TEST_TYPE,
            tenant_id=principal.tenant_id,
            entity_type="webhook_endpoint",
            entity_id=request.id,
            occur_time=splice.timestamp(now_us),
            content_type="application/json",
            data=json.dumps({"test": True}).encode(),
        )
        held = self._around.vault.open(request.id, stored.secrets)
        answer = await self._around.send.send(
            endpoint.url,
            secrets=secrets.live(held, now_us),
            message_id=event.id,
            body=payload.body(event, thin=endpoint.thin),
            timeout_s=endpoint.timeout.ToMicroseconds() / 1e6,
        )
        attempt = webhook_log.Attempt(
            number=1,
            sent_us=answer.sent_us,
            elapsed_us=answer.elapsed_us,
            status=answer.status,
            problem=answer.problem,
            excerpt=answer.excerpt,
        )
        return pb.SendTestWebhookResponse(
            attempt=webhook_views.attempt(attempt), delivered=answer.delivered
        )

    async def deliveries(
        self, request: pb.ListWebhookDeliveriesRequest, context: _Context
    ) -> pb.ListWebhookDeliveriesResponse:
        """Returns a page of the delivery log."""
        principal: auth.Principal = rpc.current().principal
        bare = pb.ListWebhookDeliveriesRequest()
        bare.CopyFrom(request)
        bare.page_token = ""
        fingerprint = cursor.fingerprint(bare.SerializeToString(deterministic=True))
        before = pages.position_of(request.page_token, fingerprint, otherwise=_NEWEST)
        size = request.page_size or PAGE_SIZE_DEFAULT

        def page(conn: storage.Connection) -> "list[webhook_log.Delivery]":
            _found(conn, principal, request.endpoint_id)
            return webhook_log.deliveries(
                conn,
                request.endpoint_id,
                state=request.state,
                event_id=pages.text(request.event_id),
                before=before,
                rows=size + 1,
            )

        rows = await self._database.read(page)
        response = pb.ListWebhookDeliveriesResponse(
            deliveries=[webhook_views.delivery(request.endpoint_id, each) for each in rows[:size]]
        )
        if len(rows) > size:
            last = rows[size - 1].position
            response.next_page_token = cursor.encode_page(self._places.epoch, last, fingerprint)
        return response

    async def retry(
        self, request: pb.RetryWebhookDeliveriesRequest, context: _Context
    ) -> pb.RetryWebhookDeliveriesResponse:
        """Queues events once more."""
        principal: auth.Principal = rpc.current().principal
        kind = request.WhichOneof("selection")
        floor = since_us = 0
        if kind == "failed_since":
            try:
                since_us = request.failed_since.ToMicroseconds()
            except ValueError:
                raise errors.invalid_field("failed_since", "is not a time") from None
        command = pages.command(principal, "RetryWebhookDeliveries", request)
        if kind == "replay_from":
            try:
                floor = await self._places.position(request.replay_from, "replay_from")
            except errors.RpcError:
                done = await commands.answered(self._database, command)
                if done is None:
                    raise
                return pb.RetryWebhookDeliveriesResponse(queued=int(done))

        def retry(conn: storage.Connection) -> int:
            before = commands.recall(conn, command)
            if before is not None:
                return int(before)
            stored = _locked(conn, principal, request.endpoint_id)
            if definition.read(stored).state == definition.Endpoint.STATE_DISABLED:
                raise problems.endpoint_disabled(request.endpoint_id)
            behind = consumers.lock(conn, principal.tenant_id, request.endpoint_id)
            assert behind is not None, "it is made and deleted with its endpoint"
            if kind == "event_id":
                queued = replay.one(conn, behind, pages.text(request.event_id))
            elif kind == "failed_since":
                queued = replay.given_up_since(conn, behind, since_us)
            else:
                queued = replay.everything_after(conn, behind, floor)
            commands.keep(conn, command, str(queued).encode())
            return queued

        queued = await self._write(retry)
        self._told(principal, request.endpoint_id)
        return pb.RetryWebhookDeliveriesResponse(queued=queued)

    async def _write(self, fn: Callable[[storage.Connection], Any]) -> Any:
        try:
            done = await commands.carry_out(self._database, fn)
        except commands.KeyReused:
            raise problems.key_reused() from None
        self._around.on_event()
        self._pool.look()
        return done

    def _told(self, principal: auth.Principal, endpoint_id: str) -> None:
        self._groups.poke(principal.tenant_id, endpoint_id)

    def _by(self, principal: auth.Principal, key: str = "") -> telling.By:
        return pages.by(principal, self._around.time.now_us(), key)


def _found(
    conn: storage.Connection, principal: auth.Principal, endpoint_id: str
) -> webhooks.Endpoint:
    stored = webhooks.get(conn, principal.tenant_id, pages.text(endpoint_id))
    if stored is None:
        raise errors.not_found("webhook endpoint", endpoint_id)
    return stored


def _locked(
    conn: storage.Connection, principal: auth.Principal, endpoint_id: str
) -> webhooks.Endpoint:
    stored = webhooks.lock(conn, principal.tenant_id, pages.text(endpoint_id))
    if stored is None:
        raise errors.not_found("webhook endpoint", endpoint_id)
    return stored


def register(server: grpc.aio.Server, serves: Webhooks) -> None:
    """Adds WebhookService to *server*."""
    behaviors: dict[str, Any] = {
        "CreateWebhookEndpoint": serves.create,
        "GetWebhookEndpoint": serves.get,
        "ListWebhookEndpoints": serves.list,
        "UpdateWebhookEndpoint": serves.update,
        "DeleteWebhookEndpoint": serves.delete,
        "RotateWebhookSecret": serves.rotate,
        "SendTestWebhook": serves.test,
        "ListWebhookDeliveries": serves.deliveries,
        "RetryWebhookDeliveries": serves.retry,
    }
    handlers = {
        name: grpc.unary_unary_rpc_method_handler(
            behavior,
            request_deserializer=getattr(pb, f"{name}Request").FromString,
            response_serializer=getattr(pb, f"{name}Response").SerializeToString,
        )
        for name, behavior in behaviors.items()
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))

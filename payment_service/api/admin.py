"""KeyService and StatusService: see the contract.

Owns reading and answering their RPCs. Called by gRPC. Never decides.
"""

from typing import Any

from payhub.admin.v1 import (
    key_service_pb2,
    key_service_pb2_grpc,
    status_service_pb2,
    status_service_pb2_grpc,
)

from payment_service.api import reading
from payment_service.usecases import key_events, keys, status
from servicekit import auth


class KeyServicer(key_service_pb2_grpc.KeyServiceServicer):
    """Serves API keys."""

    def __init__(self, cases: keys.Keys, cache: auth.KeyCache) -> None:
        self._cases = cases
        self._cache = cache

    async def CreateKey(
        self, request: key_service_pb2.CreateKeyRequest, context: Any
    ) -> key_service_pb2.CreateKeyResponse:
        """Makes a key."""
        key, secret = await self._cases.create(
            tenant_id=request.tenant_id,
            scopes=tuple(request.scopes),
            name=request.name,
            plugin_id=request.plugin_id,
            publish_types=tuple(request.publish_types),
            cause=reading.caller().cause(""),
        )
        return key_service_pb2.CreateKeyResponse(key=key_events.snapshot(key), secret=secret)

    async def ListKeys(
        self, request: key_service_pb2.ListKeysRequest, context: Any
    ) -> key_service_pb2.ListKeysResponse:
        """Lists keys without their secrets, newest first."""
        size = reading.page_size(request)
        found = await self._cases.list_newest_first(
            tenant_id=request.tenant_id,
            before=reading.page_start(request, int, str),
            most=size + 1,
        )
        response = key_service_pb2.ListKeysResponse(
            keys=[key_events.snapshot(key) for key in found[:size]]
        )
        if len(found) > size:
            last = found[size - 1]
            response.next_page_token = reading.next_page_token(request, last.created_us, last.id)
        return response

    async def RevokeKey(
        self, request: key_service_pb2.RevokeKeyRequest, context: Any
    ) -> key_service_pb2.RevokeKeyResponse:
        """Revokes a key for good."""
        key = await self._cases.revoke(request.key_id, reading.caller().cause(""))
        self._cache.forget(request.key_id)
        return key_service_pb2.RevokeKeyResponse(key=key_events.snapshot(key))

    async def IntrospectKey(
        self, request: key_service_pb2.IntrospectKeyRequest, context: Any
    ) -> key_service_pb2.IntrospectKeyResponse:
        """Tells another Payhub process what a key may do."""
        principal = await self._cases.look_up(request.key_id, request.key_sha256)
        if principal is None:
            return key_service_pb2.IntrospectKeyResponse()
        return key_service_pb2.IntrospectKeyResponse(
            active=True,
            tenant_id=principal.tenant_id,
            scopes=sorted(principal.scopes),
            plugin_id=principal.plugin_id,
            publish_types=principal.publish_types,
            read_types=principal.read_types,
        )


class StatusServicer(status_service_pb2_grpc.StatusServiceServicer):
    """Serves the state of the installation."""

    def __init__(self, cases: status.Status) -> None:
        self._cases = cases

    async def GetStatus(
        self, request: status_service_pb2.GetStatusRequest, context: Any
    ) -> status_service_pb2.GetStatusResponse:
        """Reports providers, the outbox and payments that need attention."""
        return await self._cases.get()

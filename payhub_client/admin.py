"""API keys and the state of the installation, for operators.

Owns the shape of these calls for Python. Called by operators' tools through `Client.keys`
and `Client.status`. Never stores or logs a secret: `Keys.create` hands it out once.
"""

from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from payhub.admin.v1 import (
    key_service_pb2,
    key_service_pb2_grpc,
    status_service_pb2,
    status_service_pb2_grpc,
)

from payhub_client import calls, contract

if TYPE_CHECKING:
    from payhub.admin.v1.key_service_pb2_grpc import KeyServiceAsyncStub

_CREATE = contract.method(key_service_pb2.DESCRIPTOR, "KeyService", "CreateKey")
_LIST = contract.method(key_service_pb2.DESCRIPTOR, "KeyService", "ListKeys")
_REVOKE = contract.method(key_service_pb2.DESCRIPTOR, "KeyService", "RevokeKey")
_STATUS = contract.method(status_service_pb2.DESCRIPTOR, "StatusService", "GetStatus")


@dataclass(slots=True, kw_only=True)
class Keys:
    """Keeps API keys; needs the admin scope."""

    caller: calls.Caller
    _made: "KeyServiceAsyncStub | None" = field(default=None, init=False, repr=False)

    async def create(
        self,
        *,
        tenant_id: str,
        scopes: Iterable[str],
        name: str,
        plugin_id: str = "",
        publish_types: Iterable[str] = (),
        timeout_s: float | None = None,
    ) -> key_service_pb2.CreateKeyResponse:
        """Make a key. The response holds its secret, which is never shown again.

        With `plugin_id` it is good for that plugin alone, and for what that is granted.
        `publish_types` are the event types that a service's key may publish, exact or as a
        prefix such as `user.*`; without any it publishes nothing.

        Never repeated by the client: after OutcomeUnknown list the keys and revoke the one
        whose secret was lost.
        """
        request = key_service_pb2.CreateKeyRequest(
            tenant_id=tenant_id,
            scopes=scopes,
            name=name,
            plugin_id=plugin_id,
            publish_types=publish_types,
        )
        return await self.caller.call(self._stub.CreateKey, _CREATE, request, timeout_s=timeout_s)

    async def list_page(
        self,
        *,
        tenant_id: str = "",
        page_size: int = 0,
        page_token: str = "",
        timeout_s: float | None = None,
    ) -> key_service_pb2.ListKeysResponse:
        """Return one page, newest first, of at most `page_size` (1 to 200; 0 means 50)."""
        request = key_service_pb2.ListKeysRequest(
            tenant_id=tenant_id, page_size=page_size, page_token=page_token
        )
        return await self.caller.call(self._stub.ListKeys, _LIST, request, timeout_s=timeout_s)

    async def list(
        self, *, tenant_id: str = "", page_size: int = 0
    ) -> AsyncIterator[key_service_pb2.Key]:
        """Go through the keys of a tenant, or of all, newest first."""
        token = ""
        while True:
            page = await self.list_page(tenant_id=tenant_id, page_size=page_size, page_token=token)
            for key in page.keys:
                yield key
            token = page.next_page_token
            if not token:
                return

    async def revoke(self, key_id: str, *, timeout_s: float | None = None) -> key_service_pb2.Key:
        """Revoke a key for good. Calls with it fail within 30 s, streams end within 60 s."""
        request = key_service_pb2.RevokeKeyRequest(key_id=key_id)
        response = await self.caller.call(
            self._stub.RevokeKey, _REVOKE, request, timeout_s=timeout_s
        )
        return response.key

    @property
    def _stub(self) -> "KeyServiceAsyncStub":
        if self._made is None:
            self._made = key_service_pb2_grpc.KeyServiceStub(self.caller.link.channel)
        return self._made


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """Tells how the installation is doing; needs the admin scope."""

    caller: calls.Caller

    async def get(self, *, timeout_s: float | None = None) -> status_service_pb2.GetStatusResponse:
        """Return providers, the outbox and the operations that are not final."""
        stub = status_service_pb2_grpc.StatusServiceStub(self.caller.link.channel)
        request = status_service_pb2.GetStatusRequest()
        return await self.caller.call(stub.GetStatus, _STATUS, request, timeout_s=timeout_s)

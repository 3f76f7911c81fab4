"""Keys and status on a real socket, for the client's tests.

Owns an in-memory implementation of KeyService and StatusService. Served by `fake_payments`.
Never used outside tests.
"""

import dataclasses
from typing import Any

import grpc
from google.protobuf import message
from payhub.admin.v1 import (
    key_service_pb2,
    key_service_pb2_grpc,
    status_service_pb2,
    status_service_pb2_grpc,
)

from tests.integration.client import fake_billing


@dataclasses.dataclass(slots=True, kw_only=True)
class FakeAdmin(
    key_service_pb2_grpc.KeyServiceServicer,
    status_service_pb2_grpc.StatusServiceServicer,
):
    """What operators ask for; `events_waiting` is the outbox that they see."""

    keys: dict[str, key_service_pb2.Key] = dataclasses.field(default_factory=dict)
    events_waiting: int = 0
    _handle: fake_billing.Handle = dataclasses.field(init=False)

    def register(self, server: grpc.Server, handle: fake_billing.Handle) -> None:
        """Serve these services; `handle` plants faults around each call."""
        self._handle = handle
        key_service_pb2_grpc.add_KeyServiceServicer_to_server(self, server)
        status_service_pb2_grpc.add_StatusServiceServicer_to_server(self, server)

    def CreateKey(self, request: Any, context: Any) -> Any:  # noqa: D102
        def effect() -> message.Message:
            key = key_service_pb2.Key(
                id=f"k{len(self.keys)}",
                tenant_id=request.tenant_id,
                scopes=request.scopes,
                name=request.name,
            )
            self.keys[key.id] = key
            return key_service_pb2.CreateKeyResponse(key=key, secret="phk_made_once")

        return self._handle("CreateKey", request, context, effect)

    def ListKeys(self, request: Any, context: Any) -> Any:  # noqa: D102
        def effect() -> message.Message:
            page, token = fake_billing.page(
                [*self.keys.values()], request.page_size, request.page_token
            )
            return key_service_pb2.ListKeysResponse(keys=page, next_page_token=token)

        return self._handle("ListKeys", request, context, effect)

    def RevokeKey(self, request: Any, context: Any) -> Any:  # noqa: D102
        def effect() -> message.Message:
            key = self.keys[request.key_id]
            key.revoke_time.GetCurrentTime()
            return key_service_pb2.RevokeKeyResponse(key=key)

        return self._handle("RevokeKey", request, context, effect)

    def GetStatus(self, request: Any, context: Any) -> Any:  # noqa: D102
        def effect() -> message.Message:
            mock = status_service_pb2.ProviderStatus(provider="mock", ready=True, default=True)
            return status_service_pb2.GetStatusResponse(
                version="0.1.0", providers=[mock], outbox={"waiting": self.events_waiting}
            )

        return self._handle("GetStatus", request, context, effect)

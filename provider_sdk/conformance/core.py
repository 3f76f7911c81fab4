"""Core as a plugin that registers itself sees it.

Owns a RegistryService that records every call and forgets on demand. Started by
the registration checks. Never dials back: what would be found there, the check
looks at itself.
"""

import secrets
import time
import uuid
from typing import Any

import grpc
import grpc.aio
from google.protobuf import any_pb2
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status
from payhub.registry.v1 import registry_service_pb2 as rs
from payhub.registry.v1 import registry_service_pb2_grpc

LEASE_S = 3.0
RENEW_S = 1.0

Context = grpc.aio.ServicerContext[Any, Any]


class Core:
    """A double of core's registry.

    Args:
        port: Where it will listen on loopback.
        credentials: What it serves with; None in clear.
    """

    def __init__(self, port: int, credentials: grpc.ServerCredentials | None = None) -> None:
        self.target = f"127.0.0.1:{port}"
        self.key = f"phk_{'a' * 16}_{secrets.token_urlsafe(32)}"
        self.directive = rs.DIRECTIVE_CONTINUE
        self.registrations: list[rs.RegisterInstanceRequest] = []
        # Monotonic seconds of each renewal.
        self.renewals: list[float] = []
        self.unauthenticated = 0
        self.deregistered: set[str] = set()
        self.sessions: dict[str, str] = {}
        self._credentials = credentials
        self._server: grpc.aio.Server | None = None

    async def start(self) -> None:
        """Listens."""
        self._server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        registry_service_pb2_grpc.add_RegistryServiceServicer_to_server(
            _Servicer(self), self._server
        )
        if self._credentials is None:
            self._server.add_insecure_port(self.target)
        else:
            self._server.add_secure_port(self.target, self._credentials)
        await self._server.start()

    async def stop(self) -> None:
        """Stops listening; calls in progress are cancelled."""
        if self._server is not None:
            await self._server.stop(None)
            self._server = None

    def forget(self) -> None:
        """Forgets every session, as a core with a new database would."""
        self.sessions.clear()


class _Servicer(registry_service_pb2_grpc.RegistryServiceServicer):
    def __init__(self, core: Core) -> None:
        self._core = core

    async def RegisterInstance(
        self, request: rs.RegisterInstanceRequest, context: Context
    ) -> rs.RegisterInstanceResponse:
        core = self._core
        await self._authenticate(context)
        core.registrations.append(request)
        session_id = core.sessions.setdefault(request.identity.instance_id, uuid.uuid4().hex)
        answer = rs.RegisterInstanceResponse(session_id=session_id)
        answer.lease_duration.FromMilliseconds(round(LEASE_S * 1e3))
        answer.renew_interval.FromMilliseconds(round(RENEW_S * 1e3))
        return answer

    async def RenewLease(
        self, request: rs.RenewLeaseRequest, context: Context
    ) -> rs.RenewLeaseResponse:
        core = self._core
        await self._authenticate(context)
        if request.session_id not in core.sessions.values():
            await _refuse(context, grpc.StatusCode.NOT_FOUND, "SESSION_UNKNOWN")
        core.renewals.append(time.monotonic())
        answer = rs.RenewLeaseResponse(directive=core.directive)
        answer.expire_time.FromMilliseconds(round((time.time() + LEASE_S) * 1e3))
        return answer

    async def DeregisterInstance(
        self, request: rs.DeregisterInstanceRequest, context: Context
    ) -> rs.DeregisterInstanceResponse:
        await self._authenticate(context)
        self._core.deregistered.add(request.session_id)
        return rs.DeregisterInstanceResponse()

    async def _authenticate(self, context: Context) -> None:
        metadata = dict(context.invocation_metadata() or ())
        if metadata.get("authorization") != f"Bearer {self._core.key}":
            self._core.unauthenticated += 1
            await _refuse(context, grpc.StatusCode.UNAUTHENTICATED, "KEY_INVALID")


async def _refuse(context: Context, code: grpc.StatusCode, reason: str) -> None:
    info = any_pb2.Any()
    info.Pack(error_details_pb2.ErrorInfo(reason=reason, domain="payhub"))
    number, _ = code.value
    status = rpc_status.to_status(
        status_pb2.Status(code=number, message=reason.lower().replace("_", " "), details=[info])
    )
    await context.abort(status.code, status.details, status.trailing_metadata)

"""Core's registry as a plugin sees it, with short leases.

Owns a real server of RegistryService that records every call, and forgets,
refuses or hangs when told to. Called by the tests of this folder.
"""

import asyncio
import time
import uuid
from typing import Any

import grpc
import grpc.aio
from payhub.plugin.v1 import plugin_service_pb2 as ps
from payhub.plugin.v1 import plugin_service_pb2_grpc
from payhub.registry.v1 import registry_service_pb2 as rs
from payhub.registry.v1 import registry_service_pb2_grpc

from deploy import stack
from servicekit import errors, interceptor, metrics

LEASE_S = 0.6
RENEW_S = 0.2
KEY = f"phk_{'a' * 16}_{'b' * 43}"


class Registry(registry_service_pb2_grpc.RegistryServiceServicer):
    """A core that lets every plugin in after it has dialled it back."""

    def __init__(self, *, lease_s: float = LEASE_S, renew_s: float = RENEW_S) -> None:
        # Not one of those that outgoing connections get: it is given up and taken again.
        self.port = stack.free_ports()[stack.MOCK].grpc
        self.directive: Any = rs.DIRECTIVE_CONTINUE
        self.refusal: errors.RpcError | None = None
        self.hangs = False
        self.registered: list[rs.RegisterInstanceRequest] = []
        self.sessions: dict[str, str] = {}
        self.renewed_s: list[float] = []
        self.left: list[str] = []
        self.left_s: list[float] = []
        self.keys: set[str] = set()
        self._lease_s, self._renew_s = lease_s, renew_s
        self._server: grpc.aio.Server | None = None

    @property
    def target(self) -> str:
        """Where it listens."""
        return f"127.0.0.1:{self.port}"

    async def start(self) -> None:
        """Listens, where it did before."""
        pipeline = interceptor.Pipeline(metrics=metrics.Metrics())
        options = [("grpc.so_reuseport", 0)]
        self._server = grpc.aio.server(interceptors=[pipeline], options=options)
        registry_service_pb2_grpc.add_RegistryServiceServicer_to_server(self, self._server)
        self._server.add_insecure_port(self.target)
        await self._server.start()

    async def stop(self) -> None:
        """Is gone, with every connection."""
        if self._server is not None:
            await self._server.stop(None)
            self._server = None

    async def RegisterInstance(  # noqa: D102
        self, request: rs.RegisterInstanceRequest, context: Any
    ) -> rs.RegisterInstanceResponse:
        await self._meet(context)
        async with grpc.aio.insecure_channel(request.endpoint) as channel:
            stub: Any = plugin_service_pb2_grpc.PluginServiceStub(channel)
            found = await stub.Handshake(ps.HandshakeRequest(), timeout=5, wait_for_ready=True)
        assert found.identity == request.identity
        self.registered.append(request)
        session_id = self.sessions.setdefault(request.identity.instance_id, uuid.uuid4().hex)
        answer = rs.RegisterInstanceResponse(session_id=session_id)
        answer.lease_duration.FromMilliseconds(round(self._lease_s * 1e3))
        answer.renew_interval.FromMilliseconds(round(self._renew_s * 1e3))
        return answer

    async def RenewLease(  # noqa: D102
        self, request: rs.RenewLeaseRequest, context: Any
    ) -> rs.RenewLeaseResponse:
        await self._meet(context)
        if request.session_id not in self.sessions.values():
            raise errors.RpcError(grpc.StatusCode.NOT_FOUND, "SESSION_UNKNOWN", "no such session")
        self.renewed_s.append(time.monotonic())
        return rs.RenewLeaseResponse(directive=self.directive)

    async def DeregisterInstance(  # noqa: D102
        self, request: rs.DeregisterInstanceRequest, context: Any
    ) -> rs.DeregisterInstanceResponse:
        await self._meet(context)
        self.left.append(request.session_id)
        self.left_s.append(time.monotonic())
        return rs.DeregisterInstanceResponse()

    async def _meet(self, context: Any) -> None:
        self.keys.add(dict(context.invocation_metadata()).get("authorization", ""))
        if self.hangs:
            await asyncio.Event().wait()
        if self.refusal is not None:
            raise self.refusal

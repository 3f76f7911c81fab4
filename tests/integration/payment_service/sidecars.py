"""Plugins in the test's own process, over real sockets, that do as they are told.

Owns being any plugin: with any identity and manifest, refusing, hanging, gone. Called by
the tests of this folder. What it charges is a list, and nothing else.
"""

import asyncio
import hashlib
import json
import socket
import uuid
from collections.abc import Sequence
from typing import Any, NoReturn, Self

import grpc
import grpc.aio
from grpc_status import rpc_status
from payhub.plugin.v1 import capability_pb2, manifest_pb2, plugin_service_pb2_grpc
from payhub.plugin.v1 import plugin_service_pb2 as pb
from payhub.provider.v1 import operation_pb2, payment_provider_service_pb2_grpc
from payhub.provider.v1 import payment_provider_service_pb2 as provider_pb

from provider_sdk import errors as plugin_errors
from servicekit import errors

SERVICE = "payhub.provider.v1.PaymentProviderService"
CAPABILITIES = (
    capability_pb2.CAPABILITY_SALE,
    capability_pb2.CAPABILITY_MANUAL_CAPTURE,
    capability_pb2.CAPABILITY_REFUND,
)
Change = pb.NotifyLifecycleRequest


class Sidecar(
    plugin_service_pb2_grpc.PluginServiceServicer,
    payment_provider_service_pb2_grpc.PaymentProviderServiceServicer,
):
    """One instance of a plugin.

    Args:
        plugin_id: Who it says it is.
        version: In which version.
        needs: Plugins it says it needs.
        permissions: What it asks for.
        services: What it says it serves.
        schema: Schema of its configuration.
    """

    def __init__(
        self,
        plugin_id: str,
        version: str = "1.0.0",
        *,
        needs: Sequence[manifest_pb2.PluginDependency] = (),
        permissions: Sequence[str] = (),
        services: Sequence[str] = (SERVICE,),
        schema: dict[str, Any] | None = None,
    ) -> None:
        text = json.dumps(schema or {"type": "object"})
        digest = f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"
        self.schema = pb.GetConfigSchemaResponse(json_schema=text, schema_digest=digest)
        self.handshake = pb.HandshakeResponse(
            identity=pb.PluginIdentity(
                plugin_id=plugin_id,
                plugin_version=version,
                instance_id=str(uuid.uuid4()),
                kind=pb.PLUGIN_KIND_PROVIDER,
            ),
            services=services,
            capabilities=[
                capability_pb2.CapabilityStatus(capability=each, enabled=True)
                for each in CAPABILITIES
            ],
            schema_digest=digest,
            metadata=manifest_pb2.PluginMetadata(name=f"Test {plugin_id}", author="tests"),
            dependencies=needs,
            requested_permissions=permissions,
        )
        self.refuses_config = ""
        self.hangs = False
        self.draining = False
        self.readiness: Any = pb.ProbeResponse.READINESS_READY
        # Set to an event, charging waits for it.
        self.answers: asyncio.Event | None = None
        self.heard: list[str] = []
        # Every RPC of PluginService that was called, by its name.
        self.asked: list[str] = []
        self.applied: dict[str, int] = {}
        self.removed: list[str] = []
        self.charged: list[str] = []
        self.target = ""
        self._server: grpc.aio.Server | None = None
        self._place: socket.socket | None = None

    async def start(self, port: int = 0) -> Self:
        """Serves, at a free port unless one is named; that stays taken while it is stopped."""
        self._server = grpc.aio.server()
        self._servicers(self._server)
        bound = self._server.add_insecure_port(f"127.0.0.1:{port}")
        self.target = f"127.0.0.1:{bound}"
        if not port:
            self._place = _keep(bound)
        await self._server.start()
        return self

    def _servicers(self, server: grpc.aio.Server) -> None:
        plugin_service_pb2_grpc.add_PluginServiceServicer_to_server(self, server)
        payment_provider_service_pb2_grpc.add_PaymentProviderServiceServicer_to_server(self, server)

    async def stop(self) -> None:
        """Is gone at once."""
        if self._server is not None:
            await self._server.stop(None)
            self._server = None

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(self, *_: object) -> None:
        await self.stop()
        if self._place is not None:
            self._place.close()

    async def Handshake(self, request: pb.HandshakeRequest, context: Any) -> pb.HandshakeResponse:
        """Says who it is."""
        self.asked.append("Handshake")
        return self.handshake

    async def GetConfigSchema(
        self, request: pb.GetConfigSchemaRequest, context: Any
    ) -> pb.GetConfigSchemaResponse:
        """Returns its schema."""
        self.asked.append("GetConfigSchema")
        return self.schema

    async def ValidateConfig(
        self, request: pb.ValidateConfigRequest, context: Any
    ) -> pb.ValidateConfigResponse:
        """Finds nothing wrong."""
        self.asked.append("ValidateConfig")
        return pb.ValidateConfigResponse()

    async def Configure(self, request: pb.ConfigureRequest, context: Any) -> pb.ConfigureResponse:
        """Takes a configuration, unless it was told to refuse."""
        self.asked.append("Configure")
        if self.refuses_config:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, self.refuses_config)
        self.applied[request.binding_id] = request.generation
        return pb.ConfigureResponse(applied_generation=request.generation)

    async def RemoveBinding(
        self, request: pb.RemoveBindingRequest, context: Any
    ) -> pb.RemoveBindingResponse:
        """Forgets a binding."""
        self.asked.append("RemoveBinding")
        self.removed.append(request.binding_id)
        self.applied.pop(request.binding_id, None)
        return pb.RemoveBindingResponse()

    async def NotifyLifecycle(
        self, request: pb.NotifyLifecycleRequest, context: Any
    ) -> pb.NotifyLifecycleResponse:
        """Notes what it is told."""
        self.asked.append("NotifyLifecycle")
        self.heard.append(Change.Change.Name(request.change).removeprefix("CHANGE_"))
        if self.hangs:
            await asyncio.sleep(3600)
        return pb.NotifyLifecycleResponse()

    async def Probe(self, request: pb.ProbeRequest, context: Any) -> pb.ProbeResponse:
        """Says whether it is ready."""
        self.asked.append("Probe")
        state = self.readiness
        if self.draining:
            state = pb.ProbeResponse.READINESS_DRAINING
        applied = [
            pb.BindingStatus(binding_id=name, applied_generation=number)
            for name, number in self.applied.items()
        ]
        return pb.ProbeResponse(readiness=state, bindings=applied)

    async def Drain(self, request: pb.DrainRequest, context: Any) -> pb.DrainResponse:
        """Takes nothing new."""
        self.asked.append("Drain")
        self.draining = True
        return pb.DrainResponse()

    async def AuthorizePayment(
        self, request: provider_pb.AuthorizePaymentRequest, context: Any
    ) -> provider_pb.AuthorizePaymentResponse:
        """Takes the money."""
        operation = request.context.operation_id
        self.charged.append(operation)
        if self.answers is not None:
            await self.answers.wait()
        return provider_pb.AuthorizePaymentResponse(
            operation=operation_pb2.Operation(
                operation_id=operation,
                state=operation_pb2.Operation.STATE_SUCCEEDED,
                provider_object_id=f"obj_{operation}",
                amount=request.amount,
            )
        )

    async def RefundPayment(
        self, request: provider_pb.RefundPaymentRequest, context: Any
    ) -> provider_pb.RefundPaymentResponse:
        """Gives it back."""
        return provider_pb.RefundPaymentResponse(
            operation=operation_pb2.Operation(
                operation_id=request.context.operation_id,
                state=operation_pb2.Operation.STATE_SUCCEEDED,
                amount=request.amount,
            )
        )


class Failing(Sidecar):
    """Refuses payments with `failure` for as long as that is set."""

    failure: plugin_errors.ProviderError | None = None

    async def AuthorizePayment(
        self, request: provider_pb.AuthorizePaymentRequest, context: Any
    ) -> provider_pb.AuthorizePaymentResponse:
        """Fails as it was told, or takes the money."""
        if self.failure is not None:
            await fail(context, plugin_errors.to_rpc(self.failure, domain="other"))
        return await super().AuthorizePayment(request, context)


def _keep(port: int) -> socket.socket:
    """Keeps a port from everybody who asks for any; a server that names it may have it."""
    place = socket.socket()
    place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    place.bind(("127.0.0.1", port))
    return place


async def away(context: Any) -> NoReturn:
    """Ends a call that could not reach what is behind the plugin: nothing was done."""
    await fail(context, plugin_errors.to_rpc(plugin_errors.Unreachable("away"), domain="mock"))


async def fail(context: Any, problem: errors.RpcError) -> NoReturn:
    """Ends a call with a status and its details."""
    status = rpc_status.to_status(errors.to_status(problem))
    await context.abort(status.code, status.details, status.trailing_metadata)
    raise AssertionError("abort came back")

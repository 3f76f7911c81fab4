"""Getting to know an instance: who answers at an endpoint, and whether it may be trusted.

Owns the handshake, the comparison of identities and dialling an endpoint for that alone.
Called by `link` on every new connection and by the use case of leases before anything is
stored. Never sends a configuration or a secret.
"""

import contextlib
import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, TypeVar

import grpc
import grpc.aio
from google.protobuf.message import Message
from payhub.plugin.v1 import capability_pb2, plugin_service_pb2, plugin_service_pb2_grpc

import payment_service
from payment_service.domain import plugins
from servicekit import errors, server, tls, validation

SERVICES = ("payhub.provider.v1.PaymentProviderService",)
CORE_CAPABILITIES = (
    plugin_service_pb2.CORE_CAPABILITY_CUSTOMER_ACTION,
    plugin_service_pb2.CORE_CAPABILITY_PENDING_OPERATIONS,
)
_CAP = capability_pb2
HANDSHAKE_TIMEOUT_S = 2.0
SCHEMA_TIMEOUT_S = 5.0

Handshake = plugin_service_pb2.HandshakeResponse
Schema = plugin_service_pb2.GetConfigSchemaResponse
# The stubs of asyncio have no types of their own.
Stub = Any
M = TypeVar("M", bound=Message)


class Unreachable(Exception):
    """There is no usable answer at an endpoint.

    Args:
        cause: What happened, for people.
    """

    def __init__(self, cause: str) -> None:
        super().__init__(cause)
        self.cause = cause


@dataclass(frozen=True, slots=True, kw_only=True)
class Mismatch:
    """Somebody else answers than the one who registered."""

    field: str
    registered: str
    answered: str

    @property
    def text(self) -> str:
        """Says it in one line."""
        return f"its {self.field} is {self.answered[:80]!r}, not {self.registered[:80]!r}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What an instance said of itself in its last handshake."""

    plugin_version: str
    instance_id: str
    capabilities: frozenset[int]
    currencies: frozenset[str]
    schema_digest: str = ""
    calls_max: int = 0
    # How long the provider takes a repeat of an operation for the same one.
    remembers_s: float = 0.0
    # How long one of its requests may be under way at the provider.
    request_max_s: float = 0.0


# Of a version of which nothing is known any more.
NOTHING = Known(plugin_version="", instance_id="", capabilities=frozenset(), currencies=frozenset())


@dataclass(frozen=True, slots=True, kw_only=True)
class Introduction:
    """What an instance said of itself."""

    handshake: Handshake
    schema: Schema


def mismatch(answered: Handshake, expected: plugin_service_pb2.PluginIdentity) -> Mismatch | None:
    """Returns in which field an answer is not from who is expected, or None.

    Empty fields of *expected* match everything.
    """
    identity = answered.identity
    for field in ("plugin_id", "plugin_version", "instance_id"):
        wanted, found = getattr(expected, field), getattr(identity, field)
        if wanted and wanted != found:
            return Mismatch(field=field, registered=wanted, answered=found)
    if expected.kind and expected.kind != identity.kind:
        return Mismatch(
            field="kind", registered=_kind(expected.kind), answered=_kind(identity.kind)
        )
    return None


# Capabilities that mean nothing without the service which serves them.
_RESTS_ON: dict[int, str] = {
    capability: f"payhub.provider.v1.{service}"
    for service, capabilities in {
        "PaymentMethodProviderService": (_CAP.CAPABILITY_PAYMENT_METHODS,),
        "BillingProviderService": (_CAP.CAPABILITY_PLANS, _CAP.CAPABILITY_SUBSCRIPTIONS),
        "CheckoutProviderService": (_CAP.CAPABILITY_CHECKOUT,),
        "DisputeProviderService": (_CAP.CAPABILITY_DISPUTES,),
        "NoticeProviderService": (_CAP.CAPABILITY_WEBHOOKS, _CAP.CAPABILITY_OBJECT_FETCH),
    }.items()
    for capability in capabilities
}


def known_of(handshake: Handshake) -> Known:
    """Returns what a handshake says."""
    return Known(
        plugin_version=handshake.identity.plugin_version,
        instance_id=handshake.identity.instance_id,
        capabilities=frozenset(
            each.capability
            for each in handshake.capabilities
            if each.enabled and _RESTS_ON.get(each.capability, SERVICES[0]) in handshake.services
        ),
        currencies=frozenset(handshake.currency_codes),
        schema_digest=handshake.schema_digest,
        calls_max=handshake.max_concurrent_calls,
        remembers_s=handshake.upstream_idempotency_retention.ToMicroseconds() / 1_000_000,
        request_max_s=handshake.upstream_request_max.ToMicroseconds() / 1_000_000,
    )


def unusable(answered: Handshake) -> str:
    """Returns why core can't call an instance at all, or ''."""
    if not set(SERVICES) <= set(answered.services):
        served = ", ".join(sorted(answered.services)[:8])
        return f"core calls {', '.join(SERVICES)}, and it serves {served or 'nothing'}"
    return ""


async def shake_hands(stub: Stub) -> Handshake:
    """Returns the answer to Handshake.

    Raises:
        Unreachable: There was none, or it breaks the contract.
    """
    request = plugin_service_pb2.HandshakeRequest(
        core_version=payment_service.VERSION,
        services=SERVICES,
        core_capabilities=CORE_CAPABILITIES,
    )
    try:
        answer: Handshake | None = await stub.Handshake(request, timeout=HANDSHAKE_TIMEOUT_S)
    except grpc.aio.AioRpcError as error:
        raise Unreachable(f"handshake failed: {error.code().name}") from error
    handshake = _checked(answer, "handshake")
    try:
        # What makes a text of a duration looks at its range, unlike what makes a number.
        handshake.upstream_idempotency_retention.ToJsonString()
    except ValueError:
        text = "its handshake breaks the contract: upstream_idempotency_retention is no duration"
        raise Unreachable(text) from None
    return handshake


async def ask_schema(stub: Stub, answered: Handshake) -> Schema:
    """Returns the schema of the configuration, which is the one the handshake names.

    Raises:
        Unreachable: There was no answer, or not that schema.
    """
    request = plugin_service_pb2.GetConfigSchemaRequest()
    try:
        answer: Schema | None = await stub.GetConfigSchema(request, timeout=SCHEMA_TIMEOUT_S)
    except grpc.aio.AioRpcError as error:
        raise Unreachable(f"it gave no schema: {error.code().name}") from error
    schema = _checked(answer, "schema")
    digest = f"sha256:{hashlib.sha256(schema.json_schema.encode()).hexdigest()}"
    if digest != answered.schema_digest:
        raise Unreachable(
            f"its handshake names the schema {answered.schema_digest[:80]}, and it sent {digest}"
        )
    return schema


async def dial(
    dialer: tls.Dialer, endpoint: str, expected: plugin_service_pb2.PluginIdentity
) -> Introduction:
    """Asks who is at *endpoint* over a connection of its own.

    The schema is asked for only once the identity is the expected one; who is not gets no
    further call, and the answer without schema.

    Raises:
        Unreachable: Nobody answers as the contract says.
    """
    async with _dialled(dialer, endpoint) as stub:
        handshake = await shake_hands(stub)
        if mismatch(handshake, expected) is not None or unusable(handshake):
            return Introduction(handshake=handshake, schema=Schema())
        return Introduction(handshake=handshake, schema=await ask_schema(stub, handshake))


async def greet(dialer: tls.Dialer, endpoint: str, *, host: str) -> Handshake:
    """Returns what whoever is at *endpoint* says of itself, over a connection of its own.

    With TLS its certificate is that of *host*, of which *endpoint* is an address.

    Raises:
        Unreachable: Nobody answers as the contract says.
    """
    async with _dialled(dialer, endpoint, ("grpc.ssl_target_name_override", host)) as stub:
        return await shake_hands(stub)


@contextlib.asynccontextmanager
async def _dialled(
    dialer: tls.Dialer, endpoint: str, *more: tuple[str, Any]
) -> AsyncIterator[Stub]:
    options = [*server.MONEY_CHANNEL_OPTIONS, ("grpc.use_local_subchannel_pool", 1), *more]
    async with dialer.dial(endpoint, options) as channel:
        yield plugin_service_pb2_grpc.PluginServiceStub(channel)


def expect(instance: plugins.Instance) -> plugin_service_pb2.PluginIdentity:
    """Returns who must answer at the endpoint of *instance*."""
    return plugin_service_pb2.PluginIdentity(
        plugin_id=instance.plugin_id,
        plugin_version=instance.version,
        instance_id=instance.instance_id,
    )


def _checked(answer: M | None, what: str) -> M:
    if answer is None:
        raise Unreachable(f"its {what} is not a message of the contract")
    try:
        validation.validate(answer)
    except errors.RpcError as error:
        raise Unreachable(f"its {what} breaks the contract: {error.message[:160]}") from error
    return answer


def _kind(kind: plugin_service_pb2.PluginKind) -> str:
    try:
        return plugin_service_pb2.PluginKind.Name(kind)
    except ValueError:
        return str(kind)

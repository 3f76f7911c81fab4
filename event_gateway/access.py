"""Who calls, and whether they may.

Owns the rules that the contract states per method, the questions to the key
service and the check of tenants in filters. Called by the RPC pipeline and the
streams. Never keeps a key, only its digest.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import grpc
import grpc.aio
from google.protobuf import descriptor_pool
from payhub.admin.v1 import key_service_pb2, key_service_pb2_grpc
from payhub.options.v1 import options_pb2

from servicekit import auth, errors, logs

ADMIN = "admin"
READ = "events:read"
# The relay's identity: the one tenant whose keys publish for every tenant.
RELAY_TENANT = "system"

# A key service that does not answer within this is treated as down.
_INTROSPECT_TIMEOUT_S = 2.0

_log = logs.get_logger(__name__)


class Rules:
    """What the contract says about each method of *services* (full names)."""

    def __init__(self, services: Iterable[str]) -> None:
        self._scopes: dict[str, str] = {}
        self._deadlines_s: dict[str, float] = {}
        pool = descriptor_pool.Default()
        for name in services:
            for method in pool.FindServiceByName(name).methods:
                options: Any = method.GetOptions()
                access = options.Extensions[options_pb2.access]
                if access.WhichOneof("rule") == "scope":
                    self._scopes[method.full_name] = access.scope
                limits = options.Extensions[options_pb2.limits]
                if limits.HasField("max_deadline"):
                    longest = limits.max_deadline
                    self._deadlines_s[method.full_name] = longest.seconds + longest.nanos / 1e9

    def scope(self, method: str) -> str:
        """Returns the scope a caller of *method* needs.

        Raises:
            errors.RpcError: The contract opens the method to nobody.
        """
        scope = self._scopes.get(method)
        if scope is None:
            raise errors.RpcError(
                grpc.StatusCode.PERMISSION_DENIED, "SCOPE_MISSING", "no caller may use this method"
            )
        return scope

    def max_deadline_s(self, method: str) -> float | None:
        """Returns the longest deadline of *method*, seconds; None if it has none."""
        return self._deadlines_s.get(method)


class KeyService:
    """Asks the payment service what a key may do."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = key_service_pb2_grpc.KeyServiceStub(channel)

    async def introspect(self, key_id: str, digest: bytes) -> auth.Principal | None:
        """Returns what the key may do, or None if it is unknown or revoked.

        Raises:
            grpc.aio.AioRpcError: The key service did not answer.
        """
        answer = await self._stub.IntrospectKey(
            key_service_pb2.IntrospectKeyRequest(key_id=key_id, key_sha256=digest),
            timeout=_INTROSPECT_TIMEOUT_S,
        )
        if not answer.active:
            return None
        return auth.Principal(
            tenant_id=answer.tenant_id,
            scopes=frozenset(answer.scopes),
            key_id=key_id,
            plugin_id=answer.plugin_id,
            publish_types=tuple(answer.publish_types),
            read_types=tuple(answer.read_types),
        )


class Gate:
    """Lets calls in: `authenticate` is what the pipeline asks."""

    def __init__(self, rules: Rules, keys: auth.KeyCache) -> None:
        self._rules = rules
        self._keys = keys

    async def authenticate(
        self, method: str, metadata: Iterable[tuple[str, Any]]
    ) -> auth.Principal:
        """Returns who calls *method*.

        Raises:
            errors.RpcError: KEY_INVALID, SCOPE_MISSING, or UNAVAILABLE when the key
                is not cached and the key service can't be asked.
        """
        scope = self._rules.scope(method)
        key_id, full = auth.parse_bearer(metadata)
        try:
            principal = await self._keys.get(key_id, full)
        except (TimeoutError, grpc.RpcError) as failure:
            _log.warning("the key service does not answer", problem=_code(failure))
            raise errors.unavailable(
                "the API key can't be checked now: the key service does not answer",
                retry_after_s=1.0,
            ) from failure
        if principal is None:
            raise errors.key_invalid("the API key is unknown or revoked")
        principal.require(scope)
        return principal


def tenants(principal: auth.Principal, asked: Sequence[str]) -> tuple[str, ...]:
    """Returns the tenants a filter reads: those *asked* for, or the caller's own.

    Raises:
        errors.RpcError: SCOPE_MISSING for another tenant without the admin scope.
    """
    if not asked:
        return (principal.tenant_id,)
    chosen = tuple(sorted(set(asked)))
    if chosen != (principal.tenant_id,):
        principal.require(ADMIN)
    return chosen


def may_publish_for(principal: auth.Principal, tenant_id: str) -> bool:
    """Whether the caller's key may publish events of *tenant_id*."""
    return principal.tenant_id in (tenant_id, RELAY_TENANT)


def is_relay(principal: auth.Principal) -> bool:
    """Whether the caller is the relay, which alone knows what there is of an entity, and whom
    alone it concerns what the payment service has published.
    """
    return principal.tenant_id == RELAY_TENANT and not principal.plugin_id


def _code(failure: BaseException) -> str:
    return failure.code().name if isinstance(failure, grpc.aio.AioRpcError) else "TIMEOUT"

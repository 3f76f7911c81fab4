"""The class a provider author writes.

Owns the shape of a provider: who it is, what it can do, its configuration and
its operations, over the contract's own messages. Called by the servicer, which
has already checked binding, fence, capability, limits and duplicates. Never
touches gRPC.
"""

import abc
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, Protocol, TypeVar

import pydantic
from payhub.plugin.v1 import capability_pb2, plugin_service_pb2
from payhub.provider.v1 import operation_pb2
from payhub.provider.v1 import payment_provider_service_pb2 as pps

from provider_sdk import errors

Readiness = plugin_service_pb2.ProbeResponse.Readiness
ConfigT = TypeVar("ConfigT", bound=pydantic.BaseModel)

_PLUGIN_ID = re.compile(r"[a-z][a-z0-9.-]{1,61}[a-z0-9]")


class Secret:
    """Bytes that never show themselves; `reveal` is the only way to them."""

    __slots__ = ("_value", "expire_us", "version")

    def __init__(self, value: bytes, *, version: int, expire_us: int | None = None) -> None:
        self._value = value
        self.version = version
        self.expire_us = expire_us

    def reveal(self) -> bytes:
        """Returns the secret itself. Keep it in memory only."""
        return self._value

    def __repr__(self) -> str:
        return f"Secret(version={self.version}, ***)"


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretSlot:
    """A secret the configuration needs.

    Args:
        slot: Name, lower case with underscores.
        description: What it is and where an operator finds it.
        required: Whether a binding is invalid without it.
    """

    slot: str
    description: str
    required: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnostic:
    """Something found in a configuration.

    Args:
        summary: One line for an operator, without secrets.
        json_pointer: RFC 6901 pointer into the configuration; empty for the whole.
        is_error: Whether it can't be applied; otherwise a warning.
    """

    summary: str
    json_pointer: str = ""
    is_error: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Dependency:
    """Another plugin this one builds on.

    Args:
        plugin_id: The plugin needed.
        version_specifier: Acceptable versions by PEP 440, for example `>=1.4,<2`; empty
            for every one.
        required: Whether this plugin can't be enabled without it.
    """

    plugin_id: str
    version_specifier: str = ""
    required: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """What the plugin can say of itself and of what is upstream.

    Args:
        reasons: What is impaired for every binding, one line each for an operator,
            without secrets; empty if all is well.
        binding_reasons: The same for single bindings, by binding id.
    """

    reasons: Sequence[str] = ()
    binding_reasons: Mapping[str, Sequence[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Migrated:
    """What became of a configuration made for an older schema.

    Args:
        config: JSON object for the schema of this version; None if it can't be made, and
            then a diagnostic is an error.
        diagnostics: Findings; pointers are into the older configuration.
    """

    config: Mapping[str, Any] | None
    diagnostics: Sequence[Diagnostic] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding(Generic[ConfigT]):
    """One merchant account: one whole configuration in force.

    Args:
        binding_id: UUID core chose.
        generation: Rises with every change.
        config: The provider's own model, validated.
        secrets: Versions of each slot, highest first.
    """

    binding_id: str
    generation: int
    config: ConfigT
    secrets: Mapping[str, Sequence[Secret]] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Call(Generic[ConfigT]):
    """What a provider may know of the call it serves.

    Args:
        operation_id: Send it, or a fixed derivation of it, upstream as idempotency key.
        binding: Configuration in force when the call arrived; it does not change under it.
        attempt: 1 for the first call of this operation; for logs only.
        timeout_s: Seconds the upstream request may take, so that the answer still arrives.
        not_after_us: Epoch microseconds after which nothing may be sent any more.
        customer_action_allowed: Whether ACTION_REQUIRED may be answered; decline with
            AUTHENTICATION_FAILED otherwise.
        now_us: The clock the fence is read from.
    """

    operation_id: str
    binding: Binding[ConfigT]
    attempt: int
    timeout_s: float
    not_after_us: int
    customer_action_allowed: bool
    now_us: Callable[[], int]

    def ensure_in_time(self) -> None:
        """Call it right before sending upstream, if something slow came before.

        Raises:
            TooLate: `not_after` has passed.
        """
        if self.now_us() > self.not_after_us:
            raise errors.TooLate("not_after passed while the call waited in the plugin")


class Fingerprinted(Protocol):
    """A request that belongs to one operation."""

    @property
    def context(self) -> operation_pb2.OperationContext:
        """The operation."""


class Provider(abc.ABC, Generic[ConfigT]):
    """One payment service provider.

    Every operation returns what became of it, declines included, and raises one of
    provider_sdk.errors when it can't tell or nothing was done. The servicer runs
    operations to their end even when the caller has gone, so they must be
    bounded by `call.timeout_s` themselves.
    """

    plugin_id: ClassVar[str]
    plugin_version: str
    config_model: type[ConfigT]
    """Pydantic model of a binding's configuration, with `extra="forbid"`."""
    capabilities: ClassVar[frozenset[capability_pb2.Capability]]
    disabled: Mapping[capability_pb2.Capability, str] = {}
    """Capabilities implemented but unusable at present, each with the reason."""
    currencies: frozenset[str] = frozenset()
    """ISO 4217 codes it takes; empty for every one."""
    secret_slots: ClassVar[Sequence[SecretSlot]] = ()
    max_concurrent_calls: int = 1000
    upstream_idempotency_retention_s: float = 0.0

    name: ClassVar[str] = ""
    """For people, at most 128 characters; so are `description` (1,024) and `author` (256)."""
    description: ClassVar[str] = ""
    author: ClassVar[str] = ""
    dependencies: ClassVar[Sequence[Dependency]] = ()
    requested_permissions: ClassVar[Sequence[str]] = ()
    """For example `events:read:payment.*`. In force is what the operator granted."""
    config_schema_version: ClassVar[int] = 0
    """Raise it with every change of the schema that `migrate_config` has to know of."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        plugin_id = getattr(cls, "plugin_id", None)
        if plugin_id is not None and not _PLUGIN_ID.fullmatch(plugin_id):
            raise ValueError(
                f"{cls.__name__}.plugin_id {plugin_id!r}: lower case letters, digits, dots and "
                "dashes, 3 to 63 characters, starting with a letter"
            )

    @abc.abstractmethod
    async def authorize(
        self, request: pps.AuthorizePaymentRequest, call: Call[ConfigT]
    ) -> operation_pb2.Operation:
        """Authorizes the amount, or with automatic capture also captures it."""

    async def capture(
        self, request: pps.CapturePaymentRequest, call: Call[ConfigT]
    ) -> operation_pb2.Operation:
        """Captures an authorized amount or a part of it."""
        raise errors.NotSupported("capture is not offered")

    async def increment(
        self, request: pps.IncrementAuthorizationRequest, call: Call[ConfigT]
    ) -> operation_pb2.Operation:
        """Raises what is authorized and not captured yet by the amount of the request."""
        raise errors.NotSupported("incremental authorization is not offered")

    async def void(
        self, request: pps.VoidPaymentRequest, call: Call[ConfigT]
    ) -> operation_pb2.Operation:
        """Releases what is not captured, or ends a pending authorization."""
        raise errors.NotSupported("void is not offered")

    async def refund(
        self, request: pps.RefundPaymentRequest, call: Call[ConfigT]
    ) -> operation_pb2.Operation:
        """Returns captured money or a part of it."""
        raise errors.NotSupported("refund is not offered")

    async def create_customer(
        self, request: pps.CreateCustomerRequest, call: Call[ConfigT]
    ) -> operation_pb2.Operation:
        """Makes a customer; the result's provider_object_id is the customer."""
        raise errors.NotSupported("customers are not offered")

    async def update_customer(
        self, request: pps.UpdateCustomerRequest, call: Call[ConfigT]
    ) -> operation_pb2.Operation:
        """Replaces what is known of a customer."""
        raise errors.NotSupported("customers are not offered")

    async def get_operation(
        self, operation_id: str, binding: Binding[ConfigT], *, timeout_s: float
    ) -> operation_pb2.Operation:
        """Finds out what became of an operation.

        Raises:
            NotFound: It did not take place. Without CAPABILITY_OPERATION_LOOKUP the
                servicer turns this into LookupInconclusive.
            LookupInconclusive: It can be neither found nor ruled out.
        """
        raise errors.LookupInconclusive("this provider has no look-up by operation id")

    async def validate(
        self, config: ConfigT, secrets: Mapping[str, Sequence[Secret]]
    ) -> Sequence[Diagnostic]:
        """Checks what the model can't express. Must not change anything."""
        return ()

    async def check_credentials(
        self, config: ConfigT, secrets: Mapping[str, Sequence[Secret]]
    ) -> Sequence[Diagnostic]:
        """Asks upstream whether it takes the credentials, without moving money.

        Needed with CAPABILITY_CREDENTIAL_CHECK. Raising CredentialsRejected is the same
        as a diagnostic that says so.

        Raises:
            Unreachable, NoAnswer: Nobody knows; the check has not run.
        """
        raise errors.NotSupported("credentials can't be checked")

    async def migrate_config(self, from_version: int, config: Mapping[str, Any]) -> Migrated:
        """Rewrites a configuration made for an older schema; pure, applies nothing.

        Args:
            from_version: Its `config_schema_version`; 0 if unknown.
            config: As stored, without secrets.

        Raises:
            NotSupported: There are no migrations; it has to be valid as it is.
        """
        raise errors.NotSupported("configurations are not migrated")

    async def configure(self, binding: Binding[ConfigT]) -> None:
        """Prepares for a binding's new configuration; if it raises, the old stays in force."""

    async def remove_binding(self, binding_id: str) -> None:
        """Forgets what `configure` prepared. Must succeed for an unknown binding."""

    async def probe(self) -> Readiness | Health:
        """Says whether upstream looks well. Must answer within 2 s whatever upstream does.

        A Health with a reason for all is READINESS_DEGRADED with reasons. Credentials and
        secrets about to expire are watched by the servicer.
        """
        return plugin_service_pb2.ProbeResponse.READINESS_READY

    async def on_enable(self, reason: str) -> None:
        """An operator lets new operations come. Best effort: nothing may depend on it."""

    async def on_disable(self, reason: str) -> None:
        """An operator stopped new operations. Best effort: nothing may depend on it."""

    async def on_uninstall(self, reason: str) -> None:
        """An operator gave the plugin up; its bindings are forgotten afterwards."""

    async def start(self) -> None:
        """Opens what the provider needs, before the first call."""

    async def close(self) -> None:
        """Closes it, after the last one."""


_METHODS: Mapping[capability_pb2.Capability, Sequence[str]] = {
    capability_pb2.CAPABILITY_MANUAL_CAPTURE: ("capture",),
    capability_pb2.CAPABILITY_VOID: ("void",),
    capability_pb2.CAPABILITY_INCREMENTAL_AUTHORIZATION: ("increment",),
    capability_pb2.CAPABILITY_REFUND: ("refund",),
    capability_pb2.CAPABILITY_CUSTOMERS: ("create_customer", "update_customer"),
    capability_pb2.CAPABILITY_OPERATION_LOOKUP: ("get_operation",),
    capability_pb2.CAPABILITY_CREDENTIAL_CHECK: ("check_credentials",),
}


def require_sound(plugin: Provider[Any]) -> None:
    """Fails before anything is served if *plugin* promises what it does not have.

    Raises:
        ValueError: Says everything that is wrong with it.
    """
    kind = type(plugin)
    problems = [
        f"{capability_pb2.Capability.Name(capability)} needs the method {method}"
        for capability in sorted(plugin.capabilities - plugin.disabled.keys())
        for method in _METHODS.get(capability, ())
        if getattr(kind, method) is getattr(Provider, method)
    ]
    if plugin.max_concurrent_calls < 1:
        problems.append("max_concurrent_calls must be at least 1")
    if problems:
        raise ValueError(f"{plugin.plugin_id}: {'; '.join(problems)}")

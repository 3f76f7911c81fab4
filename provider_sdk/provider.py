"""The class a provider author writes.

Owns the shape of a provider: who it is, what it can do, its configuration and
its operations, over the contract's own messages. Called by the servicer, which
has already checked binding, fence, capability, limits and duplicates. Never
touches gRPC.
"""

import abc
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic

from payhub.plugin.v1 import capability_pb2, plugin_service_pb2
from payhub.provider.v1 import payment_provider_service_pb2 as pps

from provider_sdk import calls, errors, optional_calls
from provider_sdk.calls import ConfigT

Readiness = plugin_service_pb2.ProbeResponse.Readiness
Secret = calls.Secret
Binding = calls.Binding
Call = calls.Call
Answer = calls.Answer
Result = calls.Result

_PLUGIN_ID = re.compile(r"[a-z][a-z0-9.-]{1,61}[a-z0-9]")


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


class Provider(
    optional_calls.PaymentMethodCalls[ConfigT],
    optional_calls.BillingCalls[ConfigT],
    optional_calls.CheckoutCalls[ConfigT],
    optional_calls.DisputeCalls[ConfigT],
    optional_calls.NoticeCalls[ConfigT],
    abc.ABC,
    Generic[ConfigT],
):
    """One payment service provider.

    Every operation returns what became of it, declines included, and raises one of
    provider_sdk.errors when it can't tell or nothing was done. It returns the operation
    alone, or an Answer with the objects it made or changed. The servicer runs operations to
    their end even when the caller has gone, so they must be bounded by `call.timeout_s`
    themselves. What it can do beside payments is in `optional_calls`.
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
    upstream_request_max_s: float = 0.0
    """Longest one of its requests may be under way upstream, seconds, at most 86,400. So long
    after the newest attempt's `not_after` a look-up's NotFound is LookupInconclusive: another
    instance may be sending yet what upstream does not have; and nobody ends the doubt by hand."""

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
    async def authorize(self, request: pps.AuthorizePaymentRequest, call: Call[ConfigT]) -> Result:
        """Authorizes the amount, or with automatic capture also captures it."""

    async def capture(self, request: pps.CapturePaymentRequest, call: Call[ConfigT]) -> Result:
        """Captures an authorized amount or a part of it."""
        raise errors.NotSupported("capture is not offered")

    async def increment(
        self, request: pps.IncrementAuthorizationRequest, call: Call[ConfigT]
    ) -> Result:
        """Raises what is authorized and not captured yet by the amount of the request."""
        raise errors.NotSupported("incremental authorization is not offered")

    async def void(self, request: pps.VoidPaymentRequest, call: Call[ConfigT]) -> Result:
        """Releases what is not captured, or ends a pending authorization."""
        raise errors.NotSupported("void is not offered")

    async def refund(self, request: pps.RefundPaymentRequest, call: Call[ConfigT]) -> Result:
        """Returns captured money or a part of it."""
        raise errors.NotSupported("refund is not offered")

    async def create_customer(
        self, request: pps.CreateCustomerRequest, call: Call[ConfigT]
    ) -> Result:
        """Makes a customer; the result's provider_object_id is the customer."""
        raise errors.NotSupported("customers are not offered")

    async def update_customer(
        self, request: pps.UpdateCustomerRequest, call: Call[ConfigT]
    ) -> Result:
        """Replaces what is known of a customer."""
        raise errors.NotSupported("customers are not offered")

    async def look_up(
        self,
        operation_id: str,
        binding: Binding[ConfigT],
        *,
        hints: pps.OperationHints,
        timeout_s: float,
    ) -> Result:
        """Like `get_operation`, with what core knows of the operation.

        This is what the servicer calls: write it instead where upstream can't find an
        operation by its id alone. Fields of *hints* that are absent are unknown.
        """
        return await self.get_operation(operation_id, binding, timeout_s=timeout_s)

    async def get_operation(
        self, operation_id: str, binding: Binding[ConfigT], *, timeout_s: float
    ) -> Result:
        """Finds out what became of an operation, with the objects its own answer has.

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

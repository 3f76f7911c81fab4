"""What a provider's methods are given and what they give back.

Owns secrets, bindings, the call an operation is served by, and the answer that
carries objects with it. Used by Provider, its optional calls and the servicers.
Never touches gRPC.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import pydantic
from payhub.provider.v1 import operation_pb2, provider_object_pb2

from provider_sdk import errors

ConfigT = TypeVar("ConfigT", bound=pydantic.BaseModel)


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
        attempt: 1 for the first call of this operation; not part of what it asks for.
        timeout_s: Seconds the upstream request may take, so that the answer still arrives.
        not_after_us: Epoch microseconds after which nothing may be sent any more.
        customer_action_allowed: Whether ACTION_REQUIRED may be answered; decline with
            AUTHENTICATION_FAILED otherwise. Never without the payer (`off_session`).
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


@dataclass(frozen=True, slots=True)
class Answer:
    """An operation with the objects it made or changed.

    Args:
        operation: What became of the operation.
        objects: What it made or changed as the provider has it now, 16 at most. RPCs whose
            response has no place for objects leave them out.
    """

    operation: operation_pb2.Operation
    objects: Sequence[provider_object_pb2.ProviderObject] = ()


Result = operation_pb2.Operation | Answer
"""What an operation's method returns: the operation alone is an answer without objects."""

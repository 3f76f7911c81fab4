"""One call as its caller means it: repeated until it is answered or its time is up.

Owns the repeating of unary RPCs: same request, same idempotency key, as the contract and
the server's answer allow, within one overall deadline. Called by the API modules of this
package. Never makes a second request of one intent, and never calls an unknown outcome
a failure.
"""

import asyncio
import itertools
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Protocol, TypeVar

import grpc
import uuid_utils
from google.protobuf import message

from payhub_client import channel, contract, errors, retries

_Request = TypeVar("_Request", bound=message.Message, contravariant=True)
_Response = TypeVar("_Response", covariant=True)

_REPEATABLE_CODES = frozenset(
    {
        grpc.StatusCode.ABORTED,
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.UNAVAILABLE,
    }
)

# Codes after which the server may have acted, whoever made them.
_UNSETTLED_CODES = frozenset(
    {
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.UNKNOWN,
    }
)

# Answers given before the request itself is looked at: they say nothing of an earlier attempt.
_GIVEN_BEFORE_THE_REQUEST = (
    errors.DeadlineExceeded,
    errors.Internal,
    errors.KeyInFlight,
    errors.PermissionDenied,
    errors.RateLimited,
    errors.Unauthenticated,
    errors.Unavailable,
)


class Rpc(Protocol[_Request, _Response]):
    """A unary method of a generated stub."""

    def __call__(
        self,
        request: _Request,
        /,
        *,
        timeout: float | None = None,
        metadata: tuple[tuple[str, str], ...] | None = None,
    ) -> Awaitable[_Response]:
        """Start the call."""


def new_key() -> str:
    """Return a new idempotency key: a time-ordered UUID."""
    return str(uuid_utils.uuid7())


def key_of(given: str | None) -> str:
    """Return the idempotency key that a caller gave, or a new one for None.

    Raises InvalidRequest for an empty one: who gives it means to be safe in repeating.
    """
    if given is None:
        return new_key()
    if not given:
        violation = errors.FieldViolation(path="idempotency_key", description="must not be empty")
        text = "the request was not sent"
        raise errors.InvalidRequest(text, field_violations=[violation])
    return given


def new_request_id() -> str:
    """Return a new id under which both ends log one call."""
    return f"req_{uuid_utils.uuid7().hex}"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ended:
    """An attempt that brought no answer to the request."""

    failure: errors.PayhubError
    reached: bool = False
    """Whether the target was reached; if not, it was waited for already, or the client closed."""
    may_have_acted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Makes the unary calls of one client to one target."""

    link: channel.Link
    backoff: retries.Backoff
    timing: retries.Timing

    async def call(
        self,
        rpc: Rpc[_Request, _Response],
        method: contract.Method,
        request: _Request,
        *,
        timeout_s: float | None = None,
        attempt_s: float | None = None,
        key: str = "",
    ) -> _Response:
        """Return the answer to `request`, repeating it while that is safe and there is time.

        Args:
            rpc: method of a stub on this target's channel.
            method: what the contract says of it.
            request: sent as it is in every attempt; `key` is the idempotency key in it.
            timeout_s: overall time for all attempts, above 0; None means the contract's.
            attempt_s: most for each attempt; None means the contract's, which is more for the
                only attempt at what is never repeated.
            key: reported in errors, so that the caller can repeat the call.

        Raises:
            errors.PayhubError: see that module's table; OutcomeUnknown if the time ran out
                while an attempt of a mutation may have taken effect.
            ValueError: `timeout_s` is not above 0.
        """
        if timeout_s is not None and not timeout_s > 0:
            text = f"timeout_s must be above 0, not {timeout_s}"
            raise ValueError(text)
        _check_size(request)
        request_id = new_request_id()
        ends_s = self.timing.monotonic_s() + (timeout_s or method.deadline_s)
        if attempt_s is None:
            once_only = method.effects is contract.Effects.EACH_TIME
            attempt_s = method.longest_s if once_only else method.deadline_s
        unsettled = False
        for attempts in itertools.count(1):
            try:
                return await self._attempt(rpc, request, ends_s, attempt_s, request_id)
            except (grpc.aio.AioRpcError, errors.Unavailable, asyncio.CancelledError) as error:
                ended = self._ended(method, error, request_id, key)
            unsettled = unsettled or ended.may_have_acted
            wait_s = self.backoff.wait_s(
                attempts, chance=self.timing.chance(), asked_s=ended.failure.retry_after_s
            )
            in_time = self.timing.monotonic_s() + wait_s < ends_s
            if not (ended.reached and in_time and _may_repeat(method, ended.failure)):
                raise _verdict(method, ended.failure, unsettled=unsettled)
            await self.link.unless_closed(self.timing.sleep(wait_s))
            if self.link.closed:
                raise _verdict(method, _closed(request_id, key), unsettled=unsettled)
        raise AssertionError("a call ends with an answer or an error")

    def _ended(
        self, method: contract.Method, error: BaseException, request_id: str, key: str
    ) -> _Ended:
        """Return what an attempt without an answer came to; raise a cancellation that is meant."""
        if isinstance(error, grpc.aio.AioRpcError):
            failure = errors.from_rpc(error, request_id=request_id, idempotency_key=key)
            acted = _may_have_acted(method, failure)
            return _Ended(failure=failure, reached=True, may_have_acted=acted)
        if isinstance(error, errors.Unavailable):
            error.idempotency_key = key
            return _Ended(failure=error)
        # Closing the client cancels its calls, and not the tasks that wait for them.
        if channel.task_is_canceled() or not self.link.closed:
            raise error
        acted = method.effects is not contract.Effects.NONE
        return _Ended(failure=_closed(request_id, key), may_have_acted=acted)

    async def _attempt(
        self,
        rpc: Rpc[_Request, _Response],
        request: _Request,
        ends_s: float,
        attempt_s: float,
        request_id: str,
    ) -> _Response:
        left_s = ends_s - self.timing.monotonic_s()
        patience_s = min(left_s, self.link.connect_timeout_s)
        if not await self.link.connected(patience_s):
            raise errors.Unavailable(
                f"{self.link.not_reached(patience_s)}; nothing was sent",
                code=grpc.StatusCode.UNAVAILABLE,
                retry="same_key",
                request_id=request_id,
            )
        left_s = ends_s - self.timing.monotonic_s()
        return await rpc(
            request,
            timeout=max(min(left_s, attempt_s), 0.001),
            metadata=self.link.metadata(request_id),
        )


def _closed(request_id: str, key: str) -> errors.Unavailable:
    return errors.Unavailable(
        "the client was closed",
        code=grpc.StatusCode.CANCELLED,
        retry="same_key",
        request_id=request_id,
        idempotency_key=key,
    )


def _check_size(request: message.Message) -> None:
    size = request.ByteSize()
    if size > channel.MESSAGE_BYTES_MAX:
        text = f"the request has {size} bytes; at most {channel.MESSAGE_BYTES_MAX} are taken"
        raise errors.InvalidRequest(text)


def _may_repeat(method: contract.Method, failure: errors.PayhubError) -> bool:
    if method.effects is contract.Effects.EACH_TIME or failure.code not in _REPEATABLE_CODES:
        return False
    if errors.is_oversize(failure):
        return False
    if failure.retry == "new_key":
        return method.effects is contract.Effects.NONE
    return failure.retry == "same_key"


def _may_have_acted(method: contract.Method, failure: errors.PayhubError) -> bool:
    if method.effects is contract.Effects.NONE or failure.retry == "new_key":
        return False
    if errors.is_oversize(failure):
        return True
    transport_broke = failure.code is grpc.StatusCode.INTERNAL and not failure.reason
    return transport_broke or failure.code in _UNSETTLED_CODES


def _verdict(
    method: contract.Method, failure: errors.PayhubError, *, unsettled: bool
) -> errors.PayhubError:
    if not (unsettled and isinstance(failure, _GIVEN_BEFORE_THE_REQUEST)):
        return failure
    once = method.effects is contract.Effects.ONCE
    advice = (
        "repeat the same request with the same idempotency key"
        if once
        else "look what exists before making another"
    )
    unknown = errors.OutcomeUnknown(
        f"{method.full_name} may or may not have taken effect: {advice}. "
        f"Last answer: {failure.message}",
        reason=failure.reason,
        code=failure.code,
        retry="same_key" if once else "never",
        metadata=failure.metadata,
        request_id=failure.request_id,
        idempotency_key=failure.idempotency_key,
        retry_after_s=failure.retry_after_s,
    )
    unknown.__cause__ = failure
    return unknown

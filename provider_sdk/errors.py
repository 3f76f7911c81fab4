"""Failures of a provider and how they travel.

ProviderError
├── InvalidRequest       a field is missing or malformed
├── Mismatch             the operation id was used with other parameters
├── InProgress           the same operation is still being worked on
├── BindingNotConfigured no configuration is in force for the binding
├── CredentialsRejected  the upstream system refused the credentials
├── StateConflict        the state of the payment forbids it
├── NotFound             nothing of that identifier exists upstream
├── NotSupported         the plugin does not offer it
├── RateLimited          the upstream system limits the rate
├── Busy                 the plugin has as many calls as it can take
├── Unreachable          no connection upstream: certain that nothing was sent
├── NoAnswer             sent, and no complete answer came: the effect is unknown
├── LookupInconclusive   GetOperation could neither find it nor rule it out
├── TooLate              arrived after `not_after`, or with too little time left
├── Draining             the plugin is stopping
└── PluginBug            anything else

A decline is not here: it is a result. Raised by providers and by the servicer,
which turns each into one status with one ErrorInfo and one Failure. Never
carries a secret: messages and upstream codes are for operators' eyes.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import grpc
from payhub.provider.v1 import failure_pb2

from servicekit import errors as kit_errors
from servicekit import logs, sanitizer

NONE = failure_pb2.Failure.EFFECT_NONE
UNKNOWN = failure_pb2.Failure.EFFECT_UNKNOWN
_PREFIX = "FAILURE_REASON_"
CODE_BYTES_MAX = 255
RETRY_AFTER_MAX_S = 86_400.0


class ProviderError(Exception):
    """Base of what a provider may raise.

    Args:
        message: One sentence for an operator.
        upstream_code: What the upstream system called it, if it said so.
    """

    def __init__(self, message: str, *, upstream_code: str = "") -> None:
        super().__init__(message)
        # Not every author has a type checker, and upstream's codes are numbers or None, too.
        self.message = str(message)
        self.upstream_code = str(upstream_code or "")


class InvalidRequest(ProviderError):
    """A field is missing or malformed.

    Args:
        message: One sentence for an operator.
        violations: (field path, what is wrong) pairs.
    """

    def __init__(self, message: str, violations: Sequence[tuple[str, str]] = ()) -> None:
        super().__init__(message)
        self.violations = tuple((str(path), str(text)) for path, text in violations)


class Mismatch(ProviderError):
    """The operation id was used before with other parameters; nothing was done."""


class InProgress(ProviderError):
    """The same operation is still being worked on; look it up later."""


class BindingNotConfigured(ProviderError):
    """No configuration is in force for the binding; nothing was done."""


class CredentialsRejected(ProviderError):
    """The upstream system refused the credentials; nothing was done."""


class StateConflict(ProviderError):
    """The state of the payment forbids it; nothing was done."""


class NotFound(ProviderError):
    """Nothing of that identifier exists upstream; nothing was done."""


class NotSupported(ProviderError):
    """The plugin does not offer it; nothing was done."""


class RateLimited(ProviderError):
    """The upstream system limits the rate of calls; nothing was done.

    Args:
        message: One sentence for an operator.
        retry_after_s: Seconds after which a repeat makes sense; told as at most a day.
    """

    def __init__(self, message: str, *, retry_after_s: float, upstream_code: str = "") -> None:
        super().__init__(message, upstream_code=upstream_code)
        self.retry_after_s = retry_after_s


class Busy(ProviderError):
    """The plugin has as many calls in progress as it can take; nothing was done."""


class Unreachable(ProviderError):
    """No connection to the upstream system could be made; nothing was sent."""


class NoAnswer(ProviderError):
    """The request was sent and no complete answer came; it may have taken effect."""


class LookupInconclusive(ProviderError):
    """The operation could neither be found nor ruled out."""


class TooLate(ProviderError):
    """The call arrived too late to be acted on; nothing was done."""


class Draining(ProviderError):
    """The plugin takes no new work; nothing was done."""


class PluginBug(ProviderError):
    """The plugin failed in a way it does not understand; it may have taken effect."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wire:
    """How one failure travels.

    Args:
        code: gRPC status.
        reason: Value of Failure.reason; without its prefix, ErrorInfo.reason.
        effect: What the attempt may have done upstream.
    """

    code: grpc.StatusCode
    reason: failure_pb2.FailureReason
    effect: failure_pb2.Failure.Effect


def _wire(
    code: grpc.StatusCode, reason: failure_pb2.FailureReason, effect: failure_pb2.Failure.Effect
) -> Wire:
    return Wire(code=code, reason=reason, effect=effect)


_C = grpc.StatusCode
_R = failure_pb2

TABLE: dict[type[ProviderError], Wire] = {
    InvalidRequest: _wire(_C.INVALID_ARGUMENT, _R.FAILURE_REASON_INVALID_REQUEST, NONE),
    Mismatch: _wire(_C.ALREADY_EXISTS, _R.FAILURE_REASON_OPERATION_MISMATCH, NONE),
    InProgress: _wire(_C.ABORTED, _R.FAILURE_REASON_OPERATION_IN_PROGRESS, UNKNOWN),
    BindingNotConfigured: _wire(
        _C.FAILED_PRECONDITION, _R.FAILURE_REASON_BINDING_NOT_CONFIGURED, NONE
    ),
    CredentialsRejected: _wire(
        _C.FAILED_PRECONDITION, _R.FAILURE_REASON_CREDENTIALS_REJECTED, NONE
    ),
    StateConflict: _wire(_C.FAILED_PRECONDITION, _R.FAILURE_REASON_STATE_CONFLICT, NONE),
    NotFound: _wire(_C.NOT_FOUND, _R.FAILURE_REASON_NOT_FOUND, NONE),
    NotSupported: _wire(_C.UNIMPLEMENTED, _R.FAILURE_REASON_NOT_SUPPORTED, NONE),
    RateLimited: _wire(_C.RESOURCE_EXHAUSTED, _R.FAILURE_REASON_UPSTREAM_RATE_LIMITED, NONE),
    Busy: _wire(_C.RESOURCE_EXHAUSTED, _R.FAILURE_REASON_PLUGIN_BUSY, NONE),
    Unreachable: _wire(_C.UNAVAILABLE, _R.FAILURE_REASON_UPSTREAM_UNREACHABLE, NONE),
    NoAnswer: _wire(_C.UNAVAILABLE, _R.FAILURE_REASON_UPSTREAM_NO_ANSWER, UNKNOWN),
    LookupInconclusive: _wire(_C.UNAVAILABLE, _R.FAILURE_REASON_LOOKUP_INCONCLUSIVE, UNKNOWN),
    TooLate: _wire(_C.FAILED_PRECONDITION, _R.FAILURE_REASON_TOO_LATE, NONE),
    Draining: _wire(_C.UNAVAILABLE, _R.FAILURE_REASON_DRAINING, NONE),
    PluginBug: _wire(_C.INTERNAL, _R.FAILURE_REASON_PLUGIN_BUG, UNKNOWN),
}


def whole(said: object) -> str:
    """Returns what was said as a text; nothing of None.

    What JSON can spell is left out that no message holds, the halves of characters, and NUL,
    which PostgreSQL does not keep.
    """
    text = "" if said is None else str(said).replace("\0", "")
    return text if text.isascii() else text.encode(errors="replace").decode()


def cut(code: str) -> str:
    """Returns an upstream system's own words for operators, as the contract can hold them."""
    return whole(code).encode()[:CODE_BYTES_MAX].decode(errors="ignore")


def wire_of(error: ProviderError) -> Wire:
    """Returns the row of *error*; a subclass an author made travels as its nearest base."""
    for kind in type(error).__mro__:
        row = TABLE.get(kind)
        if row is not None:
            return row
    return TABLE[PluginBug]


def to_rpc(error: ProviderError, *, domain: str) -> kit_errors.RpcError:
    """Returns the status *error* travels as, without the secrets of the call's binding.

    Args:
        error: What was raised.
        domain: The plugin id.
    """
    row, hidden = wire_of(error), logs.hidden()
    name = failure_pb2.FailureReason.Name(row.reason)
    code = sanitizer.without(error.upstream_code, hidden)
    failure = failure_pb2.Failure(effect=row.effect, reason=row.reason, upstream_code=cut(code))
    violations = error.violations if isinstance(error, InvalidRequest) else ()
    return kit_errors.RpcError(
        row.code,
        name.removeprefix(_PREFIX),
        sanitizer.without(error.message, hidden),
        violations=[
            (sanitizer.without(path, hidden), sanitizer.without(text, hidden))
            for path, text in violations
        ],
        retry_after_s=_pause_s(error) if isinstance(error, RateLimited) else None,
        details=[failure],
        domain=domain,
    )


def _pause_s(error: RateLimited) -> float:
    """Returns a pause that can be told, whatever upstream called one."""
    try:
        pause_s = float(error.retry_after_s)
    except OverflowError:
        return RETRY_AFTER_MAX_S
    except (TypeError, ValueError):
        return 0.0
    return 0.0 if math.isnan(pause_s) else min(max(pause_s, 0.0), RETRY_AFTER_MAX_S)

"""Errors of the client, one class per thing a caller can do about it.

PayhubError                 reason, code, message, retry, field_violations, metadata, request_id
├── InvalidRequest          a field is wrong; `field_violations` says which     correct it
├── NotFound                nothing of that id for this API key
├── StateConflict           the state forbids it; `allowed_actions`             look, then decide
├── AmountExceeded          more than is left; `max_amount_minor`               ask for less
├── NotSupported            no such provider, or it can't do that               choose another
├── KeyReused               idempotency key was used for another request        make a new key
├── KeyInFlight             the same key is still being worked on               same key, later
├── Unauthenticated         no API key, or not a valid one
├── PermissionDenied        the API key lacks `scope`
├── RateLimited             too many calls at once                              same key, later
├── Unavailable             not reached, or refused for now; nothing is in doubt  same key, later
├── DeadlineExceeded        a read took too long
├── OutcomeUnknown          a mutation may have taken effect                    SAME key, never new
├── Internal                a bug in Payhub; `request_id` finds its log line
└── CursorError             a place in the event log is of no use
    ├── CursorInvalid       not a cursor
    ├── CursorAhead         beyond the newest event: from another log
    ├── CursorExpired       older than what is kept; `oldest_cursor`            resynchronise
    └── LogEpochMismatch    from an earlier life of the log                     resynchronise

A declined payment is no error: it is a payment in `STATE_FAILED`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar, cast, get_args

import grpc
from google.protobuf import any_pb2, message
from google.rpc import error_details_pb2, status_pb2
from payhub.events.v1 import event_pb2
from payhub.type.v1 import error_reason_pb2

Retry = Literal["never", "same_key", "new_key"]
"""`same_key`: the same request with the same key is safe. `new_key`: nothing happened."""

_M = TypeVar("_M", bound=message.Message)

_REASON_PREFIX = "ERROR_REASON_"
_DETAILS_KEY = "grpc-status-details-bin"
_REQUEST_ID_KEY = "x-request-id"


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldViolation:
    """One wrong field: its path in the request and what is wrong with it."""

    path: str
    description: str


class PayhubError(Exception):
    """Base of everything that the client raises for a failed call."""

    def __init__(
        self,
        message: str,
        *,
        reason: str = "",
        code: grpc.StatusCode | None = None,
        retry: Retry = "never",
        field_violations: Sequence[FieldViolation] = (),
        metadata: Mapping[str, str] | None = None,
        request_id: str = "",
        idempotency_key: str = "",
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.reason = reason
        """Stable cause from the contract, such as `STATE_CONFLICT`; empty if none was given."""
        self.code = code
        """gRPC status code; None if the client itself refused the call."""
        self.retry: Retry = retry
        self.field_violations = tuple(field_violations)
        self.metadata = dict(metadata or {})
        self.request_id = request_id
        self.idempotency_key = idempotency_key
        """Key of the failed mutation, for `retry == "same_key"`; empty for reads."""
        self.retry_after_s = retry_after_s

    def __str__(self) -> str:
        """Return the message, the wrong fields and the request id in one line."""
        fields = "; ".join(
            f"{each.path}: {each.description}" for each in self.violations_not_in_message()
        )
        text = f"{self.message} ({fields})" if fields else self.message
        return f"{text} [request {self.request_id}]" if self.request_id else text

    def violations_not_in_message(self) -> tuple[FieldViolation, ...]:
        """Return the wrong fields that the message does not tell of itself."""
        return tuple(
            each
            for each in self.field_violations
            if each.path not in self.message or each.description not in self.message
        )


class InvalidRequest(PayhubError):
    """A field is wrong. Correct it; the same request will fail again."""


class NotFound(PayhubError):
    """Nothing with that identifier exists for the tenant of this API key."""


class StateConflict(PayhubError):
    """The state of the payment, plugin or binding does not allow it."""

    @property
    def state(self) -> str:
        """State it is in, as the server named it."""
        return self.metadata.get("state", "")

    @property
    def allowed_actions(self) -> tuple[str, ...]:
        """What is possible now."""
        return _listed(self.metadata.get("allowed_actions", ""))


class AmountExceeded(PayhubError):
    """The amount is above what is left to capture or refund, or breaks a limit."""

    @property
    def max_amount_minor(self) -> int | None:
        """The most that is possible now, in minor units; None if the server did not say."""
        text = self.metadata.get("max_amount_minor", "")
        return int(text) if text.isdecimal() else None


class NotSupported(PayhubError):
    """No provider of that name takes what is asked, or none is known. Nothing was sent."""

    @property
    def providers(self) -> tuple[str, ...]:
        """The known providers, if the name was the trouble."""
        return _listed(self.metadata.get("providers", ""))


class KeyReused(PayhubError):
    """The idempotency key was used for another request before."""

    @property
    def resource_id(self) -> str:
        """What the other request made."""
        return self.metadata.get("resource_id", "")


class KeyInFlight(PayhubError):
    """Another call with the same idempotency key is still under way."""


class Unauthenticated(PayhubError):
    """No API key was sent, or it is malformed, unknown or revoked."""


class PermissionDenied(PayhubError):
    """The API key lacks a scope, or the plugin it belongs to a permission."""

    @property
    def scope(self) -> str:
        """The scope that is missing."""
        return self.metadata.get("scope", "")


class RateLimited(PayhubError):
    """Too many calls at once, for longer than the deadline allowed to wait."""


class Unavailable(PayhubError):
    """The service was not reached, or can't answer now, and no effect is in doubt."""


class DeadlineExceeded(PayhubError):
    """A read was not answered in time. Repeat it with more time."""


class OutcomeUnknown(PayhubError):
    """A mutation may or may not have taken effect.

    Repeat the same request with `idempotency_key`: it answers with what the first one did.
    A new key could charge a second time.
    """


class Internal(PayhubError):
    """A bug in Payhub. A mutation may have taken effect: repeat only with the same key."""


class CursorError(PayhubError):
    """A place in the event log that can't be read from."""


class CursorInvalid(CursorError):
    """The text is not a cursor of this log."""


class CursorAhead(CursorError):
    """The cursor lies after the newest event, so it comes from another log."""


class CursorExpired(CursorError):
    """The cursor is older than the oldest event kept: events are missed for good."""

    oldest_cursor: str = ""
    """Reading after this returns the oldest event still kept."""


class LogEpochMismatch(CursorError):
    """The log was rebuilt since. Resynchronise by query, then subscribe anew."""


_R = error_reason_pb2.ErrorReason
BY_REASON: Mapping[error_reason_pb2.ErrorReason, type[PayhubError]] = {
    _R.ERROR_REASON_INVALID_FIELD: InvalidRequest,
    _R.ERROR_REASON_RESOURCE_NOT_FOUND: NotFound,
    _R.ERROR_REASON_STATE_CONFLICT: StateConflict,
    _R.ERROR_REASON_AMOUNT_EXCEEDED: AmountExceeded,
    _R.ERROR_REASON_IDEMPOTENCY_KEY_IN_FLIGHT: KeyInFlight,
    _R.ERROR_REASON_IDEMPOTENCY_KEY_REUSED: KeyReused,
    _R.ERROR_REASON_KEY_INVALID: Unauthenticated,
    _R.ERROR_REASON_SCOPE_MISSING: PermissionDenied,
    _R.ERROR_REASON_DEADLINE_REQUIRED: InvalidRequest,
    _R.ERROR_REASON_PROVIDER_UNKNOWN: NotSupported,
    _R.ERROR_REASON_CAPABILITY_MISSING: NotSupported,
    _R.ERROR_REASON_UNAVAILABLE: Unavailable,
    _R.ERROR_REASON_OVERLOADED: RateLimited,
    _R.ERROR_REASON_INTERNAL: Internal,
    _R.ERROR_REASON_CURSOR_INVALID: CursorInvalid,
    _R.ERROR_REASON_CURSOR_AHEAD: CursorAhead,
    _R.ERROR_REASON_CURSOR_EXPIRED: CursorExpired,
    _R.ERROR_REASON_LOG_EPOCH_MISMATCH: LogEpochMismatch,
    _R.ERROR_REASON_PAGE_TOKEN_INVALID: InvalidRequest,
    _R.ERROR_REASON_PLUGIN_UNKNOWN: NotFound,
    _R.ERROR_REASON_PLUGIN_EXISTS: StateConflict,
    _R.ERROR_REASON_PLUGIN_STATE_CONFLICT: StateConflict,
    _R.ERROR_REASON_PLUGIN_DEPENDENCY: StateConflict,
    _R.ERROR_REASON_PLUGIN_QUARANTINED: StateConflict,
    _R.ERROR_REASON_PLUGIN_FAILED: StateConflict,
    _R.ERROR_REASON_PLUGIN_NOT_ALLOWED: PermissionDenied,
    _R.ERROR_REASON_ENDPOINT_NOT_ALLOWED: PermissionDenied,
    _R.ERROR_REASON_IDENTITY_MISMATCH: StateConflict,
    _R.ERROR_REASON_INSTANCE_UNREACHABLE: Unavailable,
    _R.ERROR_REASON_INSTANCE_CONFLICT: StateConflict,
    _R.ERROR_REASON_SESSION_UNKNOWN: NotFound,
    _R.ERROR_REASON_NO_COMMON_VERSION: NotSupported,
    _R.ERROR_REASON_PERMISSION_NOT_GRANTED: PermissionDenied,
    _R.ERROR_REASON_REPORT_REQUIRED: StateConflict,
    _R.ERROR_REASON_VERSION_UNKNOWN: NotFound,
    _R.ERROR_REASON_UPGRADE_REFUSED: StateConflict,
    _R.ERROR_REASON_CONFIG_INVALID: InvalidRequest,
    _R.ERROR_REASON_STALE_GENERATION: StateConflict,
    _R.ERROR_REASON_BINDING_UNKNOWN: NotSupported,
    _R.ERROR_REASON_BINDING_EXISTS: StateConflict,
    _R.ERROR_REASON_BINDING_IN_USE: StateConflict,
    _R.ERROR_REASON_LIMIT_EXCEEDED: AmountExceeded,
    _R.ERROR_REASON_FEATURE_DISABLED: NotSupported,
    _R.ERROR_REASON_KILL_SWITCH_ACTIVE: NotSupported,
    _R.ERROR_REASON_PROVIDER_DISABLED: NotSupported,
    _R.ERROR_REASON_SEAL_INVALID: InvalidRequest,
    _R.ERROR_REASON_ENCRYPTION_KEY_MISSING: StateConflict,
    _R.ERROR_REASON_CONSUMER_EXISTS: StateConflict,
    _R.ERROR_REASON_MEMBER_REPLACED: StateConflict,
    _R.ERROR_REASON_STREAM_STALLED: Unavailable,
    _R.ERROR_REASON_DEADLINE_EXCEEDED: DeadlineExceeded,
    _R.ERROR_REASON_WEBHOOK_ENDPOINT_DISABLED: StateConflict,
    _R.ERROR_REASON_DATABASE_BEHIND: Unavailable,
}
"""The class of each reason of the contract. A newer reason falls back on `BY_CODE`."""

BY_CODE: Mapping[grpc.StatusCode, type[PayhubError]] = {
    grpc.StatusCode.OK: Internal,
    grpc.StatusCode.CANCELLED: Unavailable,
    grpc.StatusCode.UNKNOWN: Internal,
    grpc.StatusCode.INVALID_ARGUMENT: InvalidRequest,
    grpc.StatusCode.DEADLINE_EXCEEDED: DeadlineExceeded,
    grpc.StatusCode.NOT_FOUND: NotFound,
    grpc.StatusCode.ALREADY_EXISTS: KeyReused,
    grpc.StatusCode.PERMISSION_DENIED: PermissionDenied,
    grpc.StatusCode.RESOURCE_EXHAUSTED: RateLimited,
    grpc.StatusCode.FAILED_PRECONDITION: StateConflict,
    grpc.StatusCode.ABORTED: KeyInFlight,
    grpc.StatusCode.OUT_OF_RANGE: InvalidRequest,
    grpc.StatusCode.UNIMPLEMENTED: NotSupported,
    grpc.StatusCode.INTERNAL: Internal,
    grpc.StatusCode.UNAVAILABLE: Unavailable,
    grpc.StatusCode.DATA_LOSS: Internal,
    grpc.StatusCode.UNAUTHENTICATED: Unauthenticated,
}
"""The class of each status code that comes without a known reason."""

# Without an ErrorInfo the answer came from the transport or a proxy: these say nothing
# against the request itself.
_RETRY_BY_CODE: Mapping[grpc.StatusCode, Retry] = {
    grpc.StatusCode.ABORTED: "same_key",
    grpc.StatusCode.CANCELLED: "same_key",
    grpc.StatusCode.DEADLINE_EXCEEDED: "same_key",
    grpc.StatusCode.INTERNAL: "same_key",
    grpc.StatusCode.RESOURCE_EXHAUSTED: "same_key",
    grpc.StatusCode.UNAVAILABLE: "same_key",
    grpc.StatusCode.UNKNOWN: "same_key",
}


def from_rpc(
    error: grpc.aio.AioRpcError, *, request_id: str = "", idempotency_key: str = ""
) -> PayhubError:
    """Return the exception for a failed RPC; `request_id` is the one that was sent."""
    return from_status(
        code=error.code(),
        text=error.details() or "",
        details=_details(error.trailing_metadata()),
        request_id=str(_first(error.initial_metadata(), _REQUEST_ID_KEY) or request_id),
        idempotency_key=idempotency_key,
    )


def from_status(
    *,
    code: grpc.StatusCode,
    text: str,
    details: Sequence[any_pb2.Any] = (),
    request_id: str = "",
    idempotency_key: str = "",
) -> PayhubError:
    """Return the exception for a status: by its reason if that is known, else by its code."""
    info = _unpacked(details, error_details_pb2.ErrorInfo())
    bad = _unpacked(details, error_details_pb2.BadRequest())
    pause = _unpacked(details, error_details_pb2.RetryInfo())
    expired = _unpacked(details, event_pb2.CursorExpired())
    metadata = dict(info.metadata) if info else {}
    stated, named = metadata.pop("retry", ""), metadata.pop("request_id", "")
    retry = cast("Retry", stated) if stated in get_args(Retry) else "never"
    if info is None:
        retry = _RETRY_BY_CODE.get(code, "never")
    kind = _class_of(info.reason if info else "", code)
    failure = kind(
        text or code.name,
        reason=info.reason if info else "",
        code=code,
        retry=retry,
        field_violations=[
            FieldViolation(path=each.field, description=each.description)
            for each in (bad.field_violations if bad else ())
        ],
        metadata=metadata,
        request_id=named or request_id,
        idempotency_key=idempotency_key,
        retry_after_s=pause.retry_delay.ToTimedelta().total_seconds() if pause else None,
    )
    if isinstance(failure, CursorExpired) and expired is not None:
        failure.oldest_cursor = expired.oldest_cursor
    return failure


def is_oversize(failure: PayhubError) -> bool:
    """Whether a message was too big; gRPC reports that with the code of overload."""
    return not failure.reason and "larger than max" in failure.message


def _class_of(reason: str, code: grpc.StatusCode) -> type[PayhubError]:
    value = _R.DESCRIPTOR.values_by_name.get(_REASON_PREFIX + reason)
    by_code = BY_CODE.get(code, Internal)
    if value is None:
        return by_code
    return BY_REASON.get(cast("error_reason_pb2.ErrorReason", value.number), by_code)


def _details(trailing: object) -> Sequence[any_pb2.Any]:
    raw = _first(trailing, _DETAILS_KEY)
    if not isinstance(raw, bytes):
        return ()
    try:
        return tuple(status_pb2.Status.FromString(raw).details)
    except message.DecodeError:
        return ()


def _first(metadata: object, key: str) -> str | bytes:
    if isinstance(metadata, grpc.aio.Metadata | tuple | list):
        for name, value in metadata:
            if name == key:
                return cast("str | bytes", value)
    return ""


def _unpacked(details: Sequence[any_pb2.Any], empty: _M) -> _M | None:
    for each in details:
        if each.Unpack(empty):
            return empty
    return None


def _listed(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())

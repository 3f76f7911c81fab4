"""Errors as callers see them.

Owns `RpcError`: a status code, a stable reason and what the caller may do, sent
as google.rpc.Status details. Raised by use cases and servicers; turned into a
status by the pipeline alone. Never carries an exception's own text.
"""

from collections.abc import Mapping, Sequence
from typing import Literal

import grpc
from google.protobuf import any_pb2, duration_pb2
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

Retry = Literal["never", "same_key", "new_key"]

# Trailing metadata holds 8 KiB by default, base64 and other entries included.
STATUS_BYTES_MAX = 4_096
MESSAGE_CHARS_MAX = 400
VALUE_CHARS_MAX = 256
VIOLATIONS_MAX = 20
OVERLOADED = "OVERLOADED"
# What only a fault of ours ends with.
BUG_CODES = (grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN, grpc.StatusCode.DATA_LOSS)
VIOLATION_CHARS_MAX = 160


class RpcError(Exception):
    """A refusal or failure with everything the caller needs to go on.

    Args:
        code: the gRPC status code, not OK.
        reason: stable, upper case; `google.rpc.ErrorInfo.reason`.
        message: one sentence for people, without secrets.
        retry: what the caller may do (`never`, `same_key`, `new_key`).
        metadata: facts for programs, added to ErrorInfo.
        violations: (dotted field path, text) pairs, sent as BadRequest.
        retry_after_s: when to come back, sent as RetryInfo.
        details: further messages for the status.
        domain: `google.rpc.ErrorInfo.domain`.
    """

    def __init__(
        self,
        code: grpc.StatusCode,
        reason: str,
        message: str,
        *,
        retry: Retry = "never",
        metadata: Mapping[str, str] | None = None,
        violations: Sequence[tuple[str, str]] = (),
        retry_after_s: float | None = None,
        details: Sequence[Message] = (),
        domain: str = "payhub",
    ) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.retry = retry
        self.metadata = dict(metadata or {})
        self.violations = list(violations)
        self.retry_after_s = retry_after_s
        self.details = list(details)
        self.domain = domain

    def __repr__(self) -> str:
        return f"RpcError({self.code.name}, {self.reason}, {self.message!r})"


def to_status(err: RpcError) -> status_pb2.Status:
    """Return `err` as google.rpc.Status, cut to what trailing metadata can hold."""
    code_number, _ = err.code.value
    status = status_pb2.Status(code=code_number, message=_cut(err.message, MESSAGE_CHARS_MAX))
    info = error_details_pb2.ErrorInfo(reason=err.reason, domain=err.domain)
    for name, value in err.metadata.items():
        info.metadata[name] = _cut(value, VALUE_CHARS_MAX)
    info.metadata["retry"] = err.retry
    _pack(status, info)
    if err.retry_after_s is not None:
        delay = duration_pb2.Duration()
        delay.FromMicroseconds(round(err.retry_after_s * 1_000_000))
        _pack(status, error_details_pb2.RetryInfo(retry_delay=delay))
    for detail in err.details:
        _pack(status, detail)
    if err.violations:
        _pack(status, _bad_request(err.violations, STATUS_BYTES_MAX - status.ByteSize()))
    return status


def invalid_field(path: str, text: str) -> RpcError:
    """One field is wrong: `path` is dotted, `text` says what it must be."""
    return invalid_fields([(path, text)])


def invalid_fields(violations: Sequence[tuple[str, str]]) -> RpcError:
    """Several fields are wrong: (dotted path, text) pairs, at least one."""
    path, text = violations[0]
    more = f" (and {len(violations) - 1} more)" if len(violations) > 1 else ""
    return RpcError(
        grpc.StatusCode.INVALID_ARGUMENT,
        "INVALID_FIELD",
        f"{path}: {text}{more}" if path else f"{text}{more}",
        violations=violations,
    )


def malformed_message() -> RpcError:
    """The body is not a message of the method's request type."""
    return RpcError(
        grpc.StatusCode.INVALID_ARGUMENT,
        "INVALID_FIELD",
        "the request is not a message of the type this method takes",
    )


def not_found(what: str, resource_id: str) -> RpcError:
    """Nothing of kind `what` has this id for this caller."""
    return RpcError(
        grpc.StatusCode.NOT_FOUND,
        "RESOURCE_NOT_FOUND",
        f"no {what} {_cut(resource_id, 128)}",
        metadata={"resource": what, "resource_id": _cut(resource_id, 128)},
    )


def key_invalid(text: str) -> RpcError:
    """The caller's API key is missing, malformed, unknown or revoked."""
    return RpcError(grpc.StatusCode.UNAUTHENTICATED, "KEY_INVALID", text)


def scope_missing(scope: str) -> RpcError:
    """The caller's API key lacks `scope`."""
    return RpcError(
        grpc.StatusCode.PERMISSION_DENIED,
        "SCOPE_MISSING",
        f"the API key lacks the scope {scope}",
        metadata={"scope": scope},
    )


def deadline_required() -> RpcError:
    """The call carries no deadline."""
    return RpcError(
        grpc.StatusCode.INVALID_ARGUMENT,
        "DEADLINE_REQUIRED",
        "the call has no deadline; set a timeout on the call",
        retry="same_key",
    )


def deadline_exceeded() -> RpcError:
    """The longest time this RPC may take is over."""
    return RpcError(
        grpc.StatusCode.DEADLINE_EXCEEDED,
        "DEADLINE_EXCEEDED",
        "the longest time for this call is over",
        retry="same_key",
    )


def internal(request_id: str) -> RpcError:
    """A bug: tells nothing but the id that finds the log line."""
    return RpcError(
        grpc.StatusCode.INTERNAL,
        "INTERNAL",
        "internal error",
        retry="same_key",
        metadata={"request_id": request_id},
    )


def unavailable(text: str, *, retry_after_s: float | None = None) -> RpcError:
    """The service is stopping, or a part it needs does not answer."""
    return RpcError(
        grpc.StatusCode.UNAVAILABLE,
        "UNAVAILABLE",
        text,
        retry="same_key",
        retry_after_s=retry_after_s,
    )


def overloaded(text: str, *, retry_after_s: float) -> RpcError:
    """Too much at once; come back after `retry_after_s`."""
    return RpcError(
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        OVERLOADED,
        text,
        retry="same_key",
        retry_after_s=retry_after_s,
    )


def _bad_request(
    violations: Sequence[tuple[str, str]], bytes_max: int
) -> error_details_pb2.BadRequest:
    bad_request = error_details_pb2.BadRequest()
    for path, text in violations[:VIOLATIONS_MAX]:
        bad_request.field_violations.add(
            field=_cut(path, VIOLATION_CHARS_MAX), description=_cut(text, VIOLATION_CHARS_MAX)
        )
        if bad_request.ByteSize() > bytes_max:
            del bad_request.field_violations[-1]
            break
    return bad_request


def _pack(status: status_pb2.Status, message: Message) -> None:
    packed = any_pb2.Any()
    packed.Pack(message)
    status.details.append(packed)


def _cut(text: str, chars_max: int) -> str:
    if not text.isascii():
        # JSON can spell halves of characters, which no message can hold.
        text = text.encode(errors="replace").decode()
    return text if len(text) <= chars_max else text[: chars_max - 1] + "…"

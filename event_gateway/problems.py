"""The gateway's own errors, each with what the caller can do about it.

Owns reasons and texts of everything about places in the log. Called by the API
and the streams. Never decides when to raise.
"""

import grpc
from payhub.events.v1 import event_pb2

from event_gateway import cursor, splice
from servicekit import errors, storage

EXPIRED = "CURSOR_EXPIRED"


def cursor_invalid(field: str) -> errors.RpcError:
    """The text in *field* is not a cursor."""
    return errors.RpcError(
        grpc.StatusCode.INVALID_ARGUMENT,
        "CURSOR_INVALID",
        f"{field} is not a cursor of this service; send one it gave you, unchanged",
        violations=[(field, "is not a cursor")],
    )


def page_token_invalid() -> errors.RpcError:
    """The page token is damaged, or belongs to another query."""
    return errors.RpcError(
        grpc.StatusCode.INVALID_ARGUMENT,
        "PAGE_TOKEN_INVALID",
        "page_token is not one of this query; keep all other fields as they were, "
        "or start from the first page",
        violations=[("page_token", "is not a page token of this query")],
    )


def cursor_ahead(position: int, head: int) -> errors.RpcError:
    """The cursor lies behind the newest event of this log."""
    return errors.RpcError(
        grpc.StatusCode.FAILED_PRECONDITION,
        "CURSOR_AHEAD",
        f"the cursor is at {position}, the log ends at {head}: it came from another log",
        metadata={"position": str(position), "head_position": str(head)},
    )


def epoch_mismatch(theirs: int, ours: int) -> errors.RpcError:
    """The cursor belongs to an earlier life of the log."""
    return errors.RpcError(
        grpc.StatusCode.FAILED_PRECONDITION,
        "LOG_EPOCH_MISMATCH",
        "the log was rebuilt since this cursor was given; resynchronise by query and "
        "subscribe from the oldest event or the newest",
        metadata={
            "cursor_epoch": cursor.epoch_text(theirs),
            "log_epoch": cursor.epoch_text(ours),
        },
    )


def cursor_expired(requested: str, *, epoch: int, oldest: int, oldest_us: int) -> errors.RpcError:
    """Events after the cursor are no longer kept."""
    return _expired("events after this cursor", requested, epoch, oldest, oldest_us)


def time_expired(*, epoch: int, oldest: int, oldest_us: int) -> errors.RpcError:
    """Events from the wished moment on are no longer kept."""
    return _expired("events from this moment on", "", epoch, oldest, oldest_us)


def _expired(what: str, requested: str, epoch: int, oldest: int, oldest_us: int) -> errors.RpcError:
    oldest_cursor = cursor.encode(epoch, oldest)
    detail = event_pb2.CursorExpired(requested_cursor=requested, oldest_cursor=oldest_cursor)
    if oldest_us:
        detail.oldest_append_time.CopyFrom(splice.timestamp(oldest_us))
    return errors.RpcError(
        grpc.StatusCode.OUT_OF_RANGE,
        EXPIRED,
        f"{what} are no longer kept; resynchronise by query, then read on from oldest_cursor",
        metadata={"oldest_cursor": oldest_cursor},
        details=[detail],
    )


def stalled(timeout_s: float) -> errors.RpcError:
    """The reader took nothing for too long."""
    return errors.RpcError(
        grpc.StatusCode.ABORTED,
        "STREAM_STALLED",
        f"the reader accepted nothing for {timeout_s:g} s; reconnect with the last cursor",
        retry="same_key",
    )


def key_lost() -> errors.RpcError:
    """The key that opened the stream was revoked, or lost the rights it had."""
    return errors.key_invalid("the API key was revoked, or may not read this any more")


def too_many_streams(limit: int, *, retry_after_s: float) -> errors.RpcError:
    """The tenant has as many open streams as it may."""
    return errors.overloaded(
        f"the tenant has {limit} open streams already; close some", retry_after_s=retry_after_s
    )


def consumer_exists(name: str) -> errors.RpcError:
    """The tenant has a consumer of that name with another definition."""
    return errors.RpcError(
        grpc.StatusCode.ALREADY_EXISTS,
        "CONSUMER_EXISTS",
        f"consumer {name} exists with another definition; update it, or choose another name",
        metadata={"name": name},
    )


def member_replaced(name: str) -> errors.RpcError:
    """Another stream joined under the same member name."""
    return errors.RpcError(
        grpc.StatusCode.ABORTED,
        "MEMBER_REPLACED",
        f"another stream joined as member {name}; give each member a name of its own",
        metadata={"member": name},
    )


def stale(expected: str, current: str) -> errors.RpcError:
    """Somebody else changed it meanwhile."""
    return errors.RpcError(
        grpc.StatusCode.FAILED_PRECONDITION,
        "STALE_GENERATION",
        "it was changed meanwhile; read it again, then decide",
        metadata={"expected": expected, "current": current},
    )


def endpoint_disabled(endpoint_id: str) -> errors.RpcError:
    """Something was to be sent again to an endpoint that is disabled."""
    return errors.RpcError(
        grpc.StatusCode.FAILED_PRECONDITION,
        "WEBHOOK_ENDPOINT_DISABLED",
        f"webhook endpoint {endpoint_id} is disabled and would pass this by; "
        "enable it, then send again",
        metadata={"endpoint_id": endpoint_id},
    )


def key_reused() -> errors.RpcError:
    """The idempotency key came with another request."""
    return errors.RpcError(
        grpc.StatusCode.ALREADY_EXISTS,
        "IDEMPOTENCY_KEY_REUSED",
        "the idempotency key was used for another request",
    )


def from_exception(failure: Exception) -> errors.RpcError | None:
    """Turns an error of storage into the caller's; None for anything else."""
    if isinstance(failure, storage.StorageOverloaded):
        return errors.overloaded("the event log has too much to do", retry_after_s=1.0)
    if isinstance(failure, storage.StorageError):
        return errors.unavailable("the event log can't be used now", retry_after_s=1.0)
    return None

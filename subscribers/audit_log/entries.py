"""What one line of the audit log says, and how it is chained to the line before.

Pure: owns the form of an entry, its hash and the check of one. Called by the writer and by
`verifying`; never touches a file.
"""

import dataclasses
import hashlib
import hmac
import json
from typing import Any

from payhub.events.v1 import event_pb2

# What the first entry names as the hash before it.
GENESIS = "0" * 64
# Every field of an envelope at its limit, escaped, stays below.
LINE_BYTES_MAX = 16_384


class BadEntry(Exception):
    """A line is not the entry that belongs there; the text says why."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """The newest entry: its sequence, 0 before the first, and its hash."""

    sequence: int = 0
    hash: str = GENESIS


def digest(event: event_pb2.Event, key: bytes = b"") -> str:
    """Return `<algorithm>:<hex>` of what the producer said, whatever place the log gave it.

    With a key it is an HMAC: who does not have it can't confirm a guess of the payload.
    """
    said = event_pb2.Event()
    said.CopyFrom(event)
    for field in ("position", "append_time", "redacted"):
        said.ClearField(field)
    content = said.SerializeToString(deterministic=True)
    if key:
        return f"hmac-sha256:{hmac.digest(key, content, 'sha256').hex()}"
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def describe(event: event_pb2.Event, *, log_epoch: str, key: bytes = b"") -> dict[str, Any]:
    """Return what is kept of an event: its envelope, who caused it, and a digest of it all."""
    return {
        "log_epoch": log_epoch,
        "position": event.position,
        "event_id": event.id,
        "type": event.type,
        "type_version": event.type_version,
        "source": event.source,
        "tenant_id": event.tenant_id,
        "entity_type": event.entity_type,
        "entity_id": event.entity_id,
        "entity_version": event.entity_version,
        # Not by the library, which refuses moments that no calendar has.
        "occurred_us": event.occur_time.seconds * 1_000_000 + event.occur_time.nanos // 1_000,
        "accepted_us": event.append_time.ToMicroseconds(),
        "actor": event.cause.actor,
        "correlation_id": event.cause.correlation_id,
        "causation_id": event.cause.causation_id,
        "redacted": event.redacted,
        "digest": digest(event, key),
    }


def missing(position: int, noticed_us: int, places: int, *, log_epoch: str) -> dict[str, Any]:
    """Return what is kept of places of the log, up to `position`, that nobody can read any more.

    Its id follows from the place and the moment it was noticed: a log that was restored has
    another epoch, and what was noticed before still with it.
    """
    return {
        "log_epoch": log_epoch,
        "position": position,
        "event_id": f"missing-{position}-{noticed_us}",
        "tenant_id": "",
        "missing": places,
    }


def chain(content: dict[str, Any], before: Head, *, written_us: int) -> tuple[bytes, Head]:
    """Return the line after `before`, with its newline, and the head that it becomes."""
    entry = {
        **content,
        "sequence": before.sequence + 1,
        "written_us": written_us,
        "previous": before.hash,
    }
    own = hashlib.sha256(_canonical(entry)).hexdigest()
    line = _canonical({**entry, "hash": own}) + b"\n"
    return line, Head(sequence=before.sequence + 1, hash=own)


def check(line: bytes, before: Head) -> tuple[dict[str, Any], Head]:
    """Return the entry of a whole line, and the head that it becomes.

    Raises:
        BadEntry: it is not, byte for byte, an entry that follows `before`.
    """
    if len(line) > LINE_BYTES_MAX:
        raise BadEntry(f"longer than {LINE_BYTES_MAX} bytes")
    try:
        entry = json.loads(line)
        stated = entry.pop("hash")
        content = _canonical(entry)
        whole = _canonical({**entry, "hash": stated}) + b"\n"
        sequence, previous = entry["sequence"], entry["previous"]
        places = entry.get("missing", 0)
        _ = str(entry["tenant_id"]), str(entry["event_id"])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise BadEntry("not an entry") from None
    if type(places) is not int or places < 0:
        raise BadEntry("not an entry")
    if whole != line:
        raise BadEntry("not written as entries are")
    if hashlib.sha256(content).hexdigest() != stated:
        raise BadEntry("its content does not have its hash")
    if sequence != before.sequence + 1:
        raise BadEntry(f"its sequence is {sequence}, not {before.sequence + 1}")
    if previous != before.hash:
        raise BadEntry("it does not follow the entry before it")
    return entry, Head(sequence=sequence, hash=stated)


def _canonical(entry: dict[str, Any]) -> bytes:
    return json.dumps(entry, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()

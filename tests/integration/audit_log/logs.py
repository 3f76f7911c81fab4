"""Events, and the log of a folder that they are written to.

Owns what tests of the audit log start from. Called by those tests and properties. Never
asserts.
"""

import contextlib
import io
import pathlib
from collections.abc import Iterator

from payhub.events.v1 import event_pb2

from subscribers.audit_log import verifying, writing


def event(number: int, **over: object) -> event_pb2.Event:
    """Returns an event with personal data in it."""
    made = event_pb2.Event(
        id=f"evt_{number:08}",
        type="customer.created",
        tenant_id="t-1",
        entity_type="customer",
        entity_id=f"cus_{number}",
        entity_version=1,
        position=number,
        data=b'{"email":"ada@example.org"}',
        user_id="ada",
    )
    made.MergeFrom(event_pb2.Event(**over))  # type: ignore[arg-type]
    return made


@contextlib.contextmanager
def writing_to(folder: pathlib.Path) -> Iterator[writing.Writer]:
    """Opens the log of a folder."""
    made = writing.Writer(folder / "log", folder / "anchor", now_us=lambda: 7)
    try:
        yield made
    finally:
        made.close()


def fill(folder: pathlib.Path, first: int, last: int) -> bytes:
    """Writes events and returns the log."""
    with writing_to(folder) as writer:
        writer.append([event(n) for n in range(first, last + 1)], log_epoch="e1")
    return (folder / "log").read_bytes()


def verdict(content: bytes, folder: pathlib.Path) -> verifying.Verdict:
    """Returns what `verify` finds, with the folder's anchor."""
    anchor = verifying.read_anchor(folder / "anchor")
    return verifying.scan(io.BytesIO(content), anchor=anchor)

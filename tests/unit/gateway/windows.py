"""Entries of a log, and batches of them that a window gives.

Owns what tests of the window start from. Called by those tests and properties. Never
asserts.
"""

from payhub.events.v1 import event_pb2

from event_gateway import matching, window
from event_gateway.db import read

EVERYTHING = matching.Matcher(["one", "two"], event_pb2.Filter())
ONE = matching.Matcher(["one"], event_pb2.Filter())


def entry(position: int, tenant_id: str = "one", size: int = 10) -> read.Entry:
    """An entry whose chunk names its position."""
    chunk = str(position).encode().ljust(size, b".")
    return read.Entry(position, tenant_id, "payment.created", "payment", "pay_1", chunk)


def positions(batch: window.Batch) -> list[int]:
    """Returns the positions that the chunks of a batch name."""
    return [int(chunk.rstrip(b".")) for chunk in batch.chunks]


def take(log: window.Window, after: int, matcher: matching.Matcher, **over: int) -> window.Batch:
    """A batch with wide limits unless *over* says otherwise."""
    limits = {"upto": 2**63, "events_max": 1000, "bytes_max": 2**30, **over}
    return log.batch(after, matcher, **limits)

"""Brings a consumer's events to its machine, and what that hands out to the members.

Owns the reads of one consumer, and that nothing is sent which was read before an erasure. Called
by the loop of a group. Never decides who gets what.
"""

from collections.abc import Collection

from event_gateway import matching
from event_gateway.consumers import machine, member, policy, records, source
from event_gateway.db import consumers
from servicekit import clock, logs, storage

HANDED_OUT_MAX = 256

_log = logs.get_logger(__name__)


class Supply:
    """The events of one consumer, on their way.

    Args:
        around: Where they are read.
        time: The time of the machine.

    Attributes:
        looked_us: When the machine was last asked what is to be handed out, epoch microseconds.
    """

    def __init__(self, around: source.Surroundings, time: clock.Clock) -> None:
        self.looked_us = 0
        self._around = around
        self._time = time
        # How often copies of events were dropped; what was read meanwhile may be older.
        self._forgotten = 0

    def forget_events(self) -> None:
        """Says that stored events were changed: what is being read may be older."""
        self._forgotten += 1

    async def read_on(
        self, to: machine.Machine, matcher: matching.Matcher, which: consumers.Stored
    ) -> bool:
        """Reads the next events that match; returns whether the log has grown.

        Raises:
            storage.StorageError: It can't be read.
        """
        at = to.read_upto
        if at >= self._around.log.head:
            return False
        forgotten = self._forgotten
        found = await source.read_on(self._around, matcher, at)
        if found.oldest > at:
            to.skip_lost(found.oldest, self._time.now_us())
            _log.warning("a consumer missed deleted history", consumer=which.name)
            return True
        to.feed(
            ((row[0], records.entity_key(row[1], row[3], row[4]), row[5]) for row in found.rows),
            found.upto,
            self._time.now_us(),
        )
        if forgotten != self._forgotten:
            # It may have been read before it was changed.
            to.forget_events()
        return True

    async def hand_out(
        self, of: machine.Machine, takers: Collection[member.Member], which: consumers.Stored
    ) -> bool:
        """Hands out what is due to those with room; returns whether there was something.

        Raises:
            storage.StorageError: It can't be read; nothing was handed out.
        """
        now_us = self.looked_us = self._time.now_us()
        ready = {each.session: each for each in takers}
        if not ready:
            return False
        out = of.deliver(now_us, ready.keys(), HANDED_OUT_MAX)
        try:
            chunks = await self._chunks(out, which)
        except storage.StorageError:
            now_us = self._time.now_us()
            for each in out:
                of.settle(each.lease.token, policy.Verdict.RELEASE, now_us)
                each.session.grant(1)
            raise
        clock_ahead_us = self._around.time.now_us() - self._time.now_us()
        for handout in out:
            position = handout.entry.position
            chunk = chunks.get(position)
            if chunk is None:
                of.lose(position, self._time.now_us())
                # The member hears nothing of it, and settles nothing that would give it back.
                handout.session.grant(1)
            else:
                ready[handout.session].put(handout, chunk, handout.lease.until_us + clock_ahead_us)
        return bool(out)

    async def _chunks(
        self, out: Collection[records.Handout], which: consumers.Stored
    ) -> dict[int, bytes]:
        """Returns the events of *out*; those that are kept nowhere are missing."""
        while True:
            forgotten = self._forgotten
            found = {each.entry.position: each.entry.chunk for each in out if each.entry.chunk}
            wanted = [each.entry.position for each in out if each.entry.chunk is None]
            found |= await source.fetch(self._around, which.tenant_id, which.name, wanted)
            if forgotten == self._forgotten:
                return found

"""The time by which things are old enough to be deleted.

Owns the statement of the table `deletion_clock`, which every service with such things makes.
Called by what deletes by age. It follows the clock, but ahead only twice as fast as time passes
here: what a clock says that was set wrong can be put right, what it had deleted can't.
"""

from servicekit import clock, logs
from servicekit.storage import database, statement

# How much older things get in a second at most.
SPEED = 2.0
# From here on an operator should know, once an hour.
TOLD_FROM_S = 3600.0
TOLD_EVERY_S = 3600.0

_FOLLOW = statement.Statement(
    "insert into deletion_clock (name, at_us) values (:name, :now_us) on conflict (name) do update "
    "set at_us = case when excluded.at_us <= deletion_clock.at_us or excluded.at_us <= :most_us "
    "then excluded.at_us when deletion_clock.at_us > :most_us then deletion_clock.at_us "
    "else :most_us end returning at_us"
)

_log = logs.get_logger(__name__)


class Ageing:
    """Tells one kind of deletions the time; processes that share a database share it.

    Time during which nothing ran is caught up with afterwards, in as long again. The first look
    into a new database believes the clock.

    Args:
        db: Where the time is kept.
        time: The clock that is followed.
        name: The kind.
    """

    def __init__(self, db: database.Database, time: clock.Clock, name: str) -> None:
        self._db = db
        self._time = time
        self._name = name
        # What it was when, before which it was not later: others move it on, too.
        self._seen_us = 0
        self._seen_s = time.monotonic_s()
        self._told_s = float("-inf")

    async def now_us(self) -> int:
        """Returns the time that deletions go by, epoch microseconds: the clock's or an earlier one.

        Raises:
            StorageError: It could not be noted; nothing may be deleted by it.
        """
        looked_s = self._time.monotonic_s()
        now_us = self._time.now_us()
        params = {
            "name": self._name,
            "now_us": now_us,
            "most_us": self._seen_us + round((looked_s - self._seen_s) * SPEED * 1e6),
        }
        row = await self._db.write(lambda conn: conn.one(_FOLLOW, params))
        assert row is not None
        at_us: int = row[0]
        self._seen_us, self._seen_s = at_us, looked_s
        self._tell(looked_s, (now_us - at_us) / 1e6)
        return at_us

    def _tell(self, looked_s: float, behind_s: float) -> None:
        if behind_s < TOLD_FROM_S or looked_s - self._told_s < TOLD_EVERY_S:
            return
        self._told_s = looked_s
        _log.warning(
            "the clock is ahead of what has passed here; until that is caught up with "
            "less is deleted by age. Expected after a time without this service; "
            "if there was none, put the clock right",
            of=self._name,
            ahead_s=round(behind_s),
        )

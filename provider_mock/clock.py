"""The simulated provider's own time.

Owns an offset to the machine's clock, and the table that keeps it. Called by the
ledger (when something settles or expires, and to move it). Never used for the
fence: `not_after` is core's time, not the provider's.
"""

from servicekit import clock as clocks
from servicekit import storage

TABLE = storage.Statement(
    """
    create table if not exists provider_clock (
      one integer primary key check (one = 1),
      offset_us integer not null
    )
    """
)
_BEGIN = storage.Statement(
    "insert into provider_clock (one, offset_us) values (1, :offset_us) "
    "on conflict (one) do update set offset_us = max(offset_us, excluded.offset_us)"
)
_MOVE = storage.Statement("update provider_clock set offset_us = offset_us + :moved_us")
_LOAD = storage.Statement("select offset_us from provider_clock")


def begin(conn: storage.Connection, offset_us: int) -> int:
    """Returns how far ahead the clock goes on, microseconds: where it stood, or *offset_us*."""
    conn.run(_BEGIN, {"offset_us": offset_us})
    return _kept_us(conn)


def move(conn: storage.Connection, moved_us: int) -> int:
    """Keeps that the clock is moved forward; returns how far ahead it is then, microseconds."""
    conn.run(_MOVE, {"moved_us": moved_us})
    return _kept_us(conn)


def _kept_us(conn: storage.Connection) -> int:
    (offset_us,) = conn.one(_LOAD) or (0,)
    return int(offset_us)


class MockClock:
    """A clock that can be moved forward.

    Args:
        base: What it runs on.
        offset_s: Seconds it is ahead at first.
    """

    def __init__(self, base: clocks.Clock, *, offset_s: float = 0.0) -> None:
        self._base = base
        self._offset_us = round(offset_s * 1e6)

    @property
    def offset_s(self) -> float:
        """Seconds it is ahead."""
        return self._offset_us / 1e6

    def now_us(self) -> int:
        """Returns epoch microseconds."""
        return self._base.now_us() + self._offset_us

    def real_us(self) -> int:
        """Returns the machine's epoch microseconds: what the outside world goes by."""
        return self._base.now_us()

    @property
    def offset_us(self) -> int:
        """Microseconds it is ahead."""
        return self._offset_us

    def reach(self, offset_us: int) -> None:
        """Moves it forward to *offset_us* ahead, if it is not there yet; what was to settle by
        then is due.
        """
        self._offset_us = max(self._offset_us, offset_us)

    async def sleep(self, seconds: float) -> None:
        """Waits real seconds."""
        await self._base.sleep(seconds)

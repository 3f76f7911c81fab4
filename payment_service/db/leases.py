"""Leases: who of several processes does a job now.

Owns the table `leases`. Called by daemons that need to run only once but may
run twice without harm. Time is the database's own, so that clocks of machines
need not agree. What lasts for longer than any lease was given by a clock that was ahead, and
keeps nobody out.
"""

from servicekit import storage

# Another version's may be longer.
LONGER_MAX_US = 300_000_000
_TAKE = storage.Statement(
    "insert into leases (name, owner, until_us) values (:name, :owner, {now_us} + :length_us) "
    "on conflict (name) do update set owner = excluded.owner, until_us = excluded.until_us "
    "where leases.owner = excluded.owner or leases.until_us < {now_us} "
    f"or leases.until_us > {{now_us}} + :length_us + {LONGER_MAX_US}"
)
_GIVE_BACK = storage.Statement("delete from leases where name = :name and owner = :owner")


def take(conn: storage.Connection, *, name: str, owner: str, length_us: int) -> bool:
    """Takes or renews a lease for *length_us* from now; False if another owner has it."""
    return conn.run(_TAKE, {"name": name, "owner": owner, "length_us": length_us}) == 1


def give_back(conn: storage.Connection, *, name: str, owner: str) -> None:
    """Ends a lease if *owner* has it."""
    conn.run(_GIVE_BACK, {"name": name, "owner": owner})

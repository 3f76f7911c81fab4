"""Indexes of tables that go on being used while a migration makes them.

Called by migrations of any process. Never blocks who reads or writes the table on PostgreSQL.
"""

from alembic import op


def replace(name: str, on: str) -> None:
    """Makes the index *name*, `on` what follows in its statement, in place of any of that name.

    On PostgreSQL it is built beside the running service, and commits what the migration did
    before: that has to bear being run again, as this does, if it breaks off.
    """
    if op.get_bind().dialect.name == "sqlite":
        op.execute(f"drop index if exists {name}")
        op.execute(f"create index {name} on {on}")
        return
    new = f"{name}_new"
    patience = op.get_bind().exec_driver_sql("show lock_timeout").scalar_one()
    with op.get_context().autocommit_block():
        # It waits for transactions that began before, and nobody waits for it.
        op.execute("set lock_timeout = 0")
        op.execute(f"drop index concurrently if exists {new}")
        op.execute(f"create index concurrently {new} on {on}")
        op.execute(f"drop index concurrently if exists {name}")
        op.execute(f"set lock_timeout = '{patience}'")
    op.execute(f"alter index {new} rename to {name}")

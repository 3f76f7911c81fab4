"""Up to when things have aged that are deleted by age.

Replicas of the version before delete by the clock alone.
"""

from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Creates the table."""
    op.execute(
        "create table deletion_clock (name text not null primary key, at_us bigint not null)"
    )


def downgrade() -> None:
    """Drops it: a clock that is set anew begins with the machine's."""
    op.execute("drop table deletion_clock")

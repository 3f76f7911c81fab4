"""A database tells every process that it has lost what it had confirmed."""

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Creates the table."""
    op.execute(
        "create table losses (id smallint not null primary key check (id = 1), "
        "found_us bigint not null, detail text not null)"
    )


def downgrade() -> None:
    """Refuses: what was lost would be forgotten."""
    raise RuntimeError("this migration can't be undone; restore a backup instead")

"""API keys count their events.

Keys made before have none: they are told of when they are revoked, as version 1.
"""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds the column."""
    op.execute(
        "alter table api_keys add column version bigint not null default 0 check (version >= 0)"
    )


def downgrade() -> None:
    """Refuses: the versions of events that were told would come again."""
    raise RuntimeError("this migration can't be undone; restore a backup instead")

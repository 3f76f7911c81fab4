"""Operations say which version of their plugin had their first attempt.

'' for those that were made before, and for those of replicas of an older version: nobody knows.
"""

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds the column; no row is written again."""
    op.execute("alter table operations add column plugin_version text not null default ''")


def downgrade() -> None:
    """Refuses: what was sent again would go to any version."""
    raise RuntimeError("this migration can't be undone; restore a backup instead")

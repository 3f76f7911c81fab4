"""Where the newest event of the payment service is, and since which life of the log.

0 until the next one comes: what came before is not looked for.
"""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds the columns."""
    for name in ("payments_epoch", "payments_head"):
        op.execute(f"alter table log_head add column {name} bigint not null default 0")


def downgrade() -> None:
    """Refuses: what was noted would be forgotten."""
    raise RuntimeError("this migration can't be undone; restore a backup instead")

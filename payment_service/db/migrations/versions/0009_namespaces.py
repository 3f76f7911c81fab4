"""API keys name the event types that their service may publish.

Keys made before have none: they published what they liked, which now takes the scope
`admin`, the tenant `system` or a new key.
"""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds the column."""
    op.execute("alter table api_keys add column publish_types text not null default ''")


def downgrade() -> None:
    """Takes it away again."""
    op.execute("alter table api_keys drop column publish_types")

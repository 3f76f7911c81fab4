"""Customers are found by the caller's own user."""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

# The fourth element of a stored profile.
_USER = {"sqlite": "json_extract(profile, '$[3]')", "postgresql": "profile::json ->> 3"}


def upgrade() -> None:
    """Adds the column, fills it from profiles and indexes it."""
    op.execute("alter table customers add column user_id text not null default ''")
    op.execute(f"update customers set user_id = {_USER[op.get_bind().dialect.name]}")
    op.execute(
        "create index customers_by_user on customers (tenant_id, user_id, id) where user_id <> ''"
    )


def downgrade() -> None:
    """Refuses: a version that does not keep the column up would leave it wrong."""
    raise RuntimeError("this migration can't be undone; restore a backup instead")

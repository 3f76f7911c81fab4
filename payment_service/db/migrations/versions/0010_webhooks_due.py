"""Webhooks that are due are found provider by provider, unverified ones by themselves.

The conventions of the first migration hold. However many of one provider wait, nothing reads
those it does not take.
"""

from alembic import op

from servicekit.storage import indexes

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_EMPTY = {"sqlite": "x''", "postgresql": "'\\x'::bytea"}


def upgrade() -> None:
    """Replaces the one index by two."""
    indexes.replace(
        "webhooks_due",
        "inbound_webhooks (provider, next_attempt_us) where next_attempt_us > 0",
    )
    indexes.replace(
        "webhooks_unverified",
        "inbound_webhooks (id) "
        f"where next_attempt_us > 0 and told = {_EMPTY[op.get_bind().dialect.name]}",
    )


def downgrade() -> None:
    """Has the index as it was before."""
    op.execute("drop index webhooks_unverified")
    op.execute("drop index webhooks_due")
    op.execute(
        "create index webhooks_due on inbound_webhooks (next_attempt_us) where next_attempt_us > 0"
    )

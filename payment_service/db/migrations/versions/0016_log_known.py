"""Up to where events of the log were here that have left the outbox since.

Outbox rows that older replicas delete meanwhile leave nothing in it.
"""

from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

_TABLE = """
create table log_known (
    log_epoch text not null primary key,
    log_position bigint not null
) {clustered}
"""

_SPELLING = {"sqlite": {"clustered": "without rowid"}, "postgresql": {"clustered": ""}}


def upgrade() -> None:
    """Creates the table."""
    op.execute(_TABLE.format(**_SPELLING[op.get_bind().dialect.name]))


def downgrade() -> None:
    """Refuses: this database would pass for one that lacks what it has deleted."""
    raise RuntimeError("this migration can't be undone; restore a backup instead")

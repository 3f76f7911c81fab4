"""What retention and erasure need: the size of the log, what goes next, what was erased.

Adds columns to log_head and the record of erasures.
"""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

# size_bytes is the sum of length(event) in event_log. Events up to `expiring` may be
# deleted some seconds after `expiring_us`, when readers have heard of it. `erasures`
# counts transactions that changed stored events: whoever keeps copies drops them.
_STATEMENTS = """
alter table log_head add column size_bytes bigint not null default 0;
alter table log_head add column expiring bigint not null default 0;
alter table log_head add column expiring_us bigint not null default 0;
alter table log_head add column erasures bigint not null default 0;
update log_head set size_bytes = (select coalesce(sum(length(event)), 0) from event_log);

create table erasure (
    erasure_id text not null primary key,
    tenant_id text not null,
    entity_type text not null,
    entity_id text not null,
    reason text not null,
    actor text not null,
    events bigint not null,
    erased_us bigint not null
);
"""


def upgrade() -> None:
    """Adds the columns, counts what is there, makes the table."""
    for statement in _STATEMENTS.split(";"):
        if statement.strip():
            op.execute(statement)


def downgrade() -> None:
    """Refuses: going back would forget what was erased."""
    raise RuntimeError("this migration can't be undone; restore a backup instead")

"""What tidying up needs: the ids of deleted events in the order of the log, and indexes.

Fills the table with the ids that are remembered of events deleted before.
"""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

# `deleted_event` has the rows of event_key whose events are gone, so that the oldest are
# found without a look at the others and without an index that every append would pay for.
_STATEMENTS = """
create table deleted_event (
    position {position} not null primary key,
    tenant_id text not null,
    event_id text not null
);

insert into deleted_event (position, tenant_id, event_id)
    select position, tenant_id, event_id from event_key
    where position <= (select oldest from log_head where log = 'main')
    order by position on conflict do nothing;

create index consumer_retry_by_entity on consumer_retry (entity_key);

create index consumer_by_lease on consumer (kind, lease_until_us);

create index command_key_by_age on command_key (create_us);

create index webhook_delivery_by_state on webhook_delivery (endpoint_id, state, position);

create index webhook_delivery_by_event on webhook_delivery (endpoint_id, event_id)
"""

# SQLite keeps rows in the order of `position` only for exactly this type.
_SQLITE = {"position": "integer"}
_POSTGRESQL = {"position": "bigint"}


def upgrade() -> None:
    """Makes the table, fills it, and makes the indexes."""
    words = _SQLITE if op.get_bind().dialect.name == "sqlite" else _POSTGRESQL
    for statement in _STATEMENTS.format(**words).split(";"):
        op.execute(statement)


def downgrade() -> None:
    """Refuses: the version before would forget ids more slowly than they come."""
    raise RuntimeError("this migration can't be undone; restore a backup instead")

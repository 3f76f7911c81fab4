"""The event log, the ids it has accepted, the newest version of each entity, its head.

Times are epoch microseconds. The epoch is drawn here, once per database, so that
a log rebuilt from nothing never passes for the one before.
"""

import secrets

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# log_head has one row; its lock makes the order of commits the order of the log.
# Everything after position `oldest` is kept. event_log.event is what readers get,
# byte for byte. event_key outlives event_log, and entity_head never expires.
_TABLES = """
create table log_head (
    log text not null primary key,
    epoch bigint not null,
    head bigint not null,
    oldest bigint not null,
    head_append_us bigint not null,
    constraint head_after_oldest check (head >= oldest)
);

create table event_log (
    position {position} not null primary key,
    event_id text not null,
    tenant_id text not null,
    type text not null,
    entity_type text not null,
    entity_id text not null,
    entity_version bigint not null,
    event {bytes} not null
);

create index event_log_by_tenant on event_log (tenant_id, position);
create index event_log_by_entity on event_log (tenant_id, entity_id, position);

create table event_key (
    tenant_id text not null,
    event_id text not null,
    position bigint not null,
    append_us bigint not null,
    content_hash {bytes} not null,
    primary key (tenant_id, event_id)
) {clustered};

create table entity_head (
    tenant_id text not null,
    entity_type text not null,
    entity_id text not null,
    version bigint not null,
    primary key (tenant_id, entity_type, entity_id)
) {clustered};
"""

# SQLite keeps rows in the order of `position` only for exactly this type.
_SQLITE = {"position": "integer", "bytes": "blob", "clustered": "without rowid"}
_POSTGRESQL = {"position": "bigint", "bytes": "bytea", "clustered": ""}


def upgrade() -> None:
    """Makes the four tables and the one row of log_head."""
    words = _SQLITE if op.get_bind().dialect.name == "sqlite" else _POSTGRESQL
    for statement in _TABLES.format(**words).split(";"):
        if statement.strip():
            op.execute(statement)
    op.get_bind().execute(
        sa.text("insert into log_head values ('main', :epoch, 0, 0, 0)"),
        {"epoch": secrets.randbits(32)},
    )


def downgrade() -> None:
    """Refuses: going back would lose the log."""
    raise RuntimeError("the first migration can't be undone; restore a backup instead")

"""Durable consumers: definitions, places and owners; what is delivered again; what is parked.

`consumer` rows are locked before anything else about a consumer is written. `change_count`
rises when somebody but the owner changes something, `generation` when the place is moved.
"""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

# consumer_retry.extra: 1 if reading on from the floor does not find the event. The event is
# kept in a row only where the log may have deleted it.
_TABLES = """
create table consumer (
    tenant_id text not null,
    name text not null,
    kind text not null,
    definition {bytes} not null,
    revision bigint not null,
    generation bigint not null,
    change_count bigint not null,
    floor bigint not null,
    runs {bytes} not null,
    owner text not null,
    owner_endpoint text not null,
    term bigint not null,
    lease_until_us bigint not null,
    members bigint not null,
    outstanding bigint not null,
    create_us bigint not null,
    active_us bigint not null,
    idle_expiry_us bigint not null,
    primary key (tenant_id, name)
);

create table consumer_retry (
    tenant_id text not null,
    name text not null,
    position bigint not null,
    entity_key text not null,
    attempts bigint not null,
    due_us bigint not null,
    reason text not null,
    extra bigint not null,
    event {bytes},
    primary key (tenant_id, name, position)
) {clustered};

create table consumer_parked (
    tenant_id text not null,
    name text not null,
    position bigint not null,
    entity_key text not null,
    event {bytes},
    attempts bigint not null,
    reason text not null,
    parked_us bigint not null,
    blocked bigint not null,
    skipped bigint not null,
    primary key (tenant_id, name, position)
);

create index consumer_parked_by_entity on consumer_parked (entity_key, tenant_id, name);

create table command_key (
    tenant_id text not null,
    command text not null,
    idempotency_key text not null,
    fingerprint {bytes} not null,
    result {bytes} not null,
    create_us bigint not null,
    primary key (tenant_id, command, idempotency_key)
) {clustered};
"""

_SQLITE = {"bytes": "blob", "clustered": "without rowid"}
_POSTGRESQL = {"bytes": "bytea", "clustered": ""}


def upgrade() -> None:
    """Makes the four tables."""
    words = _SQLITE if op.get_bind().dialect.name == "sqlite" else _POSTGRESQL
    for statement in _TABLES.format(**words).split(";"):
        if statement.strip():
            op.execute(statement)


def downgrade() -> None:
    """Refuses: going back would lose the places of consumers."""
    raise RuntimeError("this migration can't be undone; restore a backup instead")

"""Webhook endpoints, what was sent to them, and each attempt.

The consumer of an endpoint is a row of `consumer` with the endpoint's id as its name.
"""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

# `secrets` is encrypted. `revision` numbers the endpoint's events, from 1.
_TABLES = """
create table webhook_endpoint (
    tenant_id text not null,
    endpoint_id text not null,
    definition {bytes} not null,
    secrets {bytes} not null,
    revision bigint not null,
    failing_since_us bigint not null,
    success_us bigint not null,
    create_us bigint not null,
    primary key (tenant_id, endpoint_id)
);

create table webhook_delivery (
    endpoint_id text not null,
    position bigint not null,
    event_id text not null,
    event_type text not null,
    state bigint not null,
    next_us bigint not null,
    update_us bigint not null,
    primary key (endpoint_id, position)
) {clustered};

create index webhook_delivery_by_age on webhook_delivery (update_us);

create table webhook_attempt (
    endpoint_id text not null,
    position bigint not null,
    number bigint not null,
    sent_us bigint not null,
    elapsed_us bigint not null,
    status bigint not null,
    problem text not null,
    excerpt text not null,
    primary key (endpoint_id, position, number)
) {clustered};
"""

_SQLITE = {"bytes": "blob", "clustered": "without rowid"}
_POSTGRESQL = {"bytes": "bytea", "clustered": ""}


def upgrade() -> None:
    """Makes the three tables."""
    words = _SQLITE if op.get_bind().dialect.name == "sqlite" else _POSTGRESQL
    for statement in _TABLES.format(**words).split(";"):
        if statement.strip():
            op.execute(statement)


def downgrade() -> None:
    """Refuses: going back would lose the endpoints."""
    raise RuntimeError("this migration can't be undone; restore a backup instead")

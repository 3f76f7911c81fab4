"""Inbound webhooks, the events of providers that were applied, operations by their id.

The conventions of the first migration hold. `told` is what the plugin made of a webhook.
A webhook names an operation by its id alone.
"""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_TABLES = """
create table inbound_webhooks (
    id text not null primary key,
    provider text not null,
    binding_id text not null,
    tenant_id text not null,
    state smallint not null check (state between 1 and 7),
    headers text not null,
    body {bytes} not null,
    body_bytes bigint not null,
    told {bytes} not null,
    event_type text not null,
    provider_event_id text not null,
    attempts bigint not null,
    next_attempt_us bigint not null,
    detail text not null,
    http_status smallint not null,
    entity_ids text not null,
    received_us bigint not null,
    updated_us bigint not null
);

create index webhooks_due on inbound_webhooks (next_attempt_us) where next_attempt_us > 0;

create index webhooks_rejected on inbound_webhooks (id) where state = 5;

create index webhooks_by_event on inbound_webhooks (provider_event_id, id)
    where provider_event_id <> '';

create table webhook_events (
    binding_id text not null,
    provider_event_id text not null,
    webhook_id text not null,
    applied_us bigint not null,
    primary key (binding_id, provider_event_id)
) {clustered};

create index webhook_events_old on webhook_events (applied_us);

create index operations_by_id on operations (id);
"""

_SPELLING = {
    "sqlite": {"clustered": "without rowid", "bytes": "blob"},
    "postgresql": {"clustered": "", "bytes": "bytea"},
}


def upgrade() -> None:
    """Creates them."""
    dialect = op.get_bind().dialect.name
    for statement in _TABLES.format(**_SPELLING[dialect]).split(";\n"):
        if statement.strip():
            op.execute(statement)


def downgrade() -> None:
    """Refuses: going back would forget which events were applied."""
    raise RuntimeError("webhooks can't be taken back; restore a backup instead")

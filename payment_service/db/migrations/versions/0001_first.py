"""Payments, operations, refunds, customers, idempotency keys, outbox, API keys.

Times are epoch microseconds, 0 for never; texts are '' where there is nothing,
so that no statement needs a typed NULL. Ids are ordered (UUIDv7), so rows are
clustered by creation.
"""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_TABLES = """
create table payments (
    tenant_id text not null,
    id text not null,
    state smallint not null,
    amount_minor bigint not null check (amount_minor > 0),
    currency text not null,
    capture_method smallint not null,
    provider text not null,
    binding_id text not null,
    provider_payment_id text not null,
    customer_id text not null,
    user_id text not null,
    subscription_id text not null,
    order_id text not null,
    metadata text not null,
    description text not null,
    action text not null,
    failure text not null,
    cancel_requested smallint not null,
    authorized_minor bigint not null,
    captured_minor bigint not null check (captured_minor >= 0),
    capture_reserved_minor bigint not null check (capture_reserved_minor >= 0),
    refunded_minor bigint not null check (refunded_minor >= 0),
    refund_reserved_minor bigint not null check (refund_reserved_minor >= 0),
    version bigint not null,
    created_us bigint not null,
    updated_us bigint not null,
    revision bigint not null,
    primary key (tenant_id, id),
    constraint authorized_within_amount check (authorized_minor <= amount_minor),
    constraint captured_within_authorized
        check (captured_minor + capture_reserved_minor <= authorized_minor),
    constraint refunded_within_captured
        check (refunded_minor + refund_reserved_minor <= captured_minor)
) {clustered};

create index payments_by_customer on payments (tenant_id, customer_id, id)
    where customer_id <> '';
create index payments_by_user on payments (tenant_id, user_id, id) where user_id <> '';
create index payments_by_order on payments (tenant_id, order_id, id) where order_id <> '';
create index payments_to_cancel on payments (updated_us) where cancel_requested = 1;

create table operations (
    entity_id text not null,
    id text not null,
    tenant_id text not null,
    kind smallint not null,
    state smallint not null,
    amount_minor bigint not null,
    currency text not null,
    reserved_minor bigint not null check (reserved_minor >= 0),
    final smallint not null,
    refund_id text not null,
    version bigint not null,
    attempts bigint not null,
    provider text not null,
    binding_id text not null,
    request {bytes} not null,
    provider_operation_id text not null,
    failure text not null,
    correlation_id text not null,
    idempotency_key text not null,
    actor text not null,
    not_after_us bigint not null,
    next_check_us bigint not null,
    created_us bigint not null,
    updated_us bigint not null,
    primary key (entity_id, id)
) {clustered};

create unique index operations_one_money_in on operations (entity_id)
    where kind in (1, 2, 3) and state in (1, 2, 3, 4);
create index operations_due on operations (next_check_us) where next_check_us > 0;
create index operations_open on operations (state) where state in (1, 2, 3, 4);

create table reports (
    id text not null primary key,
    tenant_id text not null,
    entity_id text not null,
    operation_id text not null,
    outcome text not null,
    detail text not null,
    created_us bigint not null
) {clustered};

create table refunds (
    tenant_id text not null,
    id text not null,
    payment_id text not null,
    operation_id text not null,
    amount_minor bigint not null check (amount_minor > 0),
    currency text not null,
    state smallint not null,
    reason smallint not null,
    note text not null,
    failure text not null,
    created_us bigint not null,
    updated_us bigint not null,
    primary key (tenant_id, id)
) {clustered};

create index refunds_by_payment on refunds (tenant_id, payment_id, id);

create table customers (
    tenant_id text not null,
    id text not null,
    profile text not null,
    provider text not null,
    binding_id text not null,
    provider_customer_id text not null,
    sync_state smallint not null,
    version bigint not null,
    created_us bigint not null,
    updated_us bigint not null,
    primary key (tenant_id, id)
) {clustered};

create table idempotency_keys (
    tenant_id text not null,
    rpc text not null,
    key text not null,
    fingerprint {bytes} not null,
    resource_id text not null,
    operation_id text not null,
    lease_until_us bigint not null,
    created_us bigint not null,
    primary key (tenant_id, rpc, key)
) {clustered};

create table outbox (
    id {serial},
    event_id text not null,
    tenant_id text not null,
    entity_type text not null,
    entity_id text not null,
    entity_version bigint not null,
    envelope {bytes} not null,
    created_us bigint not null,
    log_epoch text not null default '',
    log_position bigint not null default 0,
    retry_us bigint not null default 0,
    refused text not null default ''
);

create index outbox_waiting on outbox (id) where log_epoch = '';
create index outbox_marked on outbox (log_epoch, log_position) where log_epoch <> '';

create table api_keys (
    id text not null primary key,
    tenant_id text not null,
    scopes text not null,
    name text not null,
    sha256 {bytes} not null,
    created_us bigint not null,
    revoked_us bigint not null
) {clustered};

create table leases (
    name text not null primary key,
    owner text not null,
    until_us bigint not null
) {clustered};
"""

_SPELLING = {
    "sqlite": {
        "clustered": "without rowid",
        "bytes": "blob",
        "serial": "integer primary key autoincrement",
    },
    "postgresql": {
        "clustered": "",
        "bytes": "bytea",
        "serial": "bigint generated always as identity primary key",
    },
}


def upgrade() -> None:
    """Creates every table."""
    dialect = op.get_bind().dialect.name
    for statement in _TABLES.format(**_SPELLING[dialect]).split(";\n"):
        if statement.strip():
            op.execute(statement)
    if dialect == "postgresql":
        # A queue's dead rows are vacuumed by count, not by share of the table.
        op.execute(
            "alter table outbox set (autovacuum_vacuum_scale_factor = 0, "
            "autovacuum_vacuum_threshold = 5000)"
        )


def downgrade() -> None:
    """Refuses: going back would lose payments."""
    raise RuntimeError("the first migration can't be undone; restore a backup instead")

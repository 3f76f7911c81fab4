"""Plugins, their versions, instances and reports, bindings, routing and kill switches.

The conventions of the first migration hold: times are epoch microseconds, 0 for never,
texts are '' where there is nothing, flags are 0 or 1. A lease is compared with the
database's own clock only. Secrets are ciphertext.
"""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_TABLES = """
create table plugins (
    plugin_id text not null primary key,
    allowed smallint not null check (allowed in (0, 1)),
    kind smallint not null check (kind >= 0),
    version_specifier text not null,
    endpoint_pattern text not null,
    permissions text not null,
    priority bigint not null,
    dependencies text not null,
    static_endpoint text not null,
    requires_report smallint not null check (requires_report in (0, 1)),
    state smallint not null check (state between 1 and 7),
    failed_transition text not null,
    failure text not null,
    revision bigint not null check (revision > 0),
    current_version text not null,
    previous_version text not null,
    canary_version text not null,
    canary_percent smallint not null check (canary_percent between 0 and 100),
    manifest text not null,
    conditions text not null,
    created_us bigint not null,
    updated_us bigint not null,
    constraint failure_of_a_transition check ((state = 7) = (failed_transition <> ''))
);

create table plugin_history (
    plugin_id text not null,
    revision bigint not null check (revision > 0),
    actor text not null,
    reason text not null,
    event_type text not null,
    before text not null,
    after text not null,
    changed_us bigint not null,
    primary key (plugin_id, revision)
);

create table plugin_versions (
    plugin_id text not null,
    version text not null,
    schema_digest text not null,
    handshake {bytes} not null,
    quarantined_us bigint not null,
    quarantine_reason text not null,
    first_seen_us bigint not null,
    primary key (plugin_id, version),
    constraint quarantine_has_a_reason check ((quarantined_us > 0) = (quarantine_reason <> ''))
);

create table plugin_reports (
    plugin_id text not null,
    version text not null,
    schema_digest text not null,
    passed smallint not null check (passed in (0, 1)),
    report text not null,
    actor text not null,
    stored_us bigint not null,
    primary key (plugin_id, version, schema_digest)
);

create table plugin_instances (
    session_id text not null primary key,
    plugin_id text not null,
    instance_id text not null,
    version text not null,
    endpoint text not null,
    lease_until_us bigint not null,
    directive smallint not null check (directive between 1 and 3),
    static smallint not null check (static in (0, 1)),
    started_us bigint not null,
    constraint one_lease_per_instance unique (plugin_id, instance_id)
);

create table config_schemas (
    schema_digest text not null primary key,
    json_schema text not null,
    secret_slots text not null
);

create table bindings (
    binding_id text not null primary key,
    tenant_id text not null,
    plugin_id text not null,
    generation bigint not null check (generation > 0),
    config_json text not null,
    options_json text not null,
    secrets {bytes} not null,
    schema_digest text not null,
    enabled smallint not null check (enabled in (0, 1)),
    revision bigint not null check (revision > 0),
    created_us bigint not null,
    updated_us bigint not null,
    deleted_us bigint not null,
    constraint one_binding_per_tenant_and_plugin unique (tenant_id, plugin_id)
);

create index bindings_by_plugin on bindings (plugin_id, tenant_id);

create table binding_versions (
    binding_id text not null,
    generation bigint not null check (generation > 0),
    config_json text not null,
    options_json text not null,
    secrets {bytes} not null,
    schema_digest text not null,
    actor text not null,
    reason text not null,
    created_us bigint not null,
    primary key (binding_id, generation)
);

create table binding_usage (
    binding_id text not null,
    day text not null,
    currency text not null,
    used_minor bigint not null check (used_minor >= 0),
    primary key (binding_id, day, currency)
) {clustered};

create table provider_defaults (
    tenant_id text not null primary key,
    plugin_id text not null
) {clustered};

create table kill_switches (
    tenant_id text not null,
    plugin_id text not null,
    operation text not null,
    actor text not null,
    reason text not null,
    set_us bigint not null,
    primary key (tenant_id, plugin_id, operation)
) {clustered};

alter table api_keys add column plugin_id text not null default '';

alter table operations add column counted_day text not null default '';
"""

_SPELLING = {
    "sqlite": {"clustered": "without rowid", "bytes": "blob"},
    "postgresql": {"clustered": "", "bytes": "bytea"},
}


def upgrade() -> None:
    """Creates every table."""
    dialect = op.get_bind().dialect.name
    for statement in _TABLES.format(**_SPELLING[dialect]).split(";\n"):
        if statement.strip():
            op.execute(statement)


def downgrade() -> None:
    """Refuses: going back would lose configurations and secrets."""
    raise RuntimeError("this migration can't be undone; restore a backup instead")

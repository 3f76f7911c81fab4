"""Mirrored entities, and which of them an object at a provider is.

The conventions of the first migration hold. `body` is the whole entity as JSON; the other
columns are what it is found by. `next_fetch_us` is when the resolver asks the provider
next, 0 for never.
"""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_TABLES = """
create table mirrors (
    tenant_id text not null,
    kind smallint not null check (kind between 2 and 7),
    id text not null,
    state smallint not null check (state > 0),
    customer_id text not null,
    user_id text not null,
    parent_id text not null,
    body text not null,
    version bigint not null check (version > 0),
    revision bigint not null check (revision > 0),
    next_fetch_us bigint not null default 0,
    fetches bigint not null default 0,
    created_us bigint not null,
    updated_us bigint not null,
    primary key (tenant_id, kind, id)
) {clustered};

create index mirrors_by_customer on mirrors (tenant_id, kind, customer_id, id)
    where customer_id <> '';

create index mirrors_by_user on mirrors (tenant_id, kind, user_id, id) where user_id <> '';

create index mirrors_by_parent on mirrors (tenant_id, kind, parent_id, id) where parent_id <> '';

create index mirrors_to_fetch on mirrors (next_fetch_us) where next_fetch_us > 0;

create table provider_objects (
    binding_id text not null,
    kind smallint not null check (kind between 1 and 7),
    provider_object_id text not null,
    tenant_id text not null,
    entity_id text not null,
    primary key (binding_id, kind, provider_object_id)
) {clustered};

create index customers_by_provider_id on customers (binding_id, provider_customer_id)
    where provider_customer_id <> '';
"""

_SPELLING = {"sqlite": {"clustered": "without rowid"}, "postgresql": {"clustered": ""}}


def upgrade() -> None:
    """Creates both tables."""
    dialect = op.get_bind().dialect.name
    for statement in _TABLES.format(**_SPELLING[dialect]).split(";\n"):
        if statement.strip():
            op.execute(statement)


def downgrade() -> None:
    """Refuses: going back would lose what providers bill."""
    raise RuntimeError("this migration can't be undone; restore a backup instead")

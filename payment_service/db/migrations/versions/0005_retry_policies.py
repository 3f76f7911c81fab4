"""Retry policies, and payments that keep their payment method."""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_STATEMENTS = """
create table retry_policies (
    tenant_id text not null primary key,
    delays text not null,
    updated_us bigint not null
) {clustered};
alter table payments add column saves_method smallint not null default 0
    check (saves_method in (0, 1));
"""

_SPELLING = {"sqlite": {"clustered": "without rowid"}, "postgresql": {"clustered": ""}}


def upgrade() -> None:
    """Creates the table and adds the column."""
    dialect = op.get_bind().dialect.name
    for statement in _STATEMENTS.format(**_SPELLING[dialect]).split(";\n"):
        if statement.strip():
            op.execute(statement)


def downgrade() -> None:
    """Refuses: going back would lose policies."""
    raise RuntimeError("this migration can't be undone; restore a backup instead")

"""Retry policies and default providers count their events.

What was set before has told of none: its next change is version 1. Replicas of an older version
go on writing both without an event, and must not touch the counts, or the gateway would refuse
what follows: their statement for policies names its columns, so the new one stays as it is, or is
0 in a new row. Default providers are counted beside their table: those replicas clear one by
deleting its row, and take every row there is for one that is set.
"""

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

_STATEMENTS = """
alter table retry_policies add column version bigint not null default 0 check (version >= 0);
create table default_provider_versions (
    tenant_id text not null primary key,
    version bigint not null check (version >= 0)
) {clustered};
"""

_SPELLING = {"sqlite": {"clustered": "without rowid"}, "postgresql": {"clustered": ""}}


def upgrade() -> None:
    """Adds the column and creates the table."""
    dialect = op.get_bind().dialect.name
    for statement in _STATEMENTS.format(**_SPELLING[dialect]).split(";\n"):
        if statement.strip():
            op.execute(statement)


def downgrade() -> None:
    """Refuses: the versions of events that were told would come again."""
    raise RuntimeError("this migration can't be undone; restore a backup instead")

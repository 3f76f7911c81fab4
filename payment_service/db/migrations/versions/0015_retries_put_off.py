"""A try that is put off waits beside when it is due, which callers and events were told.

Replicas of an older version go on moving `next_retry_us` itself, and find what is due by the same
index, of which they read the few rows that wait.
"""

from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

_STATEMENTS = """
alter table payments add column put_off_until_us bigint not null default 0;
drop index payments_to_retry;
create index payments_to_retry on payments ({later}(next_retry_us, put_off_until_us))
    where next_retry_us > 0
"""

_SPELLING = {"sqlite": {"later": "max"}, "postgresql": {"later": "greatest"}}


def upgrade() -> None:
    """Adds the column and makes the index anew."""
    dialect = op.get_bind().dialect.name
    for statement in _STATEMENTS.format(**_SPELLING[dialect]).split(";\n"):
        op.execute(statement)


def downgrade() -> None:
    """Has the index as it was before; what was put off is tried at once."""
    op.execute("drop index payments_to_retry")
    op.execute("alter table payments drop column put_off_until_us")
    op.execute("create index payments_to_retry on payments (next_retry_us) where next_retry_us > 0")

"""A try that is put off waits beside when it is due, which callers and events were told.

Replicas of an older version go on moving `next_retry_us` itself, and find what is due by the same
index, of which they read the few rows that wait.
"""

from alembic import op

from servicekit.storage import indexes

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

_LATER = {"sqlite": "max", "postgresql": "greatest"}
_AGAIN = {"sqlite": "", "postgresql": "if not exists"}


def upgrade() -> None:
    """Adds the column and makes the index anew."""
    dialect = op.get_bind().dialect.name
    column = "put_off_until_us bigint not null default 0"
    op.execute(f"alter table payments add column {_AGAIN[dialect]} {column}")
    indexes.replace(
        "payments_to_retry",
        f"payments ({_LATER[dialect]}(next_retry_us, put_off_until_us)) where next_retry_us > 0",
    )


def downgrade() -> None:
    """Has the index as it was before; what was put off is tried at once."""
    op.execute("drop index payments_to_retry")
    op.execute("alter table payments drop column put_off_until_us")
    op.execute("create index payments_to_retry on payments (next_retry_us) where next_retry_us > 0")

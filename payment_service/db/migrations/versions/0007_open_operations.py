"""Indexes of open operations, with conditions that SQLite checks by comparing.

A list after `in` makes it build a table at every statement that touches an operation,
which costs as much as the statement.
"""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_INDEXES = """
drop index operations_one_money_in;
create unique index operations_one_money_in on operations (entity_id)
    where (kind <= 3 or kind = 8) and state <= 4;
drop index operations_open;
create index operations_open on operations (state) where state <= 4
"""


def upgrade() -> None:
    """Makes both indexes anew."""
    for statement in _INDEXES.split(";\n"):
        op.execute(statement)


def downgrade() -> None:
    """Refuses: the version before would count open operations by reading all of them."""
    raise RuntimeError("this migration can't be undone; restore a backup instead")

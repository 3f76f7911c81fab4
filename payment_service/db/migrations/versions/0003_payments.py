"""Increments, payments without the payer, and what others did to payments.

Increments are among the operations that may charge the payer one at a time. What was
returned or disputed elsewhere has columns of its own: the ceilings bind our operations only.
"""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_STATEMENTS = """
drop index operations_one_money_in;
create unique index operations_one_money_in on operations (entity_id)
    where kind in (1, 2, 3, 8) and state in (1, 2, 3, 4);
alter table payments add column payment_method_id text not null default '';
alter table payments add column off_session smallint not null default 0
    check (off_session in (0, 1));
alter table payments add column next_retry_us bigint not null default 0
    check (next_retry_us >= 0);
alter table payments add column invoice_id text not null default '';
alter table payments add column checkout_id text not null default '';
alter table payments add column foreign_refunded_minor bigint not null default 0
    check (foreign_refunded_minor >= 0);
alter table payments add column disputed_minor bigint not null default 0
    check (disputed_minor >= 0);
alter table payments add column provider_time_us bigint not null default 0;
create index payments_to_retry on payments (next_retry_us) where next_retry_us > 0;
"""


def upgrade() -> None:
    """Adds the columns, and makes the unique index anew."""
    for statement in _STATEMENTS.split(";\n"):
        if statement.strip():
            op.execute(statement)


def downgrade() -> None:
    """Refuses: going back would lose what others did to payments."""
    raise RuntimeError("this migration can't be undone; restore a backup instead")

"""What bindings have used of their daily limits: rows.

Owns the table `binding_usage`. `COUNT` is part of the transaction that commits an intent,
`GIVE_BACK` of the one that commits how it ended. Never decides what counts.
"""

from payment_service.domain import bindings
from servicekit import storage

# One statement of the intent's transaction: the row is locked, compared and written at
# once, so that of two intents that only fit one by one, one writes nothing.
COUNT = storage.Statement(
    "insert into binding_usage (binding_id, day, currency, used_minor) "
    "select :binding_id, :day, :currency, :amount_minor "
    "where :amount_minor <= :limit_minor and {if_first} "
    "on conflict (binding_id, day, currency) do update "
    "set used_minor = binding_usage.used_minor + excluded.used_minor "
    "where binding_usage.used_minor <= :limit_minor - excluded.used_minor"
)
# Writes a row always, also where the day's row was pruned: it is part of a batch whose
# statements must all write.
GIVE_BACK = storage.Statement(
    "insert into binding_usage (binding_id, day, currency, used_minor) "
    "select :binding_id, :day, :currency, 0 where {if_first} "
    "on conflict (binding_id, day, currency) do update set used_minor = "
    "case when binding_usage.used_minor > :amount_minor "
    "then binding_usage.used_minor - :amount_minor else 0 end"
)
_USED = storage.Statement(
    "select used_minor from binding_usage where binding_id = :binding_id and day = :day "
    "and currency = :currency"
)
_PRUNE = storage.Statement("delete from binding_usage where day < :before")


def params(counted: bindings.Counted) -> storage.Params:
    """Returns what an operation takes as the parameters of COUNT."""
    return {
        "binding_id": counted.binding_id,
        "day": counted.day,
        "currency": counted.currency,
        "amount_minor": counted.amount_minor,
        "limit_minor": counted.limit_minor,
    }


def give_back_params(binding_id: str, day: str, currency: str, amount_minor: int) -> storage.Params:
    """Returns the parameters of GIVE_BACK."""
    return {
        "binding_id": binding_id,
        "day": day,
        "currency": currency,
        "amount_minor": amount_minor,
    }


def used_minor(conn: storage.Connection, counted: bindings.Counted) -> int:
    """Returns what is used of a day's limit."""
    row = conn.one(
        _USED,
        {"binding_id": counted.binding_id, "day": counted.day, "currency": counted.currency},
    )
    return int(row[0]) if row else 0


def prune(conn: storage.Connection, before: str) -> int:
    """Forgets days before *before*; returns how many rows."""
    return conn.run(_PRUNE, {"before": before})

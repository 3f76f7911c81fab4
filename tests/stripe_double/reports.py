"""The ledger as tests read it: how often each effect happened, and for whom.

Owns the filters and the counts. Called by the control API. Never changes anything.
"""

import collections
from typing import Any

from tests.stripe_double import store

Json = dict[str, Any]

# Effects that move money, with the sign of what the merchant has or holds.
MONEY = ("authorized", "charged", "captured", "released", "refunded", "refund_failed")


def ledger(world: store.World, query: Json) -> Json:
    """Returns the effects with counts by key and by operation.

    Args:
        world: The double.
        query: Filters: effect, object, account, idempotency_key, and metadata.<name>.
            `operation` names the metadata key that holds the caller's operation id.
    """
    operation = query.pop("operation", None)
    entries = [one for one in world.ledger if _passes(one, query)]
    counts: Json = collections.Counter(one["effect"] for one in entries)
    by_key: Json = collections.defaultdict(collections.Counter)
    by_operation: Json = collections.defaultdict(collections.Counter)
    sums: Json = collections.defaultdict(collections.Counter)
    for one in entries:
        if one["idempotency_key"] is not None:
            by_key[one["idempotency_key"]][one["effect"]] += 1
        if operation is not None and operation in one["metadata"]:
            by_operation[one["metadata"][operation]][one["effect"]] += 1
        if one["effect"] in MONEY and "amount" in one:
            sums[one.get("currency", "?")][one["effect"]] += one["amount"]
    return {
        "data": entries,
        "counts": counts,
        "by_key": by_key,
        "by_operation": by_operation,
        "sums": sums,
    }


def _passes(entry: Json, query: Json) -> bool:
    for name, value in query.items():
        if name.startswith("metadata."):
            if entry["metadata"].get(name.removeprefix("metadata.")) != value:
                return False
        elif entry.get(name) != value:
            return False
    return True

"""What operations have been made of at a provider: whether an upgrade would take it away.

Owns no table; reads `operations`. Called by the use case of upgrades, for what a new
version lacks only: there is no index for it, and a question takes a scan at worst.
"""

from collections.abc import Collection

from payment_service.domain import model
from servicekit import storage

_MADE = "select 1 from operations where provider = :provider and kind = :kind limit 1"
_KIND = storage.Statement(_MADE)
_CURRENCIES = storage.Statement(
    "select distinct currency from operations where provider = :provider and currency <> ''"
)


def made(conn: storage.Connection, provider: str, kinds: Collection[model.Kind]) -> bool:
    """Whether an operation of one of *kinds* was ever made at a provider."""
    return any(
        conn.one(_KIND, {"provider": provider, "kind": int(kind)}) is not None for kind in kinds
    )


def currencies(conn: storage.Connection, provider: str) -> frozenset[str]:
    """Returns the currencies of all operations at a provider."""
    return frozenset(row[0] for row in conn.all(_CURRENCIES, {"provider": provider}))

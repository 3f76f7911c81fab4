"""The ids of bindings.

Owns how a tenant's binding to a provider is named. Called by the use cases. Pure.
"""

import functools
import uuid

# Fixed for ever, and part of the contract: binding ids are derived from it, stored with
# payments, and in the addresses that providers send webhooks to.
_BINDINGS = uuid.UUID("6f0f4c0e-31a5-4f2f-9b6c-7d1f5d2f4a10")


@functools.lru_cache(maxsize=4096)
def binding_id(tenant_id: str, provider: str) -> str:
    """Returns the id of a tenant's binding to a provider: always the same."""
    return str(uuid.uuid5(_BINDINGS, f"{tenant_id}/{provider}"))

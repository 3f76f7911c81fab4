"""Which tenant an address of webhooks is of.

Owns finding the tenant of a binding id, which is derived from the tenant and can't be turned
back. Called by `receiving`. Never trusts what a request says of itself.
"""

import asyncio

from payment_service.db import keys
from payment_service.domain import catalog
from payment_service.provider_client import registry
from payment_service.usecases import context

# Who asks for unknown addresses makes us look for new tenants at most this often.
REFRESH_S = 1.0


class Addresses:
    """The tenants there are, by binding id.

    Args:
        ctx: What lies outside.
    """

    def __init__(self, ctx: context.Context) -> None:
        self._ctx = ctx
        self._tenants: frozenset[str] = frozenset()
        self._looked_s = float("-inf")
        self._looking = asyncio.Lock()

    async def tenant(self, provider: str, binding_id: str) -> str:
        """Returns whose binding to *provider* it is; '' if it is nobody's."""
        found = self._find(provider, binding_id)
        if found:
            return found
        async with self._looking:
            now_s = self._ctx.clock.monotonic_s()
            if now_s - self._looked_s >= REFRESH_S:
                self._looked_s = now_s
                self._tenants = frozenset(await self._ctx.db.read(keys.tenants))
        return self._find(provider, binding_id)

    def _find(self, provider: str, binding_id: str) -> str:
        own = {tenant for tenant, _ in self._ctx.catalog.view.bindings} - {catalog.SHARED}
        for tenant in self._tenants | own:
            if registry.binding_id(tenant, provider) == binding_id:
                return tenant
        return ""

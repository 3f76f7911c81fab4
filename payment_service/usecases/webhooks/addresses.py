"""Which tenant an address of webhooks is of.

Owns finding the tenant of a binding id, which is derived from the tenant and can't be turned
back. Called by `receiving`. Never trusts what a request says of itself.
"""

import asyncio

from payment_service.db import keys
from payment_service.domain import bindings
from payment_service.usecases import context

# Who asks for unknown addresses makes us look for new tenants at most this often.
REFRESH_S = 1.0
# Between two of these many others have their turn: about a millisecond.
NAMED_AT_ONCE = 200


class Addresses:
    """The tenants there are, by binding id.

    An address is known for good once its tenant is: to name every tenant for each request
    would keep payments waiting.

    Args:
        ctx: What lies outside.
    """

    def __init__(self, ctx: context.Context) -> None:
        self._ctx = ctx
        self._tenants: frozenset[str] = frozenset()
        self._bound: object = None
        # By provider: tenants by their binding's id.
        self._known: dict[str, dict[str, str]] = {}
        self._looked_s = float("-inf")
        self._looking = asyncio.Lock()

    async def tenant(self, provider: str, binding_id: str) -> str:
        """Returns whose binding to *provider* it is; '' if it is nobody's."""
        found = self._known.get(provider, {}).get(binding_id, "")
        if found:
            return found
        async with self._looking:
            await self._look()
            return (await self._named(provider)).get(binding_id, "")

    async def _look(self) -> None:
        """Takes note of new tenants: of bindings at once, of keys every REFRESH_S."""
        tenants = self._tenants
        now_s = self._ctx.clock.monotonic_s()
        if now_s - self._looked_s >= REFRESH_S:
            tenants |= frozenset(await self._ctx.db.read(keys.tenants))
            self._looked_s = now_s
        bound = self._ctx.catalog.view.bindings
        if bound is not self._bound:
            self._bound = bound
            tenants |= {tenant for tenant, _ in bound}
        if tenants is not self._tenants:
            self._tenants = tenants - {bindings.SHARED}

    async def _named(self, provider: str) -> dict[str, str]:
        """Returns the tenants by the ids of their bindings to *provider*."""
        known = self._known.setdefault(provider, {})
        if len(known) < len(self._tenants):
            fresh = self._tenants.difference(known.values())
            for number, tenant in enumerate(fresh, 1):
                known[bindings.binding_id(tenant, provider)] = tenant
                if not number % NAMED_AT_ONCE:
                    await asyncio.sleep(0)
        return known

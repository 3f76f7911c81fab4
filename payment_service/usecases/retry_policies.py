"""Retry policies: get and set.

Owns the transactions of these calls. Called by the API. Never tries anything.
"""

from payment_service.db import retry_policies
from payment_service.domain import retries
from payment_service.usecases import context


class RetryPolicies:
    """The use cases of retry policies."""

    def __init__(self, ctx: context.Context) -> None:
        self._ctx = ctx

    async def get(self, caller: context.Caller) -> retries.Policy:
        """Returns the tenant's policy; one without delays if it never set any."""
        return await self._ctx.db.read(lambda conn: retry_policies.load(conn, caller.tenant_id))

    async def set(self, caller: context.Caller, delays_us: tuple[int, ...]) -> retries.Policy:
        """Replaces the tenant's policy, for payments that fail from now on."""
        policy = retries.Policy(
            tenant_id=caller.tenant_id, delays_us=delays_us, updated_us=self._ctx.clock.now_us()
        )
        await self._ctx.db.write(lambda conn: retry_policies.save(conn, policy))
        return policy

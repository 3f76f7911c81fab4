"""Whether this process may act on its database: begin operations, end them, publish.

Owns the verdict, and that callers wait for the first one. Told by `relay.guarding`; asked by
whatever changes something at a provider or tells of it. Never asks anybody itself.
"""

import asyncio

import grpc

from servicekit import errors

RETRY_AFTER_S = 5.0
BEHIND = (
    "the payment database was restored or lost commits: the event log has what it lacks; an "
    "operator has to run `python -m payment_service recover`"
)


class Standing:
    """May act, unless told otherwise; see the module."""

    def __init__(self) -> None:
        self._told = asyncio.Event()
        self._told.set()
        self.is_behind = False
        self.is_open = True

    def hold(self) -> None:
        """Lets nobody act until `tell`."""
        self._told.clear()
        self.is_open = False

    def tell(self, *, is_behind: bool) -> None:
        """Says whether the database lacks what the event log has."""
        self.is_behind, self.is_open = is_behind, not is_behind
        self._told.set()

    async def opens(self, patience_s: float) -> bool:
        """Whether this process may act, once that is known; False if it takes longer."""
        if self.is_open:
            return True
        try:
            async with asyncio.timeout(patience_s):
                await self._told.wait()
        except TimeoutError:
            return False
        return self.is_open

    async def admit(self) -> None:
        """Returns once this process may act.

        Raises:
            errors.RpcError: DATABASE_BEHIND; nothing was stored.
        """
        await self._told.wait()
        if self.is_behind:
            raise errors.RpcError(
                grpc.StatusCode.UNAVAILABLE,
                "DATABASE_BEHIND",
                BEHIND,
                retry="same_key",
                retry_after_s=RETRY_AFTER_S,
            )

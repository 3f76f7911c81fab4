"""Which version of its plugin an operation is sent to.

An intent names a version. Where another one gets the operation, that is stored before it is
called, because a doubt has to go to the same version again. Owns storing it. Called by `pool`
through the fleet. Never chooses the version.
"""

from payment_service.db import operations
from payment_service.domain import model
from payment_service.usecases import context


class Takers:
    """The use case; see the module."""

    def __init__(self, ctx: context.Context) -> None:
        self._ctx = ctx

    async def note(self, operation: model.Operation, version: str) -> bool:
        """Stores who takes an operation; False, and nobody may, if it is not in flight any more.

        Raises:
            storage.StorageUnavailable: And the other errors of a write.
        """
        return await self._ctx.db.write(
            lambda conn: operations.note_version(conn, operation, version), one_statement=True
        )

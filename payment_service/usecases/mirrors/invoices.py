"""Invoices: get and list.

Owns reading them. Called by the API. Invoices come to be by absorption alone.
"""

from payment_service.db import mirrors
from payment_service.domain.mirrors import invoices
from payment_service.usecases import context
from servicekit import errors


class Invoices:
    """The use cases of invoices."""

    def __init__(self, ctx: context.Context) -> None:
        self._ctx = ctx

    async def get(self, caller: context.Caller, invoice_id: str) -> invoices.Invoice:
        """Returns an invoice.

        Raises:
            errors.RpcError: RESOURCE_NOT_FOUND.
        """
        found: invoices.Invoice | None = await self._ctx.db.read(
            lambda conn: mirrors.load(conn, invoices.RULES, caller.tenant_id, invoice_id)
        )
        if found is None:
            raise errors.not_found("invoice", invoice_id)
        return found

    async def list_newest_first(
        self, caller: context.Caller, wanted: mirrors.ListFilter, most: int
    ) -> list[invoices.Invoice]:
        """Returns at most *most* invoices, newest first."""
        return await self._ctx.db.read(
            lambda conn: mirrors.list_newest_first(
                conn, invoices.RULES, caller.tenant_id, wanted, most
            )
        )

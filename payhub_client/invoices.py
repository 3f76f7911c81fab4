"""Invoices that providers made: get, list.

Owns the shape of these calls for Python. Called by services through `Client.invoices`.
Never changes an invoice: its provider does.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from payhub.payments.v1 import invoice_service_pb2 as pb
from payhub.payments.v1 import invoice_service_pb2_grpc

from payhub_client import calls, contract, pages

if TYPE_CHECKING:
    from payhub.payments.v1.invoice_service_pb2_grpc import InvoiceServiceAsyncStub

_SERVICE = "InvoiceService"
_GET = contract.method(pb.DESCRIPTOR, _SERVICE, "GetInvoice")
_LIST = contract.method(pb.DESCRIPTOR, _SERVICE, "ListInvoices")


@dataclass(frozen=True, slots=True, kw_only=True)
class InvoiceFilter:
    """Which invoices to list; everything given must hold."""

    customer_id: str = ""
    subscription_id: str = ""
    state: "pb.Invoice.State" = pb.Invoice.STATE_UNSPECIFIED


@dataclass(slots=True, kw_only=True)
class Invoices:
    """Shows what was billed. Deadlines and errors are as in `Payments`."""

    caller: calls.Caller
    _made: "InvoiceServiceAsyncStub | None" = field(default=None, init=False, repr=False)

    async def get(self, invoice_id: str, *, timeout_s: float | None = None) -> pb.Invoice:
        """Return an invoice with the address of its PDF, which whoever knows it can read."""
        request = pb.GetInvoiceRequest(invoice_id=invoice_id)
        response = await self.caller.call(self._stub.GetInvoice, _GET, request, timeout_s=timeout_s)
        return response.invoice

    async def list_page(
        self,
        where: InvoiceFilter | None = None,
        *,
        page_size: int = 0,
        page_token: str = "",
        timeout_s: float | None = None,
    ) -> pb.ListInvoicesResponse:
        """Return one page, newest first, of at most `page_size` (1 to 200; 0 means 50).

        `page_token` is the `next_page_token` of the page before, asked for with the same
        filter and size.
        """
        where = where or InvoiceFilter()
        request = pb.ListInvoicesRequest(
            page_size=page_size,
            page_token=page_token,
            customer_id=where.customer_id,
            subscription_id=where.subscription_id,
            state=where.state,
        )
        return await self.caller.call(self._stub.ListInvoices, _LIST, request, timeout_s=timeout_s)

    def list(
        self, where: InvoiceFilter | None = None, *, page_size: int = 0
    ) -> AsyncIterator[pb.Invoice]:
        """Go through all matching invoices, newest first, page by page."""
        return pages.through(
            lambda token: self.list_page(where, page_size=page_size, page_token=token),
            lambda page: page.invoices,
        )

    @property
    def _stub(self) -> "InvoiceServiceAsyncStub":
        if self._made is None:
            self._made = invoice_service_pb2_grpc.InvoiceServiceStub(self.caller.link.channel)
        return self._made

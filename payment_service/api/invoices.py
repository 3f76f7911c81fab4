"""InvoiceService: see the contract.

Owns reading and answering its RPCs. Called by gRPC. Never decides.
"""

from typing import Any

from payhub.payments.v1 import invoice_service_pb2 as pb
from payhub.payments.v1 import invoice_service_pb2_grpc

from payment_service.api import reading
from payment_service.db import mirrors
from payment_service.usecases.mirrors import invoices as cases
from payment_service.usecases.mirrors import telling


class InvoiceServicer(invoice_service_pb2_grpc.InvoiceServiceServicer):
    """Serves invoices."""

    def __init__(self, cases_: cases.Invoices) -> None:
        self._cases = cases_

    async def GetInvoice(
        self, request: pb.GetInvoiceRequest, context: Any
    ) -> pb.GetInvoiceResponse:
        """Returns an invoice with the address of its PDF."""
        found = await self._cases.get(reading.caller(), request.invoice_id)
        return pb.GetInvoiceResponse(invoice=telling.invoice(found))

    async def ListInvoices(
        self, request: pb.ListInvoicesRequest, context: Any
    ) -> pb.ListInvoicesResponse:
        """Returns one page of invoices."""
        start = reading.page_start(request, str)
        size = reading.page_size(request)
        wanted = mirrors.ListFilter(
            customer_id=request.customer_id,
            parent_id=request.subscription_id,
            states=(request.state,) if request.state else (),
            before_id=start[0] if start else "",
        )
        found = await self._cases.list_newest_first(reading.caller(), wanted, size + 1)
        shown, token = reading.page(request, found, telling.invoice)
        return pb.ListInvoicesResponse(invoices=shown, next_page_token=token)

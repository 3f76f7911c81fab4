"""Payment methods kept at customers: attach, get, list, set default, detach.

Owns the shape of these calls for Python. Called by services through
`Client.payment_methods`. Never shows a token: the contract has no field for it.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from payhub.payments.v1 import payment_method_service_pb2 as pb
from payhub.payments.v1 import payment_method_service_pb2_grpc

from payhub_client import calls, contract, pages

if TYPE_CHECKING:
    from payhub.payments.v1.payment_method_service_pb2_grpc import PaymentMethodServiceAsyncStub

_SERVICE = "PaymentMethodService"
_ATTACH = contract.method(pb.DESCRIPTOR, _SERVICE, "AttachPaymentMethod")
_GET = contract.method(pb.DESCRIPTOR, _SERVICE, "GetPaymentMethod")
_LIST = contract.method(pb.DESCRIPTOR, _SERVICE, "ListPaymentMethods")
_SET_DEFAULT = contract.method(pb.DESCRIPTOR, _SERVICE, "SetDefaultPaymentMethod")
_DETACH = contract.method(pb.DESCRIPTOR, _SERVICE, "DetachPaymentMethod")


@dataclass(slots=True, kw_only=True)
class PaymentMethods:
    """Keeps what customers pay by. Keys, deadlines and errors are as in `Payments`.

    A payment method is returned as it stands: read its `state` and `mirror.sync_state`.
    """

    caller: calls.Caller
    _made: "PaymentMethodServiceAsyncStub | None" = field(default=None, init=False, repr=False)

    async def attach(
        self,
        customer_id: str,
        token: str,
        *,
        set_default: bool = False,
        idempotency_key: str | None = None,
        timeout_s: float | None = None,
    ) -> pb.PaymentMethod:
        """Keep the payment method behind `token`, of the customer's provider, at a customer."""
        key = calls.key_of(idempotency_key)
        request = pb.AttachPaymentMethodRequest(
            idempotency_key=key, customer_id=customer_id, token=token, set_default=set_default
        )
        response = await self.caller.call(
            self._stub.AttachPaymentMethod, _ATTACH, request, timeout_s=timeout_s, key=key
        )
        return response.payment_method

    async def get(
        self, payment_method_id: str, *, timeout_s: float | None = None
    ) -> pb.PaymentMethod:
        """Return a payment method as it stands."""
        request = pb.GetPaymentMethodRequest(payment_method_id=payment_method_id)
        response = await self.caller.call(
            self._stub.GetPaymentMethod, _GET, request, timeout_s=timeout_s
        )
        return response.payment_method

    async def list_page(
        self,
        customer_id: str,
        *,
        include_inactive: bool = False,
        page_size: int = 0,
        page_token: str = "",
        timeout_s: float | None = None,
    ) -> pb.ListPaymentMethodsResponse:
        """Return one page, newest first, of at most `page_size` (1 to 200; 0 means 50).

        `include_inactive` also shows those that are detached or never came to be.
        `page_token` is the `next_page_token` of the page before, asked for with the same
        arguments.
        """
        request = pb.ListPaymentMethodsRequest(
            page_size=page_size,
            page_token=page_token,
            customer_id=customer_id,
            include_inactive=include_inactive,
        )
        return await self.caller.call(
            self._stub.ListPaymentMethods, _LIST, request, timeout_s=timeout_s
        )

    def list(
        self, customer_id: str, *, include_inactive: bool = False, page_size: int = 0
    ) -> AsyncIterator[pb.PaymentMethod]:
        """Go through a customer's payment methods, newest first, page by page."""
        return pages.through(
            lambda token: self.list_page(
                customer_id,
                include_inactive=include_inactive,
                page_size=page_size,
                page_token=token,
            ),
            lambda page: page.payment_methods,
        )

    async def set_default(
        self,
        payment_method_id: str,
        *,
        idempotency_key: str | None = None,
        timeout_s: float | None = None,
    ) -> pb.PaymentMethod:
        """Make the method its customer's default: used if no other one is named."""
        key = calls.key_of(idempotency_key)
        request = pb.SetDefaultPaymentMethodRequest(
            idempotency_key=key, payment_method_id=payment_method_id
        )
        response = await self.caller.call(
            self._stub.SetDefaultPaymentMethod, _SET_DEFAULT, request, timeout_s=timeout_s, key=key
        )
        return response.payment_method

    async def detach(
        self,
        payment_method_id: str,
        *,
        idempotency_key: str | None = None,
        timeout_s: float | None = None,
    ) -> pb.PaymentMethod:
        """Take a payment method from its customer, for good."""
        key = calls.key_of(idempotency_key)
        request = pb.DetachPaymentMethodRequest(
            idempotency_key=key, payment_method_id=payment_method_id
        )
        response = await self.caller.call(
            self._stub.DetachPaymentMethod, _DETACH, request, timeout_s=timeout_s, key=key
        )
        return response.payment_method

    @property
    def _stub(self) -> "PaymentMethodServiceAsyncStub":
        if self._made is None:
            self._made = payment_method_service_pb2_grpc.PaymentMethodServiceStub(
                self.caller.link.channel
            )
        return self._made

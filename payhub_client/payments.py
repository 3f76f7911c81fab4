"""Payments: create, confirm, increment, capture, cancel, get, list.

Owns the shape of these calls for Python. Called by services through `Client.payments`.
Never retries, times or maps errors itself: `calls` does.
"""

import datetime
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from payhub.payments.v1 import payment_pb2, payment_service_pb2, payment_service_pb2_grpc

from payhub_client import calls, contract, requests

if TYPE_CHECKING:
    from payhub.payments.v1.payment_service_pb2_grpc import PaymentServiceAsyncStub

_FILE, _SERVICE = payment_service_pb2.DESCRIPTOR, "PaymentService"
_CREATE = contract.method(_FILE, _SERVICE, "CreatePayment")
_CONFIRM = contract.method(_FILE, _SERVICE, "ConfirmPayment")
_INCREMENT = contract.method(_FILE, _SERVICE, "IncrementAuthorization")
_CAPTURE = contract.method(_FILE, _SERVICE, "CapturePayment")
_CANCEL = contract.method(_FILE, _SERVICE, "CancelPayment")
_GET = contract.method(_FILE, _SERVICE, "GetPayment")
_LIST = contract.method(_FILE, _SERVICE, "ListPayments")


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentFilter:
    """Which payments to list; everything given must hold."""

    states: Iterable["payment_pb2.Payment.State"] = ()
    customer_id: str = ""
    user_id: str = ""
    order_id: str = ""
    provider: str = ""
    created_from: datetime.datetime | None = None
    created_before: datetime.datetime | None = None

    def __post_init__(self) -> None:
        # One filter serves every page, so an iterator must not be used up by the first.
        object.__setattr__(self, "states", requests.several(self.states, field="states"))


@dataclass(slots=True, kw_only=True)
class Payments:
    """Takes payments.

    Each mutation accepts `idempotency_key` (one is made if absent, and kept across the
    client's own retries) and `timeout_s`, the overall time for all attempts. Each raises
    `errors.PayhubError`; after `OutcomeUnknown` repeat the call with the key it carries.
    """

    caller: calls.Caller
    _made: "PaymentServiceAsyncStub | None" = field(default=None, init=False, repr=False)

    async def create(  # noqa: PLR0913  # the request's own fields
        self,
        *,
        amount_minor: int,
        currency: str,
        payment_method: str = "",
        payment_method_id: str = "",
        off_session: bool = False,
        save_payment_method: bool = False,
        confirm: bool = True,
        manual_capture: bool = False,
        customer_id: str = "",
        user_id: str = "",
        subscription_id: str = "",
        order_id: str = "",
        metadata: Mapping[str, str] | None = None,
        description: str = "",
        return_url: str = "",
        provider: str = "",
        idempotency_key: str | None = None,
        timeout_s: float | None = None,
    ) -> payment_pb2.Payment:
        """Create a payment and, unless `confirm` is false, send it to the provider.

        Args:
            amount_minor: in the smallest unit of `currency`: 1050 is EUR 10.50 or JPY 1050.
            currency: ISO 4217 code, upper case.
            payment_method: token of the provider; this or `payment_method_id` is needed with
                `confirm`.
            payment_method_id: payment method kept with `Client.payment_methods`, of the
                customer given here.
            off_session: the payer is not there and can't act; a soft refusal is tried again by
                the tenant's retry policy. Needs `payment_method_id`.
            save_payment_method: keep the payment method at the customer, for payments to come.
            confirm: send it at once.
            manual_capture: only hold the money; capture it later.
            customer_id: customer made with `Client.customers`.
            user_id: the caller's own user.
            subscription_id: the subscription that is paid for.
            order_id: the caller's own order.
            metadata: anything else, at most 32 entries.
            description: text for the payer.
            return_url: absolute URL the payer comes back to after an action, of the web or of an
                app.
            provider: plugin id; empty means the default provider.
            idempotency_key: one per intended payment.
            timeout_s: overall time, in seconds.

        Returns:
            The payment as it stands: read its `state`, which may be FAILED or IN_DOUBT.
        """
        automatic = payment_pb2.CAPTURE_METHOD_AUTOMATIC
        key = calls.key_of(idempotency_key)
        request = payment_service_pb2.CreatePaymentRequest(
            idempotency_key=key,
            amount=requests.money(amount_minor, currency),
            payment_method=payment_method,
            capture_method=payment_pb2.CAPTURE_METHOD_MANUAL if manual_capture else automatic,
            provider=provider,
            references=requests.references(
                customer_id=customer_id,
                user_id=user_id,
                subscription_id=subscription_id,
                order_id=order_id,
                metadata=metadata,
            ),
            description=description,
            return_url=return_url,
            confirm=confirm,
            payment_method_id=payment_method_id,
            off_session=off_session,
            save_payment_method=save_payment_method,
        )
        response = await self.caller.call(
            self._stub.CreatePayment, _CREATE, request, timeout_s=timeout_s, key=key
        )
        return response.payment

    async def confirm(
        self,
        payment_id: str,
        *,
        payment_method: str = "",
        payment_method_id: str = "",
        return_url: str = "",
        idempotency_key: str | None = None,
        timeout_s: float | None = None,
    ) -> payment_pb2.Payment:
        """Send a created or failed payment to the provider.

        Exactly one is given: `payment_method`, a token of the provider, or `payment_method_id`,
        kept with `Client.payment_methods` at the payment's customer.
        """
        key = calls.key_of(idempotency_key)
        request = payment_service_pb2.ConfirmPaymentRequest(
            idempotency_key=key,
            payment_id=payment_id,
            payment_method=payment_method,
            payment_method_id=payment_method_id,
            return_url=return_url,
        )
        response = await self.caller.call(
            self._stub.ConfirmPayment, _CONFIRM, request, timeout_s=timeout_s, key=key
        )
        return response.payment

    async def increment_authorization(
        self,
        payment_id: str,
        *,
        amount_minor: int,
        currency: str,
        idempotency_key: str | None = None,
        timeout_s: float | None = None,
    ) -> payment_pb2.Payment:
        """Hold `amount_minor` more, in the payment's `currency`, where the provider can.

        The payment's amount rises once its newest INCREMENT operation has succeeded: read
        that one's state.
        """
        key = calls.key_of(idempotency_key)
        request = payment_service_pb2.IncrementAuthorizationRequest(
            idempotency_key=key,
            payment_id=payment_id,
            amount=requests.money(amount_minor, currency),
        )
        response = await self.caller.call(
            self._stub.IncrementAuthorization, _INCREMENT, request, timeout_s=timeout_s, key=key
        )
        return response.payment

    async def capture(
        self,
        payment_id: str,
        *,
        amount_minor: int | None = None,
        currency: str = "",
        more_to_follow: bool = False,
        idempotency_key: str | None = None,
        timeout_s: float | None = None,
    ) -> payment_pb2.Payment:
        """Take held money: all that is left, or `amount_minor` in the payment's `currency`.

        Unless `more_to_follow`, what is not captured is released for good.
        """
        key = calls.key_of(idempotency_key)
        request = payment_service_pb2.CapturePaymentRequest(
            idempotency_key=key,
            payment_id=payment_id,
            amount=requests.money_or_all(amount_minor, currency),
            more_to_follow=more_to_follow,
        )
        response = await self.caller.call(
            self._stub.CapturePayment, _CAPTURE, request, timeout_s=timeout_s, key=key
        )
        return response.payment

    async def cancel(
        self,
        payment_id: str,
        *,
        reason: str = "",
        idempotency_key: str | None = None,
        timeout_s: float | None = None,
    ) -> payment_pb2.Payment:
        """End a payment without money, or release what is not captured yet."""
        key = calls.key_of(idempotency_key)
        request = payment_service_pb2.CancelPaymentRequest(
            idempotency_key=key, payment_id=payment_id, reason=reason
        )
        response = await self.caller.call(
            self._stub.CancelPayment, _CANCEL, request, timeout_s=timeout_s, key=key
        )
        return response.payment

    async def get(self, payment_id: str, *, timeout_s: float | None = None) -> payment_pb2.Payment:
        """Return a payment as it stands."""
        request = payment_service_pb2.GetPaymentRequest(payment_id=payment_id)
        response = await self.caller.call(self._stub.GetPayment, _GET, request, timeout_s=timeout_s)
        return response.payment

    async def list_page(
        self,
        where: PaymentFilter | None = None,
        *,
        page_size: int = 0,
        page_token: str = "",
        timeout_s: float | None = None,
    ) -> payment_service_pb2.ListPaymentsResponse:
        """Return one page, newest first, of at most `page_size` (1 to 200; 0 means 50).

        `page_token` is the `next_page_token` of the page before, asked for with the same
        filter and size. Operations are left out of listed payments.
        """
        where = where or PaymentFilter()
        request = payment_service_pb2.ListPaymentsRequest(
            page_size=page_size,
            page_token=page_token,
            states=where.states,
            customer_id=where.customer_id,
            user_id=where.user_id,
            order_id=where.order_id,
            provider=where.provider,
            created_from=requests.timestamp(where.created_from, field="created_from"),
            created_before=requests.timestamp(where.created_before, field="created_before"),
        )
        return await self.caller.call(self._stub.ListPayments, _LIST, request, timeout_s=timeout_s)

    async def list(
        self, where: PaymentFilter | None = None, *, page_size: int = 0
    ) -> AsyncIterator[payment_pb2.Payment]:
        """Go through all matching payments, newest first, page by page as they are asked for."""
        token = ""
        while True:
            page = await self.list_page(where, page_size=page_size, page_token=token)
            for payment in page.payments:
                yield payment
            token = page.next_page_token
            if not token:
                return

    @property
    def _stub(self) -> "PaymentServiceAsyncStub":
        if self._made is None:
            self._made = payment_service_pb2_grpc.PaymentServiceStub(self.caller.link.channel)
        return self._made

"""A caller of a running payment service, and what it hears.

Owns the client side: keys, calls, refusals with their details. Called by the
tests of this folder. Never reaches into the service.
"""

import asyncio
import json
import urllib.request
import uuid
from collections.abc import Awaitable
from typing import Any, Self

import grpc
import grpc.aio
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from payhub.admin.v1 import (
    binding_admin_service_pb2_grpc,
    key_service_pb2_grpc,
    status_service_pb2,
    status_service_pb2_grpc,
)
from payhub.admin.v1 import key_service_pb2 as keys_pb
from payhub.payments.v1 import customer_service_pb2 as customers_pb
from payhub.payments.v1 import (
    customer_service_pb2_grpc,
    invoice_service_pb2_grpc,
    payment_method_service_pb2_grpc,
    payment_pb2,
    payment_service_pb2_grpc,
    plan_service_pb2_grpc,
    refund_service_pb2_grpc,
    retry_policy_service_pb2_grpc,
    subscription_service_pb2_grpc,
)
from payhub.payments.v1 import payment_service_pb2 as payments_pb
from payhub.payments.v1 import refund_service_pb2 as refunds_pb
from payhub.type.v1 import money_pb2

from tests import polling

PAY = ("payments:read", "payments:write")
TIMEOUT_S = 20.0
until = polling.until

Payment = payment_pb2.Payment
Refund = refunds_pb.Refund
Customer = customers_pb.Customer


class Refused(Exception):
    """A status other than OK with what it carries.

    Args:
        error: What gRPC raised.
    """

    def __init__(self, error: grpc.aio.AioRpcError) -> None:
        super().__init__(f"{error.code().name}: {error.details()}")
        self.code = error.code()
        self.reason = ""
        self.metadata: dict[str, str] = {}
        self.fields: list[str] = []
        self.retry_after_s: float | None = None
        status = rpc_status.from_call(error)  # type: ignore[arg-type]
        for detail in status.details if status else ():
            self._take(detail)

    def _take(self, detail: Any) -> None:
        info, bad = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
        retry = error_details_pb2.RetryInfo()
        if detail.Unpack(info):
            self.reason, self.metadata = info.reason, dict(info.metadata)
        elif detail.Unpack(bad):
            self.fields = [violation.field for violation in bad.field_violations]
        elif detail.Unpack(retry):
            self.retry_after_s = retry.retry_delay.ToMicroseconds() / 1e6


async def refusal(call: Awaitable[Any]) -> Refused:
    """Returns how *call* is refused; fails if it is not."""
    try:
        answer = await call
    except Refused as refused:
        return refused
    raise AssertionError(f"not refused: {answer}")


def money(amount_minor: int, currency: str = "EUR") -> money_pb2.Money:
    """Returns an amount."""
    return money_pb2.Money(amount_minor=amount_minor, currency_code=currency)


def new_key() -> str:
    """Returns a fresh idempotency key."""
    return uuid.uuid4().hex


def status_request() -> status_service_pb2.GetStatusRequest:
    """Returns the question how the installation is doing."""
    return status_service_pb2.GetStatusRequest()


def state(value: Any) -> str:
    """Returns the name of the state of a payment, refund, operation or customer."""
    if isinstance(value, Customer):
        name = Customer.SyncState.Name(value.sync_state)
        return name.removeprefix("SYNC_STATE_")
    return str(type(value).State.Name(value.state)).removeprefix("STATE_")


def actions(payment: Payment) -> dict[str, int]:
    """Returns what may be done with a payment, and up to which amount."""
    names = payment_pb2.AvailableAction.Action
    return {
        names.Name(found.action).removeprefix("ACTION_"): found.max_amount_minor
        for found in payment.available_actions
    }


def amounts(payment: Payment) -> tuple[int, int, int, int, int]:
    """Returns authorized, captured, capture pending, refunded, refund pending."""
    sums = payment.amounts
    return (
        sums.authorized_minor,
        sums.captured_minor,
        sums.capture_pending_minor,
        sums.refunded_minor,
        sums.refund_pending_minor,
    )


def operations(payment: Payment) -> list[tuple[str, str]]:
    """Returns kind and state of every operation, oldest first."""
    kinds = payment_pb2.Operation.Kind
    return [(kinds.Name(o.kind).removeprefix("KIND_"), state(o)) for o in payment.operations]


async def post(url: str) -> Any:
    """Posts nothing to *url* and returns the JSON that comes back."""

    def send() -> Any:
        with urllib.request.urlopen(urllib.request.Request(url, method="POST")) as answer:
            return json.load(answer)

    return await asyncio.to_thread(send)


class Caller:
    """One caller: a connection and a key.

    Args:
        target: `host:port`.
        key: API key, or empty for none.
        tenant: Whose key it is.
    """

    def __init__(self, target: str, key: str, tenant: str = "default") -> None:
        self.target = target
        self.tenant = tenant
        self.metadata: tuple[tuple[str, str], ...] = (
            (("authorization", f"Bearer {key}"),) if key else ()
        )
        self.key = key
        self.channel = grpc.aio.insecure_channel(
            target,
            options=[
                ("grpc.use_local_subchannel_pool", 1),
                ("grpc.enable_retries", 0),
                ("grpc.max_send_message_length", -1),
            ],
        )
        self.payments: Any = payment_service_pb2_grpc.PaymentServiceStub(self.channel)
        self.retries: Any = retry_policy_service_pb2_grpc.RetryPolicyServiceStub(self.channel)
        self.refunds: Any = refund_service_pb2_grpc.RefundServiceStub(self.channel)
        self.customers: Any = customer_service_pb2_grpc.CustomerServiceStub(self.channel)
        self.methods: Any = payment_method_service_pb2_grpc.PaymentMethodServiceStub(self.channel)
        self.plans: Any = plan_service_pb2_grpc.PlanServiceStub(self.channel)
        self.subscriptions: Any = subscription_service_pb2_grpc.SubscriptionServiceStub(
            self.channel
        )
        self.invoices: Any = invoice_service_pb2_grpc.InvoiceServiceStub(self.channel)
        self.keys: Any = key_service_pb2_grpc.KeyServiceStub(self.channel)
        self.status: Any = status_service_pb2_grpc.StatusServiceStub(self.channel)
        self.bindings: Any = binding_admin_service_pb2_grpc.BindingAdminServiceStub(self.channel)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.channel.close()

    async def call(self, method: Any, request: Any, *, timeout_s: float | None = TIMEOUT_S) -> Any:
        """Calls *method*; raises Refused for a status other than OK."""
        try:
            return await method(request, timeout=timeout_s, metadata=self.metadata)
        except grpc.aio.AioRpcError as error:
            raise Refused(error) from error

    async def create_key(
        self, tenant: str, scopes: tuple[str, ...] = PAY, name: str = "test"
    ) -> keys_pb.CreateKeyResponse:
        """Makes an API key."""
        request = keys_pb.CreateKeyRequest(tenant_id=tenant, scopes=scopes, name=name)
        made: keys_pb.CreateKeyResponse = await self.call(self.keys.CreateKey, request)
        return made

    async def create(
        self,
        token: str = "tok_approve",
        amount_minor: int = 1000,
        currency: str = "EUR",
        *,
        manual: bool = False,
        key: str = "",
        timeout_s: float = TIMEOUT_S,
        **fields: Any,
    ) -> Payment:
        """Creates a payment and confirms it, unless told otherwise."""
        fields.setdefault("confirm", True)
        request = payments_pb.CreatePaymentRequest(
            idempotency_key=key or new_key(),
            amount=money(amount_minor, currency),
            payment_method=token,
            capture_method=(
                payment_pb2.CAPTURE_METHOD_MANUAL
                if manual
                else payment_pb2.CAPTURE_METHOD_AUTOMATIC
            ),
            **fields,
        )
        answer = await self.call(self.payments.CreatePayment, request, timeout_s=timeout_s)
        payment: Payment = answer.payment
        return payment

    async def confirm(self, payment_id: str, token: str = "tok_approve", key: str = "") -> Payment:
        """Confirms."""
        request = payments_pb.ConfirmPaymentRequest(
            idempotency_key=key or new_key(), payment_id=payment_id, payment_method=token
        )
        payment: Payment = (await self.call(self.payments.ConfirmPayment, request)).payment
        return payment

    async def capture(
        self,
        payment_id: str,
        amount_minor: int | None = None,
        currency: str = "EUR",
        *,
        more: bool = False,
        key: str = "",
    ) -> Payment:
        """Captures an amount, or all that is left."""
        request = payments_pb.CapturePaymentRequest(
            idempotency_key=key or new_key(),
            payment_id=payment_id,
            amount=None if amount_minor is None else money(amount_minor, currency),
            more_to_follow=more,
        )
        payment: Payment = (await self.call(self.payments.CapturePayment, request)).payment
        return payment

    async def increment(
        self, payment_id: str, amount_minor: int, currency: str = "EUR", *, key: str = ""
    ) -> Payment:
        """Has more held."""
        request = payments_pb.IncrementAuthorizationRequest(
            idempotency_key=key or new_key(),
            payment_id=payment_id,
            amount=money(amount_minor, currency),
        )
        answer = await self.call(self.payments.IncrementAuthorization, request)
        payment: Payment = answer.payment
        return payment

    async def cancel(self, payment_id: str, key: str = "", reason: str = "") -> Payment:
        """Cancels."""
        request = payments_pb.CancelPaymentRequest(
            idempotency_key=key or new_key(), payment_id=payment_id, reason=reason
        )
        payment: Payment = (await self.call(self.payments.CancelPayment, request)).payment
        return payment

    async def get(self, payment_id: str) -> Payment:
        """Returns a payment."""
        request = payments_pb.GetPaymentRequest(payment_id=payment_id)
        payment: Payment = (await self.call(self.payments.GetPayment, request)).payment
        return payment

    async def becomes(
        self, payment_id: str, wanted: str, *, timeout_s: float = TIMEOUT_S
    ) -> Payment:
        """Returns a payment once it is in a state and has no open operation."""

        async def there() -> Payment | None:
            payment = await self.becomes_known(payment_id)
            return payment if state(payment) == wanted else None

        payment: Payment = await until(there, timeout_s=timeout_s)
        return payment

    async def becomes_known(self, payment_id: str) -> Payment:
        """Returns a payment once it has no open operation."""
        open_states = {"IN_FLIGHT", "PENDING", "REQUIRES_ACTION", "IN_DOUBT"}

        async def settled() -> Payment | None:
            payment = await self.get(payment_id)
            waits = any(now in open_states for _, now in operations(payment))
            return None if waits else payment

        payment: Payment = await until(settled)
        return payment

    async def list(self, **filters: Any) -> payments_pb.ListPaymentsResponse:
        """Returns one page of payments."""
        answer: payments_pb.ListPaymentsResponse = await self.call(
            self.payments.ListPayments, payments_pb.ListPaymentsRequest(**filters)
        )
        return answer

    async def refund(
        self,
        payment_id: str,
        amount_minor: int | None = None,
        currency: str = "EUR",
        *,
        key: str = "",
        **fields: Any,
    ) -> Refund:
        """Refunds an amount, or all that is left."""
        request = refunds_pb.CreateRefundRequest(
            idempotency_key=key or new_key(),
            payment_id=payment_id,
            amount=None if amount_minor is None else money(amount_minor, currency),
            **fields,
        )
        refund: Refund = (await self.call(self.refunds.CreateRefund, request)).refund
        return refund

    async def get_refund(self, refund_id: str) -> Refund:
        """Returns a refund."""
        request = refunds_pb.GetRefundRequest(refund_id=refund_id)
        refund: Refund = (await self.call(self.refunds.GetRefund, request)).refund
        return refund

    async def refund_becomes(self, refund_id: str, wanted: str) -> Refund:
        """Returns a refund once it is in a state."""

        async def settled() -> Refund | None:
            refund = await self.get_refund(refund_id)
            return refund if state(refund) == wanted else None

        refund: Refund = await until(settled)
        return refund

    async def list_refunds(self, **filters: Any) -> refunds_pb.ListRefundsResponse:
        """Returns one page of refunds."""
        answer: refunds_pb.ListRefundsResponse = await self.call(
            self.refunds.ListRefunds, refunds_pb.ListRefundsRequest(**filters)
        )
        return answer

    async def create_customer(self, key: str = "", **profile: Any) -> Customer:
        """Creates a customer."""
        request = customers_pb.CreateCustomerRequest(
            idempotency_key=key or new_key(), profile=customers_pb.CustomerProfile(**profile)
        )
        customer: Customer = (await self.call(self.customers.CreateCustomer, request)).customer
        return customer

    async def update_customer(
        self, customer_id: str, paths: tuple[str, ...] = (), key: str = "", **profile: Any
    ) -> Customer:
        """Updates a customer."""
        request = customers_pb.UpdateCustomerRequest(
            idempotency_key=key or new_key(),
            customer_id=customer_id,
            profile=customers_pb.CustomerProfile(**profile),
        )
        request.update_mask.paths.extend(paths)
        customer: Customer = (await self.call(self.customers.UpdateCustomer, request)).customer
        return customer

    async def get_customer(self, customer_id: str) -> Customer:
        """Returns a customer."""
        request = customers_pb.GetCustomerRequest(customer_id=customer_id)
        customer: Customer = (await self.call(self.customers.GetCustomer, request)).customer
        return customer

    async def customer_becomes(self, customer_id: str, wanted: str) -> Customer:
        """Returns a customer once it is in a state."""

        async def settled() -> Customer | None:
            customer = await self.get_customer(customer_id)
            return customer if state(customer) == wanted else None

        customer: Customer = await until(settled)
        return customer

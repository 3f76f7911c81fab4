"""A small payment service on a real socket, for the client's tests.

Owns an in-memory implementation of the contract's callers' side: idempotent by key, with
faults planted before or after the effect. Never used outside tests.
"""

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent import futures
from dataclasses import dataclass, field
from typing import Any

import grpc
import uuid_utils
from google.protobuf import any_pb2, duration_pb2, message
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status
from payhub.payments.v1 import (
    customer_service_pb2,
    customer_service_pb2_grpc,
    payment_pb2,
    payment_service_pb2,
    payment_service_pb2_grpc,
    refund_service_pb2,
    refund_service_pb2_grpc,
)
from payhub.type.v1 import money_pb2

from tests.integration.client import fake_admin, fake_billing

Payment = payment_pb2.Payment
Operation = payment_pb2.Operation

_STATES = {
    "tok_approve": Payment.STATE_SUCCEEDED,
    "tok_decline_insufficient_funds": Payment.STATE_FAILED,
    "tok_late_answer": Payment.STATE_IN_DOUBT,
}


def status(
    code: grpc.StatusCode,
    reason: str = "",
    *,
    text: str = "as planted",
    retry: str = "never",
    metadata: dict[str, str] | None = None,
    retry_after_s: float | None = None,
    details: Sequence[message.Message] = (),
) -> status_pb2.Status:
    """A status as the contract describes it; without a reason, as a transport makes it."""
    packed: list[message.Message] = list(details)
    if reason:
        info = {**(metadata or {}), "retry": retry}
        packed.append(error_details_pb2.ErrorInfo(reason=reason, domain="payhub", metadata=info))
    if retry_after_s is not None:
        pause = duration_pb2.Duration()
        pause.FromNanoseconds(int(retry_after_s * 1e9))
        packed.append(error_details_pb2.RetryInfo(retry_delay=pause))
    made = status_pb2.Status(code=code.value[0], message=text)
    for each in packed:
        wrapped = any_pb2.Any()
        wrapped.Pack(each)
        made.details.append(wrapped)
    return made


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What goes wrong with one call."""

    status: status_pb2.Status | None = None
    after_effect: bool = False
    hang_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What one attempt looked like to the server."""

    method: str
    key: str
    metadata: dict[str, str]
    left_s: float
    at_s: float


@dataclass(slots=True)
class FakePayments(
    payment_service_pb2_grpc.PaymentServiceServicer,
    refund_service_pb2_grpc.RefundServiceServicer,
    customer_service_pb2_grpc.CustomerServiceServicer,
):
    """The service; `faults` are used up by the calls in order."""

    target: str = ""
    faults: deque[Fault] = field(default_factory=deque)
    seen: list[Seen] = field(default_factory=list)
    payments: dict[str, payment_pb2.Payment] = field(default_factory=dict)
    refunds: dict[str, refund_service_pb2.Refund] = field(default_factory=dict)
    customers: dict[str, customer_service_pb2.Customer] = field(default_factory=dict)
    admin: fake_admin.FakeAdmin = field(default_factory=fake_admin.FakeAdmin)
    billing: fake_billing.FakeBilling = field(default_factory=fake_billing.FakeBilling)
    answer_bytes: int = 0
    requests: list[Any] = field(default_factory=list)
    _by_key: dict[tuple[str, str], str] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _called: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    _closing: threading.Event = field(default_factory=threading.Event)

    def _handle(
        self,
        method: str,
        request: message.Message,
        context: grpc.ServicerContext,
        effect: Callable[[], message.Message],
    ) -> message.Message:
        context.send_initial_metadata((("x-request-id", f"srv_{method}"),))
        with self._lock:
            self._called.release()
            self.requests.append(request)
            self.seen.append(
                Seen(
                    method=method,
                    key=getattr(request, "idempotency_key", ""),
                    metadata={k: str(v) for k, v in context.invocation_metadata()},
                    left_s=context.time_remaining(),
                    at_s=time.monotonic(),
                )
            )
            fault = self.faults.popleft() if self.faults else Fault()
            answer = None
            if fault.after_effect or (fault.status is None and not fault.hang_s):
                answer = effect()
        if fault.hang_s:
            self._closing.wait(fault.hang_s)
        if fault.status is not None:
            context.abort_with_status(rpc_status.to_status(fault.status))
        if answer is None:
            with self._lock:
                answer = effect()
        return answer

    def _once(self, method: str, key: str, make: Callable[[], str]) -> str:
        known = self._by_key.get((method, key))
        if known is None:
            known = self._by_key[method, key] = make()
        return known

    # PaymentService

    def CreatePayment(self, request: Any, context: Any) -> Any:  # noqa: D102
        def make() -> str:
            payment = Payment(
                id=_id("pay"), state=Payment.STATE_CREATED, amount=request.amount, version=1
            )
            payment.references.CopyFrom(request.references)
            payment.description = "x" * self.answer_bytes or request.description
            payment.create_time.GetCurrentTime()
            self.payments[payment.id] = payment
            if request.confirm:
                self._send(payment, request.payment_method, request.capture_method)
            return payment.id

        def effect() -> message.Message:
            found = self.payments[self._once("CreatePayment", request.idempotency_key, make)]
            return payment_service_pb2.CreatePaymentResponse(payment=found)

        return self._handle("CreatePayment", request, context, effect)

    def _send(self, payment: Payment, method: str, capture: int) -> None:
        payment.state = _STATES.get(method, Payment.STATE_SUCCEEDED)
        manual = capture == payment_pb2.CAPTURE_METHOD_MANUAL
        kind = Operation.KIND_AUTHORIZE if manual else Operation.KIND_SALE
        done = payment.state == Payment.STATE_SUCCEEDED
        state = Operation.STATE_SUCCEEDED if done else Operation.STATE_IN_DOUBT
        if payment.state == Payment.STATE_FAILED:
            state = Operation.STATE_DECLINED
            payment.failure.reason = "INSUFFICIENT_FUNDS"
        if done:
            payment.state = Payment.STATE_AUTHORIZED if manual else Payment.STATE_SUCCEEDED
            payment.amounts.authorized_minor = payment.amount.amount_minor
            payment.amounts.captured_minor = 0 if manual else payment.amount.amount_minor
        payment.operations.add(id=_id("op"), kind=kind, state=state, amount=payment.amount)

    def ConfirmPayment(self, request: Any, context: Any) -> Any:  # noqa: D102
        def make() -> str:
            payment = self.payments[request.payment_id]
            self._send(payment, request.payment_method, payment_pb2.CAPTURE_METHOD_AUTOMATIC)
            return payment.id

        def effect() -> message.Message:
            found = self.payments[self._once("ConfirmPayment", request.idempotency_key, make)]
            return payment_service_pb2.ConfirmPaymentResponse(payment=found)

        return self._handle("ConfirmPayment", request, context, effect)

    def IncrementAuthorization(self, request: Any, context: Any) -> Any:  # noqa: D102
        def make() -> str:
            payment = self.payments[request.payment_id]
            assert request.amount.currency_code == payment.amount.currency_code
            payment.amount.amount_minor += request.amount.amount_minor
            payment.amounts.authorized_minor += request.amount.amount_minor
            kind, state = Operation.KIND_INCREMENT, Operation.STATE_SUCCEEDED
            payment.operations.add(id=_id("op"), kind=kind, state=state, amount=request.amount)
            return payment.id

        def effect() -> message.Message:
            key = request.idempotency_key
            found = self.payments[self._once("IncrementAuthorization", key, make)]
            return payment_service_pb2.IncrementAuthorizationResponse(payment=found)

        return self._handle("IncrementAuthorization", request, context, effect)

    def CapturePayment(self, request: Any, context: Any) -> Any:  # noqa: D102
        def make() -> str:
            payment = self.payments[request.payment_id]
            left = payment.amounts.authorized_minor - payment.amounts.captured_minor
            minor = request.amount.amount_minor or left
            currency = payment.amount.currency_code
            if request.HasField("amount"):
                assert request.amount.currency_code == currency
            payment.amounts.captured_minor += minor
            if not request.more_to_follow:
                payment.state = Payment.STATE_SUCCEEDED
            payment.operations.add(
                id=_id("op"),
                kind=Operation.KIND_CAPTURE,
                state=Operation.STATE_SUCCEEDED,
                amount=money_pb2.Money(amount_minor=minor, currency_code=currency),
                final=not request.more_to_follow,
            )
            return payment.id

        def effect() -> message.Message:
            found = self.payments[self._once("CapturePayment", request.idempotency_key, make)]
            return payment_service_pb2.CapturePaymentResponse(payment=found)

        return self._handle("CapturePayment", request, context, effect)

    def CancelPayment(self, request: Any, context: Any) -> Any:  # noqa: D102
        def effect() -> message.Message:
            payment = self.payments[request.payment_id]
            payment.state = Payment.STATE_CANCELED
            return payment_service_pb2.CancelPaymentResponse(payment=payment)

        return self._handle("CancelPayment", request, context, effect)

    def GetPayment(self, request: Any, context: Any) -> Any:  # noqa: D102
        def effect() -> message.Message:
            found = self.payments[request.payment_id]
            return payment_service_pb2.GetPaymentResponse(payment=found)

        return self._handle("GetPayment", request, context, effect)

    def ListPayments(self, request: Any, context: Any) -> Any:  # noqa: D102
        def effect() -> message.Message:
            wanted = [p for p in self.payments.values() if p.state in (request.states or [p.state])]
            page, token = fake_billing.page(wanted, request.page_size, request.page_token)
            return payment_service_pb2.ListPaymentsResponse(payments=page, next_page_token=token)

        return self._handle("ListPayments", request, context, effect)

    # RefundService

    def CreateRefund(self, request: Any, context: Any) -> Any:  # noqa: D102
        def make() -> str:
            payment = self.payments[request.payment_id]
            refund = refund_service_pb2.Refund(
                id=_id("ref"),
                payment_id=payment.id,
                amount=request.amount if request.HasField("amount") else payment.amount,
                state=refund_service_pb2.Refund.STATE_SUCCEEDED,
                reason=request.reason,
                note=request.note,
            )
            self.refunds[refund.id] = refund
            return refund.id

        def effect() -> message.Message:
            found = self.refunds[self._once("CreateRefund", request.idempotency_key, make)]
            return refund_service_pb2.CreateRefundResponse(refund=found)

        return self._handle("CreateRefund", request, context, effect)

    def GetRefund(self, request: Any, context: Any) -> Any:  # noqa: D102
        def effect() -> message.Message:
            return refund_service_pb2.GetRefundResponse(refund=self.refunds[request.refund_id])

        return self._handle("GetRefund", request, context, effect)

    def ListRefunds(self, request: Any, context: Any) -> Any:  # noqa: D102
        def effect() -> message.Message:
            page, token = fake_billing.page(
                [*self.refunds.values()], request.page_size, request.page_token
            )
            return refund_service_pb2.ListRefundsResponse(refunds=page, next_page_token=token)

        return self._handle("ListRefunds", request, context, effect)

    # CustomerService

    def CreateCustomer(self, request: Any, context: Any) -> Any:  # noqa: D102
        def effect() -> message.Message:
            customer = customer_service_pb2.Customer(
                id=_id("cus"),
                profile=request.profile,
                sync_state=customer_service_pb2.Customer.SYNC_STATE_SYNCED,
            )
            self.customers[customer.id] = customer
            return customer_service_pb2.CreateCustomerResponse(customer=customer)

        return self._handle("CreateCustomer", request, context, effect)

    def GetCustomer(self, request: Any, context: Any) -> Any:  # noqa: D102
        def effect() -> message.Message:
            found = self.customers[request.customer_id]
            return customer_service_pb2.GetCustomerResponse(customer=found)

        return self._handle("GetCustomer", request, context, effect)

    def UpdateCustomer(self, request: Any, context: Any) -> Any:  # noqa: D102
        def effect() -> message.Message:
            customer = self.customers[request.customer_id]
            request.update_mask.MergeMessage(
                request.profile, customer.profile, replace_repeated_field=True
            )
            return customer_service_pb2.UpdateCustomerResponse(customer=customer)

        return self._handle("UpdateCustomer", request, context, effect)

    def wait_for_calls(self, count: int) -> None:
        """Wait until `count` more calls have come in."""
        for _ in range(count):
            assert self._called.acquire(timeout=30)

    def stop_hanging(self) -> None:
        """Let every call that hangs go on."""
        self._closing.set()


@contextlib.contextmanager
def serving(port: int = 0) -> Iterator[FakePayments]:
    """Serve a fake on a loopback port."""
    fake = FakePayments()
    server = grpc.server(futures.ThreadPoolExecutor(8))
    payment_service_pb2_grpc.add_PaymentServiceServicer_to_server(fake, server)
    refund_service_pb2_grpc.add_RefundServiceServicer_to_server(fake, server)
    customer_service_pb2_grpc.add_CustomerServiceServicer_to_server(fake, server)
    fake.admin.register(server, fake._handle)
    fake.billing.register(server, fake._handle)
    fake.target = f"127.0.0.1:{server.add_insecure_port(f'127.0.0.1:{port}')}"
    server.start()
    try:
        yield fake
    finally:
        fake.stop_hanging()
        server.stop(None).wait()


def _id(prefix: str) -> str:
    return f"{prefix}_{uuid_utils.uuid7().hex}"

"""PaymentService: see the contract.

Owns reading and answering its RPCs. Called by gRPC. Never decides.
"""

from typing import Any

from google.protobuf import timestamp_pb2
from payhub.payments.v1 import payment_pb2, payment_service_pb2_grpc
from payhub.payments.v1 import payment_service_pb2 as pb

from payment_service.api import reading
from payment_service.db import payments as payment_rows
from payment_service.domain import model
from payment_service.usecases import asked, increments, payments, snapshots
from servicekit import errors

# The last second of the year 9999, where timestamps end.
_SECONDS_MAX = 253_402_300_799


class PaymentServicer(payment_service_pb2_grpc.PaymentServiceServicer):
    """Serves payments."""

    def __init__(self, cases: payments.Payments, more: increments.Increments) -> None:
        self._cases = cases
        self._increments = more

    async def CreatePayment(
        self, request: pb.CreatePaymentRequest, context: Any
    ) -> pb.CreatePaymentResponse:
        """Creates a payment and, with `confirm`, sends it."""
        currency = reading.currency(request.amount, "amount")
        _check_creation(request)
        manual = request.capture_method == payment_pb2.CAPTURE_METHOD_MANUAL
        wanted = asked.Create(
            amount_minor=request.amount.amount_minor,
            currency=currency,
            capture_method=model.CaptureMethod.MANUAL if manual else model.CaptureMethod.AUTOMATIC,
            payment_method=request.payment_method,
            payment_method_id=request.payment_method_id,
            off_session=request.off_session,
            saves_method=request.save_payment_method,
            provider=request.provider,
            references=_references(request.references),
            description=request.description,
            return_url=reading.address(request.return_url, "return_url"),
            confirm=request.confirm,
            request=reading.keyed("CreatePayment", request),
        )
        payment = await self._cases.create(reading.caller(), wanted)
        return pb.CreatePaymentResponse(payment=snapshots.payment(payment))

    async def ConfirmPayment(
        self, request: pb.ConfirmPaymentRequest, context: Any
    ) -> pb.ConfirmPaymentResponse:
        """Sends a created or failed payment."""
        if not request.payment_method and not request.payment_method_id:
            raise errors.invalid_field("payment_method", "is required, or payment_method_id")
        _one_method(request)
        wanted = asked.Confirm(
            payment_id=request.payment_id,
            payment_method=request.payment_method,
            payment_method_id=request.payment_method_id,
            return_url=reading.address(request.return_url, "return_url"),
            request=reading.keyed("ConfirmPayment", request),
        )
        payment = await self._cases.confirm(reading.caller(), wanted)
        return pb.ConfirmPaymentResponse(payment=snapshots.payment(payment))

    async def CapturePayment(
        self, request: pb.CapturePaymentRequest, context: Any
    ) -> pb.CapturePaymentResponse:
        """Captures an authorized payment or a part of it."""
        has_amount = request.HasField("amount")
        wanted = asked.Capture(
            payment_id=request.payment_id,
            amount_minor=request.amount.amount_minor if has_amount else None,
            currency=reading.currency(request.amount, "amount") if has_amount else "",
            final=not request.more_to_follow,
            request=reading.keyed("CapturePayment", request),
        )
        payment = await self._cases.capture(reading.caller(), wanted)
        return pb.CapturePaymentResponse(payment=snapshots.payment(payment))

    async def IncrementAuthorization(
        self, request: pb.IncrementAuthorizationRequest, context: Any
    ) -> pb.IncrementAuthorizationResponse:
        """Raises what is authorized of a payment."""
        wanted = asked.Increment(
            payment_id=request.payment_id,
            amount_minor=request.amount.amount_minor,
            currency=reading.currency(request.amount, "amount"),
            request=reading.keyed("IncrementAuthorization", request),
        )
        payment = await self._increments.increment(reading.caller(), wanted)
        return pb.IncrementAuthorizationResponse(payment=snapshots.payment(payment))

    async def CancelPayment(
        self, request: pb.CancelPaymentRequest, context: Any
    ) -> pb.CancelPaymentResponse:
        """Ends a payment without money, or releases what is not captured yet."""
        wanted = asked.Cancel(
            payment_id=request.payment_id, request=reading.keyed("CancelPayment", request)
        )
        payment = await self._cases.cancel(reading.caller(), wanted)
        return pb.CancelPaymentResponse(payment=snapshots.payment(payment))

    async def GetPayment(
        self, request: pb.GetPaymentRequest, context: Any
    ) -> pb.GetPaymentResponse:
        """Returns a payment as it stands."""
        payment = await self._cases.get(reading.caller(), request.payment_id)
        return pb.GetPaymentResponse(payment=snapshots.payment(payment))

    async def ListPayments(
        self, request: pb.ListPaymentsRequest, context: Any
    ) -> pb.ListPaymentsResponse:
        """Lists payments, newest first."""
        size = reading.page_size(request)
        (before_id,) = reading.page_start(request, str) or ("",)
        from_us = _microseconds(request, "created_from")
        before_us = _microseconds(request, "created_before")
        if before_us and from_us >= before_us:
            raise errors.invalid_field("created_before", "must be later than created_from")
        wanted = payment_rows.ListFilter(
            states=tuple(model.PaymentState(state) for state in request.states),
            customer_id=request.customer_id,
            user_id=request.user_id,
            order_id=request.order_id,
            provider=request.provider,
            created_from_us=from_us,
            created_before_us=before_us,
            before_id=before_id,
        )
        found = await self._cases.list_newest_first(reading.caller(), wanted, size + 1)
        shown, token = reading.page(request, found, snapshots.listed)
        return pb.ListPaymentsResponse(payments=shown, next_page_token=token)


def _one_method(request: pb.CreatePaymentRequest | pb.ConfirmPaymentRequest) -> None:
    if request.payment_method and request.payment_method_id:
        raise errors.invalid_field("payment_method_id", "can't go with payment_method")


def _check_creation(request: pb.CreatePaymentRequest) -> None:
    """Refuses what protovalidate can't see.

    Raises:
        errors.RpcError: INVALID_FIELD.
    """
    if request.payment_method_id:
        _one_method(request)
        if not request.references.customer_id:
            text = "is required with payment_method_id"
            raise errors.invalid_field("references.customer_id", text)
    elif request.confirm:
        if request.off_session:
            text = "is required to confirm off session"
            raise errors.invalid_field("payment_method_id", text)
        if not request.payment_method:
            raise errors.invalid_field("payment_method", "is required when confirm is set")
    if request.save_payment_method:
        if request.payment_method_id or request.off_session:
            text = "is for a new payment method, and with the payer"
            raise errors.invalid_field("save_payment_method", text)
        if not request.references.customer_id:
            text = "is required to keep the payment method at"
            raise errors.invalid_field("references.customer_id", text)


def _references(message: payment_pb2.References) -> model.References:
    return model.References(
        customer_id=message.customer_id,
        user_id=message.user_id,
        subscription_id=message.subscription_id,
        order_id=message.order_id,
        metadata=dict(message.metadata),
    )


def _microseconds(request: pb.ListPaymentsRequest, name: Any) -> int:
    if not request.HasField(name):
        return 0
    value: timestamp_pb2.Timestamp = getattr(request, name)
    if not 0 <= value.seconds <= _SECONDS_MAX or not 0 <= value.nanos < 1_000_000_000:
        raise errors.invalid_field(name, "must be between the years 1970 and 9999")
    return max(value.seconds * 1_000_000 + value.nanos // 1_000, 1)

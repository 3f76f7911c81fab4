"""CheckoutService: see the contract.

Owns reading and answering its RPCs. Called by gRPC. Never decides.
"""

from typing import Any

from payhub.payments.v1 import checkout_service_pb2 as pb
from payhub.payments.v1 import checkout_service_pb2_grpc

from payment_service.api import normal, reading
from payment_service.db import mirrors
from payment_service.usecases.mirrors import beginning, telling
from payment_service.usecases.mirrors import checkouts as cases
from servicekit import errors


class CheckoutServicer(checkout_service_pb2_grpc.CheckoutServiceServicer):
    """Serves checkouts."""

    def __init__(self, cases_: cases.Checkouts) -> None:
        self._cases = cases_

    async def CreateCheckout(
        self, request: pb.CreateCheckoutRequest, context: Any
    ) -> pb.CreateCheckoutResponse:
        """Makes a page on which a payer pays."""
        has_amount = request.HasField("amount")
        if has_amount and (request.quantity or request.HasField("trial_days")):
            name = "quantity" if request.quantity else "trial_days"
            raise errors.invalid_field(name, "is for a checkout of a plan")
        wanted = cases.Create(
            customer_id=request.customer_id,
            user_id=request.user_id,
            amount_minor=request.amount.amount_minor if has_amount else 0,
            currency=reading.currency(request.amount, "amount") if has_amount else "",
            plan_id=request.plan_id,
            quantity=0 if has_amount else request.quantity or 1,
            trial_days=request.trial_days if request.HasField("trial_days") else None,
            success_url=reading.address(request.success_url, "success_url"),
            cancel_url=reading.address(request.cancel_url, "cancel_url"),
            open_for_us=(
                request.open_for.ToMicroseconds()
                if request.HasField("open_for")
                else normal.CHECKOUT_OPEN_US
            ),
            description=request.description,
            embedded=request.embedded,
            provider=request.provider,
            order_id=request.order_id,
            metadata=dict(request.metadata),
            request=reading.keyed("CreateCheckout", request),
        )
        shown = await self._cases.create(reading.caller(), wanted)
        return pb.CreateCheckoutResponse(checkout=_message(shown))

    async def GetCheckout(
        self, request: pb.GetCheckoutRequest, context: Any
    ) -> pb.GetCheckoutResponse:
        """Returns a checkout."""
        shown = await self._cases.get(reading.caller(), request.checkout_id)
        return pb.GetCheckoutResponse(checkout=_message(shown))

    async def ListCheckouts(
        self, request: pb.ListCheckoutsRequest, context: Any
    ) -> pb.ListCheckoutsResponse:
        """Returns one page of checkouts."""
        start = reading.page_start(request, str)
        size = reading.page_size(request)
        wanted = mirrors.ListFilter(
            customer_id=request.customer_id,
            states=(int(request.state),) if request.state else (),
            before_id=start[0] if start else "",
        )
        found = await self._cases.list_newest_first(reading.caller(), wanted, size + 1)
        shown, token = reading.page(request, found, telling.checkout)
        return pb.ListCheckoutsResponse(checkouts=shown, next_page_token=token)

    async def ExpireCheckout(
        self, request: pb.ExpireCheckoutRequest, context: Any
    ) -> pb.ExpireCheckoutResponse:
        """Ends an open checkout."""
        keyed = reading.keyed("ExpireCheckout", request)
        shown = await self._cases.expire(reading.caller(), keyed, request.checkout_id)
        return pb.ExpireCheckoutResponse(checkout=_message(shown))


def _message(shown: beginning.Shown) -> pb.Checkout:
    return telling.checkout(shown.entity, shown.operations)

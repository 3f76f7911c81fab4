"""Checkouts, pages of a provider on which a payer pays: create, get, list, expire.

Owns the shape of these calls for Python. Called by services through `Client.checkouts`.
Never logs what it returns: a redirect address or client secret lets its holder pay.
"""

import datetime
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from payhub.payments.v1 import checkout_service_pb2 as pb
from payhub.payments.v1 import checkout_service_pb2_grpc

from payhub_client import calls, contract, pages, requests

if TYPE_CHECKING:
    from payhub.payments.v1.checkout_service_pb2_grpc import CheckoutServiceAsyncStub

_SERVICE = "CheckoutService"
_CREATE = contract.method(pb.DESCRIPTOR, _SERVICE, "CreateCheckout")
_GET = contract.method(pb.DESCRIPTOR, _SERVICE, "GetCheckout")
_LIST = contract.method(pb.DESCRIPTOR, _SERVICE, "ListCheckouts")
_EXPIRE = contract.method(pb.DESCRIPTOR, _SERVICE, "ExpireCheckout")


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckoutFilter:
    """Which checkouts to list; everything given must hold."""

    customer_id: str = ""
    state: "pb.Checkout.State" = pb.Checkout.STATE_UNSPECIFIED


@dataclass(slots=True, kw_only=True)
class Checkouts:
    """Lets payers pay at the provider. Keys, deadlines and errors are as in `Payments`.

    A checkout is returned as it stands: read its `state` and `mirror.sync_state`.
    """

    caller: calls.Caller
    _made: "CheckoutServiceAsyncStub | None" = field(default=None, init=False, repr=False)

    async def create(  # noqa: PLR0913  # the request's own fields
        self,
        *,
        amount_minor: int | None = None,
        currency: str = "",
        plan_id: str = "",
        quantity: int = 0,
        trial_days: int | None = None,
        customer_id: str = "",
        user_id: str = "",
        success_url: str = "",
        cancel_url: str = "",
        open_for: datetime.timedelta | None = None,
        embedded: bool = False,
        description: str = "",
        order_id: str = "",
        metadata: Mapping[str, str] | None = None,
        provider: str = "",
        idempotency_key: str | None = None,
        timeout_s: float | None = None,
    ) -> pb.Checkout:
        """Make a session for an amount or for a plan.

        Args:
            amount_minor: a single payment, in the smallest unit of `currency`.
            currency: ISO 4217 code, upper case.
            plan_id: a subscription to this plan, instead of an amount.
            quantity: how many of the plan; 0 means 1.
            trial_days: days before the plan's first payment; None means those of the plan.
            customer_id: who pays.
            user_id: who pays, as the caller's own user: their customer is made if there is
                none yet. Not beside `customer_id`.
            success_url: absolute URL the payer goes to afterwards.
            cancel_url: absolute URL the payer goes to after giving up.
            open_for: 30 minutes to 24 hours; None means 24 hours.
            embedded: answer with a client secret and the publishable key, for a page of the
                caller's own, rather than with a redirect.
            description: text for the payer.
            order_id: the caller's own order, for the payment it leads to.
            metadata: anything else, at most 32 entries.
            provider: plugin id; empty means the default provider.
            idempotency_key: one per intended checkout.
            timeout_s: overall time, in seconds.

        Raises:
            errors.InvalidRequest: not exactly one of amount and plan, or two payers.
        """
        requests.one_of("subject", amount_minor=amount_minor, plan_id=plan_id or None)
        if customer_id and user_id:
            requests.one_of("payer", customer_id=customer_id, user_id=user_id)
        key = calls.key_of(idempotency_key)
        request = pb.CreateCheckoutRequest(
            idempotency_key=key,
            customer_id=customer_id or None,
            user_id=user_id or None,
            amount=requests.money_or_all(amount_minor, currency),
            plan_id=plan_id or None,
            quantity=requests.count(quantity, field="quantity"),
            success_url=success_url,
            cancel_url=cancel_url,
            open_for=None if open_for is None else requests.duration(open_for),
            description=description,
            embedded=embedded,
            provider=provider,
            order_id=order_id,
            metadata=dict(metadata or {}),
        )
        if trial_days is not None:
            request.trial_days = requests.count(trial_days, field="trial_days")
        response = await self.caller.call(
            self._stub.CreateCheckout, _CREATE, request, timeout_s=timeout_s, key=key
        )
        return response.checkout

    async def get(self, checkout_id: str, *, timeout_s: float | None = None) -> pb.Checkout:
        """Return a checkout as it stands."""
        request = pb.GetCheckoutRequest(checkout_id=checkout_id)
        response = await self.caller.call(
            self._stub.GetCheckout, _GET, request, timeout_s=timeout_s
        )
        return response.checkout

    async def list_page(
        self,
        where: CheckoutFilter | None = None,
        *,
        page_size: int = 0,
        page_token: str = "",
        timeout_s: float | None = None,
    ) -> pb.ListCheckoutsResponse:
        """Return one page, newest first, of at most `page_size` (1 to 200; 0 means 50).

        `page_token` is the `next_page_token` of the page before, asked for with the same
        filter and size.
        """
        where = where or CheckoutFilter()
        request = pb.ListCheckoutsRequest(
            page_size=page_size,
            page_token=page_token,
            customer_id=where.customer_id,
            state=where.state,
        )
        return await self.caller.call(self._stub.ListCheckouts, _LIST, request, timeout_s=timeout_s)

    def list(
        self, where: CheckoutFilter | None = None, *, page_size: int = 0
    ) -> AsyncIterator[pb.Checkout]:
        """Go through all matching checkouts, newest first, page by page."""
        return pages.through(
            lambda token: self.list_page(where, page_size=page_size, page_token=token),
            lambda page: page.checkouts,
        )

    async def expire(
        self,
        checkout_id: str,
        *,
        idempotency_key: str | None = None,
        timeout_s: float | None = None,
    ) -> pb.Checkout:
        """End an open checkout."""
        key = calls.key_of(idempotency_key)
        request = pb.ExpireCheckoutRequest(idempotency_key=key, checkout_id=checkout_id)
        response = await self.caller.call(
            self._stub.ExpireCheckout, _EXPIRE, request, timeout_s=timeout_s, key=key
        )
        return response.checkout

    @property
    def _stub(self) -> "CheckoutServiceAsyncStub":
        if self._made is None:
            self._made = checkout_service_pb2_grpc.CheckoutServiceStub(self.caller.link.channel)
        return self._made

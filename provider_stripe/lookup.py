"""What became of an operation: where each kind leaves its mark, and where to look.

Owns the search. Called by `provider` for GetOperation. Every answer is read off an object that
carries the operation's id; that none is found proves nothing, because lists and searches of
Stripe's lag behind.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from payhub.provider.v1 import operation_pb2
from payhub.provider.v1 import payment_provider_service_pb2 as pps

from provider_sdk import calls, errors
from provider_stripe import (
    answers,
    billing,
    calling,
    customers,
    marks,
    objects,
    payments,
    transport,
)

PAGE = 100
PAGES_MAX = 5
# Clocks differ, and Stripe may have taken a while.
MARGIN_S = 120

_O = operation_pb2.Operation
Lister = Callable[[dict[str, Any]], Awaitable[Any]]


class Lookup:
    """One look-up: an account, the time it has, and what core knows.

    Args:
        account: Where to look.
        operation_id: What to find.
        hints: What core knows of it.
        timeout_s: Seconds it may take.

    Attributes:
        unbegun_id: A PaymentIntent that carries the operation and was not tried yet, if
            one was come across; it is no answer, and yet can be ended.
    """

    def __init__(
        self,
        account: transport.Account,
        operation_id: str,
        hints: pps.OperationHints,
        timeout_s: float,
    ) -> None:
        self._account = account
        self._id = operation_id
        self._hints = hints
        self._deadline = calling.Deadline(timeout_s)
        self.unbegun_id = ""

    async def find(self) -> calls.Result:
        """Returns the operation as its object has it.

        Raises:
            LookupInconclusive: Nothing that carries its id was found.
        """
        for look in self._looks():
            try:
                if (found := await look()) is not None:
                    return found
            except errors.NotFound:
                continue
        raise errors.LookupInconclusive("no object at Stripe carries the operation, so far")

    def _looks(self) -> list[Callable[[], Awaitable[calls.Result | None]]]:
        method = self._hints.method
        by_method: dict[str, list[Callable[[], Awaitable[calls.Result | None]]]] = {
            "AuthorizePayment": [self._intent_named, self._intent_listed, self._intent_searched],
            "CapturePayment": [self._step],
            "IncrementAuthorization": [self._step],
            "VoidPayment": [self._void],
            "RefundPayment": [self._refund],
            "CreateCustomer": [self._customer_listed],
            "UpdateCustomer": [self._customer_named],
            "AttachPaymentMethod": [self._method_listed],
            "DetachPaymentMethod": [self._detached],
            "SetDefaultPaymentMethod": [self._default],
            "CreatePlan": [self._price_by_key],
            "ArchivePlan": [self._price_named],
            "CreateSubscription": [self._subscription_listed],
            "ChangeSubscription": [self._subscription_named],
            "CancelSubscription": [self._subscription_named],
            "ReactivateSubscription": [self._subscription_named],
            "CreateCheckout": [self._session_listed],
            "ExpireCheckout": [self._session_named],
            "SubmitEvidence": [self._dispute_named],
            "AcceptDispute": [self._dispute_closed],
        }
        if method in by_method:
            return by_method[method]
        # Without a method the mark itself says what it was.
        return [self._intent_named, self._step, self._refund, self._intent_searched]

    # Payments ------------------------------------------------------------------

    async def _intent_named(self) -> calls.Result | None:
        reply = await self._intent()
        return self._made(reply) if reply is not None else None

    async def _intent_listed(self) -> calls.Result | None:
        async for reply in self._all(
            self._account.api.payment_intents.list_async,
            self._window() | {"expand": ["data.latest_charge"]},
        ):
            if (found := self._made(reply)) is not None:
                return found
        return None

    async def _intent_searched(self) -> calls.Result | None:
        query = f'metadata["{marks.OPERATION}"]:"{self._id}"'
        page = await self._read(
            lambda: self._account.api.payment_intents.search_async(
                {"query": query, "limit": 1, "expand": ["data.latest_charge"]}
            )
        )
        for told in page.told.get("data") or []:
            if (found := self._made(calling.Reply(told, page.at_s))) is not None:
                return found
        return None

    def _made(self, reply: calling.Reply) -> calls.Result | None:
        if not self._carries(reply):
            return None
        if not payments.is_begun(reply.told):
            self.unbegun_id = str(reply.told["id"])
            return None
        return payments.of_intent(reply, self._id)

    async def _step(self) -> calls.Result | None:
        reply = await self._intent()
        if reply is None:
            return None
        found = payments.of_step(reply, self._id)
        # Marked and not captured: a repeat may, waiting does not.
        waits = reply.told.get("status") == "requires_capture"
        return None if waits and found.state == _O.STATE_PENDING else found

    async def _void(self) -> calls.Result | None:
        reply = await self._intent()
        if reply is None or reply.told.get("status") != "canceled":
            return None
        return payments.of_void(reply, self._id)

    async def _refund(self) -> calls.Result | None:
        if not self._hints.provider_object_id:
            return None
        of_payment = {"payment_intent": self._hints.provider_object_id}
        async for reply in self._all(self._account.api.refunds.list_async, of_payment):
            if self._carries(reply):
                return payments.of_refund(reply, self._id)
        return None

    # Customers and payment methods ----------------------------------------------

    async def _customer_listed(self) -> calls.Result | None:
        async for reply in self._all(self._account.api.customers.list_async, self._window()):
            if self._carries(reply):
                return customers.of_customer(reply, self._id)
        return None

    async def _customer_named(self) -> calls.Result | None:
        reply = await self._named(self._account.api.customers)
        if reply is None or not self._left_mark(reply):
            return None
        return customers.of_customer(reply, self._id)

    async def _method_listed(self) -> calls.Result | None:
        customer = self._hints.provider_customer_id
        if not customer:
            return None
        of_customer = {"customer": customer}
        async for reply in self._all(self._account.api.payment_methods.list_async, of_customer):
            if self._carries(reply):
                default = await self._default_of(customer)
                is_default = default == reply.told["id"]
                told = objects.payment_method(reply.told, reply.at_s, is_default=is_default)
                return answers.done(self._id, told)
        return None

    async def _detached(self) -> calls.Result | None:
        reply = await self._named(self._account.api.payment_methods)
        if reply is None or reply.told.get("customer"):
            return None
        return answers.done(self._id, objects.payment_method(reply.told, reply.at_s))

    async def _default(self) -> calls.Result | None:
        reply = await self._named(self._account.api.payment_methods)
        customer = objects.reference(reply.told.get("customer")) if reply is not None else ""
        if reply is None or not customer:
            return None
        if await self._default_of(customer) != reply.told["id"]:
            return None
        told = objects.payment_method(reply.told, reply.at_s, is_default=True)
        return answers.done(self._id, told)

    async def _default_of(self, customer_id: str) -> str:
        return await customers.default_of(self._account, self._deadline, customer_id)

    # Billing ---------------------------------------------------------------------

    async def _price_by_key(self) -> calls.Result | None:
        keyed = {"lookup_keys": [self._id]}
        async for reply in self._all(self._account.api.prices.list_async, keyed):
            if self._carries(reply):
                return answers.done(self._id, objects.plan(reply.told, reply.at_s))
        return None

    async def _price_named(self) -> calls.Result | None:
        reply = await self._named(self._account.api.prices)
        if reply is None or not self._left_mark(reply):
            return None
        return answers.done(self._id, objects.plan(reply.told, reply.at_s))

    async def _subscription_listed(self) -> calls.Result | None:
        params: dict[str, Any] = {"status": "all"}
        if self._hints.provider_customer_id:
            params["customer"] = self._hints.provider_customer_id
        else:
            params |= self._window()
        async for reply in self._all(self._account.api.subscriptions.list_async, params):
            if self._carries(reply):
                return await self._subscription(str(reply.told["id"]))
        return None

    async def _subscription_named(self) -> calls.Result | None:
        named = self._hints.provider_object_id
        reply = await self._named(self._account.api.subscriptions)
        if reply is None:
            return None
        ended = self._hints.method == "CancelSubscription" and reply.told["status"] == "canceled"
        if not self._left_mark(reply) and not ended:
            return None
        return await self._subscription(named)

    async def _subscription(self, subscription_id: str) -> calls.Result:
        reply = await self._read(
            lambda: self._account.api.subscriptions.retrieve_async(
                subscription_id, {"expand": billing.EXPANDED}
            )
        )
        found = await billing.with_invoice(self._account, self._deadline, reply)
        return answers.done(self._id, *found)

    # Checkout and disputes ----------------------------------------------------------

    async def _session_listed(self) -> calls.Result | None:
        sessions = self._account.api.checkout.sessions
        async for reply in self._all(sessions.list_async, self._window()):
            if self._carries(reply):
                return answers.done(self._id, objects.checkout(reply.told, reply.at_s))
        return None

    async def _session_named(self) -> calls.Result | None:
        reply = await self._named(self._account.api.checkout.sessions)
        if reply is None or reply.told.get("status") != "expired":
            return None
        return answers.done(self._id, objects.checkout(reply.told, reply.at_s))

    async def _dispute_named(self) -> calls.Result | None:
        reply = await self._named(self._account.api.disputes)
        if reply is None or not self._left_mark(reply):
            return None
        return answers.done(self._id, objects.dispute(reply.told, reply.at_s))

    async def _dispute_closed(self) -> calls.Result | None:
        reply = await self._named(self._account.api.disputes)
        if reply is None or reply.told.get("status") != "lost":
            return None
        return answers.done(self._id, objects.dispute(reply.told, reply.at_s))

    # Asking ------------------------------------------------------------------------

    def _carries(self, reply: calling.Reply) -> bool:
        metadata = reply.told.get("metadata") or {}
        return metadata.get(marks.OPERATION) == self._id

    def _left_mark(self, reply: calling.Reply) -> bool:
        return marks.read(reply.told.get("metadata"), self._id) is not None

    def _window(self) -> dict[str, Any]:
        """Returns when the object must have been made, for lists."""
        if not self._hints.HasField("create_time"):
            return {}
        created: dict[str, int] = {"gte": self._hints.create_time.seconds - MARGIN_S}
        if self._hints.HasField("not_after"):
            created["lte"] = self._hints.not_after.seconds + MARGIN_S
        return {"created": created}

    async def _intent(self) -> calling.Reply | None:
        return await self._named(self._account.api.payment_intents, ["latest_charge"])

    async def _named(self, resource: Any, expand: list[str] | None = None) -> calling.Reply | None:
        object_id = self._hints.provider_object_id
        if not object_id:
            return None
        params = {"expand": expand} if expand else {}
        return await self._read(lambda: resource.retrieve_async(object_id, params))

    async def _all(self, lister: Lister, params: dict[str, Any]) -> AsyncIterator[calling.Reply]:
        """Yields what a list holds, the newest first, at most PAGES_MAX pages of it."""
        wanted = params | {"limit": PAGE}
        for _ in range(PAGES_MAX):
            page = await self._read(lambda: lister(wanted))  # noqa: B023
            rows = page.told.get("data") or []
            for told in rows:
                yield calling.Reply(told, page.at_s)
            if not page.told.get("has_more") or not rows:
                return
            wanted = wanted | {"starting_after": rows[-1]["id"]}

    async def _read(self, request: Callable[[], Awaitable[Any]]) -> calling.Reply:
        return await calling.read(self._account, self._deadline, request)

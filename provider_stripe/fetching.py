"""An object as Stripe has it now, with what belongs to it.

Owns FetchObject. Called by `provider`. Never decides what core makes of it.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from payhub.provider.v1 import notice_provider_service_pb2 as nps
from payhub.provider.v1 import provider_object_pb2 as pb

from provider_sdk import errors
from provider_stripe import billing, calling, customers, disputes, objects, transport

REFUNDS_MAX = 100


class Fetch:
    """One fetch: an account, and the time it has."""

    def __init__(self, account: transport.Account, timeout_s: float) -> None:
        self._account = account
        self._deadline = calling.Deadline(timeout_s)

    async def fetch(self, reference: pb.ObjectReference) -> nps.FetchObjectResponse:
        """Returns the object and what belongs to it.

        Raises:
            NotFound: There is none.
            NotSupported: Stripe has no such kind.
        """
        fetches: Mapping[int, Callable[[str], Awaitable[list[pb.ProviderObject]]]] = {
            pb.OBJECT_KIND_PAYMENT: self._payment,
            pb.OBJECT_KIND_PAYMENT_METHOD: self._payment_method,
            pb.OBJECT_KIND_PLAN: self._plan,
            pb.OBJECT_KIND_SUBSCRIPTION: self._subscription,
            pb.OBJECT_KIND_INVOICE: self._invoice,
            pb.OBJECT_KIND_CHECKOUT: self._checkout,
            pb.OBJECT_KIND_DISPUTE: self._dispute,
        }
        fetch = fetches.get(reference.kind)
        if fetch is None:
            raise errors.NotSupported("Stripe has no objects of that kind")
        first, *related = await fetch(reference.provider_object_id)
        return nps.FetchObjectResponse(object=first, related=related)

    async def _payment(self, object_id: str, invoice_id: str = "") -> list[pb.ProviderObject]:
        api = self._account.api
        reply = await self._read(
            lambda: api.payment_intents.retrieve_async(object_id, {"expand": ["latest_charge"]})
        )
        refunds: list[calling.Json] = []
        charge = reply.told.get("latest_charge")
        if isinstance(charge, Mapping) and int(charge.get("amount_refunded") or 0):
            wanted = {"payment_intent": object_id, "limit": REFUNDS_MAX}
            page = await self._read(lambda: api.refunds.list_async(wanted))
            refunds = list(page.told.get("data") or [])
        return [objects.payment(reply.told, reply.at_s, refunds=refunds, invoice_id=invoice_id)]

    async def _payment_method(self, object_id: str) -> list[pb.ProviderObject]:
        return [await customers.standing(self._account, self._deadline, object_id)]

    async def _plan(self, object_id: str) -> list[pb.ProviderObject]:
        reply = await self._read(lambda: self._account.api.prices.retrieve_async(object_id))
        return [objects.plan(reply.told, reply.at_s)]

    async def _subscription(self, object_id: str) -> list[pb.ProviderObject]:
        reply = await self._read(
            lambda: self._account.api.subscriptions.retrieve_async(
                object_id, {"expand": billing.EXPANDED}
            )
        )
        return await billing.with_invoice(self._account, self._deadline, reply)

    async def _invoice(self, object_id: str) -> list[pb.ProviderObject]:
        reply = await self._read(
            lambda: self._account.api.invoices.retrieve_async(
                object_id, {"expand": billing.INVOICE_EXPANDED}
            )
        )
        intent = await billing.paying(self._account, self._deadline, reply.told)
        found = [objects.invoice(reply.told, reply.at_s, intent=intent.told if intent else None)]
        if intent is not None:
            found.append(objects.payment(intent.told, intent.at_s, invoice_id=object_id))
        return found

    async def _checkout(self, object_id: str) -> list[pb.ProviderObject]:
        reply = await self._read(
            lambda: self._account.api.checkout.sessions.retrieve_async(object_id)
        )
        found = [objects.checkout(reply.told, reply.at_s)]
        if payment_id := objects.reference(reply.told.get("payment_intent")):
            (payment,) = await self._payment(payment_id)
            payment.payment.provider_checkout_id = object_id
            found.append(payment)
        if subscription_id := objects.reference(reply.told.get("subscription")):
            found += await self._subscription(subscription_id)
        return found

    async def _dispute(self, object_id: str) -> list[pb.ProviderObject]:
        reply = await self._read(
            lambda: self._account.api.disputes.retrieve_async(
                object_id, {"expand": disputes.EXPANDED}
            )
        )
        return [objects.dispute(reply.told, reply.at_s)]

    async def _read(self, request: Callable[[], Awaitable[Any]]) -> calling.Reply:
        return await calling.read(self._account, self._deadline, request)

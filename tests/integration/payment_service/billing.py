"""A payment service with a provider that keeps methods and bills, and a caller of it.

Owns putting them together on one database and calling the services of mirrored entities.
Called by their tests. Every transaction is run twice, so that none depends on its run.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any

from payhub.payments.v1 import invoice_service_pb2 as invoices_pb
from payhub.payments.v1 import mirror_pb2
from payhub.payments.v1 import payment_method_service_pb2 as methods_pb
from payhub.payments.v1 import plan_service_pb2 as plans_pb
from payhub.payments.v1 import subscription_service_pb2 as subscriptions_pb

from payment_service.domain import bindings, model
from payment_service.provider_client import seeing
from payment_service.usecases.mirrors import fetching
from tests.integration.payment_service import inside, records, rehearsing, rig, upstream

PaymentMethod = methods_pb.PaymentMethod
Plan = plans_pb.Plan
Subscription = subscriptions_pb.Subscription


@dataclass(frozen=True, slots=True, kw_only=True)
class Billing:
    """The service, its provider, its tables."""

    service: inside.InProcess
    bank: upstream.Upstream
    records: records.Records

    @property
    def caller(self) -> rig.Caller:
        """Who calls."""
        return self.service.caller

    @contextlib.asynccontextmanager
    async def stranger(self) -> AsyncIterator["Billing"]:
        """Returns the same service as another tenant calls it."""
        _, secret = await self.service.parts.keys.create(
            tenant_id="t-other", scopes=rig.PAY, name="k"
        )
        async with rig.Caller(self.caller.target, secret, "t-other") as caller:
            service = inside.InProcess(parts=self.service.parts, caller=caller)
            yield replace(self, service=service)

    async def customer(self) -> rig.Customer:
        """Returns a customer whom the provider knows."""
        made = await self.caller.create_customer(name="Ada", user_id="u-1")
        assert rig.state(made) == "SYNCED"
        return made

    async def attach(self, customer_id: str, key: str = "", **fields: Any) -> PaymentMethod:
        """Attaches a payment method."""
        request = methods_pb.AttachPaymentMethodRequest(
            idempotency_key=key or rig.new_key(),
            customer_id=customer_id,
            token=fields.pop("token", "tok_visa"),
            **fields,
        )
        answer = await self.caller.call(self.caller.methods.AttachPaymentMethod, request)
        method: PaymentMethod = answer.payment_method
        return method

    async def change_method(self, rpc: str, method_id: str, key: str = "") -> PaymentMethod:
        """Calls SetDefaultPaymentMethod or DetachPaymentMethod."""
        request = getattr(methods_pb, f"{rpc}Request")(
            idempotency_key=key or rig.new_key(), payment_method_id=method_id
        )
        answer = await self.caller.call(getattr(self.caller.methods, rpc), request)
        method: PaymentMethod = answer.payment_method
        return method

    async def method(self, method_id: str) -> PaymentMethod:
        """Returns a payment method."""
        request = methods_pb.GetPaymentMethodRequest(payment_method_id=method_id)
        answer = await self.caller.call(self.caller.methods.GetPaymentMethod, request)
        method: PaymentMethod = answer.payment_method
        return method

    async def methods(
        self, customer_id: str, **fields: Any
    ) -> methods_pb.ListPaymentMethodsResponse:
        """Returns one page of a customer's payment methods."""
        request = methods_pb.ListPaymentMethodsRequest(customer_id=customer_id, **fields)
        answer: methods_pb.ListPaymentMethodsResponse = await self.caller.call(
            self.caller.methods.ListPaymentMethods, request
        )
        return answer

    async def ask(self, rpc: str, key: str = "", **fields: Any) -> Any:
        """Calls an RPC of plans, subscriptions or invoices by its name; returns what it is
        about, or the page of a list.
        """
        caller = self.caller
        stub, module = next(
            (stub, module)
            for stub, module in (
                (caller.plans, plans_pb),
                (caller.subscriptions, subscriptions_pb),
                (caller.invoices, invoices_pb),
            )
            if hasattr(module, f"{rpc}Request")
        )
        request = getattr(module, f"{rpc}Request")(**fields)
        if "idempotency_key" in request.DESCRIPTOR.fields_by_name:
            request.idempotency_key = key or rig.new_key()
        answer = await self.caller.call(getattr(stub, rpc), request)
        if rpc.startswith("List"):
            return answer
        (field,) = answer.DESCRIPTOR.fields
        return getattr(answer, field.name)

    async def plan(self, amount_minor: int = 900, currency: str = "EUR", **fields: Any) -> Plan:
        """Creates a monthly plan."""
        fields.setdefault("name", "Gold")
        fields.setdefault("interval", Plan.INTERVAL_MONTH)
        made: Plan = await self.ask(
            "CreatePlan", amount=rig.money(amount_minor, currency), **fields
        )
        return made

    async def subscribe(self, customer_id: str, plan_id: str, **fields: Any) -> Subscription:
        """Creates a subscription."""
        made: Subscription = await self.ask(
            "CreateSubscription", customer_id=customer_id, plan_id=plan_id, **fields
        )
        return made

    async def subscription(self, subscription_id: str) -> Subscription:
        """Returns a subscription."""
        found: Subscription = await self.ask("GetSubscription", subscription_id=subscription_id)
        return found

    async def story(self, subscription_id: str) -> list[str]:
        """Returns the types of a subscription's events, while more of them may come in."""
        while True:
            found = await self.subscription(subscription_id)
            try:
                return self.records.story(found)
            except AssertionError:
                if (await self.subscription(subscription_id)).version == found.version:
                    raise

    async def becomes(self, subscription_id: str, wanted: str) -> Subscription:
        """Returns a subscription once it is in step, in a state."""

        async def there() -> Subscription | None:
            found = await self.subscription(subscription_id)
            done = sync(found) in ("SYNCED", "FAILED")
            return found if done and rig.state(found) == wanted else None

        found: Subscription = await rig.until(there)
        return found

    async def tell(self, *told: Any, fetched: bool = False) -> list[str]:
        """Has the service absorb objects as a webhook would; returns the verdicts."""
        ctx = self.service.parts.ctx
        absorbed = await fetching.Fetcher(ctx).absorb(
            "mock",
            [seeing.read(one) for one in told],
            tenant_id=self.caller.tenant,
            binding_id=bindings.binding_id(self.caller.tenant, "mock"),
            cause=model.Cause(actor="webhook"),
            fetched=fetched,
        )
        return [one.verdict.value for one in absorbed]

    async def settles(self, method_id: str, wanted: str) -> PaymentMethod:
        """Returns a payment method once it is in step, in a state."""

        async def there() -> PaymentMethod | None:
            found = await self.method(method_id)
            done = sync(found) in ("SYNCED", "FAILED")
            return found if done and rig.state(found) == wanted else None

        found: PaymentMethod = await rig.until(there)
        return found


def sync(entity: Any) -> str:
    """Returns the name of the sync state of a mirrored entity."""
    name = mirror_pb2.SyncState.Name(entity.mirror.sync_state)
    return name.removeprefix("SYNC_STATE_")


@contextlib.asynccontextmanager
async def running(
    database_url: str, *, rehearsed: bool = True, **changes: Any
) -> AsyncIterator[Billing]:
    """Runs a service and its provider on an empty database.

    Rehearsed, every transaction runs twice and one after the other.
    """
    # Long enough for a doubt to be seen before it is looked up.
    changes.setdefault("resolver_doubt_first_s", 0.5)
    if rehearsed:
        changes["wrap"] = rehearsing.Rehearsing
    async with (
        upstream.Upstream() as bank,
        inside.running(database_url, bank.target, **changes) as service,
    ):
        await inside.connected(service)
        stored = records.Records(database_url)
        try:
            yield Billing(service=service, bank=bank, records=stored)
        finally:
            await asyncio.to_thread(stored.close)

"""A payment service with a provider that keeps methods and bills, and a caller of it.

Owns putting them together on one database and calling the services of mirrored entities.
Called by their tests. Every transaction is run twice, so that none depends on its run.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from payhub.payments.v1 import mirror_pb2
from payhub.payments.v1 import payment_method_service_pb2 as methods_pb

from tests.integration.payment_service import inside, records, rig, test_purity, upstream

PaymentMethod = methods_pb.PaymentMethod


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
async def running(database_url: str, **changes: Any) -> AsyncIterator[Billing]:
    """Runs a service and its provider on an empty database."""
    async with (
        upstream.Upstream() as bank,
        inside.running(
            database_url, bank.target, wrap=test_purity.Rehearsing, **changes
        ) as service,
    ):
        await inside.connected(service)
        stored = records.Records(database_url)
        try:
            yield Billing(service=service, bank=bank, records=stored)
        finally:
            await asyncio.to_thread(stored.close)

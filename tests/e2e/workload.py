"""What callers do while processes are killed under them.

Owns the stories: sales, captures in parts, refunds, cancellations, customers,
each step with a key of its own that survives every crash. Called by the crash
tests. Callers act as the client's guide tells them: same key until answered,
never a new one, and they read the state instead of guessing it.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from payhub.payments.v1 import customer_service_pb2, payment_pb2

import payhub_client
from payhub_client import errors

T = TypeVar("T")

PATIENCE_S = 45.0
POLL_S = 0.05
_AGAIN = (
    errors.DeadlineExceeded,
    errors.KeyInFlight,
    errors.OutcomeUnknown,
    errors.RateLimited,
    errors.Unavailable,
)
_P = payment_pb2.Payment
_O = payment_pb2.Operation
_C = customer_service_pb2.Customer
_OPEN = frozenset(
    {_O.STATE_IN_FLIGHT, _O.STATE_PENDING, _O.STATE_REQUIRES_ACTION, _O.STATE_IN_DOUBT}
)


async def insist(call: Callable[[], Awaitable[T]]) -> T:
    """Repeats *call* until it is answered, for PATIENCE_S at most."""
    deadline_s = time.monotonic() + PATIENCE_S
    while True:
        try:
            return await call()
        except _AGAIN:
            if time.monotonic() > deadline_s:
                raise
            await asyncio.sleep(POLL_S)


class Caller:
    """A service that pays, and remembers every call it has made.

    Args:
        client: Talks to the installation.
        name: Begins every idempotency key, so that no two callers share one.
        secrets: Gets every text that callers must keep to themselves.
    """

    def __init__(self, client: payhub_client.Client, name: str, secrets: set[str]) -> None:
        self._client = client
        self._name = name
        self._secrets = secrets
        self._made: list[tuple[Callable[[], Awaitable[Any]], str]] = []

    async def everything(self) -> None:
        """Lets every story happen at once."""
        await asyncio.gather(
            self.sell_and_refund(),
            self.capture_in_parts(),
            self.cancel_authorized(),
            self.pay_after_decline(),
            self.sell_to_customer(),
            self.wait_for_settlement(),
            self.cancel_before_action(),
            self.use_unknown_method(),
        )

    async def connect(self) -> None:
        """Pays until one succeeds: on a busy machine a provider that has just been started
        is not reached at once, and what is not reached fails with nothing sent.
        """
        times = 0
        state = _P.STATE_FAILED
        async with asyncio.timeout(PATIENCE_S):
            while state != _P.STATE_SUCCEEDED:
                times += 1
                state = (await self.pay(f"connect-{times}", 100, "EUR")).state

    async def a_little(self) -> None:
        """Lets what takes no time happen at once."""
        await asyncio.gather(self.sell_and_refund(), self.capture_in_parts())

    async def lose_answers(self) -> None:
        """Lets the provider itself lose answers."""
        await asyncio.gather(self.capture_in_doubt(), self.cancel_in_doubt())

    async def repeat_everything(self) -> None:
        """Makes each call once more with its key; fails if it makes anything new."""
        for call, resource_id in self._made:
            again = await insist(call)
            assert again.id == resource_id, f"{resource_id} was made again as {again.id}"

    async def sell_and_refund(self) -> None:
        """A sale, two refunds at once, then what is left."""
        payment = await self.pay("sale", 1000, "EUR")
        if payment.state != _P.STATE_SUCCEEDED:
            return
        await asyncio.gather(
            self._refund("sale-refund-a", payment, 300),
            self._refund("sale-refund-b", payment, 200),
        )
        payment = await self.settled(payment.id)
        if payment.amounts.refunded_minor < payment.amounts.captured_minor:
            await self._refund("sale-refund-rest", payment, None)
            await self.settled(payment.id)

    async def capture_in_parts(self) -> None:
        """An authorization, a part of it, the rest, and some of that back."""
        payment = await self.pay("parts", 5000, "JPY", manual_capture=True)
        if payment.state != _P.STATE_AUTHORIZED:
            return
        await self._capture("parts-first", payment, 2000, more_to_follow=True)
        payment = await self.settled(payment.id)
        await self._capture("parts-rest", payment, None)
        payment = await self.settled(payment.id)
        if payment.amounts.captured_minor:
            await self._refund("parts-refund", payment, payment.amounts.captured_minor)
            await self.settled(payment.id)

    async def cancel_authorized(self) -> None:
        """An authorization that is released."""
        payment = await self.pay("cancel", 12_345, "KWD", manual_capture=True)
        await self._cancel("cancel-it", payment)
        await self.settled(payment.id)

    async def pay_after_decline(self) -> None:
        """A decline, then another method."""
        payment = await self.pay("retry", 777, "USD", "tok_decline_insufficient_funds")
        await self._call(
            "retry-confirm",
            lambda key: self._client.payments.confirm(
                payment.id, payment_method="tok_approve", idempotency_key=key
            ),
        )
        await self.settled(payment.id)

    async def sell_to_customer(self) -> None:
        """A customer who is made, renamed and pays."""
        made: _C = await self._call(
            "customer",
            lambda key: self._client.customers.create(
                name="Ada", email="ada@example.com", idempotency_key=key
            ),
        )
        await self._customer_settled(made.id)
        await self._call(
            "customer-update",
            lambda key: self._client.customers.update(made.id, name="Eva", idempotency_key=key),
        )
        await self._customer_settled(made.id)
        await self.pay("customer-sale", 4200, "EUR", customer_id=made.id)

    async def wait_for_settlement(self) -> None:
        """A sale that the provider settles later."""
        await self.pay("pending", 900, "GBP", "tok_pending_then_settled")

    async def cancel_before_action(self) -> None:
        """A payment that is canceled instead of being agreed to."""
        payment = await self._create("action", 1500, "EUR", "tok_action_required")
        payment = await self.settled(payment.id, but_for=_O.STATE_REQUIRES_ACTION)
        if payment.action.redirect_url:
            self._secrets.add(payment.action.redirect_url.rpartition("/")[2])
        times = 0
        # A cancellation that did not reach the provider is over; the next one has its own key.
        while payment.state != _P.STATE_CANCELED:
            times += 1
            await self._cancel(f"action-cancel-{times}", payment)
            payment = await self.settled(payment.id, but_for=_O.STATE_REQUIRES_ACTION)

    async def use_unknown_method(self) -> None:
        """A payment method that nobody else may ever see is declined."""
        method = f"tok_secret_of_{self._name}"
        self._secrets.add(method)
        await self.pay("unknown", 100, "EUR", method)

    async def capture_in_doubt(self) -> None:
        """Authorization and capture take effect, and both answers are lost."""
        method = "tok_drop_after_commit+capture.drop_after_commit"
        payment = await self.pay("doubt", 3000, "EUR", method, manual_capture=True)
        if payment.state == _P.STATE_AUTHORIZED:
            await self._capture("doubt-capture", payment, None)
            await self.settled(payment.id)

    async def cancel_in_doubt(self) -> None:
        """A payment that is canceled while nobody knows its outcome."""
        payment = await self._create(
            "doubt-cancel", 2500, "EUR", "tok_no_answer", manual_capture=True
        )
        await self._cancel("doubt-cancel-it", payment)
        await self.settled(payment.id)

    async def pay(
        self,
        step: str,
        amount_minor: int,
        currency: str,
        method: str = "tok_approve",
        **more: Any,
    ) -> payment_pb2.Payment:
        """Creates a payment and waits until its outcome is known."""
        created = await self._create(step, amount_minor, currency, method, **more)
        return await self.settled(created.id)

    async def settled(self, payment_id: str, *, but_for: int = 0) -> payment_pb2.Payment:
        """Waits until nothing of a payment is open any more, *but_for* operations in one state."""
        waited_for = _OPEN - {but_for}
        async with asyncio.timeout(PATIENCE_S):
            while True:
                payment = await self._get(payment_id)
                is_open = any(operation.state in waited_for for operation in payment.operations)
                if not is_open and not payment.cancel_requested:
                    return payment
                await asyncio.sleep(POLL_S)

    async def _customer_settled(self, customer_id: str) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while True:
                customer = await insist(lambda: self._client.customers.get(customer_id))
                if customer.sync_state in (_C.SYNC_STATE_SYNCED, _C.SYNC_STATE_FAILED):
                    return
                await asyncio.sleep(POLL_S)

    async def _get(self, payment_id: str) -> payment_pb2.Payment:
        return await insist(lambda: self._client.payments.get(payment_id))

    async def _create(
        self, step: str, amount_minor: int, currency: str, method: str, **more: Any
    ) -> payment_pb2.Payment:
        payment: payment_pb2.Payment = await self._call(
            step,
            lambda key: self._client.payments.create(
                amount_minor=amount_minor,
                currency=currency,
                payment_method=method,
                order_id=f"{self._name}-{step}",
                idempotency_key=key,
                **more,
            ),
        )
        return payment

    async def _capture(
        self,
        step: str,
        payment: payment_pb2.Payment,
        amount_minor: int | None,
        *,
        more_to_follow: bool = False,
    ) -> None:
        currency = payment.amount.currency_code if amount_minor else ""
        await self._call(
            step,
            lambda key: self._client.payments.capture(
                payment.id,
                amount_minor=amount_minor,
                currency=currency,
                more_to_follow=more_to_follow,
                idempotency_key=key,
            ),
        )

    async def _refund(
        self, step: str, payment: payment_pb2.Payment, amount_minor: int | None
    ) -> None:
        currency = payment.amount.currency_code if amount_minor else ""
        await self._call(
            step,
            lambda key: self._client.refunds.create(
                payment.id, amount_minor=amount_minor, currency=currency, idempotency_key=key
            ),
        )

    async def _cancel(self, step: str, payment: payment_pb2.Payment) -> None:
        await self._call(
            step, lambda key: self._client.payments.cancel(payment.id, idempotency_key=key)
        )

    async def _call(self, step: str, call: Callable[[str], Awaitable[Any]]) -> Any:
        key = f"{self._name}-{step}"
        made = await insist(lambda: call(key))
        self._made.append((lambda: call(key), made.id))
        return made

"""A provider that is paid with kept payment methods, and a clock that can be moved on.

Owns how payments end there: as scripted, one after the other. Called by the tests of
payments off session, retries, refunds made elsewhere, checkouts and disputes.
"""

import asyncio
import contextlib
import sqlite3
import time
from collections.abc import AsyncIterator
from typing import Any

import grpc
import psycopg
from google.protobuf import duration_pb2
from payhub.payments.v1 import payment_pb2
from payhub.payments.v1 import payment_service_pb2 as payments_pb
from payhub.payments.v1 import retry_policy_service_pb2 as retries_pb
from payhub.plugin.v1 import capability_pb2
from payhub.provider.v1 import operation_pb2, provider_object_pb2
from payhub.provider.v1 import payment_provider_service_pb2 as pb

from servicekit import clock as clocks
from tests.integration.payment_service import (
    billing,
    inside,
    records,
    rehearsing,
    rig,
    sidecars,
    upstream,
)

_O = operation_pb2.Operation
CAPABILITIES = (
    *upstream.CAPABILITIES,
    capability_pb2.CAPABILITY_VOID,
    capability_pb2.CAPABILITY_PARTIAL_REFUND,
    capability_pb2.CAPABILITY_OFF_SESSION,
    capability_pb2.CAPABILITY_SAVE_PAYMENT_METHOD,
)
# (reason, whether it may work later) of scripted refusals.
REFUSALS = {
    "soft": (operation_pb2.DECLINE_REASON_INSUFFICIENT_FUNDS, True),
    "hard": (operation_pb2.DECLINE_REASON_INSTRUMENT_INVALID, False),
    "absent": (operation_pb2.DECLINE_REASON_AUTHENTICATION_FAILED, False),
}


class Clock(clocks.SystemClock):
    """The machine's clock, moved on as told."""

    __slots__ = ("ahead_us",)

    def __init__(self) -> None:
        self.ahead_us = 0

    def now_us(self) -> int:
        """Return the machine's time and what it was moved on by."""
        return super().now_us() + self.ahead_us

    def advance(self, seconds: float) -> None:
        """Moves on."""
        self.ahead_us += round(seconds * 1_000_000)


class Payer(upstream.Upstream):
    """Ends payments as `script["AuthorizePayment"]` says: a name of REFUSALS, `drop`,
    `not_sent`, `hang`; else they succeed.
    """

    def __init__(self, capabilities: Any = CAPABILITIES) -> None:
        super().__init__(capabilities)
        self.asked_for: list[pb.AuthorizePaymentRequest] = []

    async def AuthorizePayment(
        self, request: pb.AuthorizePaymentRequest, context: Any
    ) -> pb.AuthorizePaymentResponse:
        """Takes the money, or not."""
        self.asked_for.append(request)
        how = self.script["AuthorizePayment"].pop(0) if self.script["AuthorizePayment"] else ""
        operation_id = request.context.operation_id
        if how == "not_sent":
            await sidecars.away(context)
        if how == "hang" and self.answers is not None:
            await self.answers.wait()
        operation = _O(operation_id=operation_id, amount=request.amount)
        told: list[provider_object_pb2.ProviderObject] = []
        if how in REFUSALS:
            reason, later = REFUSALS[how]
            operation.state = _O.STATE_DECLINED
            operation.decline.reason = reason
            operation.decline.retryable_later = later
        else:
            operation.state = _O.STATE_SUCCEEDED
            operation.provider_object_id = self.new_id("pay")
            self.effects.append(("AuthorizePayment", operation_id))
            if request.save_payment_method:
                told.append(self._keep(request))
        self._done[operation_id] = (operation, told)
        if how == "drop":
            await context.abort(grpc.StatusCode.UNAVAILABLE, "gone")
        return pb.AuthorizePaymentResponse(operation=operation, objects=told)

    def made_by(self, operation_id: str) -> str:
        """Returns the identifier of what an operation has made."""
        return self._done[operation_id][0].provider_object_id

    def _keep(self, request: pb.AuthorizePaymentRequest) -> Any:
        return self.put(
            self.new_id("pm"),
            operation_id=request.context.operation_id,
            payment_method={
                "provider_customer_id": request.provider_customer_id,
                "type": "card",
                "card": provider_object_pb2.CardDetails(brand="visa", last4="1881"),
            },
        )


class Paying(billing.Billing):
    """The service, its provider, its tables, and time."""

    bank: Payer

    async def pay(self, method: billing.PaymentMethod, key: str = "", **fields: Any) -> rig.Payment:
        """Pays off session with a kept payment method."""
        fields.setdefault("off_session", True)
        request = payments_pb.CreatePaymentRequest(
            idempotency_key=key or rig.new_key(),
            amount=rig.money(1000),
            payment_method_id=method.id,
            references=payment_pb2.References(customer_id=method.customer_id),
            confirm=True,
            **fields,
        )
        payment: rig.Payment = (
            await self.caller.call(self.caller.payments.CreatePayment, request)
        ).payment
        return payment

    async def set_policy(self, *delays_s: int) -> retries_pb.RetryPolicy:
        """Sets the tenant's retry policy."""
        policy = retries_pb.RetryPolicy(
            delays=[duration_pb2.Duration(seconds=each) for each in delays_s]
        )
        answer = await self.caller.call(
            self.caller.retries.SetRetryPolicy, retries_pb.SetRetryPolicyRequest(policy=policy)
        )
        found: retries_pb.RetryPolicy = answer.policy
        return found

    def outcomes(self, payment: rig.Payment) -> list[str]:
        """Returns the state of every operation, and checks that events tell it all."""
        self.records.story(payment)
        return [state for _, state in rig.operations(payment)]


def make_retries_due(url: str) -> None:
    """Makes every waiting try due now: no policy is that fast."""
    due_us = time.time_ns() // 1000
    sql = f"update payments set next_retry_us = {due_us} where next_retry_us > 0"
    if url.startswith("sqlite"):
        with contextlib.closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as file:
            file.execute(sql)
            file.commit()
        return
    with psycopg.connect(url, autocommit=True) as session:
        session.execute(sql.encode())


@contextlib.asynccontextmanager
async def running(
    database_url: str, clock: Clock, bank: Payer | None = None, **changes: Any
) -> AsyncIterator[Paying]:
    """Runs a service and its provider on an empty database."""
    async with (
        bank or Payer() as payer,
        inside.running(
            database_url, payer.target, wrap=rehearsing.Rehearsing, clock=clock, **changes
        ) as service,
    ):
        await inside.connected(service)
        stored = records.Records(database_url)
        try:
            yield Paying(service=service, bank=payer, records=stored)
        finally:
            await asyncio.to_thread(stored.close)

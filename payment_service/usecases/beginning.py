"""Beginning: the first transaction of every change of an existing payment.

Owns committing an intent together with the caller's idempotency key, under the
payment's lock. Called by `driving` and by the use cases of refunds. Never calls a
provider; the rule comes from the domain through `decide`.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from payment_service.db import idempotency, payments
from payment_service.domain import bindings, changes, model
from payment_service.usecases import changing, context, events, intents
from servicekit import storage


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """What the first transaction found or wrote."""

    payment: model.Payment | None = None
    operation: model.Operation | None = None
    refusal: changes.Refusal | None = None
    found: idempotency.Found | None = None


Decide = Callable[[model.Payment], changes.Change | changes.Refusal]


async def begin(
    ctx: context.Context,
    caller: context.Caller,
    request: intents.Request,
    payment_id: str,
    operation_id: str,
    decide: Decide,
    resource_id: str = "",
    takes: bindings.Counted | None = None,
) -> Begun:
    """Commits an intent on an existing payment together with the caller's key.

    Args:
        ctx: What lies outside.
        caller: Who asks.
        request: RPC, key and fingerprint.
        payment_id: Which payment is locked.
        operation_id: The operation that *decide* may make.
        decide: The rule; gets the payment as locked.
        resource_id: What the key stands for, if not the payment.
        takes: What the operation takes from a daily limit.

    Raises:
        daily_limits.DayIsFull: The day's limit does not hold it; nothing is written.
    """
    now_us = ctx.clock.now_us()
    ids = context.fresh_ids(ctx.new_id)
    claim = intents.claim(
        ctx,
        caller,
        request,
        resource_id=resource_id or payment_id,
        operation_id=operation_id,
        now_us=now_us,
    )

    def write(conn: storage.Connection) -> Begun:
        payment = payments.load(conn, caller.tenant_id, payment_id, lock=True)
        found = idempotency.find(conn, caller.tenant_id, request.rpc, request.key)
        if found is not None:
            return Begun(found=found)
        if payment is None:
            raise LookupError(f"{payment_id} vanished")
        change = decide(payment)
        if isinstance(change, changes.Refusal):
            return Begun(refusal=change)
        entries = events.of_change(change, caller.cause(request.key), ids())
        batch = [
            (idempotency.CLAIM, idempotency.params(claim)),
            *changing.batch(change, entries),
        ]
        if not changing.write_if_first(conn, batch, takes):
            return Begun(found=idempotency.find(conn, caller.tenant_id, request.rpc, request.key))
        written = replace(change.payment, revision=change.payment.revision + 1)
        return Begun(payment=written, operation=change.new_operation)

    return await ctx.db.write(write)

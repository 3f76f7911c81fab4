"""Daily limits: what an intent takes from its binding's day, and what it gives back.

Owns the statements that are added to the transactions of intents and outcomes. Called by
the use cases of payments. Where no daily limit is set, nothing is added.
"""

import asyncio
from collections.abc import Sequence

from payment_service.db import usage
from payment_service.domain import bindings, model, routing
from payment_service.usecases import context, refusals
from servicekit import errors, loop, storage

# Long enough for every operation that could still give something back to be settled.
KEEP_DAYS = 40
PRUNE_EVERY_S = 3600.0
_DAY_US = 86_400_000_000

Batch = list[tuple[storage.Statement, storage.Params]]


class DayIsFull(Exception):
    """An intent does not fit what is left of its day: its transaction rolls back.

    Args:
        counted: What did not fit.
    """

    def __init__(self, counted: bindings.Counted) -> None:
        super().__init__(f"{counted.binding_id} {counted.day} {counted.currency}")
        self.counted = counted


def counted(route: routing.Route, operation: model.Operation | None) -> bindings.Counted | None:
    """Returns what an intent takes from a daily limit, or None if there is none."""
    options = route.binding.options
    if not options.limits or operation is None:
        return None
    return bindings.counted(
        operation.binding_id,
        options,
        operation.kind,
        operation.amount_minor,
        operation.currency,
        operation.created_us,
    )


def statement(takes: bindings.Counted) -> tuple[storage.Statement, storage.Params]:
    """Returns what counts an intent, for the end of its batch; it writes nothing if the
    day does not hold it.
    """
    return usage.COUNT, usage.params(takes)


def gives_back(operations: Sequence[model.Operation]) -> Batch:
    """Returns what gives back the amounts of operations that ended without effect."""
    return [
        (
            usage.GIVE_BACK,
            usage.give_back_params(
                operation.binding_id,
                operation.counted_day,
                operation.currency,
                operation.amount_minor,
            ),
        )
        for operation in operations
        if operation.counted_day and operation.state in bindings.WITHOUT_EFFECT
    ]


async def refusal(ctx: context.Context, full: DayIsFull) -> errors.RpcError:
    """Returns the error that a full day stands for: LIMIT_EXCEEDED with what is used."""
    used_minor = await ctx.db.read(lambda conn: usage.used_minor(conn, full.counted))
    return refusals.refused(bindings.over_the_day(full.counted, used_minor))


async def prune_forever(ctx: context.Context, stop: asyncio.Event) -> None:
    """Forgets days long gone, once an hour, until *stop*."""
    ageing = storage.Ageing(ctx.db, ctx.clock, "daily_limits")

    async def once() -> int:
        before = bindings.day(bindings.UTC, await ageing.now_us() - KEEP_DAYS * _DAY_US)
        await ctx.db.write(lambda conn: usage.prune(conn, before))
        return 0

    await loop.run_forever(once, idle_s=PRUNE_EVERY_S, stop=stop, name="daily limits")

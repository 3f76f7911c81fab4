"""Any calls in any order: what Payhub says is true, and is what the bank has booked.

A seed decides what is asked for and what the bank does; a failure names it.
"""

import asyncio
import functools
import pathlib
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import grpc
import pytest
from payhub.payments.v1 import payment_pb2

from tests import invariants, stored
from tests.integration.payment_service import banking, inside, paying, records, rig, witness

P, O = payment_pb2.Payment, payment_pb2.Operation  # noqa: E741
SEEDS = (1, 2)
STEPS = 150
WEIGHTS = {"create": 4, "act": 20, "repeat": 3, "list": 3, "wait": 2}
ACTIONS = ("CONFIRM", "CAPTURE", "CANCEL", "REFUND", "INCREMENT")
# What the bank does with a payment, and later with what is done to it.
FIRST = (
    *("approve", "approve", "approve", "approve", "approve", "approve", "approve"),
    *("action_required", "pending_then_settled", "pending_then_declined", "not_sent"),
    *("decline_insufficient_funds", "no_answer", "drop_before_commit", "drop_after_commit"),
)
LATER = (
    *("approve", "pending_then_settled", "pending_then_declined", "decline_other"),
    *("not_sent", "no_answer", "drop_before_commit", "drop_after_commit"),
)
# By which everything has ended that ends by itself: actions of payers expire last.
END_S = 1_000.0


def may(payment: rig.Payment) -> dict[str, int]:
    """Returns what a caller may do with a payment and up to which amount, as DESIGN says."""
    sums, state = payment.amounts, payment.state
    waiting = [one for one in payment.operations if one.state in invariants.OPEN]
    kinds = {one.kind for one in waiting}
    idle = not kinds & {O.KIND_CAPTURE, O.KIND_VOID, O.KIND_INCREMENT}
    found: dict[str, int] = {}
    if state in (P.STATE_CREATED, P.STATE_FAILED):
        return {"CONFIRM": 0, "CANCEL": 0}
    if state in (P.STATE_PROCESSING, P.STATE_REQUIRES_ACTION, P.STATE_IN_DOUBT):
        return {} if payment.cancel_requested or O.KIND_VOID in kinds else {"CANCEL": 0}
    if state == P.STATE_AUTHORIZED and idle:
        found["CANCEL"] = 0
        left = sums.authorized_minor - sums.captured_minor - sums.capture_pending_minor
        if left and not payment.cancel_requested:
            found["CAPTURE"] = left
        if not sums.captured_minor and not payment.cancel_requested:
            found["INCREMENT"] = 0
    left = sums.captured_minor - sums.refunded_minor - sums.refund_pending_minor
    return found | ({"REFUND": left} if left else {})


def rests(payment: rig.Payment) -> bool:
    """Whether nothing of a payment changes by itself."""
    waits = any(one.state in invariants.OPEN for one in payment.operations)
    return not waits and not payment.cancel_requested


class Shop:
    """Whoever calls, by chance, and checks every answer.

    Args:
        caller: The connection.
        clock: Core's and the bank's.
        chance: Decides everything.
    """

    def __init__(self, caller: rig.Caller, clock: paying.Clock, chance: random.Random) -> None:
        self._caller = caller
        self._clock = clock
        self._chance = chance
        self._made: list[tuple[Callable[[], Awaitable[Any]], str]] = []
        self.payments: list[str] = []

    async def step(self) -> None:
        """Does something."""
        (name,) = self._chance.choices(list(WEIGHTS), list(WEIGHTS.values()))
        await getattr(self, name if self.payments else "create")()

    async def create(self) -> None:
        """Creates a payment, mostly confirmed at once."""
        confirmed = self._chance.random() < 0.8
        payment = await self._call(
            self._caller.create,
            token=self._token() if confirmed else "",
            amount_minor=self._chance.choice((1, 1_000, 70_000)),
            manual=self._chance.random() < 0.7,
            confirm=confirmed,
        )
        self.payments.append(payment.id)

    async def act(self) -> None:
        """Does something to a payment that is allowed, or not."""
        payment = await self.show(self._chance.choice(self.payments[-5:]))
        possible = may(payment)
        known = sorted(possible) if possible and self._chance.random() < 0.8 else ACTIONS
        action = self._chance.choice(known)
        most = possible.get(action, 0)
        amount = self._chance.choice((None, 1, most // 3 + 1, most, most + 1)) or None
        fits = action not in ("CAPTURE", "REFUND") or amount is None or amount <= most
        expected = action in possible and fits
        refused: rig.Refused | None = None
        try:
            await self._do(action, payment.id, amount)
        except rig.Refused as error:
            refused = error
            assert refused.code is grpc.StatusCode.FAILED_PRECONDITION, refused
            assert refused.reason in ("STATE_CONFLICT", "AMOUNT_EXCEEDED"), refused
        # What is under way may have ended meanwhile.
        accepted = refused is None
        assert accepted == expected or not rests(payment), (action, amount, refused, payment)

    async def repeat(self) -> None:
        """Makes a call again with its key."""
        call, made = self._chance.choice(self._made)
        assert (await call()).id == made

    async def list(self) -> None:
        """Reads lists, which say what reading each payment says."""
        before = await self._pages()
        shown = [await self.show(one.id) for one in before]
        after = await self._pages()
        wanted = sorted(self.payments, reverse=True)
        assert [one.id for one in before] == [one.id for one in after] == wanted
        for earlier, one, later in zip(before, shown, after, strict=True):
            one.ClearField("operations")
            assert earlier != later or one == earlier, (one, earlier)

    async def wait(self) -> None:
        """Lets time go by: what was pending ends."""
        self._clock.advance(self._chance.choice((1.0, banking.SETTLE_AFTER_S + 1)))

    async def show(self, payment_id: str) -> rig.Payment:
        """Returns a payment, after checking what it says of itself."""
        payment = await self._caller.get(payment_id)
        assert rig.actions(payment) == may(payment), payment
        assert payment.HasField("failure") == (payment.state == P.STATE_FAILED), payment
        assert payment.HasField("action") == (payment.state == P.STATE_REQUIRES_ACTION), payment
        return payment

    async def _do(self, action: str, payment_id: str, amount: int | None) -> None:
        caller = self._caller
        if action == "CONFIRM":
            await self._call(caller.confirm, payment_id, self._token())
        elif action == "CAPTURE":
            more = self._chance.random() < 0.6
            await self._call(caller.capture, payment_id, amount, more=more)
        elif action == "CANCEL":
            await self._call(caller.cancel, payment_id)
        elif action == "REFUND":
            await self._call(caller.refund, payment_id, amount)
        else:
            await self._call(caller.increment, payment_id, amount or 500)

    async def _call(self, method: Callable[..., Awaitable[Any]], *values: Any, **named: Any) -> Any:
        call = functools.partial(method, *values, key=rig.new_key(), **named)
        answer = await call()
        self._made.append((call, answer.id))
        return answer

    async def _pages(self) -> Sequence[rig.Payment]:
        size = self._chance.choice((3, 50))
        page = await self._caller.list(page_size=size)
        found = [*page.payments]
        while page.next_page_token:
            page = await self._caller.list(page_size=size, page_token=page.next_page_token)
            found += page.payments
        return found

    def _token(self) -> str:
        kinds = ("capture", "void", "refund", "increment")
        later = [f"{kind}.{self._chance.choice(LATER)}" for kind in kinds]
        return "tok_" + "+".join([self._chance.choice(FIRST), *later])


@pytest.mark.parametrize("seed", SEEDS)
async def test_any_order_of_calls_ends_as_the_bank_has_booked_it(
    database_url: str, tmp_path: pathlib.Path, seed: int
) -> None:
    """Exactly what is offered is accepted, whatever changes is told in its transaction, and
    nothing is open or lost in the end.
    """
    clock, ledger = paying.Clock(), tmp_path / "ledger.db"
    async with (
        banking.running(ledger, clock) as target,
        # Lost answers must not keep calls from the bank.
        inside.running(
            database_url, target, wrap=witness.Witness, clock=clock, breaker_calls_min=100_000
        ) as service,
    ):
        await inside.connected(service)
        shop = Shop(service.caller, clock, random.Random(seed))
        for _ in range(STEPS):
            await shop.step()
        clock.advance(END_S)

        async def settled() -> bool:
            left = await asyncio.to_thread(stored.unfinished, database_url)
            clock.advance(5.0)
            return not left.keys() - {"events not in the log"}

        await rig.until(settled)
        stories = records.Records(database_url)
        for payment_id in shop.payments:
            stories.story(await shop.show(payment_id))
        stories.close()
        found = await asyncio.to_thread(invariants.check, payments=database_url, ledger=ledger)
        assert not found, "\n".join(found)

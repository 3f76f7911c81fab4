"""Any commands and any reports, in any order: the rules hold after each.

A seed decides everything, and a failure names it.
"""

import collections
import copy
import random
from collections.abc import Iterator
from dataclasses import replace

import pytest

from payment_service.domain import actions, changes, commands, model, outcomes, transitions
from tests.unit.payment_service import build, expected, rules

P = model.PaymentState
S = model.OperationState
K = model.Kind
V = outcomes.Verdict

OUTCOMES = tuple(outcomes.Outcome)
AMOUNTS = (None, 1, 300, 700, build.AMOUNT, build.AMOUNT + 1)
WEIGHTS = (10, 6, 1, 1, 1)  # of what `run` may do
SEEDS = range(4)
PAYMENTS = 75
STEPS = 30
OPERATIONS_MAX = 4
# Lists find these by their open operation.
WAITING = {P.PROCESSING, P.REQUIRES_ACTION, P.IN_DOUBT}
WITH_WISH = {P.PROCESSING, P.REQUIRES_ACTION, P.IN_DOUBT, P.AUTHORIZED, P.SUCCEEDED}

Combination = tuple[model.PaymentState, model.Kind, model.OperationState]


class Machine:
    """One payment under arbitrary treatment."""

    def __init__(self, kind: model.Kind) -> None:
        self.kind = kind
        self.now_us = build.NOW_US
        self.payment = build.payment()
        self.refunds: dict[str, model.Refund] = {}
        self.versions: list[int] = []
        self._take(commands.create(self.payment, None), created=True)

    def copy(self) -> "Machine":
        """Returns another one that starts where this one is."""
        other = copy.copy(self)
        other.refunds, other.versions = dict(self.refunds), list(self.versions)
        return other

    def combinations(self) -> frozenset[Combination]:
        """Returns what the payment and each of its operations are in, together."""
        return frozenset((self.payment.state, o.kind, o.state) for o in self.payment.operations)

    def successors(self) -> Iterator["Machine"]:
        """Makes every machine that is one useful step further."""
        for action, _ in actions.available(self.payment):
            for amount, final in ((300, False), (300, True), (None, False)):
                other = self.copy()
                other.command(action, amount, final=final)
                yield other
                if action not in (model.Action.CAPTURE, model.Action.REFUND):
                    break
        for operation in self.payment.operations:
            if operation.state in rules.OPEN:
                for outcome in OUTCOMES:
                    other = self.copy()
                    other.report(operation, outcome, old=False)
                    yield other

    def run(self, chance: random.Random) -> None:
        """Does one step: often a useful one, sometimes anything at all."""
        self.now_us += 1_000
        payment = self.payment
        amount, final = chance.choice(AMOUNTS), chance.random() < 0.3
        waiting = [o for o in payment.operations if o.state in rules.OPEN]
        possible = [action for action, _ in actions.available(payment)]
        match chance.choices(
            ["report", "command", "carry out", "any report", "any command"], WEIGHTS
        ):
            case ["report"] if waiting:
                self.report(chance.choice(waiting), chance.choice(OUTCOMES), old=False)
            case ["command"] if possible:
                self.command(chance.choice(possible), amount, final=final)
            case ["carry out"]:
                self._carry_out()
            case ["any report"] if payment.operations:
                old = chance.random() < 0.5
                self.report(chance.choice(payment.operations), chance.choice(OUTCOMES), old=old)
            case ["any command"]:
                self.command(chance.choice(list(model.Action)), amount, final=final)

    def command(self, action: model.Action, amount: int | None, *, final: bool) -> None:
        """Asks for *action*, refused or not."""
        match action:
            case model.Action.CONFIRM:
                new = self._new(self.kind, amount_minor=build.AMOUNT)
                self._take(commands.confirm(self.payment, new, self.now_us))
            case model.Action.CAPTURE:
                new = self._new(K.CAPTURE, final=final)
                self._take(commands.capture(self.payment, new, amount, self.now_us))
            case model.Action.CANCEL:
                self._take(commands.cancel(self.payment, self._new(K.VOID), self.now_us))
            case model.Action.REFUND:
                self._refund(amount)
            case model.Action.INCREMENT:
                new = self._new(K.INCREMENT, amount_minor=amount or 200)
                self._take(commands.increment(self.payment, new, self.now_us))

    def _new(self, kind: model.Kind, **over: object) -> model.Operation:
        return build.operation(kind, len(self.payment.operations) + 1, **over)

    def _refund(self, amount: int | None) -> None:
        number = len(self.payment.operations) + 1
        refund = build.refund(number)
        new = self._new(K.REFUND, refund_id=refund.id)
        self._take(commands.refund(self.payment, refund, new, amount, self.now_us))

    def _carry_out(self) -> None:
        """What becomes of a noted wish once the outcome is known."""
        payment = self.payment
        initial = payment.open_operation(K.AUTHORIZE, K.SALE)
        unknown = initial is not None and initial.state in (S.IN_FLIGHT, S.IN_DOUBT)
        if not payment.cancel_requested or unknown:
            return
        if payment.state is P.SUCCEEDED:
            self._refund(None)
        elif not payment.open_operation(K.CAPTURE, K.VOID):
            self._take(commands.start_void(payment, self._new(K.VOID), self.now_us))

    def report(self, target: model.Operation, outcome: outcomes.Outcome, *, old: bool) -> None:
        """Applies a report on *target*, on its version or the one before."""
        before = self.payment
        applied = transitions.apply(
            before,
            target.id,
            build.report(outcome, target.version - old),
            self.now_us,
            self.refunds.get(target.id),
        )
        assert applied.verdict is expected.judgement(target.state, outcome, old=old)[0]
        if applied.change is None:
            return
        after = self._take(applied.change)
        if applied.verdict is V.ILLEGAL:
            assert replace(after, version=before.version, updated_us=before.updated_us) == before

    def _take(
        self, decision: changes.Change | changes.Refusal, *, created: bool = False
    ) -> model.Payment:
        if isinstance(decision, changes.Refusal):
            assert decision.message
            return self.payment
        if not created:
            rules.check_steps(self.payment, decision)
            rules.check_operations(self.payment, decision)
        self.versions += [step.after.version for step in decision.steps]
        for refund in (decision.new_refund, decision.refund):
            if refund is not None:
                self.refunds[refund.operation_id] = refund
        self.payment = decision.payment
        self.check()
        return self.payment

    def check(self) -> None:
        """Everything that must hold at any time."""
        payment = self.payment
        rules.check_ceilings(payment)
        rules.check_sums(payment)
        assert self.versions == list(range(1, payment.version + 1))
        assert (payment.action is not None) == (payment.state is P.REQUIRES_ACTION)
        assert (payment.failure is not None) == (payment.state is P.FAILED)
        assert not payment.cancel_requested or payment.state in WITH_WISH
        is_open = any(operation.state in rules.OPEN for operation in payment.operations)
        assert is_open or payment.state not in WAITING
        for operation in payment.operations:
            assert expected.is_reachable(payment.state, operation.kind, operation.state), (
                f"{operation.kind.name} {operation.state.name} in {payment.state.name}"
            )
            if operation.kind is K.REFUND:
                self._check_refund(operation)

    def _check_refund(self, operation: model.Operation) -> None:
        refund = self.refunds[operation.id]
        assert refund.amount_minor == operation.amount_minor
        if operation.state is S.IN_FLIGHT:
            assert refund.state is model.RefundState.PENDING
        else:
            assert refund.state is expected.REFUNDS[operation.state][1]


@pytest.mark.parametrize("seed", SEEDS)
def test_whatever_happens_in_any_order_the_rules_hold(seed: int) -> None:
    """Ceilings, sums, dense versions, one open way to charge, ends that stay."""
    chance = random.Random(seed)
    for _ in range(PAYMENTS):
        machine = Machine(chance.choice([K.AUTHORIZE, K.SALE]))
        for _ in range(STEPS):
            machine.run(chance)


def test_every_combination_that_is_called_reachable_is_reached() -> None:
    """The list by which events are demanded is neither too short nor too long."""
    wanted = {
        (state, kind, operation_state)
        for kind, rows in expected.REACHABLE.items()
        for operation_state, states in rows.items()
        for state in states
    }
    queue = collections.deque([Machine(K.AUTHORIZE), Machine(K.SALE)])
    known = {machine.combinations() for machine in queue}
    seen: set[Combination] = set()
    while queue and seen != wanted:
        for machine in queue.popleft().successors():
            found = machine.combinations()
            if found not in known and len(machine.payment.operations) <= OPERATIONS_MAX:
                known.add(found)
                queue.append(machine)
                seen |= found
    assert seen == wanted

"""Every report on every operation of every payment, against rules written by hand.

The table is payment state x shape of the operations x operation state x outcome
x report version x cancel_requested, reachable or not.
"""

import itertools
from dataclasses import dataclass, replace

import pytest

from payment_service.domain import changes, model, outcomes, transitions
from tests.unit.payment_service import build, expected, rules

P = model.PaymentState
S = model.OperationState
K = model.Kind
O = outcomes.Outcome  # noqa: E741
V = outcomes.Verdict

LATER_US = build.NOW_US + 5_000
VERSION = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """One operation under test among those that came before it.

    `amount_minor` is its amount and `held_minor` what it reserves while open;
    `others` are (kind, state, amount) of the rest.
    """

    kind: model.Kind
    amount_minor: int
    held_minor: int = 0
    final: bool = False
    others: tuple[tuple[model.Kind, model.OperationState, int], ...] = ()

    def has(self, kind: model.Kind, state: model.OperationState) -> bool:
        """Whether one of the others is such an operation."""
        return any(other[:2] == (kind, state) for other in self.others)

    def total(self, kind: model.Kind) -> int:
        """What the others of *kind* have moved."""
        return sum(amount for k, s, amount in self.others if k is kind and s is S.SUCCEEDED)


HELD = (K.AUTHORIZE, S.SUCCEEDED, 1_000)
PART = (K.CAPTURE, S.SUCCEEDED, 300)
SOLD = (K.SALE, S.SUCCEEDED, 1_000)
VOIDING = (K.VOID, S.IN_FLIGHT, 0)

SHAPES = {
    "authorization": Shape(kind=K.AUTHORIZE, amount_minor=1_000),
    "sale": Shape(kind=K.SALE, amount_minor=1_000),
    "authorization being voided": Shape(kind=K.AUTHORIZE, amount_minor=1_000, others=(VOIDING,)),
    "sale being voided": Shape(kind=K.SALE, amount_minor=1_000, others=(VOIDING,)),
    "second attempt": Shape(kind=K.SALE, amount_minor=1_000, others=((K.SALE, S.DECLINED, 1_000),)),
    "part, more to follow": Shape(kind=K.CAPTURE, amount_minor=400, held_minor=400, others=(HELD,)),
    "final part": Shape(
        kind=K.CAPTURE, amount_minor=400, held_minor=1_000, final=True, others=(HELD,)
    ),
    "all the rest": Shape(kind=K.CAPTURE, amount_minor=700, held_minor=700, others=(HELD, PART)),
    "increment": Shape(kind=K.INCREMENT, amount_minor=500, others=(HELD,)),
    "second increment": Shape(
        kind=K.INCREMENT, amount_minor=500, others=(HELD, (K.INCREMENT, S.SUCCEEDED, 200))
    ),
    "void of all": Shape(kind=K.VOID, amount_minor=1_000, held_minor=1_000, others=(HELD,)),
    "void of the rest": Shape(kind=K.VOID, amount_minor=700, held_minor=700, others=(HELD, PART)),
    "void of the rest, the part was refunded": Shape(
        kind=K.VOID,
        amount_minor=700,
        held_minor=700,
        others=(HELD, PART, (K.REFUND, S.SUCCEEDED, 300)),
    ),
    "void of what is pending": Shape(
        kind=K.VOID, amount_minor=0, others=((K.SALE, S.PENDING, 1_000),)
    ),
    "void of what was sold meanwhile": Shape(kind=K.VOID, amount_minor=0, others=(SOLD,)),
    "refund of a part": Shape(kind=K.REFUND, amount_minor=400, held_minor=400, others=(SOLD,)),
    "refund of the rest": Shape(
        kind=K.REFUND,
        amount_minor=600,
        held_minor=600,
        others=(SOLD, (K.REFUND, S.SUCCEEDED, 400)),
    ),
    "new customer": Shape(kind=K.CREATE_CUSTOMER, amount_minor=0),
    "changed customer": Shape(kind=K.UPDATE_CUSTOMER, amount_minor=0),
}


def _payment(shape: Shape, state: model.OperationState) -> model.Payment:
    """A payment whose amounts follow from its operations; the last one is under test."""
    operations = [
        build.operation(kind, number, state=other, amount_minor=amount, version=2)
        for number, (kind, other, amount) in enumerate(shape.others)
    ]
    target = build.operation(
        shape.kind,
        99,
        state=state,
        version=VERSION,
        amount_minor=shape.amount_minor,
        reserved_minor=shape.held_minor if state in rules.OPEN else 0,
        final=shape.final,
        refund_id=build.refund(99).id if shape.kind is K.REFUND else "",
        provider_operation_id="known",
    )
    operations.append(target)

    def done(*kinds: model.Kind) -> int:
        return sum(o.amount_minor for o in operations if o.kind in kinds and o.state is S.SUCCEEDED)

    captures = shape.kind in (K.CAPTURE, K.VOID)
    return build.payment(
        operations=tuple(operations),
        version=7,
        amount_minor=build.AMOUNT + done(K.INCREMENT),
        authorized_minor=done(K.AUTHORIZE, K.SALE, K.INCREMENT),
        captured_minor=done(K.SALE, K.CAPTURE),
        refunded_minor=done(K.REFUND),
        capture_reserved_minor=target.reserved_minor if captures else 0,
        refund_reserved_minor=0 if captures else target.reserved_minor,
        failure=model.Failure(kind=model.FailureKind.DECLINED, reason="EARLIER"),
        action=model.CustomerAction(client_secret="earlier"),
    )


def _wanted(
    shape: Shape, payment: model.Payment, before: model.OperationState, after: model.OperationState
) -> tuple[list[str], model.PaymentState]:
    """The events and the payment's state that the rules ask for."""
    here = payment.state
    if shape.kind in (K.AUTHORIZE, K.SALE):
        target = expected.INITIAL[shape.kind, after]
        unwanted = payment.cancel_requested or shape.has(K.VOID, S.IN_FLIGHT)
        if target is P.FAILED and unwanted:
            target = P.CANCELED
        told = target is not here or after is S.PENDING
        return ([expected.ENTERED[target]] if told else ["payment.updated"]), target
    if shape.kind is K.REFUND:
        events = [expected.REFUNDS[after][0]]
        rest = SOLD[2] - shape.total(K.REFUND)
        if after is S.SUCCEEDED and shape.amount_minor == rest and here is P.SUCCEEDED:
            events.append("payment.refunded")
        return events, here
    if after is S.IN_DOUBT:
        return ["payment.in_doubt"], here
    if after in (S.PENDING, S.REQUIRES_ACTION):
        return ["payment.updated"], here
    if after is not S.SUCCEEDED:
        return [expected.WITHOUT_EFFECT[shape.kind][before]], here
    if shape.kind is K.INCREMENT:
        return ["payment.incremented"], here
    if shape.kind is K.CAPTURE:
        ends = shape.final or shape.amount_minor == HELD[2] - shape.total(K.CAPTURE)
        if ends and here is not P.SUCCEEDED:
            return ["payment.captured", "payment.succeeded"], P.SUCCEEDED
        return ["payment.captured"], here
    kept = shape.total(K.CAPTURE) + shape.total(K.SALE)
    target = P.SUCCEEDED if kept else P.CANCELED
    if kept and target is here:
        return ["reconciliation.discrepancy"], here
    events = [] if target is here else [expected.ENTERED[target]]
    if events and kept and kept == shape.total(K.REFUND):
        events.append("payment.refunded")
    if not events:
        events.append("payment.resolved" if before is S.IN_DOUBT else "payment.updated")
    return events, target


def _is_visible(before: model.Payment, change: changes.Change, refund: model.Refund) -> bool:
    """Whether callers see another state, settled amount or refund state."""
    after = change.payment
    return (
        (after.state, after.authorized_minor, after.captured_minor, after.refunded_minor)
        != (before.state, before.authorized_minor, before.captured_minor, before.refunded_minor)
    ) or (change.refund is not None and change.refund.state is not refund.state)


# Events of operations that leave the payment and its refunds as they are.
ABOUT_OPERATIONS = {
    "payment.capture_failed",
    "payment.increment_failed",
    "payment.void_failed",
    "payment.in_doubt",
    "payment.processing",
    "payment.resolved",
    "payment.updated",
    "reconciliation.discrepancy",
    "refund.pending",
}


def _check_applied(
    shape: Shape,
    before: model.Payment,
    report: outcomes.Report,
    applied: transitions.Applied,
    refund: model.Refund,
) -> None:
    target = before.operations[-1]
    change = applied.change
    assert change is not None
    settled = change.payment.operation(target.id)
    assert settled is not None
    assert settled in change.operations
    old = report.operation_version != target.version
    state = expected.judgement(target.state, report.outcome, old=old)[1]
    assert (settled.state, settled.version) == (state, target.version + 1)
    assert settled.provider_operation_id == (report.provider_operation_id or "known")
    explained = state in (S.DECLINED, S.NOT_SENT, S.IN_DOUBT)
    assert settled.failure == (report.failure if explained else None)
    assert settled.updated_us == change.payment.updated_us == LATER_US
    events, payment_state = _wanted(shape, before, target.state, state)
    assert events, "every report that counts is told"
    assert [step.event_type for step in change.steps] == events
    assert change.payment.state is payment_state
    assert (change.new_operation, change.new_refund) == (None, None)
    assert all(step.operation_id == target.id for step in change.steps)
    for step in change.steps:
        assert step.refund == (change.refund if step.event_type.startswith("refund.") else None)
    rules.check_ceilings(change.payment)
    rules.check_steps(before, change)
    rules.check_operations(before, change)
    rules.check_sums(change.payment)
    if expected.is_reachable(before.state, shape.kind, target.state):
        visible = _is_visible(before, change, refund)
        assert visible or set(events) <= ABOUT_OPERATIONS


def _check_initial(before: model.Payment, change: changes.Change, report: outcomes.Report) -> None:
    after = change.payment
    assert after.action == (report.action if after.state is P.REQUIRES_ACTION else None)
    assert after.failure == (report.failure if after.state is P.FAILED else None)
    ended = after.state in (P.FAILED, P.CANCELED)
    assert after.cancel_requested == (before.cancel_requested and not ended)


def _check_refund(
    change: changes.Change, state: model.OperationState, report: outcomes.Report
) -> None:
    assert change.refund is not None
    assert change.refund.state is expected.REFUNDS[state][1]
    failed = change.refund.state is model.RefundState.FAILED
    assert change.refund.failure == (report.failure if failed else None)
    assert change.refund.updated_us == LATER_US


def _check_ignored(
    before: model.Payment, verdict: outcomes.Verdict, applied: transitions.Applied
) -> None:
    if verdict is not V.ILLEGAL:
        assert applied.change is None
        return
    change = applied.change
    assert change is not None
    (step,) = change.steps
    assert step.event_type == "reconciliation.discrepancy"
    assert step.operation_id == before.operations[-1].id
    assert (change.operations, change.refund) == ((), None)
    assert change.payment.updated_us == LATER_US
    unchanged = replace(change.payment, version=before.version, updated_us=before.updated_us)
    assert unchanged == before
    rules.check_steps(before, change)


@pytest.mark.parametrize("name", SHAPES)
def test_every_report_does_what_the_rules_say(name: str) -> None:
    """Verdict, state, amounts, events and versions, for the whole table."""
    shape = SHAPES[name]
    refund = build.refund(
        99,
        amount_minor=shape.amount_minor,
        failure=model.Failure(kind=model.FailureKind.DECLINED, reason="EARLIER"),
    )
    reports = [
        (outcome, old, build.report(outcome, VERSION - old, provider_operation_id=found))
        for outcome in O
        for old, found in ((False, "new"), (True, ""))
    ]
    for operation_state in S:
        plain = _payment(shape, operation_state)
        rules.check_ceilings(plain)
        judged = [
            (report, *expected.judgement(operation_state, outcome, old=old))
            for outcome, old, report in reports
        ]
        for state, wish in itertools.product(P, (False, True)):
            before = replace(plain, state=state, cancel_requested=wish)
            target = before.operations[-1]
            for report, verdict, after in judged:
                if verdict is V.APPLIED and shape.kind in model.CUSTOMER_KINDS:
                    with pytest.raises(ValueError, match="not about a payment"):
                        transitions.apply(before, target.id, report, LATER_US)
                    continue
                applied = transitions.apply(before, target.id, report, LATER_US, refund)
                assert applied.verdict is verdict
                if verdict is not V.APPLIED:
                    _check_ignored(before, verdict, applied)
                    continue
                _check_applied(shape, before, report, applied, refund)
                assert applied.change is not None
                if shape.kind in (K.AUTHORIZE, K.SALE):
                    _check_initial(before, applied.change, report)
                if shape.kind is K.REFUND:
                    _check_refund(applied.change, after, report)


def test_a_report_on_an_operation_of_another_payment_is_an_error() -> None:
    """A report can't be applied to a payment that does not have its operation."""
    with pytest.raises(LookupError, match="has no operation op_other"):
        transitions.apply(build.payment(), "op_other", build.report(O.SUCCEEDED), LATER_US)


def test_a_refund_that_was_not_read_is_an_error() -> None:
    """The refund's row must be locked with its payment."""
    payment = _payment(SHAPES["refund of a part"], S.IN_FLIGHT)
    with pytest.raises(LookupError, match="was not read"):
        transitions.apply(
            payment, payment.operations[-1].id, build.report(O.SUCCEEDED, VERSION), LATER_US
        )


def test_a_void_that_took_effect_ends_the_pending_sale() -> None:
    """The sale is superseded in the same change, so that nothing looks for it any more."""
    payment = replace(_payment(SHAPES["void of what is pending"], S.IN_FLIGHT), state=P.PROCESSING)
    applied = transitions.apply(
        payment, payment.operations[-1].id, build.report(O.SUCCEEDED, VERSION), LATER_US
    )
    assert applied.change is not None
    sale = applied.change.payment.operations[0]
    assert sale in applied.change.operations
    assert (sale.state, sale.version, sale.next_check_us) == (S.SUPERSEDED, 3, 0)
    assert sale.updated_us == LATER_US
    assert applied.change.payment.action is None


@pytest.mark.parametrize("first", [O.PENDING, O.ACTION_REQUIRED, O.UNKNOWN])
@pytest.mark.parametrize("kind", [K.SALE, K.CAPTURE, K.REFUND])
def test_another_amount_than_asked_for_is_told_whatever_was_known(
    kind: model.Kind, first: outcomes.Outcome
) -> None:
    """Money has moved otherwise than here: an event says so, and the operation says why."""
    story = build.Story(K.AUTHORIZE if kind is K.CAPTURE else K.SALE).confirm()
    if kind is not K.SALE:
        story.then(O.SUCCEEDED)
    if kind is K.CAPTURE:
        story.capture()
    if kind is K.REFUND:
        story.refund()
    story.then(first, failure=None)
    seen = len(story.steps)
    story.then(O.UNKNOWN, needs_operator=True)
    operation = story.payment.operations[-1]
    assert (operation.state, operation.failure) == (S.IN_DOUBT, build.failure(O.UNKNOWN))
    told = {K.SALE: "payment.in_doubt", K.CAPTURE: "payment.in_doubt", K.REFUND: "refund.in_doubt"}
    again = "reconciliation.discrepancy" if first is O.UNKNOWN else told[kind]
    assert story.event_types[seen:] == [again]
    assert story.report(O.UNKNOWN, needs_operator=True).change is None
    rules.check_sums(story.payment)
    story.then(O.SUCCEEDED)
    assert story.payment.state is P.SUCCEEDED


@pytest.mark.parametrize("told", [O.DECLINED, O.VOIDED])
def test_a_refusal_is_no_news_of_what_an_operator_found_without_effect(
    told: outcomes.Outcome,
) -> None:
    """What the provider's records show may be a decline; of what core took for never sent, it
    says that something has arrived all the same.
    """
    story = build.Story(K.SALE).confirm().then(O.UNKNOWN)
    found = model.Failure(kind=model.FailureKind.NOT_SENT, reason=outcomes.FOUND_BY_OPERATOR)
    story.then(O.NOT_SENT, failure=found)
    assert story.report(told) == transitions.Applied(verdict=V.REPEAT)
    assert story.report(O.SUCCEEDED).verdict is V.ILLEGAL
    unsent = build.Story(K.SALE).confirm().then(O.UNKNOWN).then(O.NOT_SENT)
    assert unsent.report(told).verdict is V.ILLEGAL

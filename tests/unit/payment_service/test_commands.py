"""What callers may ask for, in every situation a payment can be in."""

from dataclasses import replace

import pytest

from payment_service.domain import actions, changes, commands, model, outcomes
from tests.unit.payment_service import build, rules

P = model.PaymentState
S = model.OperationState
K = model.Kind
A = model.Action
O = outcomes.Outcome  # noqa: E741

LATER_US = build.NOW_US + 9_000_000
INT64_MAX = 2**63 - 1


def _authorized() -> build.Story:
    return build.Story().confirm().then(O.SUCCEEDED)


def _sold() -> build.Story:
    return build.Story(K.SALE).confirm().then(O.SUCCEEDED)


def _partly_captured() -> build.Story:
    return _authorized().capture(300).then(O.SUCCEEDED)


CONFIRM = {A.CONFIRM: 0}
CANCEL = {A.CANCEL: 0}
INCREMENT = {A.INCREMENT: 0}

# Every situation, and by hand what is possible in it up to which amount.
SITUATIONS: dict[str, tuple[build.Story, dict[model.Action, int]]] = {
    "created": (build.Story(), CONFIRM | CANCEL),
    "in flight": (build.Story().confirm(), CANCEL),
    "in flight, to be canceled": (build.Story().confirm().cancel(), {}),
    "pending": (build.Story().confirm().then(O.PENDING), CANCEL),
    "pending, being voided": (build.Story().confirm().then(O.PENDING).cancel(), {}),
    "pending, void declined": (
        build.Story().confirm().then(O.PENDING).cancel().then(O.DECLINED),
        CANCEL,
    ),
    "pending, to be canceled": (build.Story().confirm().cancel().then(O.PENDING, 0), {}),
    "action required": (build.Story().confirm().then(O.ACTION_REQUIRED), CANCEL),
    "action required, being voided": (
        build.Story().confirm().then(O.ACTION_REQUIRED).cancel(),
        {},
    ),
    "in doubt": (build.Story().confirm().then(O.UNKNOWN), CANCEL),
    "in doubt, to be canceled": (build.Story().confirm().then(O.UNKNOWN).cancel(), {}),
    "authorized": (_authorized(), {A.CAPTURE: 1_000} | CANCEL | INCREMENT),
    "increment in flight": (_authorized().increment(500), {}),
    "increment pending": (_authorized().increment(500).then(O.PENDING), {}),
    "increment in doubt": (_authorized().increment(500).then(O.UNKNOWN), {}),
    "increment declined": (
        _authorized().increment(500).then(O.DECLINED),
        {A.CAPTURE: 1_000} | CANCEL | INCREMENT,
    ),
    "incremented": (
        _authorized().increment(500).then(O.SUCCEEDED),
        {A.CAPTURE: 1_500} | CANCEL | INCREMENT,
    ),
    "authorized, to be canceled": (
        build.Story().confirm().cancel().then(O.SUCCEEDED, 0),
        CANCEL,
    ),
    "capture in flight": (_authorized().capture(300), {}),
    "capture pending": (_authorized().capture(300).then(O.PENDING), {}),
    "capture in doubt": (_authorized().capture(300).then(O.UNKNOWN), {}),
    "capture declined": (
        _authorized().capture(300).then(O.DECLINED),
        {A.CAPTURE: 1_000} | CANCEL | INCREMENT,
    ),
    "partly captured": (_partly_captured(), {A.CAPTURE: 700, A.REFUND: 300} | CANCEL),
    "partly captured, second in flight": (_partly_captured().capture(1), {A.REFUND: 300}),
    "partly captured, refund in flight": (
        _partly_captured().refund(200),
        {A.CAPTURE: 700, A.REFUND: 100} | CANCEL,
    ),
    "partly captured, being voided": (_partly_captured().cancel(), {A.REFUND: 300}),
    "partly captured, void in doubt": (
        _partly_captured().cancel().then(O.UNKNOWN),
        {A.REFUND: 300},
    ),
    "being voided": (_authorized().cancel(), {}),
    "void pending": (_authorized().cancel().then(O.PENDING), {}),
    "void declined": (
        _authorized().cancel().then(O.DECLINED),
        {A.CAPTURE: 1_000} | CANCEL | INCREMENT,
    ),
    "voided": (_authorized().cancel().then(O.SUCCEEDED), {}),
    "partly captured, voided": (_partly_captured().cancel().then(O.SUCCEEDED), {A.REFUND: 300}),
    "captured": (_authorized().capture().then(O.SUCCEEDED), {A.REFUND: 1_000}),
    "final part captured": (
        _authorized().capture(300, final=True).then(O.SUCCEEDED),
        {A.REFUND: 300},
    ),
    "sold": (_sold(), {A.REFUND: 1_000}),
    "refund in flight": (_sold().refund(400), {A.REFUND: 600}),
    "refund in doubt": (_sold().refund(400).then(O.UNKNOWN), {A.REFUND: 600}),
    "refund declined": (_sold().refund(400).then(O.DECLINED), {A.REFUND: 1_000}),
    "partly refunded": (_sold().refund(400).then(O.SUCCEEDED), {A.REFUND: 600}),
    "all being refunded": (_sold().refund(), {}),
    "refunded": (_sold().refund().then(O.SUCCEEDED), {}),
    "declined": (build.Story().confirm().then(O.DECLINED), CONFIRM | CANCEL),
    "not sent": (build.Story(K.SALE).confirm().then(O.NOT_SENT), CONFIRM | CANCEL),
    "second attempt": (build.Story().confirm().then(O.DECLINED).confirm(), CANCEL),
    "canceled": (build.Story().cancel(), {}),
    "canceled after a failure": (build.Story().confirm().then(O.DECLINED).cancel(), {}),
}

Decision = changes.Change | changes.Refusal


def _ask(payment: model.Payment, action: model.Action, amount: int | None = None) -> Decision:
    match action:
        case A.CONFIRM:
            new = build.operation(K.SALE, 77, amount_minor=payment.amount_minor)
            return commands.confirm(payment, new, LATER_US)
        case A.CAPTURE:
            return commands.capture(payment, build.operation(K.CAPTURE, 77), amount, LATER_US)
        case A.CANCEL:
            return commands.cancel(payment, build.operation(K.VOID, 77), LATER_US)
        case A.REFUND:
            new = build.operation(K.REFUND, 77, refund_id=build.refund(77).id)
            return commands.refund(payment, build.refund(77), new, amount, LATER_US)
        case A.INCREMENT:
            new = build.operation(K.INCREMENT, 77, amount_minor=amount or 1)
            return commands.increment(payment, new, LATER_US)


def _accepted(decision: Decision) -> changes.Change:
    assert isinstance(decision, changes.Change), decision
    return decision


def _refused(decision: Decision) -> changes.Refusal:
    assert isinstance(decision, changes.Refusal), decision
    return decision


def _announced(payment: model.Payment, action: model.Action) -> list[str]:
    """The events of an accepted command; a capture and a void announce only their end."""
    canceling = []
    if payment.state in (P.CREATED, P.FAILED):
        canceling = ["payment.canceled"]
    elif any(
        o.kind in (K.AUTHORIZE, K.SALE) and o.state in (S.IN_FLIGHT, S.IN_DOUBT)
        for o in payment.operations
    ):
        canceling = ["payment.updated"]
    return {
        A.CONFIRM: ["payment.processing"],
        A.CAPTURE: [],
        A.CANCEL: canceling,
        A.REFUND: ["refund.created"],
        A.INCREMENT: [],
    }[action]


def test_the_situations_cover_every_state() -> None:
    """No state of a payment is left out of the tests below."""
    assert {story.payment.state for story, _ in SITUATIONS.values()} == set(P)


@pytest.mark.parametrize("name", SITUATIONS)
def test_available_actions_are_what_is_possible(name: str) -> None:
    """Callers are told every action that makes sense now, with its largest amount."""
    story, possible = SITUATIONS[name]
    assert dict(actions.available(story.payment)) == possible


def _left_to_refund(payment: model.Payment) -> int:
    asked_minor = payment.refunded_minor + payment.refund_reserved_minor
    taken_minor = payment.foreign_refunded_minor + payment.disputed_minor
    return payment.captured_minor - asked_minor - taken_minor


@pytest.mark.parametrize("name", SITUATIONS)
def test_a_command_is_accepted_if_and_only_if_it_is_available(name: str) -> None:
    """Nothing else is accepted, and a refusal says what is possible instead."""
    story, possible = SITUATIONS[name]
    payment = story.payment
    for action in A:
        decision = _ask(payment, action)
        if action in possible:
            change = _accepted(decision)
            rules.check_ceilings(change.payment)
            rules.check_steps(payment, change)
            rules.check_operations(payment, change)
            rules.check_sums(change.payment)
            assert change.payment.updated_us == LATER_US
            types = [step.event_type for step in change.steps]
            assert types == _announced(payment, action)
            intended = change.new_operation.id if change.new_operation else ""
            assert all(step.operation_id == intended for step in change.steps)
            continue
        refusal = _refused(decision)
        assert refusal.reason == "STATE_CONFLICT"
        assert refusal.payment is payment
        assert payment.state.name in refusal.message
        assert action.name.lower() in refusal.message
        waits = [o for o in payment.operations if o.is_open and o.kind is not model.Kind.REFUND]
        for operation in waits:
            assert f"its {operation.kind.name} is {operation.state.name}" in refusal.message
        assert refusal.message.count("its ") == len(waits)
        assert ("about to be canceled" in refusal.message) == payment.cancel_requested
        returned = not waits and payment.captured_minor and not _left_to_refund(payment)
        assert ("is refunded or disputed" in refusal.message) == bool(returned)
        allowed = [known.name.lower() for known in A if known in possible]
        hint = f"possible now: {', '.join(allowed)}" if allowed else "nothing is possible now"
        assert refusal.message.endswith(hint)


@pytest.mark.parametrize("name", SITUATIONS)
@pytest.mark.parametrize("action", [A.CAPTURE, A.REFUND])
def test_amounts_are_accepted_up_to_what_is_left(name: str, action: model.Action) -> None:
    """One minor unit and exactly all are accepted; one more, and the largest int64, are not."""
    story, possible = SITUATIONS[name]
    payment = story.payment
    most = possible.get(action, 0)
    if not most:
        for amount in (None, 1, INT64_MAX):
            assert _refused(_ask(payment, action, amount)).reason == "STATE_CONFLICT"
        return
    for amount in (None, most, 1):
        change = _accepted(_ask(payment, action, amount))
        assert change.new_operation is not None
        assert change.new_operation.amount_minor == (most if amount is None else amount)
        rules.check_ceilings(change.payment)
    for amount in (most + 1, INT64_MAX):
        refusal = _refused(_ask(payment, action, amount))
        assert (refusal.reason, refusal.max_amount_minor) == ("AMOUNT_EXCEEDED", most)
        assert refusal.payment is payment
        assert f"more than {most} minor units of EUR" in refusal.message


def test_the_largest_amount_can_be_taken_and_returned() -> None:
    """2^63-1 minor units pass through authorize, capture and refund without overflow."""
    story = build.Story(amount_minor=INT64_MAX).confirm().then(O.SUCCEEDED)
    story.capture(INT64_MAX - 1).then(O.SUCCEEDED)
    assert dict(actions.available(story.payment))[A.CAPTURE] == 1
    story.capture().then(O.SUCCEEDED).refund().then(O.SUCCEEDED)
    assert story.payment.refunded_minor == story.payment.captured_minor == INT64_MAX
    rules.check_sums(story.payment)


def test_a_second_refund_of_60_on_100_is_refused() -> None:
    """What a refund under way has reserved can't be refunded twice."""
    story = build.Story(K.SALE, amount_minor=100).confirm().then(O.SUCCEEDED).refund(60)
    refusal = _refused(_ask(story.payment, A.REFUND, 60))
    assert (refusal.reason, refusal.max_amount_minor) == ("AMOUNT_EXCEEDED", 40)


def test_a_final_capture_reserves_the_remainder_too() -> None:
    """Nothing else may take what the final capture will release."""
    story = _authorized().capture(400, final=True)
    capture = story.payment.operations[-1]
    assert (capture.amount_minor, capture.reserved_minor) == (400, 1_000)
    assert story.payment.capture_reserved_minor == 1_000
    story.then(O.SUCCEEDED)
    assert (story.payment.captured_minor, story.payment.capture_reserved_minor) == (400, 0)


def test_a_capture_that_more_follow_reserves_its_own_amount() -> None:
    """The rest stays held for the next capture."""
    story = _authorized().capture(400)
    assert story.payment.capture_reserved_minor == 400
    assert story.payment.version == story.steps[-1].after.version


def test_a_void_reserves_the_whole_remainder_and_keeps_it_in_doubt() -> None:
    """While nobody knows whether it was released, it can't be captured."""
    story = _partly_captured().cancel().then(O.UNKNOWN)
    void = story.payment.operations[-1]
    assert (void.amount_minor, void.reserved_minor) == (700, 700)
    assert story.payment.capture_reserved_minor == 700
    story.then(O.NOT_SENT)
    assert story.payment.capture_reserved_minor == 0
    assert dict(actions.available(story.payment))[A.CAPTURE] == 700


def test_what_is_held_rises_once_an_increment_succeeded() -> None:
    """Nothing counts before; then amount and authorized amount rise together."""
    story = _authorized().increment(500).then(O.UNKNOWN)
    payment = story.payment
    assert (payment.state, payment.amount_minor, payment.authorized_minor) == (
        P.AUTHORIZED,
        1_000,
        1_000,
    )
    story.then(O.SUCCEEDED)
    assert (story.payment.amount_minor, story.payment.authorized_minor) == (1_500, 1_500)
    assert story.event_types[-2:] == ["payment.in_doubt", "payment.incremented"]
    story.capture().then(O.SUCCEEDED)
    assert (story.payment.state, story.payment.captured_minor) == (P.SUCCEEDED, 1_500)
    rules.check_sums(story.payment)


def test_an_increment_stays_below_the_largest_amount() -> None:
    """One minor unit below int64's end is left, and no more is taken."""
    story = build.Story(amount_minor=INT64_MAX - 1).confirm().then(O.SUCCEEDED)
    refusal = _refused(_ask(story.payment, A.INCREMENT, 2))
    assert (refusal.reason, refusal.max_amount_minor) == ("AMOUNT_EXCEEDED", 1)
    story.increment(1).then(O.SUCCEEDED)
    assert story.payment.authorized_minor == INT64_MAX


def test_a_new_attempt_starts_clean() -> None:
    """The earlier failure is gone from the payment and stays on its operation."""
    story = build.Story().confirm().then(O.DECLINED)
    assert story.payment.failure is not None
    story.confirm()
    assert story.payment.failure is None
    assert story.payment.operations[0].failure is not None


@pytest.mark.parametrize("method_id", ["pmt_2", ""])
def test_a_payment_names_what_its_newest_attempt_is_paid_with(method_id: str) -> None:
    """Another payment method takes the place of the one that failed, and a token of any."""
    failed = build.Story().confirm().then(O.DECLINED).payment
    failed = replace(failed, payment_method_id="pmt_1")
    change = _accepted(
        commands.confirm(failed, build.operation(K.AUTHORIZE, 77), LATER_US, method_id)
    )
    assert change.payment.payment_method_id == method_id


def test_an_intent_is_in_the_payment_and_to_be_inserted() -> None:
    """What is committed before the call is the same operation in both places."""
    for story, action in (
        (build.Story(), A.CONFIRM),
        (_authorized(), A.CAPTURE),
        (_authorized(), A.CANCEL),
        (_authorized(), A.INCREMENT),
        (_sold(), A.REFUND),
    ):
        change = _accepted(_ask(story.payment, action))
        assert change.new_operation is not None
        assert change.new_operation.state is S.IN_FLIGHT
        assert change.payment.operations[-1] == change.new_operation


def test_a_refund_and_its_operation_have_one_amount() -> None:
    """The refund's row says what its operation returns."""
    change = _accepted(_ask(_sold().payment, A.REFUND, 250))
    assert change.new_refund is not None
    assert change.new_operation is not None
    assert change.new_refund.amount_minor == change.new_operation.amount_minor == 250
    (step,) = change.steps
    assert (step.event_type, step.refund) == ("refund.created", change.new_refund)


def _with_operations(story: build.Story, count: int) -> model.Payment:
    payment = story.payment
    more = tuple(
        replace(payment.operations[0], id=f"op_more{number}", state=S.DECLINED)
        for number in range(count - len(payment.operations))
    )
    return replace(payment, operations=(*payment.operations, *more))


def test_a_payment_full_of_operations_can_only_be_released() -> None:
    """At the most operations an event can show, captures and refunds are refused, voids not."""
    full = _with_operations(_partly_captured(), actions.OPERATIONS_MAX)

    assert [action for action, _ in actions.available(full)] == [A.CANCEL]
    refusal = commands.capture(full, build.operation(K.CAPTURE), 1, LATER_US)
    assert isinstance(refusal, changes.Refusal)
    assert f"{actions.OPERATIONS_MAX} operations" in refusal.message
    room = replace(full, operations=full.operations[:-1])
    assert [action for action, _ in actions.available(room)] == [A.CAPTURE, A.CANCEL, A.REFUND]


def test_a_full_payment_cannot_be_confirmed_again() -> None:
    """A failed payment with the most operations is not confirmable but can be canceled."""
    full = _with_operations(build.Story().confirm().then(O.DECLINED), actions.OPERATIONS_MAX)

    assert [action for action, _ in actions.available(full)] == [A.CANCEL]
    refusal = commands.confirm(full, build.operation(K.AUTHORIZE), LATER_US)
    assert isinstance(refusal, changes.Refusal)

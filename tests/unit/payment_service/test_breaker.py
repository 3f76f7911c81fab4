"""When a breaker opens, what it lets through meanwhile, and that it closes by itself."""

import pytest

from payment_service.domain import model
from payment_service.provider_client import breaker
from tests.unit.payment_service import build

RULE = breaker.Rule(calls_min=4, share=0.5, window_s=30.0, open_first_s=2.0, open_longest_s=8.0)
NO, YES, TRIAL = breaker.Admission.NO, breaker.Admission.YES, breaker.Admission.TRIAL


def opened(now_s: float = 0.0) -> breaker.Breaker:
    """Returns a breaker that has just opened."""
    made = breaker.Breaker(RULE, now_s)
    assert [made.failed(now_s, YES) for _ in range(4)] == [False, False, False, True]
    return made


def test_it_opens_at_a_share_of_enough_calls() -> None:
    """Few failures, or few among many, change nothing."""
    made = breaker.Breaker(RULE, 0.0)
    for _ in range(3):
        made.good()
    assert not any(made.failed(1.0, YES) for _ in range(2))
    assert made.admits(1.0) is YES
    assert made.failed(1.0, YES), "3 of 6"
    assert made.admits(1.0) is NO
    assert made.state(1.0) is breaker.State.OPEN


def test_failures_that_are_far_apart_do_not_add_up() -> None:
    """A window later the count begins anew."""
    made = breaker.Breaker(RULE, 0.0)
    for number in range(20):
        assert not made.failed(number * 31.0, YES)
    assert made.failures == 1


def test_one_trial_at_a_time_decides() -> None:
    """Nothing passes until its time, then one call, and no other until that one ended."""
    made = opened()
    assert made.admits(1.9) is NO
    assert made.wait_s(1.5) == 0.5
    assert made.admits(2.0) is TRIAL
    assert made.state(2.0) is breaker.State.HALF_OPEN
    assert made.admits(2.1) is NO
    assert made.good()


def test_each_failed_trial_doubles_the_pause_up_to_the_longest() -> None:
    """2, 4, 8 and 8 seconds."""
    made = opened()
    now_s, pauses = 0.0, []
    for _ in range(4):
        pauses.append(made.wait_s(now_s))
        now_s += made.wait_s(now_s)
        assert made.admits(now_s) is TRIAL
        assert not made.failed(now_s, TRIAL)
    assert pauses == [2.0, 4.0, 8.0, 8.0]


def test_a_trial_that_tells_nothing_makes_room_for_the_next() -> None:
    """It was not sent, or was refused for another reason."""
    made = opened()
    assert made.admits(2.0) is TRIAL
    made.spoiled()
    assert made.admits(2.0) is TRIAL


def test_calls_from_before_it_opened_don_t_count_as_trials() -> None:
    """Those that end badly change nothing; one that ends well closes it."""
    made = opened()
    assert not made.failed(0.5, YES)
    assert made.wait_s(0.5) == 1.5
    assert made.good()


def operation(kind: model.Kind = model.Kind.SALE, binding_id: str = "b1") -> model.Operation:
    """Returns an operation of a binding."""
    return build.operation(kind=kind, binding_id=binding_id)


def fail(board: breaker.Board, failing: model.Operation, times: int = 4) -> None:
    """Lets an operation fail."""
    for _ in range(times):
        board.failed(failing, 0.0, YES, "UPSTREAM_NO_ANSWER")


@pytest.mark.parametrize(
    ("other", "admission"),
    [
        (operation(model.Kind.AUTHORIZE), NO),
        (operation(model.Kind.REFUND), YES),
        (operation(model.Kind.CREATE_CUSTOMER), YES),
        (operation(binding_id="b2"), YES),
    ],
    ids=["same class", "follow-up", "customer", "other binding"],
)
def test_an_open_breaker_keeps_back_its_binding_and_class_alone(
    other: model.Operation, admission: breaker.Admission
) -> None:
    """A bank that takes no new money may still give some back, and other accounts work."""
    board = breaker.Board(RULE)
    fail(board, operation())
    assert board.admit(other, 0.0)[0] is admission


def test_a_board_is_empty_as_long_as_nothing_fails_and_again_afterwards() -> None:
    """So that the way of a payment that works costs nothing."""
    board = breaker.Board(RULE)
    board.good(operation())
    assert not board
    fail(board, operation())
    assert board
    assert board.admit(operation(), 2.0)[0] is TRIAL
    board.good(operation())
    assert not board


def test_operators_see_what_is_open_and_why() -> None:
    """Tenant, binding, class, state, failures, the next try and the last reason."""
    board = breaker.Board(RULE)
    fail(board, operation())
    (seen,) = board.seen(0.5, 10)
    assert seen == breaker.Seen(
        tenant_id=operation().tenant_id,
        binding_id="b1",
        call_class=breaker.CallClass.PAY,
        state=breaker.State.OPEN,
        failures=4,
        wait_s=1.5,
        last_reason="UPSTREAM_NO_ANSWER",
    )
    board.clear()
    assert board.seen(0.5, 10) == []


def test_every_kind_of_operation_has_a_class() -> None:
    """A new kind must be put in one."""
    assert set(breaker.CLASSES) == set(model.Kind)

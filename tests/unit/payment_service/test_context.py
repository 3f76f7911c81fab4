"""What transactions that run again take their ids from, and when operations are looked at."""

import itertools
from dataclasses import replace

import pytest

from payment_service.domain import model
from payment_service.usecases import context
from tests.unit.payment_service import build

S = model.OperationState


def test_a_run_that_goes_another_way_gets_ids_of_the_right_kind() -> None:
    """After a conflict it may find what it would have made: no event becomes a payment."""
    numbers = itertools.count()
    again = context.fresh_ids(lambda prefix: f"{prefix}_{next(numbers)}")
    first, second, third = again(), again(), again()
    assert [first("evt"), first("pay"), first("op")] == ["evt_0", "pay_1", "op_2"]
    assert [second("pay"), second("op"), second("evt"), second("evt")] == [
        "pay_1",
        "op_2",
        "evt_0",
        "evt_3",
    ]
    assert [third("evt"), third("evt"), third("pay")] == ["evt_0", "evt_3", "pay_1"]


@pytest.mark.parametrize(
    ("state", "first_s"), [(S.IN_DOUBT, 1), (S.PENDING, 10), (S.REQUIRES_ACTION, 10)]
)
def test_looks_are_ever_further_apart_however_many_there_were(
    state: model.OperationState, first_s: int
) -> None:
    """Whoever asks for a payment every second does not have it looked at an hour later."""
    schedule = context.Schedule(doubt_first_s=1.0, pending_first_s=10.0, longest_s=3600.0)
    for attempts in (1, 2, 14, 1000):
        operation = build.operation(model.Kind.SALE, state=state, attempts=attempts)
        waits: list[int] = []
        now_us = build.NOW_US
        while len(waits) < 13:
            next_us = context.next_check_us(schedule, operation, now_us)
            waits.append((next_us - now_us) // 1_000_000)
            now_us = next_us
            operation = replace(operation, attempts=operation.attempts + 1)
        wanted = [first_s, *(first_s * 2**n for n in range(12))]
        assert waits == [min(wait, 3600) for wait in wanted]
    behind_us = build.NOW_US - 5_000_000
    assert context.next_check_us(schedule, operation, behind_us) == behind_us + first_s * 1_000_000


@pytest.mark.parametrize(("state", "first_s"), [(S.IN_DOUBT, 1), (S.PENDING, 10)])
def test_a_rest_of_the_installation_does_not_count_as_looking(
    state: model.OperationState, first_s: int
) -> None:
    """After an hour of nobody looking the next looks are soon: the provider may start later."""
    schedule = context.Schedule(doubt_first_s=1.0, pending_first_s=10.0, longest_s=3600.0)
    now_us = build.NOW_US + 3_600_000_000
    for attempts, doublings in ((0, 0), (1, 0), (2, 1), (4, 3)):
        operation = build.operation(model.Kind.SALE, state=state, attempts=attempts)
        wait_us = context.next_check_us(schedule, operation, now_us) - now_us
        assert wait_us == first_s * 2**doublings * 1_000_000

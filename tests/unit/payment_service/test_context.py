"""What transactions that run again take their ids from."""

import itertools

from payment_service.usecases import context


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

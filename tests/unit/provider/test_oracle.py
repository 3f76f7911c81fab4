"""The oracle notices when the books contradict themselves."""

from typing import Any

from provider_mock import oracle, schema


def payment(**changes: Any) -> schema.PaymentRow:
    """A payment of 100, authorized and captured."""
    row = schema.PaymentRow(
        object_id="p1",
        binding_id="b",
        operation_id="op_sale_1",
        reference="pay_1",
        currency="EUR",
        scenario="approve",
        authorized_minor=100,
        capturing_minor=0,
        captured_minor=100,
        releasing_minor=0,
        released_minor=0,
        refunding_minor=0,
        refunded_minor=0,
        closed=1,
        created_us=1,
    )
    return row._replace(**changes)


def operation(kind: str = "SALE", amount_minor: int = 100) -> schema.OperationRow:
    """An effect on that payment."""
    return schema.OperationRow(
        operation_id=f"op_{kind}",
        binding_id="b",
        kind=kind,
        fingerprint="f",
        state="SUCCEEDED",
        reference="pay_1",
        object_id="p1",
        provider_operation_id="mop",
        target_id="",
        amount_minor=amount_minor,
        echo_minor=amount_minor,
        currency="EUR",
        final=0,
        decline_reason=0,
        due_us=None,
        due_state="",
        due_reason=0,
        action_token=None,
        action_expire_us=0,
        details="",
        state_us=1,
        created_us=1,
    )


def test_books_that_add_up_have_no_differences() -> None:
    """Effects and sums agree."""
    assert oracle.differences([payment()], [operation()]) == []


def test_a_sum_without_its_effect_is_found() -> None:
    """A refund in the sums that no operation made, and an effect that no sum shows."""
    found = oracle.differences([payment(refunded_minor=40)], [operation()])
    assert found == ["p1: refunded_minor is 40, effects make 0"]
    found = oracle.differences([payment()], [operation(), operation("REFUND", 40)])
    assert found == ["p1: refunded_minor is 0, effects make 40"]


def test_money_still_held_on_a_closed_payment_is_found() -> None:
    """Nothing may stay held once nothing more will be captured."""
    found = oracle.differences([payment(captured_minor=70)], [operation()])
    assert "p1: closed, yet 30 is held" in found

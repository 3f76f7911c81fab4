"""Rules of the order file and its reader."""

import json
import pathlib
from typing import Any

import pytest

from examples.demo import __main__ as main
from examples.demo import orders


def a_line(**over: Any) -> dict[str, Any]:
    """Makes the JSON object of one valid order."""
    expect = {
        "state": "SUCCEEDED",
        "authorized_minor": 1050,
        "captured_minor": 1050,
        "refunded_minor": 0,
    }
    line = {
        "id": "order-1",
        "note": "Tea",
        "amount_minor": 1050,
        "currency": "EUR",
        "capture_method": "automatic",
        "payment_method": "tok_approve",
        "expect": expect,
    }
    return line | over


@pytest.fixture
def shipped() -> list[orders.Order]:
    """The orders that come with the project."""
    return orders.load(main.ORDERS)


def test_shipped_orders_cover_every_state_step_and_exponent(shipped: list[orders.Order]) -> None:
    """The demo shows every final state, every step, and currencies of 0, 2 and 3 decimals."""
    assert len(shipped) >= 300
    assert {order.expect.state for order in shipped} == {
        state.removeprefix("STATE_")
        for state in orders.STATES - {"STATE_UNSPECIFIED", "STATE_PROCESSING"}
    }
    assert {type(step) for order in shipped for step in order.steps} == set(orders.STEPS.values())
    assert {"EUR", "JPY", "KRW", "KWD", "BHD", "TND"} <= {order.currency for order in shipped}


def test_shipped_expectations_keep_the_ceilings(shipped: list[orders.Order]) -> None:
    """No order expects more captured than authorized or more refunded than captured."""
    for order in shipped:
        expect = order.expect
        assert expect.authorized_minor in (0, order.amount_minor), order.id
        assert expect.captured_minor <= expect.authorized_minor, order.id
        assert expect.refunded_minor <= expect.captured_minor, order.id
        assert (expect.state == "FAILED") == bool(expect.failure_reason), order.id


def test_shipped_orders_share_customers(shipped: list[orders.Order]) -> None:
    """Some customers order more than once."""
    emails = [order.customer.email for order in shipped if order.customer]

    assert len(set(emails)) < len(emails)


@pytest.mark.parametrize(
    ("line", "text"),
    [
        (a_line(amount_minor=0), "amount_minor has to be above 0"),
        (a_line(capture_method="later"), "capture_method 'later' is unknown"),
        (a_line(colour="red"), "unexpected keyword argument 'colour'"),
        (a_line(steps=[{"do": "ship"}]), "step 'ship' is not one of confirm, capture"),
        (a_line(steps=[{"do": "act", "answer": "maybe"}]), "neither approve nor decline"),
        (a_line(steps=[{"do": "await", "state": "PAID"}]), "state 'PAID' is not one"),
        (a_line(steps=[{"do": "refund", "reason": "mood"}]), "refund reason 'mood'"),
        (a_line(expect={"state": "SUCCEEDED"}), "expect: .*authorized_minor"),
        (a_line(customer="Ann"), "customer has to be a JSON object"),
        ([1], "order has to be a JSON object"),
    ],
)
def test_a_malformed_line_is_named(tmp_path: pathlib.Path, line: Any, text: str) -> None:
    """A line that can't be used is refused with its number and what is wrong."""
    file = tmp_path / "orders.jsonl"
    file.write_text(f"{json.dumps(a_line(id='first'))}\n{json.dumps(line)}\n")

    with pytest.raises(orders.OrdersError, match=rf"orders.jsonl:2: .*{text}"):
        orders.load(file)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("", "holds 0 orders"),
        ("{", "orders.jsonl:1: "),
        (f"{json.dumps(a_line())}\n\n{json.dumps(a_line())}\n", ":3: order order-1 is there twice"),
    ],
)
def test_a_useless_file_is_refused(tmp_path: pathlib.Path, content: str, text: str) -> None:
    """An empty file, one that is not JSON and one with an order twice are refused."""
    file = tmp_path / "orders.jsonl"
    file.write_text(content)

    with pytest.raises(orders.OrdersError, match=text):
        orders.load(file)

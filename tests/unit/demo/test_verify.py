"""Rules of the demo's checks: each planted mistake is found, and no more than that."""

import dataclasses

import pytest
from payhub.events.v1 import event_pb2
from payhub.payments.v1 import customer_service_pb2, payment_events_pb2, payment_pb2
from payhub.payments.v1 import refund_service_pb2 as refund_pb2
from payhub.type.v1 import money_pb2

from examples.demo import orders, pay, verify

Payment = payment_pb2.Payment
Operation = payment_pb2.Operation
PAYMENT_ID = f"pay_{1:032x}"
EUR_10 = money_pb2.Money(amount_minor=1000, currency_code="EUR")


def an_operation(number: int, kind: int, state: int, amount_minor: int = 1000) -> Operation:
    """Makes one operation in EUR."""
    return Operation(
        id=f"op_{number:032x}",
        kind=kind,  # type: ignore[arg-type]
        state=state,  # type: ignore[arg-type]
        amount=money_pb2.Money(amount_minor=amount_minor, currency_code="EUR"),
    )


def a_sale() -> pay.Paid:
    """Makes a sale of EUR 10.00 of which EUR 4.00 went back, as expected by its order."""
    order = orders.Order(
        id="order-1",
        note="Tea",
        amount_minor=1000,
        currency="EUR",
        capture_method="automatic",
        payment_method="tok_approve",
        steps=(orders.Refund(amount_minor=400),),
        expect=orders.Expected(
            state="SUCCEEDED",
            authorized_minor=1000,
            captured_minor=1000,
            refunded_minor=400,
            refunds=("SUCCEEDED",),
        ),
    )
    payment = Payment(
        id=PAYMENT_ID,
        state=Payment.STATE_SUCCEEDED,
        amount=EUR_10,
        amounts=payment_pb2.Amounts(authorized_minor=1000, captured_minor=1000, refunded_minor=400),
        references=payment_pb2.References(order_id="order-1"),
        operations=[
            an_operation(1, Operation.KIND_SALE, Operation.STATE_SUCCEEDED),
            an_operation(2, Operation.KIND_REFUND, Operation.STATE_SUCCEEDED, 400),
        ],
        version=4,
    )
    refund = refund_pb2.Refund(id=f"ref_{1:032x}", state=refund_pb2.Refund.STATE_SUCCEEDED)
    return pay.Paid(order=order, payment=payment, refunds=[refund])


def its_entries() -> list[verify.LedgerEntry]:
    """Makes the provider's bookings of that sale."""
    return [
        verify.LedgerEntry(
            operation_id=f"op_{number:032x}", kind=kind, amount_minor=amount, currency="EUR"
        )
        for number, kind, amount in ((1, "SALE", 1000), (2, "REFUND", 400))
    ]


def its_events(paid: pay.Paid) -> list[event_pb2.Event]:
    """Makes the four events of that sale."""
    final = paid.payment

    def snapshot(version: int) -> Payment:
        payment = Payment()
        payment.CopyFrom(final)
        payment.version = version
        del payment.operations[(1 if version < 3 else 2) :]
        if version < 4:
            payment.amounts.refunded_minor = 0
        if version == 3:
            payment.amounts.refund_pending_minor = 400
            payment.operations[1].state = Operation.STATE_IN_FLIGHT
        if version == 1:
            payment.state = Payment.STATE_PROCESSING
            payment.ClearField("amounts")
            payment.operations[0].state = Operation.STATE_IN_FLIGHT
        return payment

    types = ("payment.created", "payment.succeeded", "refund.created", "refund.succeeded")
    return [
        event_pb2.Event(
            id=f"evt_{version:032x}",
            type=kind,
            entity_type="payment",
            entity_id=final.id,
            entity_version=version,
            data=payment_events_pb2.PaymentEvent(payment=snapshot(version)).SerializeToString(),
        )
        for version, kind in enumerate(types, start=1)
    ]


def event_problems(
    seen: list[event_pb2.Event],
    stored: list[event_pb2.Event] | None = None,
    customers: list[customer_service_pb2.Customer] | None = None,
) -> list[str]:
    """Checks events of that sale; `stored` is what was seen unless given."""
    return verify.check_events(
        seen=seen,
        stored=seen if stored is None else stored,
        paid=[a_sale()],
        customers=customers or [],
    )


def test_a_correct_sale_has_no_differences() -> None:
    """Nothing is reported of a payment, a ledger and events that are as they should be."""
    paid = a_sale()

    totals, problems = verify.check_ledger([paid.payment], its_entries())

    assert verify.check_payment(paid) == []
    assert problems == []
    assert totals["EUR"].equal
    assert event_problems(its_events(paid)) == []


@pytest.mark.parametrize(
    ("over", "text"),
    [
        ({"state": "FAILED"}, "state is SUCCEEDED, expected FAILED"),
        ({"authorized_minor": 999}, "authorized_minor is 1000, expected 999"),
        ({"captured_minor": 999}, "captured_minor is 1000, expected 999"),
        ({"refunded_minor": 0}, "refunded_minor is 400, expected 0"),
        ({"refunds": ("FAILED",)}, "refunds is ['SUCCEEDED'], expected ['FAILED']"),
        ({"failure_reason": "OTHER"}, "failure_reason is , expected OTHER"),
        ({"operations_in_doubt": ("SALE",)}, "operations_in_doubt is [], expected ['SALE']"),
    ],
)
def test_a_wrong_expectation_is_a_difference(over: dict[str, object], text: str) -> None:
    """Each part of an expectation is compared, and the difference names both sides."""
    paid = a_sale()
    wrong = dataclasses.replace(paid.order.expect, **over)  # type: ignore[arg-type]
    paid.order = dataclasses.replace(paid.order, expect=wrong)

    assert verify.check_payment(paid) == [text]


def test_an_order_that_could_not_be_carried_out_is_a_difference() -> None:
    """An error on the way is reported as it is."""
    paid = a_sale()
    paid.error = "Unavailable: gone"

    assert verify.check_payment(paid) == ["Unavailable: gone"]


def test_ledger_without_our_effect_is_a_difference() -> None:
    """An operation that succeeded here has to be booked at the provider."""
    _, problems = verify.check_ledger([a_sale().payment], its_entries()[:1])

    assert any("the provider has not booked it" in text for text in problems)
    assert any("the sums differ" in text for text in problems)


def test_effect_twice_at_the_provider_is_a_difference() -> None:
    """One operation id that took effect twice is a double charge."""
    _, problems = verify.check_ledger([a_sale().payment], [*its_entries(), its_entries()[0]])

    assert any("took effect twice" in text for text in problems)


def test_effect_payhub_does_not_know_is_a_difference() -> None:
    """Money that moved at the provider without an operation here is reported."""
    stray = dataclasses.replace(its_entries()[0], operation_id="op_stray")

    _, problems = verify.check_ledger([a_sale().payment], [*its_entries(), stray])

    assert problems == ["op_stray: the provider booked it, Payhub does not know it"]


def test_effect_of_a_failed_operation_is_a_difference() -> None:
    """An operation that failed here must not have moved money."""
    payment = a_sale().payment
    payment.operations[0].state = Operation.STATE_DECLINED

    _, problems = verify.check_ledger([payment], its_entries())

    assert any("is STATE_DECLINED here, but took effect" in text for text in problems)


def test_effect_for_another_amount_is_a_difference() -> None:
    """The provider has to have booked the amount that was asked for."""
    first, second = its_entries()

    _, problems = verify.check_ledger(
        [a_sale().payment], [dataclasses.replace(first, amount_minor=1001), second]
    )

    assert any("took effect for another amount" in text for text in problems)


def test_a_doubt_is_summed_apart() -> None:
    """What the provider booked for an operation in doubt is shown, and no difference."""
    payment = a_sale().payment
    payment.ClearField("amounts")
    payment.state = Payment.STATE_IN_DOUBT
    payment.operations[0].state = Operation.STATE_IN_DOUBT
    del payment.operations[1:]

    totals, problems = verify.check_ledger([payment], its_entries()[:1])

    assert problems == []
    assert (totals["EUR"].captured, totals["EUR"].doubt_captured) == (0, 1000)


def test_an_event_missed_or_repeated_by_the_subscriber_is_a_difference() -> None:
    """The subscriber has to see exactly what the log holds, in its order."""
    events = its_events(a_sale())

    assert "never saw it" in event_problems(events[:3], events)[0]
    assert "saw it 2 times" in event_problems([*events, events[0]], events)[0]
    assert "in another order" in event_problems([*events[1:], events[0]], events)[0]


def test_a_gap_in_versions_is_a_difference() -> None:
    """Versions of an entity's events are dense from 1."""
    events = its_events(a_sale())
    del events[1]

    problems = event_problems(events)

    assert f"{PAYMENT_ID}: versions have gaps or repeats: [1, 3, 4]" in problems
    assert any("4 changes, 3 events" in text for text in problems)


def test_an_event_without_a_transition_is_a_difference() -> None:
    """Two events with equal snapshots can't both stand for a change."""
    events = its_events(a_sale())
    same = payment_events_pb2.PaymentEvent.FromString(events[1].data)
    same.payment.version = 3
    events[2].data = same.SerializeToString()

    assert any("refund.created v3 changed nothing" in text for text in event_problems(events))


def test_a_wrong_type_of_event_is_a_difference() -> None:
    """How many events of each type there are follows from the payment."""
    events = its_events(a_sale())
    events[1].type = "payment.authorized"

    problems = event_problems(events)

    assert any("1 payment.authorized events, expected 0" in text for text in problems)
    assert any("0 payment.succeeded events, expected 1" in text for text in problems)


def test_a_secret_in_an_event_is_a_difference() -> None:
    """Snapshots in events hold no redirect URL and no client secret."""
    events = its_events(a_sale())
    shows = payment_events_pb2.PaymentEvent.FromString(events[0].data)
    shows.payment.action.client_secret = "canary"
    events[0].data = shows.SerializeToString()

    assert any("payment.created shows a secret" in text for text in event_problems(events))


def test_events_of_customers_are_counted() -> None:
    """Each change of a customer has an event, and unknown entities are reported."""
    events = its_events(a_sale())
    known = customer_service_pb2.Customer(id="cus_1", version=1)
    of_customer = event_pb2.Event(id="evt_c", type="customer.created", entity_id="cus_1")
    of_customer.entity_version = 1

    assert event_problems([*events, of_customer], customers=[known]) == []
    assert event_problems(events, customers=[known]) == ["cus_1: 1 changes, 0 events"]
    assert event_problems([*events, of_customer]) == ["cus_1: events of something unknown"]

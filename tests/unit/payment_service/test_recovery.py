"""Payments read back from events, alone and beside what was done here meanwhile."""

from dataclasses import replace
from typing import cast

import pytest

from payment_service.domain import model
from payment_service.domain.mirrors import payment_methods
from payment_service.provider_client import pool
from payment_service.recovery import mirrors, rebuilding
from payment_service.usecases import resending, snapshots
from payment_service.usecases.mirrors import telling
from tests.unit.payment_service import build, mirrored

O = build.O  # noqa: E741 - the tables read best with one letter per enum
K = model.Kind
TIMEOUT_US = 20_000_000


def authorized() -> build.Story:
    """A payment whose money is held."""
    return build.Story().confirm().then(O.SUCCEEDED)


def sold() -> build.Story:
    """A payment whose money was taken."""
    return build.Story(K.SALE).confirm().then(O.SUCCEEDED)


STORIES = {
    "created": build.Story(),
    "sent": build.Story().confirm(),
    "declined": build.Story().confirm().then(O.DECLINED),
    "mismatched": build.Story().confirm().then(O.UNKNOWN),
    "captures": authorized().capture(300),
    "captures the rest": authorized().capture(300).then(O.SUCCEEDED).capture(200, final=True),
    "is voided": authorized().capture(300).then(O.SUCCEEDED).cancel(),
    "voided": authorized().cancel().then(O.SUCCEEDED),
    "raised": authorized().increment(500).then(O.SUCCEEDED),
    "refunds": sold().refund(300).then(O.SUCCEEDED).refund(200),
    "refunds in parts": sold().refund(300).refund(200),
}


@pytest.mark.parametrize("name", STORIES)
def test_a_snapshot_is_read_back(name: str) -> None:
    """What a payment's event tells makes the same payment again, reservations included."""
    payment = STORIES[name].payment
    read = rebuilding.payment(snapshots.payment(payment), "default", None, timeout_us=TIMEOUT_US)
    assert replace(read, operations=()) == replace(payment, operations=())
    for made, told in zip(read.operations, payment.operations, strict=True):
        same = replace(
            made,
            version=told.version,
            next_check_us=told.next_check_us,
            not_after_us=told.not_after_us,
        )
        assert same == told
        waits = made.is_open and made.failure is None
        assert bool(made.next_check_us) is waits
        assert made.not_after_us == (made.updated_us + TIMEOUT_US if made.is_open else 0)


def test_what_no_event_tells_of_an_operation_stays() -> None:
    """What was sent to the provider, under which version of its plugin, and where it counts."""
    sent = sold().payment
    (operation,) = sent.operations
    own = replace(
        operation,
        state=model.OperationState.IN_FLIGHT,
        request=b"sent",
        plugin_version="1.2.0",
        counted_day="2026-01-01",
    )
    here = replace(sent, operations=(own,))
    read = rebuilding.payment(snapshots.payment(sent), "default", here, timeout_us=TIMEOUT_US)
    (after,) = read.operations
    assert after.state is operation.state
    assert after.request == own.request
    assert after.plugin_version == own.plugin_version
    assert after.counted_day == own.counted_day


def test_every_field_of_a_snapshot_is_read_back() -> None:
    """Nothing that an event tells is lost but what callers may do, which follows from the rest; a
    field that snapshots get is missed here until it is read back.
    """
    payment = replace(
        authorized().capture(300).then(O.SUCCEEDED).refund(100).payment,
        provider_payment_id="ch_1",
        references=model.References(
            customer_id="cus_1",
            user_id="user-1",
            subscription_id="sub_1",
            order_id="order-1",
            metadata={"a": "b"},
        ),
        description="Two books",
        failure=model.Failure(kind=model.FailureKind.DECLINED, reason="EXPIRED"),
        cancel_requested=True,
        foreign_refunded_minor=10,
        disputed_minor=20,
        payment_method_id="pmt_1",
        off_session=True,
        invoice_id="inv_1",
        checkout_id="chk_1",
        updated_us=build.NOW_US + 1_000_000,
    )
    told = snapshots.payment(payment)
    # The payer's action is sensitive; of a coming try the log lacks the request.
    names = {field.name for field in told.DESCRIPTOR.fields} - {"action", "next_retry_time"}
    assert {field.name for field, _ in told.ListFields()} | {"available_actions"} == names
    read = rebuilding.payment(told, "default", None, timeout_us=TIMEOUT_US)
    assert replace(read, operations=()) == replace(payment, operations=())


@pytest.mark.parametrize("here", [None, 70])
def test_a_default_payment_method_stays_the_default(here: int | None) -> None:
    """The log tells that it is one, not since when: without that, the next change of another
    method of the customer would take it away.
    """
    method = replace(
        mirrored.METHOD,
        state=payment_methods.State.ACTIVE,
        user_id="user-1",
        is_default=True,
        default_us=70,
        updated_us=90,
    )
    stored = replace(method, is_default=False, default_us=here) if here else None
    told = telling.payment_method(method)
    read = mirrors.entity(told, "t", stored, user_id="user-1")
    assert read == replace(method, default_us=here or 90)
    assert payment_methods.elect([read]) == []
    told.is_default = False
    assert mirrors.entity(told, "t", stored, user_id="user-1").default_us == 0


def test_what_no_event_tells_of_an_invoice_stays() -> None:
    """Which payment of the provider's it is paid by, if that is stored."""
    stored = replace(mirrored.INVOICE, provider_payment_id="ch_1", pdf_url="there", revision=4)
    after = replace(mirrored.INVOICE, number="A-1")
    read = mirrors.entity(telling.invoice(after), "t", stored, user_id="")
    assert read == replace(stored, number="A-1")


def test_both_sides_are_added_up() -> None:
    """A refund before and another one after the restore count both, open or done."""
    before = sold().refund(300).then(O.SUCCEEDED).payment
    here = sold()
    here.number += 10
    here.refund(200).then(O.SUCCEEDED).refund(100)
    merged = rebuilding.merge(before, here.payment)
    assert merged is not None
    assert (merged.refunded_minor, merged.refund_reserved_minor) == (500, 100)
    assert len(merged.operations) == 4


@pytest.mark.parametrize(
    ("before", "here"),
    [
        (sold().refund(700).then(O.SUCCEEDED), lambda story: story.refund(400)),
        (
            authorized().capture(700).then(O.SUCCEEDED),
            lambda story: story.capture(400).then(O.SUCCEEDED),
        ),
        (authorized().capture(100), lambda story: story.capture(100)),
    ],
    ids=["refunds", "captures", "two captures under way"],
)
def test_what_can_not_be_is_not_made(before: build.Story, here: object) -> None:
    """More than there is, or two charges at once, can't be added up."""
    story = sold() if before.kind is K.SALE else authorized()
    story.number += 10
    here(story)  # type: ignore[operator]
    assert rebuilding.merge(before.payment, story.payment) is None


def test_a_second_sale_is_not_added() -> None:
    """A payment that was sold before and sold again after the restore is told apart."""
    again = build.Story(K.SALE)
    again.number += 10
    assert rebuilding.merge(sold().payment, again.confirm().then(O.SUCCEEDED).payment) is None


def test_what_was_sent_is_not_sent_again_without_its_request() -> None:
    """The log does not tell requests: a doubt that was read back from it is only looked up."""
    doubt = build.Story(K.SALE).confirm().then(O.UNKNOWN, failure=None).payment.operations[0]
    assert doubt.state is model.OperationState.IN_DOUBT
    unknown = build.report(O.UNKNOWN, failure=None)
    nobody = cast(pool.Provider, None)
    assert not resending.may_help(nobody, doubt, unknown, build.NOW_US + 60_000_000)

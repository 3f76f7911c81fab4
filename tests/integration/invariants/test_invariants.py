"""The invariants find what is wrong, and nothing where nothing is."""

import pathlib
import time
from typing import Any

import pytest
from payhub.events.v1 import event_pb2
from payhub.payments.v1 import payment_events_pb2, payment_pb2

from tests.integration.invariants import handmade

SECRET = 'tok_"secret"'

# What is planted in which file, and what has to be said of it.
PLANTED = {
    "effect twice": (
        "ledger",
        "insert into operations select * from operations where operation_id = 'op_sale'",
        "op_sale: took effect twice at the provider",
    ),
    "effect nobody asked for": (
        "ledger",
        "update operations set operation_id = 'op_other' where operation_id = 'op_part'",
        "op_other: the provider has booked it, nobody here has asked for it",
    ),
    "effect missing": (
        "ledger",
        "update operations set state = 'DECLINED' where operation_id = 'op_refund'",
        "REFUND op_refund is SUCCEEDED here, DECLINED at the provider",
    ),
    "effect of what failed": (
        "ledger",
        "update operations set operation_id = 'op_lost' where operation_id = 'op_sale'",
        "SALE op_lost is NOT_SENT here, SUCCEEDED at the provider",
    ),
    "effect of another amount": (
        "ledger",
        "update operations set amount_minor = 1001 where operation_id = 'op_sale'",
        "SALE op_sale: the provider has booked (1001, 'EUR')",
    ),
    "books that do not add up": (
        "ledger",
        "update payments set refunded_minor = 301 where object_id = 'mpay_sale'",
        "ledger: mpay_sale: refunded_minor is 301, effects make 300",
    ),
    "other totals": (
        "ledger",
        "update payments set captured_minor = 201 where object_id = 'mpay_parts'",
        "JPY: authorized, captured, refunded are (500, 200, 0) here and (500, 201, 0)",
    ),
    "authorized above the amount": (
        "payments",
        "update payments set amount_minor = 999 where id = 'pay_sale'",
        "pay_sale: authorized 1000 of 999",
    ),
    "captured above authorized": (
        "payments",
        "update payments set captured_minor = 501 where id = 'pay_parts'",
        "pay_parts: more captured and reserved than authorized",
    ),
    "refunded above captured": (
        "payments",
        "update payments set refund_reserved_minor = 701 where id = 'pay_sale'",
        "pay_sale: more refunded and reserved than captured",
    ),
    "reservation left": (
        "payments",
        "update payments set capture_reserved_minor = 1 where id = 'pay_parts'",
        "pay_parts: capture_reserved_minor is 1, its operations make 0",
    ),
    "sum without operation": (
        "payments",
        "update operations set state = 6 where id = 'op_part'",
        "pay_parts: captured_minor is 200, its operations make 0",
    ),
    "authorized twice": (
        "payments",
        "update operations set kind = 1 where id = 'op_part'",
        "pay_parts: authorized more than once",
    ),
    "operation of nothing": (
        "payments",
        "update operations set entity_id = 'pay_gone' where id = 'op_lost'",
        "pay_gone: has operations, but is not there",
    ),
    "day that lost more than was taken": (
        "payments",
        "update binding_usage set used_minor = 1001 where currency = 'EUR'",
        "b-1 2026-01-01 EUR: 1001 of the day are used, operations took 1000",
    ),
    "day that was not counted": (
        "payments",
        "delete from binding_usage where currency = 'JPY'",
        "b-1 2026-01-01 JPY: 0 of the day are used, operations took 500",
    ),
    "refund that its operation belies": (
        "payments",
        "update refunds set state = 3",
        "ref_one is STATE_FAILED, pay_sale: REFUND op_refund is not",
    ),
    "refund without operation": (
        "payments",
        "update refunds set operation_id = 'op_gone'",
        "ref_one: no operation carries it out",
    ),
    "refund of another amount": (
        "payments",
        "update refunds set amount_minor = 299",
        "ref_one: pay_sale: REFUND op_refund is for another amount",
    ),
    "key of nothing": (
        "payments",
        "update idempotency_keys set resource_id = 'pay_gone' where key = 'k1'",
        "idempotency key k1 of Create: pay_gone is not there",
    ),
    "two operations of one call": (
        "payments",
        "update operations set idempotency_key = 'k4' where id = 'op_void'",
        "idempotency key k4: 2 operations of 1 calls",
    ),
    "operation left open": (
        "payments",
        "update operations set state = 4 where id = 'op_part'",
        "pay_parts: CAPTURE op_part has been IN_DOUBT for",
    ),
    "wish not carried out": (
        "payments",
        "update payments set cancel_requested = 1 where id = 'pay_sale'",
        "pay_sale: the wish to cancel it was not carried out",
    ),
    "change without event": (
        "payments",
        "update payments set version = 5 where id = 'pay_sale'",
        "pay_sale has version 5, its events [1, 2, 3, 4]",
    ),
    "event lost": (
        "payments",
        "delete from outbox where entity_id = 'pay_sale' and entity_version = 2",
        "pay_sale has version 4, its events [1, 3, 4]",
    ),
    "event twice": (
        "payments",
        "insert into outbox select * from outbox where entity_version = 4",
        "event evt_pay_sale_4: written 2 times",
    ),
    "event of nothing": (
        "payments",
        "delete from customers",
        "cus_one: has events, but is not there",
    ),
    "columns of another event": (
        "payments",
        "update outbox set event_id = 'evt_x' where event_id = 'evt_pay_lost_1'",
        "event evt_x: its envelope is of another event",
    ),
    "state nobody told": (
        "payments",
        "update payments set state = 7 where id = 'pay_parts'",
        "pay_parts is (7, False, 500, 200, 0), its newest event tells (5, False, 500, 200, 0)",
    ),
    "wish nobody told": (
        "payments",
        "update payments set cancel_requested = 1 where id = 'pay_parts'",
        "pay_parts is (5, True, 500, 200, 0), its newest event tells (5, False, 500, 200, 0)",
    ),
    "customer nobody told": (
        "payments",
        "update customers set sync_state = 4",
        "cus_one: its newest event tells SYNC_STATE_SYNCED, not 4",
    ),
    "key nobody told": (
        "payments",
        "update api_keys set version = 1",
        "k-1 has version 1, its events []",
    ),
    "policy nobody told": (
        "payments",
        "update retry_policies set version = 1",
        "policy of default has version 1, its events []",
    ),
    "default nobody told": (
        "payments",
        "update default_provider_versions set version = 1",
        "default of installation has version 1, its events []",
    ),
    "not in the log": (
        "log",
        "delete from event_log where position = 3",
        "event evt_pay_sale_3 of pay_sale v3: not in the log",
    ),
    "gap in the log": (
        "log",
        "delete from event_log where position = 3",
        "log position 4: version 4 of pay_sale comes after 2",
    ),
    "twice in the log": (
        "log",
        "update event_log set event_id = 'evt_pay_sale_1' where position = 13",
        "event evt_pay_sale_1 is in the log 2 times",
    ),
    "beyond the head": (
        "log",
        "update log_head set head = 12",
        "log position 13: after the head, 12",
    ),
    "another position than readers get": (
        "log",
        "update event_log set position = 14 where position = 13",
        "log position 14: the event in it is another one",
    ),
    "log of another life": (
        "log",
        "update log_head set epoch = 7",
        "event evt_pay_sale_1: marked 00abcdef/1, is at 00000007/1",
    ),
    "marked elsewhere": (
        "payments",
        "update outbox set log_position = 99 where id = 2",
        "event evt_pay_sale_2: marked 00abcdef/99, is at 00abcdef/2",
    ),
    "never published": (
        "payments",
        "update outbox set log_epoch = '', log_position = 0 where id = 2",
        "event evt_pay_sale_2: marked nothing/0, is at 00abcdef/2",
    ),
    "in the log only": (
        "payments",
        "delete from outbox where id = 2",
        "event evt_pay_sale_2: in the log, but nobody here has written it",
    ),
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> handmade.Installation:
    """One to copy: filling its databases takes longer than what a test does with them."""
    return handmade.Installation(tmp_path_factory.mktemp("made"))


@pytest.fixture
def installed(made: handmade.Installation, tmp_path: pathlib.Path) -> handmade.Installation:
    """A fresh one per test."""
    return made.copied(tmp_path)


def test_nothing_is_found_where_nothing_is_wrong(installed: handmade.Installation) -> None:
    """An installation at rest that tells the truth has no violation."""
    assert installed.violations(secrets=[SECRET]) == []


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_violation_is_found(installed: handmade.Installation, name: str) -> None:
    """Whatever is changed behind the services' back is named."""
    where, statement, text = PLANTED[name]

    installed.change(getattr(installed, where), statement)

    assert any(text in found for found in installed.violations()), installed.violations()


def set_type(event: event_pb2.Event, kind: str) -> None:
    """Makes an event one of another type."""
    event.type = kind


def set_payment(event: event_pb2.Event, **fields: Any) -> None:
    """Changes the snapshot in an event."""
    payload = payment_events_pb2.PaymentEvent.FromString(event.data)
    for name, value in fields.items():
        setattr(payload.payment, name, value)
    event.data = payload.SerializeToString()


def set_operation(event: event_pb2.Event, operation_id: str) -> None:
    """Makes an event one about another operation."""
    payload = payment_events_pb2.PaymentEvent.FromString(event.data)
    payload.operation_id = operation_id
    event.data = payload.SerializeToString()


RETOLD: dict[str, Any] = {
    "type without its state": (
        ("pay_sale", 3),
        lambda event: set_type(event, "payment.failed"),
        "pay_sale v3: payment.failed leads from STATE_SUCCEEDED to STATE_SUCCEEDED",
    ),
    "state without its type": (
        ("pay_sale", 4),
        lambda event: set_payment(event, state=payment_pb2.Payment.STATE_FAILED),
        "pay_sale v4: refund.succeeded leads from STATE_SUCCEEDED to STATE_FAILED",
    ),
    "capture not told": (
        ("pay_parts", 3),
        lambda event: set_type(event, "payment.resolved"),
        "CAPTURE op_part is SUCCEEDED, told {'payment.resolved': 1}: not exactly one of",
    ),
    "settled amount that is none": (
        ("pay_parts", 4),
        lambda event: set_type(event, "payment.captured"),
        "VOID op_void: payment.captured was told, but that is not how it ended",
    ),
    "refund without beginning": (
        ("pay_sale", 3),
        lambda event: set_type(event, "payment.resolved"),
        "REFUND op_refund: 0 events tell that it began",
    ),
    "unknown that was never in doubt": (
        ("pay_lost", 2),
        lambda event: set_type(event, "payment.processing"),
        "SALE op_lost: its outcome was unknown, but it never was in doubt",
    ),
    "snapshot of another version": (
        ("pay_lost", 2),
        lambda event: set_payment(event, version=1),
        "pay_lost v2: payment.in_doubt shows version 1",
    ),
    "operation of another payment": (
        ("pay_lost", 2),
        lambda event: set_operation(event, "op_sale"),
        "pay_lost v2: payment.in_doubt is about op_sale, which is not its operation",
    ),
    "customer made twice": (
        ("cus_one", 2),
        lambda event: set_type(event, "customer.created"),
        "cus_one v2: customer.created, not customer.updated",
    ),
}


@pytest.mark.parametrize("name", RETOLD)
def test_an_untrue_event_is_found(installed: handmade.Installation, name: str) -> None:
    """An event that does not fit what happened is named."""
    (entity_id, version), change, text = RETOLD[name]

    installed.retell(entity_id, version, change)

    assert any(text in found for found in installed.violations()), installed.violations()


def test_doubts_that_have_no_events_are_not_missed(installed: handmade.Installation) -> None:
    """Of what providers keep and bill nobody is told that its outcome is unknown."""
    (entity_id, version), change, text = RETOLD["unknown that was never in doubt"]
    installed.retell(entity_id, version, change)
    kind = payment_pb2.Operation.KIND_ATTACH_PAYMENT_METHOD
    installed.change(
        installed.payments, "update operations set kind = ? where id = 'op_lost'", kind
    )
    assert not [found for found in installed.violations() if text.partition(": ")[2] in found]


def test_a_log_that_tells_something_else_is_found(installed: handmade.Installation) -> None:
    """What the log holds is what was written, byte by byte in meaning."""
    event = installed.seen[0]
    event.user_id = "somebody"
    content = event.SerializeToString()

    installed.change(installed.log, "update event_log set event = ? where position = 1", content)

    assert any("the log tells something else" in found for found in installed.violations())


def test_a_subscriber_gets_everything_once_in_order(installed: handmade.Installation) -> None:
    """An event that a subscriber missed, got twice, made up or got too early is named."""
    whole = list(installed.seen)
    stranger = event_pb2.Event(id="evt_stranger")
    for seen, text in (
        (whole[1:], "event evt_pay_sale_1: the subscriber never got it"),
        ([*whole, whole[0]], "event evt_pay_sale_1: the subscriber got it 2 times"),
        ([*whole, stranger], "event evt_stranger: the subscriber got it, the log does not"),
        ([whole[1], whole[0], *whole[2:]], "in another order than the log's"),
    ):
        installed.seen = seen
        assert [text in found for found in installed.violations()] == [True]


def test_a_secret_is_found_wherever_it_shows(installed: handmade.Installation) -> None:
    """Events and logs are searched, also for how JSON spells the secret."""
    installed.printed.write_text('{"method": "tok_\\"secret\\""}\n')
    assert installed.violations(secrets=[SECRET]) == ["payment_service.log: shows the secret tok_…"]
    installed.printed.write_text("")

    installed.retell("pay_lost", 1, lambda event: setattr(event, "user_id", SECRET))

    found = [text for text in installed.violations(secrets=[SECRET]) if "secret" in text]
    assert found == [
        "event evt_pay_lost_1: shows the secret tok_…",
        "log position 9: shows the secret tok_…",
    ]


def test_operations_may_be_open_for_as_long_as_allowed(installed: handmade.Installation) -> None:
    """An operation in doubt is a violation once it is older than the caller allows, and
    totals are not compared before it has ended.
    """
    started_us = time.time_ns() // 1000 - 5_000_000
    installed.change(
        installed.payments,
        "update operations set state = 4, created_us = ? where id = 'op_void'",
        started_us,
    )

    late = [text for text in installed.violations(open_s_max=1.0) if "has been IN_DOUBT" in text]
    assert len(late) == 1
    assert not [text for text in installed.violations(open_s_max=60.0) if "has been" in text]

"""Snapshots say everything the domain knows that the contract has a field for."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from google.protobuf import json_format
from google.protobuf.message import Message

from payment_service.domain import actions, model
from payment_service.usecases import snapshots
from tests.unit.payment_service import build, samples

MESSAGES = {
    "payment": snapshots.payment(samples.PAYMENT),
    "refund": snapshots.refund(samples.REFUND),
    "customer": snapshots.customer(samples.CUSTOMER),
}

FAILURE: dict[str, Any] = {
    "kind": "KIND_DECLINED",
    "reason": "INSUFFICIENT_FUNDS",
    "provider_code": "51",
    "retryable_later": True,
}

# By hand. int64 is text in JSON.
WANTED: dict[str, dict[str, Any]] = {
    "payment": {
        "id": "pay_9",
        "state": "STATE_AUTHORIZED",
        "amount": {"amount_minor": "1500", "currency_code": "KWD"},
        "amounts": {
            "authorized_minor": "1400",
            "captured_minor": "700",
            "capture_pending_minor": "100",
            "refunded_minor": "50",
            "refund_pending_minor": "30",
            "foreign_refunded_minor": "7",
            "disputed_minor": "5",
        },
        "capture_method": "CAPTURE_METHOD_MANUAL",
        "provider": "mock",
        "binding_id": "binding-1",
        "provider_payment_id": "prov-pay-1",
        "references": {
            "customer_id": "cus_1",
            "user_id": "user-1",
            "subscription_id": "sub-1",
            "order_id": "order-1",
            "metadata": {"shop": "berlin", "till": "4"},
        },
        "description": "Two chairs",
        "action": {
            "redirect_url": "https://bank.test/3ds?secret=redirect-secret",
            "client_secret": "client-secret",
            "expire_time": "2026-01-01T00:00:03Z",
        },
        "failure": FAILURE,
        "cancel_requested": True,
        "available_actions": [{"action": "ACTION_REFUND", "max_amount_minor": "608"}],
        "operations": [
            {
                "id": "op_1",
                "kind": "KIND_REFUND",
                "state": "STATE_DECLINED",
                "amount": {"amount_minor": "11", "currency_code": "KWD"},
                "final": True,
                "provider_operation_id": "prov-op-1",
                "failure": FAILURE,
                "attempts": 6,
                "refund_id": "ref_1",
                "create_time": "2026-01-01T00:00:01.000001Z",
                "update_time": "2026-01-01T00:00:02.000002Z",
            }
        ],
        "version": "12",
        "create_time": "2026-01-01T00:00:00.000003Z",
        "update_time": "2026-01-01T00:00:04.000005Z",
        "payment_method_id": "pmt_1",
        "off_session": True,
        "next_retry_time": "2026-01-01T00:01:00Z",
        "invoice_id": "inv_1",
        "checkout_id": "chk_1",
    },
    "refund": {
        "id": "ref_1",
        "payment_id": "pay_9",
        "operation_id": "op_1",
        "amount": {"amount_minor": "11", "currency_code": "KWD"},
        "state": "STATE_FAILED",
        "reason": "REASON_DUPLICATE",
        "note": "Paid twice",
        "failure": FAILURE,
        "create_time": "2026-01-01T00:00:00.000006Z",
        "update_time": "2026-01-01T00:00:00.000007Z",
    },
    "customer": {
        "id": "cus_1",
        "profile": {
            "name": "Ada",
            "email": "ada@example.test",
            "phone": "+49 30 1",
            "user_id": "user-1",
            "metadata": {"tier": "gold"},
        },
        "provider": "mock",
        "provider_customer_id": "prov-cus-1",
        "sync_state": "SYNC_STATE_SYNCED",
        "version": "3",
        "create_time": "2026-01-01T00:00:00.000008Z",
        "update_time": "2026-01-01T00:00:00.000009Z",
    },
}


def _is_nested(field: Any) -> bool:
    """Whether the field holds messages of the contract's own."""
    inner = field.message_type
    return (
        inner is not None
        and inner.file.package != "google.protobuf"
        and not (inner.GetOptions().map_entry)
    )


def _empty_fields(message: Message, path: str = "") -> Iterator[str]:
    """The paths of all fields that are not set, also in what is nested and repeated."""
    shown = {field.name: value for field, value in message.ListFields()}
    for field in message.DESCRIPTOR.fields:
        here = f"{path}{field.name}"
        if field.name not in shown:
            yield here
        elif _is_nested(field):
            value = shown[field.name]
            # Of a list, one that sets a field is enough: a cancel has no amount.
            inner = list(value) if field.is_repeated else [value]
            missing = [set(_empty_fields(one, f"{here}.")) for one in inner]
            yield from sorted(set.intersection(*missing))


@pytest.mark.parametrize("name", MESSAGES)
def test_no_field_of_the_contract_is_left_empty(name: str) -> None:
    """A field added to the contract and not to the snapshot is noticed here."""
    assert list(_empty_fields(MESSAGES[name])) == []


@pytest.mark.parametrize("name", MESSAGES)
def test_every_field_has_the_value_of_the_domain(name: str) -> None:
    """No two fields are mixed up, and times keep their microseconds."""
    found = json_format.MessageToDict(MESSAGES[name], preserving_proto_field_name=True)
    assert found == WANTED[name]


def test_what_does_not_apply_is_absent() -> None:
    """No amount, failure or action is shown as absent, not as zero."""
    operation = build.operation(model.Kind.VOID)
    payment = snapshots.payment(build.payment(operations=(operation,)))
    assert not payment.HasField("action")
    assert not payment.HasField("failure")
    assert not payment.operations[0].HasField("amount")
    assert not payment.operations[0].HasField("failure")
    assert not snapshots.refund(build.refund(1)).HasField("failure")
    endless = replace(samples.ACTION, expire_us=0)
    message = snapshots.payment(replace(samples.PAYMENT, action=endless))
    assert not message.action.HasField("expire_time")


@pytest.mark.parametrize("us", [0, 1, 999_999, 1_000_000, 4_102_444_800_000_001])
def test_a_time_keeps_every_microsecond(us: int) -> None:
    """What is stored is what is shown."""
    assert snapshots.timestamp(us).ToMicroseconds() == us


def test_the_snapshot_offers_what_is_accepted() -> None:
    """`available_actions` are those by which commands are refused."""
    found = [
        (model.Action(offered.action), offered.max_amount_minor)
        for offered in MESSAGES["payment"].available_actions  # type: ignore[attr-defined]
    ]
    assert tuple(found) == actions.available(samples.PAYMENT)

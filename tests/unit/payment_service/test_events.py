"""Events: the envelope, what changed, and nothing that is secret."""

import itertools
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from google.protobuf.message import Message
from payhub.events.v1 import event_pb2
from payhub.options.v1 import options_pb2
from payhub.payments.v1 import payment_events_pb2, payment_pb2

from payment_service.domain import actions, changes, customers, model, outcomes
from payment_service.usecases import events, snapshots
from tests.unit.payment_service import build, samples

O = outcomes.Outcome  # noqa: E741
K = model.Kind
PaymentEvent = payment_events_pb2.PaymentEvent
CustomerEvent = payment_events_pb2.CustomerEvent

SENSITIVE: Any = options_pb2.sensitive
CAUSE = model.Cause(correlation_id="req_1", idempotency_key="key-1", actor="key:abc")


def _events(*steps: changes.Step) -> list[event_pb2.Event]:
    numbers = itertools.count(1)
    change = changes.Change(payment=steps[-1].after, steps=steps)
    entries = events.of_change(change, CAUSE, lambda prefix: f"{prefix}_{next(numbers)}")
    return [event_pb2.Event.FromString(entry.envelope) for entry in entries]


def _payload(step: changes.Step) -> payment_events_pb2.PaymentEvent:
    (event,) = _events(step)
    return PaymentEvent.FromString(event.data)


def _sensitive_paths(descriptor: Any, path: str = "") -> Iterator[str]:
    """The paths of all fields marked as sensitive, however deep."""
    for field in descriptor.fields:
        if field.GetOptions().Extensions[SENSITIVE]:
            yield f"{path}{field.name}"
        elif field.message_type is not None:
            yield from _sensitive_paths(field.message_type, f"{path}{field.name}.")


def _values(message: Message, path: str) -> Iterator[object]:
    """What is at *path*, in every element of what is repeated."""
    head, _, tail = path.partition(".")
    for field, value in message.ListFields():
        if field.name == head:
            inner = list(value) if field.is_repeated else [value]
            for one in inner:
                yield from _values(one, tail) if tail else [one]


def test_no_sensitive_field_is_in_an_event() -> None:
    """Whatever the contract marks is in the snapshot and not in the event, also before."""
    before = replace(samples.PAYMENT, version=11, cancel_requested=False, action=None)
    there = samples.PAYMENT
    gone = replace(there, version=13, state=model.PaymentState.SUCCEEDED, action=None)
    whole = PaymentEvent(payment=snapshots.payment(there), previous=snapshots.payment(there))
    paths = list(_sensitive_paths(PaymentEvent.DESCRIPTOR))
    assert {"payment.action.redirect_url", "previous.action.client_secret"} <= set(paths)
    assert all(list(_values(whole, path)) for path in paths)
    steps = [
        changes.Step(event_type="payment.updated", before=a, after=b, refund=samples.REFUND)
        for a, b in ((before, there), (there, gone))
    ]
    for event in _events(*steps):
        payload = PaymentEvent.FromString(event.data)
        assert not [value for path in paths for value in _values(payload, path)]
        data = event.SerializeToString()
        assert not [secret for secret in samples.SECRETS if secret in data]


def test_no_sensitive_field_is_in_a_customers_event() -> None:
    """The same walk for customers; today nothing of theirs is marked."""
    assert list(_sensitive_paths(CustomerEvent.DESCRIPTOR)) == []


def test_the_envelope_says_whose_which_and_why() -> None:
    """Every attribute of an event of a payment is set from the step and its cause."""
    step = changes.Step(
        event_type="refund.failed",
        before=replace(samples.PAYMENT, version=11),
        after=samples.PAYMENT,
        refund=samples.REFUND,
        operation_id="op_1",
    )
    change = changes.Change(payment=step.after, steps=(step,))
    (entry,) = events.of_change(change, CAUSE, lambda prefix: f"{prefix}_1")
    event = event_pb2.Event.FromString(entry.envelope)
    assert (event.id, event.type, event.type_version) == ("evt_1", "refund.failed", 1)
    assert (event.source, event.tenant_id, event.user_id) == ("payments", "acme", "user-1")
    entity = (event.entity_type, event.entity_id, event.entity_version)
    assert entity == ("payment", "pay_9", 12)
    assert event.occur_time.ToMicroseconds() == samples.PAYMENT.updated_us
    assert event.content_type == "application/protobuf"
    assert event.data_schema == "payhub.payments.v1.PaymentEvent"
    assert event.cause == event_pb2.Cause(
        correlation_id="req_1", causation_id="op_1", idempotency_key="key-1", actor="key:abc"
    )
    unset = {field.name for field in event.DESCRIPTOR.fields} - {
        field.name for field, _ in event.ListFields()
    }
    of_gateway, of_other_producers = {"append_time", "position", "redacted"}, {"labels"}
    assert unset == of_gateway | of_other_producers
    own = (entry.event_id, entry.tenant_id, entry.entity_type, entry.entity_id)
    assert own == ("evt_1", "acme", "payment", "pay_9")
    assert (entry.entity_version, entry.created_us) == (12, samples.PAYMENT.updated_us)


def test_the_payload_is_the_snapshot_with_operation_and_refund() -> None:
    """A subscriber needs no second call to know the payment and the refund."""
    plain = replace(samples.PAYMENT, action=None)
    step = changes.Step(
        event_type="refund.failed",
        before=replace(plain, version=11),
        after=plain,
        refund=samples.REFUND,
        operation_id="op_1",
    )
    payload = _payload(step)
    assert payload.payment == snapshots.payment(plain)
    assert payload.refund == snapshots.refund(samples.REFUND)
    assert payload.operation_id == "op_1"
    assert not _payload(replace(step, refund=None)).HasField("refund")


def test_the_first_event_has_nothing_before_it() -> None:
    """A new payment has no previous values, not empty ones."""
    step = build.Story().steps[0]
    payload = _payload(step)
    assert not payload.HasField("previous")
    assert list(payload.changed.paths) == []


def test_two_steps_of_one_change_are_two_events_that_follow_each_other() -> None:
    """Captured and succeeded have versions of their own, each with its own difference."""
    story = build.Story().confirm().then(O.SUCCEEDED).capture()
    applied = story.report(O.SUCCEEDED)
    assert applied.change is not None
    first, second = _events(*applied.change.steps)
    assert (first.id, second.id) == ("evt_1", "evt_2")
    assert second.entity_version == first.entity_version + 1
    captured = PaymentEvent.FromString(first.data)
    assert set(captured.changed.paths) == {
        "amounts.captured_minor",
        "amounts.capture_pending_minor",
    }
    assert captured.previous == payment_pb2.Payment(
        amounts=payment_pb2.Amounts(capture_pending_minor=1_000)
    )
    succeeded = PaymentEvent.FromString(second.data)
    assert list(succeeded.changed.paths) == ["state"]
    assert succeeded.previous == payment_pb2.Payment(state=payment_pb2.Payment.STATE_AUTHORIZED)


STORIES = {
    "action": build.Story(K.SALE)
    .confirm()
    .then(O.ACTION_REQUIRED, provider_object_id="prov-1")
    .then(O.DECLINED)
    .confirm()
    .then(O.SUCCEEDED, provider_object_id="prov-2")
    .refund(300)
    .then(O.UNKNOWN)
    .then(O.SUCCEEDED)
    .refund()
    .then(O.SUCCEEDED),
    "captures": build.Story()
    .confirm()
    .then(O.UNKNOWN)
    .then(O.SUCCEEDED, 0)
    .capture(300)
    .then(O.SUCCEEDED)
    .capture(100)
    .then(O.DECLINED)
    .cancel()
    .then(O.SUCCEEDED),
    "increments": build.Story()
    .confirm()
    .then(O.SUCCEEDED)
    .increment(500)
    .then(O.UNKNOWN)
    .then(O.SUCCEEDED)
    .increment(1)
    .then(O.DECLINED),
    "canceled": build.Story().confirm().then(O.PENDING).cancel().then(O.SUCCEEDED),
    "canceled, in doubt": build.Story()
    .confirm()
    .then(O.UNKNOWN)
    .cancel()
    .then(O.SUCCEEDED, 0)
    .cancel()
    .then(O.SUCCEEDED),
    "failed, canceled": build.Story().confirm().then(O.NOT_SENT).cancel(),
}

# They follow from the other fields or differ in every event.
NOT_LISTED = {"version", "update_time", "operations", "available_actions"}


def _differences(before: Message, after: Message) -> set[str]:
    """The paths whose values differ, found by walking the contract."""
    found: set[str] = set()
    for field in before.DESCRIPTOR.fields:
        old, new = getattr(before, field.name), getattr(after, field.name)
        if field.name == "amounts":
            found |= {f"amounts.{name}" for name in _differences(old, new)}
        elif field.message_type is not None and not field.is_repeated:
            present = (before.HasField(field.name), after.HasField(field.name))
            if old != new or present[0] != present[1]:
                found.add(field.name)
        elif old != new:
            found.add(field.name)
    return found - NOT_LISTED


def _only(message: payment_pb2.Payment, paths: set[str]) -> payment_pb2.Payment:
    """What *message* has at *paths* and nothing else."""
    kept = payment_pb2.Payment()
    for path in paths:
        head, _, leaf = path.partition(".")
        if leaf:
            setattr(kept.amounts, leaf, getattr(message.amounts, leaf))
        elif message.DESCRIPTOR.fields_by_name[head].message_type is None:
            setattr(kept, head, getattr(message, head))
        elif message.HasField(head):
            getattr(kept, head).CopyFrom(getattr(message, head))
    return kept


@pytest.mark.parametrize("name", STORIES)
def test_changed_lists_exactly_what_differs(name: str) -> None:
    """Each path that differs is listed, and `previous` holds the old values and no more."""
    for step in STORIES[name].steps[1:]:
        assert step.before is not None
        before, after = snapshots.payment(step.before), snapshots.payment(step.after)
        payload = _payload(step)
        wanted = _differences(before, after)
        assert set(payload.changed.paths) == wanted, step.event_type
        if before.HasField("action"):
            before.action.ClearField("redirect_url")
            before.action.ClearField("client_secret")
        assert payload.previous == _only(before, wanted), step.event_type


def _customer_event(change: customers.Change) -> event_pb2.Event:
    (entry,) = events.of_customer(change, lambda prefix: f"{prefix}_1")
    return event_pb2.Event.FromString(entry.envelope)


def test_a_customers_event_says_what_changed() -> None:
    """The profile's paths are listed one by one, with their old values."""
    operation = replace(samples.OPERATION, kind=K.UPDATE_CUSTOMER)
    profile = replace(samples.CUSTOMER.profile, email="new@example.test", metadata={})
    change = customers.update(samples.CUSTOMER, profile, operation, build.NOW_US + 10)
    event = _customer_event(change)
    assert (event.type, event.entity_type, event.entity_id) == (
        "customer.updated",
        "customer",
        "cus_1",
    )
    assert (event.entity_version, event.user_id, event.tenant_id) == (4, "user-1", "acme")
    assert event.data_schema == "payhub.payments.v1.CustomerEvent"
    assert event.cause.causation_id == "op_1"
    assert event.cause.actor == "key:abc"
    payload = CustomerEvent.FromString(event.data)
    assert payload.customer == snapshots.customer(change.customer)
    assert set(payload.changed.paths) == {"profile.email", "profile.metadata", "sync_state"}
    assert payload.previous.profile.email == "ada@example.test"
    assert payload.previous.profile.metadata == {"tier": "gold"}
    assert payload.previous.profile.name == ""
    assert payload.previous.sync_state == model.SyncState.SYNCED.value


def test_a_new_customers_event_has_nothing_before_it() -> None:
    """A new customer has no previous values."""
    change = customers.create(samples.CUSTOMER, samples.OPERATION)
    payload = CustomerEvent.FromString(_customer_event(change).data)
    assert not payload.HasField("previous")
    assert list(payload.changed.paths) == []


def test_a_change_that_nobody_sees_has_no_event() -> None:
    """No step, no entry: an operation that only waits on is not announced."""
    assert events.of_change(changes.Change(payment=samples.PAYMENT), CAUSE, str) == []
    quiet = customers.Change(customer=samples.CUSTOMER, operation=samples.OPERATION)
    assert events.of_customer(quiet, str) == []


def test_the_largest_payment_still_fits_into_an_event() -> None:
    """With the most operations and the longest texts the contract allows, an event has room."""
    failure = model.Failure(
        kind=model.FailureKind.DECLINED,
        reason="AUTHENTICATION_FAILED",
        provider_code="c" * 255,
        retryable_later=True,
    )
    count = actions.OPERATIONS_MAX + actions.VOIDS_EXTRA
    operations = tuple(
        build.operation(
            K.REFUND,
            id=f"op_{number:032x}",
            refund_id=f"ref_{number:032x}",
            provider_operation_id="o" * 255,
            failure=failure,
            amount_minor=2**63 - 1,
            attempts=1_000_000,
        )
        for number in range(count)
    )
    references = model.References(
        customer_id="c" * 64,
        user_id="\U0001f600" * 128,
        subscription_id="\U0001f600" * 128,
        order_id="\U0001f600" * 128,
        metadata={f"{number:064}": "\U0001f600" * 512 for number in range(32)},
    )
    largest = build.payment(
        references=references,
        description="\U0001f600" * 512,
        provider_payment_id="p" * 255,
        operations=operations,
        failure=failure,
    )
    step = changes.Step(
        event_type="payment.captured", before=largest, after=replace(largest, version=2)
    )

    (event,) = _events(step)

    assert len(event.data) <= 262_144

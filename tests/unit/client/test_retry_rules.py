"""Backoff and what the client reads from the contract."""

import pytest
from payhub.admin.v1 import key_service_pb2
from payhub.events.v1 import event_stream_service_pb2
from payhub.payments.v1 import payment_service_pb2

from payhub_client import contract, retries


def test_waits_double_up_to_the_longest() -> None:
    """Each failure in a row doubles the wait, up to the limit and however many there are."""
    backoff = retries.Backoff(first_s=0.1, longest_s=5.0)
    waits = [backoff.wait_s(n, chance=1.0) for n in (1, 2, 3, 7, 10_000)]
    assert waits == pytest.approx([0.1, 0.2, 0.4, 5.0, 5.0])


@pytest.mark.parametrize("wrong", [{"first_s": 0}, {"first_s": 2, "longest_s": 1}, {"factor": 0.5}])
def test_a_backoff_that_makes_no_sense_is_refused(wrong: dict[str, float]) -> None:
    """Waits of zero, a limit below the first wait and shrinking waits raise ValueError."""
    with pytest.raises(ValueError, match="backoff"):
        retries.Backoff(**wrong)


def test_deadlines_and_retry_safety_come_from_the_contract() -> None:
    """`idempotency_level` and `limits` decide; a stream has no deadline."""
    create = contract.method(payment_service_pb2.DESCRIPTOR, "PaymentService", "CreatePayment")
    assert (create.effects, create.deadline_s) == (contract.Effects.ONCE, 30)
    get = contract.method(payment_service_pb2.DESCRIPTOR, "PaymentService", "GetPayment")
    assert (get.effects, get.deadline_s) == (contract.Effects.NONE, 5)
    key = contract.method(key_service_pb2.DESCRIPTOR, "KeyService", "CreateKey")
    assert key.effects is contract.Effects.EACH_TIME
    stream = contract.method(event_stream_service_pb2.DESCRIPTOR, "EventStreamService", "Subscribe")
    assert stream.deadline_s == 0
    with pytest.raises(KeyError):
        contract.method(payment_service_pb2.DESCRIPTOR, "PaymentService", "Nothing")

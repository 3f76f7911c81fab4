"""Filters: prefixes end at a dot, and the order of values means nothing."""

import pytest
from payhub.events.v1 import event_pb2

from event_gateway import matching


@pytest.mark.parametrize("type_name", ["payment", "payments.created", "payment_method.attached"])
def test_a_prefix_ends_at_its_dot(type_name: str) -> None:
    """`payment.*` selects no type that merely begins with the same letters."""
    matcher = matching.Matcher(["one"], event_pb2.Filter(types=["payment.*"]))
    assert not matcher.matches("one", type_name, "payment", "pay_1")
    assert matcher.matches("one", "payment.created", "payment", "pay_1")


def test_equal_filters_have_equal_keys_whatever_their_order() -> None:
    """Streams share work when their filters say the same in another order."""
    first = event_pb2.Filter(types=["a.b", "c.*"], entity_ids=["x", "y"])
    second = event_pb2.Filter(types=["c.*", "a.b", "a.b"], entity_ids=["y", "x"])
    assert matching.Matcher(["t"], first).key == matching.Matcher(["t"], second).key
    assert matching.Matcher(["t"], first).key != matching.Matcher(["u"], first).key

"""Filters: AND between fields, OR inside one, prefixes end at a dot."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from payhub.events.v1 import event_pb2

from event_gateway import matching

TYPES = ["payment.created", "payment.captured", "payment_method.attached", "refund.created"]
PATTERNS = [*TYPES, "payment.*", "refund.*", "payment_method.*"]
TENANTS = ["one", "two", "three"]
KINDS = ["payment", "customer"]
ENTITIES = ["pay_1", "pay_2", "cus_1"]


def selects(spec: event_pb2.Filter, tenants: list[str], event: tuple[str, str, str, str]) -> bool:
    """The contract's words, one by one."""
    tenant_id, type_name, entity_type, entity_id = event
    type_ok = not spec.types or any(
        type_name.startswith(pattern[:-1]) if pattern.endswith("*") else type_name == pattern
        for pattern in spec.types
    )
    return (
        tenant_id in tenants
        and type_ok
        and (not spec.entity_types or entity_type in spec.entity_types)
        and (not spec.entity_ids or entity_id in spec.entity_ids)
    )


@given(
    st.lists(st.sampled_from(TENANTS), min_size=1),
    st.lists(st.sampled_from(PATTERNS)),
    st.lists(st.sampled_from(KINDS)),
    st.lists(st.sampled_from(ENTITIES)),
)
def test_a_filter_selects_what_the_contract_says(
    tenants: list[str], types: list[str], kinds: list[str], entities: list[str]
) -> None:
    """Fields combine with AND, values with OR, an empty field matches everything."""
    spec = event_pb2.Filter(types=types, entity_types=kinds, entity_ids=entities)
    matcher = matching.Matcher(tenants, spec)
    for tenant_id in TENANTS:
        for type_name in TYPES:
            for kind in KINDS:
                for entity in ENTITIES:
                    event = (tenant_id, type_name, kind, entity)
                    assert matcher.matches(*event) == selects(spec, tenants, event)


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

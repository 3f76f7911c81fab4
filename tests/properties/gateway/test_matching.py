"""Filters select what the contract's words do, for any filter and event."""

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

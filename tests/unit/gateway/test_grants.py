"""Whose versions are counted by Payhub alone."""

from event_gateway import grants
from payment_service.domain import admission


def test_every_namespace_that_only_payhub_tells_is_counted_by_it() -> None:
    """What its own events are about; refunds and discrepancies are told of another entity."""
    assert admission.RESERVED - {"refund", "reconciliation"} == grants.COUNTED

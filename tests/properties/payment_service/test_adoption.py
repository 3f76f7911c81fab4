"""Payments that the provider made by itself follow it, however it gets there."""

from hypothesis import given
from hypothesis import strategies as st

from payment_service.domain import adoption, model
from tests.unit.payment_service import adopted, rules

S = model.OperationState


@given(
    st.lists(st.sampled_from([S.PENDING, S.REQUIRES_ACTION, S.DECLINED]), max_size=6),
    st.sampled_from([S.SUCCEEDED, S.DECLINED, S.SUPERSEDED]),
)
def test_every_way_of_trying_ends_where_the_provider_ends(
    tries: list[model.OperationState], end: model.OperationState
) -> None:
    """However often it fails and is tried again, each attempt is an operation of its own."""
    payment = adopted.payment()
    for state in tries:
        payment = adopted.follow(payment, state)
        assert payment.state is adopted.ENTERED[state]
    payment = adopted.follow(payment, end)
    assert payment.state is adopted.ENTERED[end]
    assert not adoption.differs(payment, adopted.seen(end))
    rules.check_sums(payment)

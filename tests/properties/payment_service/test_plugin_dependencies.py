"""The order in which plugins are enabled and disabled, for any graph."""

from hypothesis import given
from hypothesis import strategies as st

from payment_service.domain import dependencies
from tests.unit.payment_service import graphs

Kind = dependencies.Kind

NAMES = "abcdefg"


@given(
    st.dictionaries(st.sampled_from(NAMES), st.sets(st.sampled_from(NAMES), max_size=3)),
    st.sampled_from(NAMES),
)
def test_an_order_is_always_topological(edges: dict[str, set[str]], start: str) -> None:
    """Whatever the graph: an order in which everything needed comes first, or a true path."""
    whole = {start: set[str]()} | edges
    made = graphs.of({name: tuple(sorted(wanted)) for name, wanted in whole.items()})
    found = dependencies.to_enable(made, start)
    if isinstance(found, dependencies.Problem):
        for one, other in zip(found.path, found.path[1:], strict=False):
            assert other in whole[one]
        assert (found.kind is Kind.MISSING) == (found.path[-1] not in whole)
        return
    assert len(set(found)) == len(found)
    for position, name in enumerate(found):
        assert whole[name] <= set(found[:position])
    everything = graphs.of(
        {name: tuple(sorted(wanted)) for name, wanted in whole.items()}, " ".join(found)
    )
    for name in found:
        down = dependencies.to_disable(everything, name)
        assert down[-1] == name
        for position, each in enumerate(down):
            users = {user for user in found if each in whole[user]}
            assert users <= set(down[:position])

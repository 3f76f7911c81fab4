"""The order in which plugins are enabled and disabled, and what stands in the way."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payment_service.domain import dependencies, plugins

Kind = dependencies.Kind


def needs(*wanted: str) -> tuple[plugins.Dependency, ...]:
    """Returns dependencies from texts like `ledger>=2` or `ledger?`."""
    made = []
    for text in wanted:
        name = text.rstrip("?")
        position = next((i for i, c in enumerate(name) if c in "<>=!~"), len(name))
        made.append(
            plugins.Dependency(
                plugin_id=name[:position],
                version_specifier=name[position:],
                required=not text.endswith("?"),
            )
        )
    return tuple(made)


def graph(
    edges: dict[str, tuple[str, ...]], enabled: str = "", versions: dict[str, str] | None = None
) -> dependencies.Graph:
    """Returns a graph; everything is at version 1.0 unless told otherwise."""
    return dependencies.Graph(
        needs={name: needs(*wanted) for name, wanted in edges.items()},
        versions=dict.fromkeys(edges, "1.0") | (versions or {}),
        enabled=frozenset(enabled.split()),
    )


DIAMOND = {"shop": ("tax", "ledger"), "tax": ("rates",), "ledger": ("rates",), "rates": ()}


def test_what_a_plugin_needs_comes_first() -> None:
    """Each plugin once, those that are enabled not at all."""
    order = dependencies.to_enable(graph(DIAMOND), "shop")
    assert isinstance(order, tuple)
    assert order[-1] == "shop"
    assert set(order) == set(DIAMOND)
    assert order.index("rates") < min(order.index("tax"), order.index("ledger"))
    assert dependencies.to_enable(graph(DIAMOND, "rates tax"), "shop") == ("ledger", "shop")


def test_enabling_one_alone_names_what_must_come_first() -> None:
    """With the order to do it in, and a path that shows why."""
    made = graph(DIAMOND)
    order = dependencies.to_enable(made, "tax")
    assert isinstance(order, tuple)
    problem = dependencies.not_enabled(order, made)
    assert problem.path == ("tax", "rates")
    assert problem.message.endswith("enable first, in this order: rates")


def test_a_missing_edge_names_its_path() -> None:
    """From the plugin asked for to the one that is not there."""
    problem = dependencies.to_enable(graph({"shop": ("tax",), "tax": ("rates",)}), "shop")
    assert isinstance(problem, dependencies.Problem)
    assert (problem.kind, problem.path_text) == (Kind.MISSING, "shop > tax > rates")
    assert "allow it" in problem.message


@pytest.mark.parametrize("start", ["a", "b", "c", "outside"])
def test_a_cycle_names_its_path(start: str) -> None:
    """The circle itself, wherever one comes from."""
    edges = {"a": ("b",), "b": ("c",), "c": ("a",), "outside": ("a",)}
    problem = dependencies.to_enable(graph(edges), start)
    assert isinstance(problem, dependencies.Problem)
    assert problem.kind is Kind.CYCLE
    assert problem.path[0] == problem.path[-1]
    assert set(problem.path) == {"a", "b", "c"}
    circle = dependencies.circle(graph(edges), start)
    assert (circle is None) == (start == "outside")


def test_a_plugin_that_needs_itself_is_a_cycle() -> None:
    """The shortest one."""
    problem = dependencies.to_enable(graph({"a": ("a",)}), "a")
    assert isinstance(problem, dependencies.Problem)
    assert problem.path == ("a", "a")


def test_a_version_that_does_not_fit_is_named() -> None:
    """Also if the plugin needed is enabled already, and if none has been seen of it."""
    for versions, enabled in (({"ledger": "1.4"}, "ledger"), ({"ledger": ""}, "")):
        made = graph({"shop": ("ledger>=2,<3",), "ledger": ()}, enabled, versions)
        problem = dependencies.to_enable(made, "shop")
        assert isinstance(problem, dependencies.Problem)
        assert (problem.kind, problem.needs) == (Kind.VERSION, ">=2,<3")
        assert problem.found == versions["ledger"]


def test_of_what_is_not_required_only_the_version_counts() -> None:
    """It may be missing, in a circle or disabled; while it is enabled its version must fit."""
    edges = {"shop": ("tax>=2?", "gone?"), "tax": ("shop?",)}
    assert dependencies.to_enable(graph(edges), "shop") == ("shop",)
    assert dependencies.to_disable(graph(edges, "shop tax"), "tax") == ("tax",)
    problem = dependencies.to_enable(graph(edges, "tax"), "shop")
    assert isinstance(problem, dependencies.Problem)
    assert (problem.kind, problem.found) == (Kind.VERSION, "1.0")


def test_those_who_need_it_are_disabled_first() -> None:
    """Only the enabled ones, each before what it needs."""
    order = dependencies.to_disable(graph(DIAMOND, "shop tax ledger rates"), "rates")
    assert (order[0], order[-1]) == ("shop", "rates")
    assert set(order[1:3]) == {"tax", "ledger"}
    assert dependencies.to_disable(graph(DIAMOND, "rates tax"), "rates") == ("tax", "rates")


def test_disabling_one_that_others_need_names_them() -> None:
    """With the order to do it in."""
    made = graph(DIAMOND, "shop tax rates")
    problem = dependencies.needed(dependencies.to_disable(made, "rates"), made)
    assert (problem.kind, problem.path) == (Kind.NEEDED, ("rates", "tax"))
    assert problem.order == ("shop", "tax")
    assert "cascade" in problem.message


def test_an_upgrade_that_breaks_somebody_names_them() -> None:
    """Nobody is broken by a version that fits, nor by one of a plugin nobody needs."""
    made = graph({"shop": ("ledger<2",), "ledger": ()}, "shop ledger")
    problem = dependencies.broken_by(made, "ledger", "2.0")
    assert problem is not None
    assert problem.path == ("shop", "ledger")
    assert dependencies.broken_by(made, "ledger", "1.9") is None
    assert dependencies.broken_by(made, "shop", "2.0") is None


def test_the_operators_list_adds_to_what_a_plugin_says() -> None:
    """Where both name the same plugin, the operator's word wins."""
    merged = dependencies.merge(needs("ledger>=1", "rates"), needs("ledger<2?", "tax"))
    assert merged == needs("ledger<2?", "rates", "tax")


NAMES = "abcdefg"


@given(
    st.dictionaries(st.sampled_from(NAMES), st.sets(st.sampled_from(NAMES), max_size=3)),
    st.sampled_from(NAMES),
)
def test_an_order_is_always_topological(edges: dict[str, set[str]], start: str) -> None:
    """Whatever the graph: an order in which everything needed comes first, or a true path."""
    whole = {start: set[str]()} | edges
    made = graph({name: tuple(sorted(wanted)) for name, wanted in whole.items()})
    found = dependencies.to_enable(made, start)
    if isinstance(found, dependencies.Problem):
        for one, other in zip(found.path, found.path[1:], strict=False):
            assert other in whole[one]
        assert (found.kind is Kind.MISSING) == (found.path[-1] not in whole)
        return
    assert len(set(found)) == len(found)
    for position, name in enumerate(found):
        assert whole[name] <= set(found[:position])
    everything = graph(
        {name: tuple(sorted(wanted)) for name, wanted in whole.items()}, " ".join(found)
    )
    for name in found:
        down = dependencies.to_disable(everything, name)
        assert down[-1] == name
        for position, each in enumerate(down):
            users = {user for user in found if each in whole[user]}
            assert users <= set(down[:position])

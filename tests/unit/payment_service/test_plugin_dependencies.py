"""The order in which plugins are enabled and disabled, and what stands in the way."""

import pytest

from payment_service.domain import dependencies
from tests.unit.payment_service import graphs

Kind = dependencies.Kind


DIAMOND = {"shop": ("tax", "ledger"), "tax": ("rates",), "ledger": ("rates",), "rates": ()}


def test_what_a_plugin_needs_comes_first() -> None:
    """Each plugin once, those that are enabled not at all."""
    order = dependencies.to_enable(graphs.of(DIAMOND), "shop")
    assert isinstance(order, tuple)
    assert order[-1] == "shop"
    assert set(order) == set(DIAMOND)
    assert order.index("rates") < min(order.index("tax"), order.index("ledger"))
    assert dependencies.to_enable(graphs.of(DIAMOND, "rates tax"), "shop") == ("ledger", "shop")


def test_enabling_one_alone_names_what_must_come_first() -> None:
    """With the order to do it in, and a path that shows why."""
    made = graphs.of(DIAMOND)
    order = dependencies.to_enable(made, "tax")
    assert isinstance(order, tuple)
    problem = dependencies.not_enabled(order, made)
    assert problem.path == ("tax", "rates")
    assert problem.message.endswith("enable first, in this order: rates")


def test_a_missing_edge_names_its_path() -> None:
    """From the plugin asked for to the one that is not there."""
    problem = dependencies.to_enable(graphs.of({"shop": ("tax",), "tax": ("rates",)}), "shop")
    assert isinstance(problem, dependencies.Problem)
    assert (problem.kind, problem.path_text) == (Kind.MISSING, "shop > tax > rates")
    assert "allow it" in problem.message


@pytest.mark.parametrize("start", ["a", "b", "c", "outside"])
def test_a_cycle_names_its_path(start: str) -> None:
    """The circle itself, wherever one comes from."""
    edges = {"a": ("b",), "b": ("c",), "c": ("a",), "outside": ("a",)}
    problem = dependencies.to_enable(graphs.of(edges), start)
    assert isinstance(problem, dependencies.Problem)
    assert problem.kind is Kind.CYCLE
    assert problem.path[0] == problem.path[-1]
    assert set(problem.path) == {"a", "b", "c"}
    circle = dependencies.circle(graphs.of(edges), start)
    assert (circle is None) == (start == "outside")


def test_a_plugin_that_needs_itself_is_a_cycle() -> None:
    """The shortest one."""
    problem = dependencies.to_enable(graphs.of({"a": ("a",)}), "a")
    assert isinstance(problem, dependencies.Problem)
    assert problem.path == ("a", "a")


def test_a_version_that_does_not_fit_is_named() -> None:
    """Also if the plugin needed is enabled already, and if none has been seen of it."""
    for versions, enabled in (({"ledger": "1.4"}, "ledger"), ({"ledger": ""}, "")):
        made = graphs.of({"shop": ("ledger>=2,<3",), "ledger": ()}, enabled, versions)
        problem = dependencies.to_enable(made, "shop")
        assert isinstance(problem, dependencies.Problem)
        assert (problem.kind, problem.needs) == (Kind.VERSION, ">=2,<3")
        assert problem.found == versions["ledger"]


def test_of_what_is_not_required_only_the_version_counts() -> None:
    """It may be missing, in a circle or disabled; while it is enabled its version must fit."""
    edges = {"shop": ("tax>=2?", "gone?"), "tax": ("shop?",)}
    assert dependencies.to_enable(graphs.of(edges), "shop") == ("shop",)
    assert dependencies.to_disable(graphs.of(edges, "shop tax"), "tax") == ("tax",)
    problem = dependencies.to_enable(graphs.of(edges, "tax"), "shop")
    assert isinstance(problem, dependencies.Problem)
    assert (problem.kind, problem.found) == (Kind.VERSION, "1.0")


def test_those_who_need_it_are_disabled_first() -> None:
    """Only the enabled ones, each before what it needs."""
    order = dependencies.to_disable(graphs.of(DIAMOND, "shop tax ledger rates"), "rates")
    assert (order[0], order[-1]) == ("shop", "rates")
    assert set(order[1:3]) == {"tax", "ledger"}
    assert dependencies.to_disable(graphs.of(DIAMOND, "rates tax"), "rates") == ("tax", "rates")


def test_disabling_one_that_others_need_names_them() -> None:
    """With the order to do it in."""
    made = graphs.of(DIAMOND, "shop tax rates")
    problem = dependencies.needed(dependencies.to_disable(made, "rates"), made)
    assert (problem.kind, problem.path) == (Kind.NEEDED, ("rates", "tax"))
    assert problem.order == ("shop", "tax")
    assert "cascade" in problem.message


def test_an_upgrade_that_breaks_somebody_names_them() -> None:
    """Nobody is broken by a version that fits, nor by one of a plugin nobody needs."""
    made = graphs.of({"shop": ("ledger<2",), "ledger": ()}, "shop ledger")
    problem = dependencies.broken_by(made, "ledger", "2.0")
    assert problem is not None
    assert problem.path == ("shop", "ledger")
    assert dependencies.broken_by(made, "ledger", "1.9") is None
    assert dependencies.broken_by(made, "shop", "2.0") is None


def test_the_operators_list_adds_to_what_a_plugin_says() -> None:
    """Where both name the same plugin, the operator's word wins."""
    merged = dependencies.merge(
        graphs.needs("ledger>=1", "rates"), graphs.needs("ledger<2?", "tax")
    )
    assert merged == graphs.needs("ledger<2?", "rates", "tax")

"""Which provider and binding an operation goes to, and what a refusal names."""

from dataclasses import replace

import pytest

from payment_service.domain import bindings, catalog, model, plugins, routing
from tests.unit.payment_service import build

K = model.Kind
State = plugins.PluginState


def plugin(plugin_id: str, state: plugins.PluginState = State.ENABLED) -> plugins.Plugin:
    """Returns a plugin on the allowlist."""
    return plugins.Plugin(entry=plugins.Entry(plugin_id=plugin_id), state=state)


def binding(
    tenant_id: str, plugin_id: str, generation: int = 1, **over: object
) -> bindings.Binding:
    """Returns a binding."""
    found = bindings.Binding(
        id=f"{tenant_id}/{plugin_id}",
        tenant_id=tenant_id,
        plugin_id=plugin_id,
        generation=generation,
        revision=generation,
        updated_us=generation,
    )
    return replace(found, **over)  # type: ignore[arg-type]


def view(*made: bindings.Binding, **over: object) -> catalog.View:
    """Returns a catalog with the plugins `acme`, `mock` and `off`."""
    known = (plugin("acme"), plugin("mock"), plugin("off", State.DISABLED))
    found = catalog.View(
        plugins={each.id: each for each in known},
        bindings={(each.tenant_id, each.plugin_id): each for each in made},
        defaults={"": "mock"},
    )
    return replace(found, **over)  # type: ignore[arg-type]


SHARED = binding("*", "mock")
OWN = binding("t", "acme")


def chosen(found: routing.Route | bindings.Refusal) -> tuple[str, str]:
    """Returns plugin and binding of a route."""
    assert isinstance(found, routing.Route), found
    return found.plugin_id, found.binding.id


def refused(found: routing.Route | bindings.Refusal | None) -> bindings.Refusal:
    """Returns a refusal."""
    assert isinstance(found, bindings.Refusal), found
    return found


def test_named_then_the_tenants_default_then_the_installations() -> None:
    """Each in turn decides only where the one before says nothing."""
    made = view(SHARED, OWN, defaults={"": "mock", "t": "acme"})
    assert chosen(routing.choose(made, "t", "mock")) == ("mock", "*/mock")
    assert chosen(routing.choose(made, "t", "")) == ("acme", "t/acme")
    assert chosen(routing.choose(made, "u", "")) == ("mock", "*/mock")


def test_a_tenants_own_binding_comes_before_the_shared_one() -> None:
    """Also a disabled own one: it was not disabled to fall back on somebody else's account."""
    own = binding("t", "mock", options=bindings.Options(disabled=True))
    made = view(SHARED, own)
    assert chosen(routing.choose(made, "t", "")) == ("mock", "t/mock")
    route = routing.choose(made, "t", "")
    assert isinstance(route, routing.Route)
    assert refused(routing.admit(made, "t", route, K.SALE)).metadata == {"feature": "binding"}
    gone = replace(own, deleted_us=build.NOW_US)
    assert chosen(routing.choose(view(SHARED, gone), "t", "")) == ("mock", "*/mock")


def test_without_a_name_and_a_default_there_is_no_way() -> None:
    """The refusal lists what could be named."""
    made = view(SHARED, OWN, defaults={})
    found = refused(routing.choose(made, "t", ""))
    assert found.reason == "PROVIDER_UNKNOWN"
    assert found.metadata == {"providers": "acme,mock"}
    assert "acme, mock" in found.message


@pytest.mark.parametrize(
    ("named", "reason", "metadata"),
    [
        ("nobody", "PROVIDER_UNKNOWN", {"providers": "mock"}),
        ("off", "PROVIDER_DISABLED", {"provider": "off", "state": "STATE_DISABLED"}),
        ("acme", "BINDING_UNKNOWN", {"provider": "acme", "providers": "mock"}),
    ],
)
def test_a_refusal_names_what_is_missing(named: str, reason: str, metadata: dict[str, str]) -> None:
    """Unknown, not enabled, not bound: three ways out."""
    found = refused(routing.choose(view(SHARED), "t", named))
    assert (found.reason, found.metadata) == (reason, metadata)
    assert refused(routing.follow(view(SHARED), "t", named)).reason == reason


def test_a_plugin_that_only_tried_to_register_is_unknown() -> None:
    """Nobody allowed it."""
    stranger = plugins.Plugin(
        entry=plugins.Entry(plugin_id="x", allowed=False), state=State.DISCOVERED
    )
    made = view(SHARED, plugins={"x": stranger}, environment=frozenset({"x"}))
    assert refused(routing.choose(made, "t", "x")).reason == "PROVIDER_UNKNOWN"


def switch(tenant: str, operation: str) -> plugins.KillSwitch:
    """Returns a kill switch of `mock`."""
    return plugins.KillSwitch(
        tenant_id=tenant,
        plugin_id="mock",
        operation=operation,
        actor="key:1",
        reason="it charges twice",
        set_us=1,
    )


@pytest.mark.parametrize("tenant", ["", "t"])
@pytest.mark.parametrize("operation", ["", "refund"])
def test_a_kill_switch_stops_its_tenant_and_operation(tenant: str, operation: str) -> None:
    """'' stands for all; the refusal names provider and operation, and why."""
    kill = switch(tenant, operation)
    made = view(SHARED, kills={(tenant, "mock", operation): kill})
    route = routing.choose(made, "t", "")
    assert isinstance(route, routing.Route)
    for asking in ("t", "u"):
        for kind in K:
            found = routing.admit(made, asking, route, kind)
            stopped = tenant in ("", asking) and operation in ("", kind.name.lower())
            assert (found is not None) == stopped
            if found is not None:
                assert found.reason == "KILL_SWITCH_ACTIVE"
                assert found.metadata == {"provider": "mock", "operation": operation}
                assert "it charges twice" in found.message


def test_the_generation_of_a_binding_id_is_that_of_the_newest_row_that_fed_it() -> None:
    """Own, deleted and shared rows; 0 says that a plugin should have none."""
    own = binding("t", "mock", 3)
    assert routing.generation(view(), "t", "mock") == 0
    assert routing.generation(view(SHARED), "t", "mock") == 1
    assert routing.generation(view(SHARED, own), "t", "mock") == 3
    assert routing.generation(view(SHARED, own), "*", "mock") == 1
    gone = replace(own, updated_us=4, deleted_us=4)
    assert routing.generation(view(SHARED, gone), "t", "mock") == 4
    assert routing.generation(view(gone), "t", "mock") == 0

"""Every state of a plugin with every transition, and what the catalog makes of it."""

import pytest

from payment_service.domain import bindings, catalog, plugins

State = plugins.PluginState
Transition = plugins.Transition

# Every pair that changes something; all others repeat or are refused.
LEADS = {
    (State.DISCOVERED, Transition.REGISTER): State.REGISTERED,
    (State.REGISTERED, Transition.INITIALIZE): State.INITIALIZED,
    (State.INITIALIZED, Transition.ENABLE): State.ENABLED,
    (State.DISABLED, Transition.ENABLE): State.ENABLED,
    (State.ENABLED, Transition.DISABLE): State.DISABLED,
    (State.INITIALIZED, Transition.STOP): State.DISABLED,
    (State.ENABLED, Transition.STOP): State.DISABLED,
    (State.DISABLED, Transition.STOP): State.DISABLED,
    (State.DISCOVERED, Transition.UNINSTALL): State.UNINSTALLED,
    (State.REGISTERED, Transition.UNINSTALL): State.UNINSTALLED,
    (State.INITIALIZED, Transition.UNINSTALL): State.UNINSTALLED,
    (State.DISABLED, Transition.UNINSTALL): State.UNINSTALLED,
    (State.ERROR, Transition.UNINSTALL): State.UNINSTALLED,
}
REPEATS = {
    (State.REGISTERED, Transition.REGISTER),
    (State.INITIALIZED, Transition.REGISTER),
    (State.ENABLED, Transition.REGISTER),
    (State.DISABLED, Transition.REGISTER),
    (State.INITIALIZED, Transition.INITIALIZE),
    (State.ENABLED, Transition.INITIALIZE),
    (State.DISABLED, Transition.INITIALIZE),
    (State.ENABLED, Transition.ENABLE),
    (State.DISABLED, Transition.DISABLE),
    (State.UNINSTALLED, Transition.UNINSTALL),
}


def plugin(state: State, failed: Transition = Transition.DISABLE) -> plugins.Plugin:
    """Returns a plugin in *state*; in ERROR because of *failed*."""
    failure = plugins.Failure(
        transition=failed, reason="PLUGIN_FAILED", detail="it said no", failed_us=1
    )
    return plugins.Plugin(
        entry=plugins.Entry(plugin_id="mock"),
        state=state,
        failure=failure if state is State.ERROR else None,
    )


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("transition", Transition)
def test_the_table_of_transitions(state: State, transition: Transition) -> None:
    """A transition leads on, has nothing left to do, or is refused with a way out."""
    subject = plugin(state)
    found = plugins.judge(subject, transition)
    if state is State.ERROR and transition is Transition.DISABLE:
        assert found == plugins.Step(state=State.DISABLED), "what failed can be repeated"
    elif (state, transition) in LEADS:
        assert found == plugins.Step(state=LEADS[state, transition])
    elif (state, transition) in REPEATS:
        assert found == plugins.Step(state=state, repeat=True)
    else:
        assert isinstance(found, plugins.Refusal)
        assert f"can't {transition} mock, which is {state.name}: " in found.message
        repeat = {Transition.DISABLE} if state is State.ERROR else set()
        assert set(found.allowed) == {t for s, t in LEADS if s is state} | repeat


@pytest.mark.parametrize("failed", [Transition.REGISTER, Transition.INITIALIZE])
def test_what_failed_can_be_repeated(failed: Transition) -> None:
    """An error keeps what failed; repeating it leads where it would have led."""
    subject = plugin(State.ERROR, failed)
    step = plugins.judge(subject, failed)
    assert isinstance(step, plugins.Step)
    assert step.state.name.lower().startswith(failed.value[:5])
    assert set(plugins.possible(subject)) == {failed, Transition.UNINSTALL}
    refused = plugins.judge(subject, Transition.ENABLE)
    assert isinstance(refused, plugins.Refusal)
    assert "it said no" in refused.message


def view(*switches: tuple[str, str], **others: object) -> catalog.View:
    """Returns a view with kill switches on the plugin `mock`."""
    kills = {
        (tenant, "mock", kind): plugins.KillSwitch(
            tenant_id=tenant, plugin_id="mock", operation=kind, actor="a", reason="r", set_us=1
        )
        for tenant, kind in switches
    }
    return catalog.View(kills=kills, **others)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("switch", "killed"),
    [
        (("", ""), {("acme", "sale"), ("acme", "refund"), ("other", "sale")}),
        (("acme", ""), {("acme", "sale"), ("acme", "refund")}),
        (("", "refund"), {("acme", "refund")}),
        (("acme", "sale"), {("acme", "sale")}),
    ],
)
def test_a_switch_stops_exactly_what_it_names(
    switch: tuple[str, str], killed: set[tuple[str, str]]
) -> None:
    """An empty tenant or operation stands for all; other plugins go on."""
    seen = view(switch)
    asked = {("acme", "sale"), ("acme", "refund"), ("other", "sale")}
    assert {one for one in asked if seen.killed(one[0], "mock", one[1])} == killed
    assert seen.killed("acme", "other", "sale") is None


@pytest.mark.parametrize("state", State)
def test_only_enabled_plugins_take_new_operations(state: State) -> None:
    """But for those of the environment, which nobody has to enable."""
    known = {"mock": plugin(state)}
    assert view(plugins=known).routable("mock") is (state is State.ENABLED)
    own = view(plugins=known, environment=frozenset({"mock"}))
    assert own.routable("mock") is (state not in {State.DISABLED, State.UNINSTALLED})
    assert not own.routable("other")


def binding(tenant: str, *, deleted_us: int = 0) -> bindings.Binding:
    """Returns a binding of a tenant to `mock`."""
    return bindings.Binding(
        id=f"b-{tenant}",
        tenant_id=tenant,
        plugin_id="mock",
        generation=1,
        revision=1,
        deleted_us=deleted_us,
    )


def test_a_tenant_uses_its_own_binding_before_the_shared_one() -> None:
    """A deleted one counts no more."""
    shared, own = binding("*"), binding("acme")
    gone = binding("left", deleted_us=5)
    seen = view(
        bindings={("*", "mock"): shared, ("acme", "mock"): own, ("left", "mock"): gone},
        defaults={"": "mock", "acme": "other"},
    )
    assert seen.binding("acme", "mock") is own
    assert seen.binding("other", "mock") is seen.binding("left", "mock") is shared
    assert seen.binding("acme", "unknown") is None
    assert (seen.default("acme"), seen.default("other")) == ("other", "mock")

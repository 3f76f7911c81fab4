"""Which provider and binding an operation goes to, and whether it may.

Owns the order of choice (named in the request, the tenant's default, the installation's
default; then the tenant's own binding, else the shared one) and the refusals that name
what is missing. Called by the use cases before an intent is written. Pure look-ups in
the catalog's view.
"""

from dataclasses import dataclass

from payment_service.domain import bindings, catalog, model


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """A provider and the binding whose content a tenant uses there."""

    plugin_id: str
    binding: bindings.Binding


def choose(view: catalog.View, tenant_id: str, named: str) -> Route | bindings.Refusal:
    """Returns where a new payment or customer of a tenant goes.

    Args:
        view: The catalog as it is now.
        tenant_id: Whose it is.
        named: The provider that the request names, '' for none.
    """
    plugin_id = named or view.default(tenant_id)
    if not plugin_id:
        return bindings.Refusal(
            reason="PROVIDER_UNKNOWN",
            message="the request names no provider and there is no default one"
            f"{_instead(view, tenant_id)}",
            metadata={"providers": ",".join(usable(view, tenant_id))},
        )
    return follow(view, tenant_id, plugin_id)


def follow(view: catalog.View, tenant_id: str, plugin_id: str) -> Route | bindings.Refusal:
    """Returns where a later operation goes: to the provider of the first one, always."""
    plugin = view.plugin(plugin_id)
    if plugin is None or not plugin.entry.allowed:
        return bindings.Refusal(
            reason="PROVIDER_UNKNOWN",
            message=f"no provider {plugin_id!r} is set up{_instead(view, tenant_id)}",
            metadata={"providers": ",".join(usable(view, tenant_id))},
        )
    if not view.routable(plugin_id):
        return bindings.Refusal(
            reason="PROVIDER_DISABLED",
            message=f"provider {plugin_id} is {plugin.state.name}, so it takes no operations"
            f"{_instead(view, tenant_id)}",
            metadata={"provider": plugin_id, "state": f"STATE_{plugin.state.name}"},
        )
    binding = view.binding(tenant_id, plugin_id)
    if binding is None:
        return bindings.Refusal(
            reason="BINDING_UNKNOWN",
            message=f"tenant {tenant_id} has no binding to provider {plugin_id}, and there is no "
            f"shared one{_instead(view, tenant_id)}",
            metadata={"provider": plugin_id, "providers": ",".join(usable(view, tenant_id))},
        )
    return Route(plugin_id=plugin_id, binding=binding)


def admit(
    view: catalog.View,
    tenant_id: str,
    route: Route,
    kind: model.Kind,
    amount_minor: int = 0,
    currency: str = "",
) -> bindings.Refusal | None:
    """Returns why an operation must not begin, or None: switches first, then limits."""
    if view.kills and (refused := _killed(view, tenant_id, route.plugin_id, kind)) is not None:
        return refused
    options = route.binding.options
    if not options.restricts:
        return None
    return bindings.judge(options, kind, amount_minor, currency)


def stopped(view: catalog.View, operation: model.Operation) -> bindings.Refusal | None:
    """Returns why an operation that was begun must not be sent once more now, or None.

    Limits and the binding's switches were judged when it was begun, and are not judged again.
    """
    found = follow(view, operation.tenant_id, operation.provider)
    if isinstance(found, bindings.Refusal):
        return found
    return _killed(view, operation.tenant_id, operation.provider, operation.kind)


def _killed(
    view: catalog.View, tenant_id: str, plugin_id: str, kind: model.Kind
) -> bindings.Refusal | None:
    kill = view.killed(tenant_id, plugin_id, kind.name.lower())
    if kill is None:
        return None
    what = kill.operation or "every operation"
    return bindings.Refusal(
        reason="KILL_SWITCH_ACTIVE",
        message=f"an operator has stopped {what} of provider {plugin_id}: {kill.reason}",
        metadata={"provider": plugin_id, "operation": kill.operation},
    )


def generation(view: catalog.View, tenant_id: str, plugin_id: str) -> int:
    """Returns the generation that plugins must have of a tenant's binding; 0 for none."""
    if view.binding(tenant_id, plugin_id) is None:
        return 0
    own = view.bindings.get((tenant_id, plugin_id)) if tenant_id != bindings.SHARED else None
    return bindings.wire_generation(own, view.bindings.get((bindings.SHARED, plugin_id)))


def usable(view: catalog.View, tenant_id: str) -> tuple[str, ...]:
    """Returns the providers that a tenant could name, sorted."""
    return tuple(
        plugin_id
        for plugin_id in sorted(view.plugins)
        if view.routable(plugin_id) and view.binding(tenant_id, plugin_id) is not None
    )


def _instead(view: catalog.View, tenant_id: str) -> str:
    names = usable(view, tenant_id)
    return f"; it can be one of: {', '.join(names)}" if names else "; none is usable now"

"""Refusals of what operators and plugins ask of the lifecycle, as callers see them.

Owns the mapping to error reasons of the contract; each names the way out. Called by the
use cases of plugins. Never decides.
"""

from collections.abc import Iterable, Mapping

import grpc

from payment_service.domain import dependencies, plugins
from servicekit import errors

_RPCS = {
    plugins.Transition.INITIALIZE: "InitializePlugin",
    plugins.Transition.ENABLE: "EnablePlugin",
    plugins.Transition.DISABLE: "DisablePlugin",
    plugins.Transition.STOP: "StopPlugin",
    plugins.Transition.UNINSTALL: "UninstallPlugin",
}
_PRECONDITION = grpc.StatusCode.FAILED_PRECONDITION
_DENIED = grpc.StatusCode.PERMISSION_DENIED


def unknown(plugin_id: str, known: Mapping[str, plugins.Plugin] | None = None) -> errors.RpcError:
    """No plugin of that id is on the allowlist; *known* also has those that were taken off it,
    and is not given where a plugin asks.
    """
    listed = ""
    if known is not None:
        allowed = sorted(name for name, one in known.items() if one.entry.allowed)
        listed = f" ({', '.join(allowed[:20]) or 'none'})"
    return errors.RpcError(
        grpc.StatusCode.NOT_FOUND,
        "PLUGIN_UNKNOWN",
        f"no plugin {plugin_id[:64]!r} is on the allowlist{listed}; allow it first",
        metadata={"plugin_id": plugin_id[:64]},
    )


def exists(plugin: plugins.Plugin) -> errors.RpcError:
    """The plugin is on the allowlist already, and the caller wanted it to be new."""
    return errors.RpcError(
        grpc.StatusCode.ALREADY_EXISTS,
        "PLUGIN_EXISTS",
        f"{plugin.id} is on the allowlist already, at revision {plugin.revision}; "
        "change its entry instead",
        metadata={"plugin_id": plugin.id, "revision": str(plugin.revision)},
    )


def stale_revision(plugin: plugins.Plugin, expected: int) -> errors.RpcError:
    """Somebody else changed the plugin meanwhile."""
    return errors.RpcError(
        _PRECONDITION,
        "STALE_GENERATION",
        f"{plugin.id} is at revision {plugin.revision}, not {expected}: somebody changed it; "
        "read it again, then decide",
        metadata={"expected": str(expected), "current": str(plugin.revision)},
    )


def state_conflict(plugin: plugins.Plugin, refusal: plugins.Refusal) -> errors.RpcError:
    """The plugin's state does not allow it."""
    allowed = [_RPCS[each] for each in refusal.allowed if each in _RPCS]
    return errors.RpcError(
        _PRECONDITION,
        "PLUGIN_STATE_CONFLICT",
        refusal.message,
        metadata={
            "plugin_id": plugin.id,
            "state": f"STATE_{plugin.state.name}",
            "allowed": ", ".join(allowed),
        },
    )


def conflict(plugin: plugins.Plugin, message: str) -> errors.RpcError:
    """Like `state_conflict`, for what the table of transitions does not know."""
    return state_conflict(
        plugin, plugins.Refusal(message=message, allowed=plugins.possible(plugin))
    )


def dependency(problem: dependencies.Problem) -> errors.RpcError:
    """A dependency stands in the way."""
    metadata = {"problem": problem.kind.value, "path": problem.path_text}
    if problem.needs:
        metadata |= {"needs": problem.needs, "found": problem.found}
    if problem.order:
        metadata["order"] = ", ".join(problem.order)
    return errors.RpcError(_PRECONDITION, "PLUGIN_DEPENDENCY", problem.message, metadata=metadata)


def quarantined(version: plugins.Version) -> errors.RpcError:
    """The version is quarantined and takes no operations."""
    return errors.RpcError(
        _PRECONDITION,
        "PLUGIN_QUARANTINED",
        f"{version.plugin_id} {version.version} is quarantined: {version.quarantine_reason}; "
        "release it, or deploy another version",
        metadata={
            "plugin_id": version.plugin_id,
            "version": version.version,
            "cause": version.quarantine_reason,
        },
    )


def failed(
    plugin: plugins.Plugin, *, diagnostics: Iterable[tuple[str, str]] = ()
) -> errors.RpcError:
    """The plugin did not do what was asked of it and is in ERROR now."""
    failure = plugin.failure
    if failure is None:
        raise AssertionError(f"{plugin.id} has not failed")
    return errors.RpcError(
        _PRECONDITION,
        "PLUGIN_FAILED",
        f"{failure.transition} of {plugin.id} failed: {failure.detail}; "
        "repeat it once the cause is gone",
        retry="same_key",
        metadata={
            "plugin_id": plugin.id,
            "transition": failure.transition.value,
            "cause": failure.detail,
        },
        violations=list(diagnostics),
    )


def broken_contract(plugin_id: str, cause: str) -> errors.RpcError:
    """The plugin's answers can't be used."""
    return errors.RpcError(
        _PRECONDITION,
        "PLUGIN_FAILED",
        f"{plugin_id} can't be registered: {cause}",
        retry="same_key",
        metadata={"plugin_id": plugin_id, "transition": "register", "cause": cause},
    )


def not_allowed(plugin_id: str, version: str, allowed: str, message: str) -> errors.RpcError:
    """The allowlist does not admit the plugin in this kind or version."""
    return errors.RpcError(
        _DENIED,
        "PLUGIN_NOT_ALLOWED",
        message,
        metadata={"plugin_id": plugin_id[:64], "version": version[:64], "allowed": allowed},
    )


def no_common_version(
    plugin_id: str, offered: Iterable[str], served: Iterable[str]
) -> errors.RpcError:
    """Core and plugin have no service version in common."""
    ours, theirs = ", ".join(offered), ", ".join(served)
    return errors.RpcError(
        _PRECONDITION,
        "NO_COMMON_VERSION",
        f"core calls {ours}; {plugin_id} serves {theirs or 'nothing'}: run versions of both "
        "that have a service in common",
        metadata={"offered": ours, "served": theirs},
    )


def report_required(version: plugins.Version) -> errors.RpcError:
    """Enabling needs a passing conformance report for exactly this version and schema."""
    return errors.RpcError(
        _PRECONDITION,
        "REPORT_REQUIRED",
        f"{version.plugin_id} {version.version} has no passing conformance report for its "
        "schema; run the conformance suite against it and store the report",
        metadata={
            "plugin_id": version.plugin_id,
            "version": version.version,
            "schema_digest": version.schema_digest,
        },
    )


def version_unknown(plugin_id: str, version: str, versions: Iterable[str]) -> errors.RpcError:
    """No instance of that version was ever seen."""
    seen = ", ".join(versions)
    return errors.RpcError(
        grpc.StatusCode.NOT_FOUND,
        "VERSION_UNKNOWN",
        f"no instance of {plugin_id} {version or 'in any version'} was ever seen; "
        f"seen: {seen or 'none'}",
        metadata={"plugin_id": plugin_id, "version": version, "versions": seen},
    )


def in_use(plugin_id: str, open_operations: int) -> errors.RpcError:
    """Operations of the plugin are not final, so it can't go."""
    return errors.RpcError(
        _PRECONDITION,
        "BINDING_IN_USE",
        f"{open_operations} operations at {plugin_id} are not final; they must be settled "
        "before it can go: wait, or look at them with payctl status",
        retry="same_key",
        metadata={"open_operations": str(open_operations), "plugin_id": plugin_id},
    )

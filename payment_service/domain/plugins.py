"""What a plugin is, where it stands, and which changes of that are possible.

Owns the fields of plugins, versions, instances, reports and kill switches, and the table
of lifecycle transitions. The numbers of the enums are those of the contract, which a test
compares. Called by everything inside payment_service. Never changes a value.
"""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field


class PluginState(enum.IntEnum):
    """What the operator wants of a plugin and how far that has come."""

    DISCOVERED = 1
    REGISTERED = 2
    INITIALIZED = 3
    ENABLED = 4
    DISABLED = 5
    UNINSTALLED = 6
    ERROR = 7


class Condition(enum.IntEnum):
    """What is observed of a plugin, beside its state."""

    AVAILABLE = 1
    READY = 2
    QUARANTINED = 3
    CONFIG_CURRENT = 4
    CREDENTIALS_ACCEPTED = 5
    UPGRADING = 6


class Transition(enum.StrEnum):
    """What can be done to a plugin; what needs the plugin for it may fail."""

    REGISTER = "register"
    INITIALIZE = "initialize"
    ENABLE = "enable"
    DISABLE = "disable"
    STOP = "stop"
    UNINSTALL = "uninstall"


class Directive(enum.IntEnum):
    """What core wants of one instance; it hears of it when it renews its lease."""

    CONTINUE = 1
    RETIRE = 2
    STAND_BY = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Dependency:
    """A plugin that another one builds on; `version_specifier` is PEP 440, '' for any.

    Of one that is not `required` only the version counts, and only while it is enabled.
    """

    plugin_id: str
    version_specifier: str = ""
    required: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What the operator's allowlist says of one plugin.

    `allowed` is false for a plugin that tried to register without being listed: nothing
    else is set then, and it gets no lease. `endpoint_pattern` is a regular expression that
    the endpoints of its instances match, '' if none may register; `static_endpoint` is
    dialled by core itself.
    """

    plugin_id: str
    allowed: bool = True
    kind: int = 1
    version_specifier: str = ""
    endpoint_pattern: str = ""
    permissions: tuple[str, ...] = ()
    priority: int = 0
    dependencies: tuple[Dependency, ...] = ()
    static_endpoint: str = ""
    requires_report: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ConditionStatus:
    """Whether a condition holds (None: nobody knows), why, and since when.

    `reason` is upper case words joined by `_`, `detail` the same for people.
    """

    holds: bool | None
    reason: str = ""
    detail: str = ""
    since_us: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Which transition failed and why; `reason` is one of the contract's error reasons."""

    transition: Transition
    reason: str
    detail: str
    failed_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a plugin says of itself in one version: for people, and what it wants."""

    name: str = ""
    author: str = ""
    description: str = ""
    permissions: tuple[str, ...] = ()
    dependencies: tuple[Dependency, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Plugin:
    """A plugin as it stands.

    `revision` rises by one with every change and is the entity version of its events.
    `failure` is set in the state ERROR and only there. New operations go to
    `current_version`, but for `canary_percent` of them, which go to `canary_version`;
    `previous_version` is what can be rolled back to. All are '' while there is none.
    `manifest` is that of `current_version`.
    """

    entry: Entry
    state: PluginState
    failure: Failure | None = None
    revision: int = 0
    current_version: str = ""
    previous_version: str = ""
    canary_version: str = ""
    canary_percent: int = 0
    manifest: Manifest = Manifest()
    conditions: Mapping[Condition, ConditionStatus] = field(default_factory=dict)
    created_us: int = 0
    updated_us: int = 0

    @property
    def id(self) -> str:
        """Its id on the allowlist."""
        return self.entry.plugin_id

    def holds(self, condition: Condition) -> bool:
        """Whether a condition is known to hold."""
        found = self.conditions.get(condition)
        return found is not None and bool(found.holds)


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """One version of a plugin that has been seen; `handshake` is its serialised answer.

    `quarantined_us` is 0 unless the version is quarantined.
    """

    plugin_id: str
    version: str
    schema_digest: str
    handshake: bytes
    quarantined_us: int = 0
    quarantine_reason: str = ""
    first_seen_us: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """One running process of a plugin.

    `alive` says whether its lease was good when it was read, by the database's clock; one
    at a static endpoint has no lease and is always alive. Times are the database's own and
    make no difference between two instances.
    """

    session_id: str
    plugin_id: str
    instance_id: str
    version: str
    endpoint: str
    lease_until_us: int = field(compare=False)
    directive: Directive = Directive.CONTINUE
    static: bool = False
    started_us: int = field(default=0, compare=False)
    alive: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What the conformance suite found, bound to a version and its schema."""

    plugin_id: str
    version: str
    schema_digest: str
    passed: bool
    report: str
    actor: str = ""
    stored_us: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class KillSwitch:
    """New operations that are refused: of every tenant for '', of every kind for ''.

    `operation` is the lower-case name of an operation kind.
    """

    tenant_id: str
    plugin_id: str
    operation: str
    actor: str
    reason: str
    set_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryRow:
    """One change of a plugin: what of it differs, JSON values by JSON pointer."""

    plugin_id: str
    revision: int
    actor: str
    reason: str
    event_type: str
    before: Mapping[str, object]
    after: Mapping[str, object]
    changed_us: int


_S = PluginState

# From where each transition leads where. A plugin in ERROR may repeat what failed.
_LEADS: Mapping[Transition, Mapping[PluginState, PluginState]] = {
    Transition.REGISTER: {_S.DISCOVERED: _S.REGISTERED},
    Transition.INITIALIZE: {_S.REGISTERED: _S.INITIALIZED},
    Transition.ENABLE: {_S.INITIALIZED: _S.ENABLED, _S.DISABLED: _S.ENABLED},
    Transition.DISABLE: {_S.ENABLED: _S.DISABLED},
    Transition.STOP: {
        _S.INITIALIZED: _S.DISABLED,
        _S.ENABLED: _S.DISABLED,
        _S.DISABLED: _S.DISABLED,
    },
    Transition.UNINSTALL: {
        _S.DISCOVERED: _S.UNINSTALLED,
        _S.REGISTERED: _S.UNINSTALLED,
        _S.INITIALIZED: _S.UNINSTALLED,
        _S.DISABLED: _S.UNINSTALLED,
        _S.ERROR: _S.UNINSTALLED,
    },
}
# Where a transition that is repeated has nothing left to do.
_DONE: Mapping[Transition, frozenset[PluginState]] = {
    Transition.REGISTER: frozenset({_S.REGISTERED, _S.INITIALIZED, _S.ENABLED, _S.DISABLED}),
    Transition.INITIALIZE: frozenset({_S.INITIALIZED, _S.ENABLED, _S.DISABLED}),
    Transition.ENABLE: frozenset({_S.ENABLED}),
    Transition.DISABLE: frozenset({_S.DISABLED}),
    Transition.STOP: frozenset(),
    Transition.UNINSTALL: frozenset({_S.UNINSTALLED}),
}
# What must come first, as an operator would type it.
_WAY_OUT: Mapping[PluginState, str] = {
    _S.DISCOVERED: "it has not registered yet: start an instance of it, or set its endpoint",
    _S.REGISTERED: "initialize it first: it needs a binding that it accepts",
    _S.INITIALIZED: "enable it first",
    _S.ENABLED: "disable it first",
    _S.DISABLED: "enable it first",
    _S.UNINSTALLED: "allow it again first",
    _S.ERROR: "",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """Where a transition leads; `repeat` says that there is nothing left to do."""

    state: PluginState
    repeat: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why a transition is not possible now, and what to do about it."""

    message: str
    allowed: tuple[Transition, ...] = ()


def possible(plugin: Plugin) -> tuple[Transition, ...]:
    """Returns every transition that changes *plugin* now."""
    return tuple(each for each in Transition if _target(plugin, each) is not None)


def judge(plugin: Plugin, transition: Transition) -> Step | Refusal:
    """Returns where *transition* leads from where *plugin* stands, or why it can't be."""
    target = _target(plugin, transition)
    if target is not None:
        return Step(state=target)
    if plugin.state in _DONE[transition]:
        return Step(state=plugin.state, repeat=True)
    failure = plugin.failure
    if failure is not None:
        way_out = f"{failure.transition} failed ({failure.detail}); repeat that first"
    else:
        way_out = _WAY_OUT[plugin.state]
    return Refusal(
        message=f"can't {transition} {plugin.id}, which is {plugin.state.name}: {way_out}",
        allowed=possible(plugin),
    )


def _target(plugin: Plugin, transition: Transition) -> PluginState | None:
    if plugin.failure is not None and plugin.failure.transition is transition:
        # A repeat leads where the first attempt would have led.
        return next(iter(_LEADS[transition].values()))
    return _LEADS[transition].get(plugin.state)

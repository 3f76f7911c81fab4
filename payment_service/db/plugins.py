"""Plugins, their history and the switches against them: their rows.

Owns the tables `plugins`, `plugin_history` and `kill_switches`. Called by the use cases
inside their transactions. Never decides which change is possible.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from payment_service.domain import plugins
from servicekit import storage

COLUMNS = (
    "plugin_id, allowed, kind, version_specifier, endpoint_pattern, permissions, priority, "
    "dependencies, static_endpoint, requires_report, state, failed_transition, failure, "
    "revision, current_version, previous_version, canary_version, canary_percent, manifest, "
    "conditions, created_us, updated_us"
).split(", ")
_CHANGEABLE = [name for name in COLUMNS if name not in ("plugin_id", "created_us")]
_HISTORY = "plugin_id, revision, actor, reason, event_type, before, after, changed_us"
_KILLS = "tenant_id, plugin_id, operation, actor, reason, set_us"

# Of a plugin; older changes are forgotten.
HISTORY_MAX = 10_000
PROMOTED = "plugin.upgrade_promoted"

_INSERT = storage.Statement(
    f"insert into plugins ({', '.join(COLUMNS)}) "
    f"values ({', '.join(f':{name}' for name in COLUMNS)}) on conflict do nothing"
)
_UPDATE = storage.Statement(
    f"update plugins set {', '.join(f'{name} = :{name}' for name in _CHANGEABLE)} "
    "where plugin_id = :plugin_id and revision = :revision - 1"
)
_SELECT = f"select {', '.join(COLUMNS)} from plugins"
_ALL = storage.Statement(f"{_SELECT} order by plugin_id")
_LOCK_ALL = storage.Statement(
    f"{_SELECT} order by plugin_id", postgresql=f"{_SELECT} order by plugin_id for update"
)
_LOAD = storage.Statement(f"{_SELECT} where plugin_id = :plugin_id")
_LOCK = storage.Statement(
    f"{_SELECT} where plugin_id = :plugin_id",
    postgresql=f"{_SELECT} where plugin_id = :plugin_id for update",
)
_NOTE = storage.Statement(
    f"insert into plugin_history ({_HISTORY}) values (:plugin_id, :revision, :actor, :reason, "
    ":event_type, :before, :after, :changed_us)"
)
# In bounded steps, by the primary key. What is asked for by its type stays.
_FORGET = storage.Statement(
    "delete from plugin_history where plugin_id = :plugin_id and revision in (select revision "
    "from plugin_history where plugin_id = :plugin_id and revision <= :upto "
    f"and event_type <> '{PROMOTED}' order by revision limit 100)"
)
_READ_HISTORY = storage.Statement(
    f"select {_HISTORY} from plugin_history where plugin_id = :plugin_id "
    "and revision < :below order by revision desc limit :most"
)
_NEWEST_OF_TYPE = storage.Statement(
    "select changed_us from plugin_history where plugin_id = :plugin_id "
    "and event_type = :event_type order by revision desc limit 1"
)
_KILL = storage.Statement(
    f"insert into kill_switches ({_KILLS}) values (:tenant_id, :plugin_id, :operation, :actor, "
    ":reason, :set_us) on conflict (tenant_id, plugin_id, operation) do update "
    "set actor = excluded.actor, reason = excluded.reason, set_us = excluded.set_us"
)
_UNKILL = storage.Statement(
    "delete from kill_switches where tenant_id = :tenant_id and plugin_id = :plugin_id "
    "and operation = :operation"
)
_LIST_KILLS = storage.Statement(
    f"select {_KILLS} from kill_switches order by plugin_id, tenant_id, operation"
)


def _dump_dependencies(dependencies: Iterable[plugins.Dependency]) -> list[list[object]]:
    return [[d.plugin_id, d.version_specifier, d.required] for d in dependencies]


def _load_dependencies(rows: Iterable[Sequence[Any]]) -> tuple[plugins.Dependency, ...]:
    return tuple(
        plugins.Dependency(plugin_id=plugin_id, version_specifier=specifier, required=required)
        for plugin_id, specifier, required in rows
    )


def _dump_failure(failure: plugins.Failure | None) -> str:
    return json.dumps([failure.reason, failure.detail, failure.failed_us]) if failure else ""


def _load_failure(transition: str, text: str) -> plugins.Failure | None:
    if not transition:
        return None
    reason, detail, failed_us = json.loads(text)
    return plugins.Failure(
        transition=plugins.Transition(transition),
        reason=reason,
        detail=detail,
        failed_us=failed_us,
    )


def _dump_manifest(manifest: plugins.Manifest) -> str:
    return json.dumps(
        [
            manifest.name,
            manifest.author,
            manifest.description,
            manifest.permissions,
            _dump_dependencies(manifest.dependencies),
        ]
    )


def _load_manifest(text: str) -> plugins.Manifest:
    name, author, description, permissions, dependencies = json.loads(text)
    return plugins.Manifest(
        name=name,
        author=author,
        description=description,
        permissions=tuple(permissions),
        dependencies=_load_dependencies(dependencies),
    )


def _dump_conditions(
    conditions: Mapping[plugins.Condition, plugins.ConditionStatus],
) -> str:
    if not conditions:
        return ""
    return json.dumps(
        [[int(c), s.holds, s.reason, s.detail, s.since_us] for c, s in sorted(conditions.items())]
    )


def _load_conditions(text: str) -> Mapping[plugins.Condition, plugins.ConditionStatus]:
    return {
        plugins.Condition(number): plugins.ConditionStatus(
            holds=holds, reason=reason, detail=detail, since_us=since_us
        )
        for number, holds, reason, detail, since_us in (json.loads(text) if text else ())
    }


def _params(plugin: plugins.Plugin) -> storage.Params:
    entry = plugin.entry
    return {
        "plugin_id": entry.plugin_id,
        "allowed": int(entry.allowed),
        "kind": entry.kind,
        "version_specifier": entry.version_specifier,
        "endpoint_pattern": entry.endpoint_pattern,
        "permissions": " ".join(entry.permissions),
        "priority": entry.priority,
        "dependencies": json.dumps(_dump_dependencies(entry.dependencies)),
        "static_endpoint": entry.static_endpoint,
        "requires_report": int(entry.requires_report),
        "state": int(plugin.state),
        "failed_transition": plugin.failure.transition.value if plugin.failure else "",
        "failure": _dump_failure(plugin.failure),
        "revision": plugin.revision,
        "current_version": plugin.current_version,
        "previous_version": plugin.previous_version,
        "canary_version": plugin.canary_version,
        "canary_percent": plugin.canary_percent,
        "manifest": _dump_manifest(plugin.manifest),
        "conditions": _dump_conditions(plugin.conditions),
        "created_us": plugin.created_us,
        "updated_us": plugin.updated_us,
    }


def from_row(row: storage.Row) -> plugins.Plugin:
    """Returns a plugin from its columns in the order of COLUMNS."""
    return plugins.Plugin(
        entry=plugins.Entry(
            plugin_id=row[0],
            allowed=bool(row[1]),
            kind=row[2],
            version_specifier=row[3],
            endpoint_pattern=row[4],
            permissions=tuple(row[5].split()),
            priority=row[6],
            dependencies=_load_dependencies(json.loads(row[7])),
            static_endpoint=row[8],
            requires_report=bool(row[9]),
        ),
        state=plugins.PluginState(row[10]),
        failure=_load_failure(row[11], row[12]),
        revision=row[13],
        current_version=row[14],
        previous_version=row[15],
        canary_version=row[16],
        canary_percent=row[17],
        manifest=_load_manifest(row[18]),
        conditions=_load_conditions(row[19]),
        created_us=row[20],
        updated_us=row[21],
    )


def insert(conn: storage.Connection, plugin: plugins.Plugin) -> bool:
    """Stores a plugin; returns whether its id is new."""
    return conn.run(_INSERT, _params(plugin)) == 1


def update(conn: storage.Connection, plugin: plugins.Plugin) -> bool:
    """Writes *plugin*, one revision later; False if somebody else changed it meanwhile."""
    return conn.run(_UPDATE, _params(plugin)) == 1


def load(conn: storage.Connection, plugin_id: str, *, lock: bool = False) -> plugins.Plugin | None:
    """Returns a plugin, or None; with *lock* nobody else changes it in this transaction."""
    row = conn.one(_LOCK if lock else _LOAD, {"plugin_id": plugin_id})
    return from_row(row) if row else None


def load_all(conn: storage.Connection, *, lock: bool = False) -> dict[str, plugins.Plugin]:
    """Returns every plugin by id, in the order of ids; see `load` for *lock*."""
    return {row[0]: from_row(row) for row in conn.all(_LOCK_ALL if lock else _ALL)}


def note(conn: storage.Connection, row: plugins.HistoryRow) -> None:
    """Adds a row to a plugin's history, and forgets what is older than HISTORY_MAX changes."""
    conn.run(
        _NOTE,
        {
            "plugin_id": row.plugin_id,
            "revision": row.revision,
            "actor": row.actor,
            "reason": row.reason,
            "event_type": row.event_type,
            "before": json.dumps(row.before),
            "after": json.dumps(row.after),
            "changed_us": row.changed_us,
        },
    )
    conn.run(_FORGET, {"plugin_id": row.plugin_id, "upto": row.revision - HISTORY_MAX})


def history(
    conn: storage.Connection, plugin_id: str, *, below: int, most: int
) -> list[plugins.HistoryRow]:
    """Returns at most *most* changes with a revision under *below*, newest first."""
    found = conn.all(_READ_HISTORY, {"plugin_id": plugin_id, "below": below, "most": most})
    return [
        plugins.HistoryRow(
            plugin_id=row[0],
            revision=row[1],
            actor=row[2],
            reason=row[3],
            event_type=row[4],
            before=json.loads(row[5]),
            after=json.loads(row[6]),
            changed_us=row[7],
        )
        for row in found
    ]


def newest_us(conn: storage.Connection, plugin_id: str, event_type: str) -> int:
    """Returns when a plugin was last changed that way; 0 if it never was."""
    row = conn.one(_NEWEST_OF_TYPE, {"plugin_id": plugin_id, "event_type": event_type})
    return int(row[0]) if row else 0


def kill(conn: storage.Connection, switch: plugins.KillSwitch) -> None:
    """Sets a switch; one that is set gets its new reason."""
    conn.run(
        _KILL,
        {
            "tenant_id": switch.tenant_id,
            "plugin_id": switch.plugin_id,
            "operation": switch.operation,
            "actor": switch.actor,
            "reason": switch.reason,
            "set_us": switch.set_us,
        },
    )


def unkill(conn: storage.Connection, *, tenant_id: str, plugin_id: str, operation: str) -> bool:
    """Clears a switch; returns whether it was set."""
    values = {"tenant_id": tenant_id, "plugin_id": plugin_id, "operation": operation}
    return conn.run(_UNKILL, values) == 1


def kills(conn: storage.Connection) -> list[plugins.KillSwitch]:
    """Returns every switch that is set."""
    return [
        plugins.KillSwitch(
            tenant_id=row[0],
            plugin_id=row[1],
            operation=row[2],
            actor=row[3],
            reason=row[4],
            set_us=row[5],
        )
        for row in conn.all(_LIST_KILLS)
    ]

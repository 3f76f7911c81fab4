"""Changes of plugins: the row, its history and its event, in one transaction.

Owns writing a change of a plugin, through which every one goes. Called inside the
transactions of the lifecycle, of bindings and of upgrades. Never decides.
"""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from payhub.plugin.v1 import plugin_events_pb2, plugin_pb2

from payment_service.db import outbox
from payment_service.db import plugins as rows
from payment_service.domain import model, plugins
from payment_service.usecases import context, events
from payment_service.usecases.plugins import plugin_snapshots
from servicekit import storage

TENANT = "system"
CORE = "core"
ENTITY = "plugin"

Ids = Callable[[], str]


class Concurrent(Exception):
    """Another transaction wrote a new plugin first; looking again finds it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Why:
    """Who changes a plugin and why; `request_id` finds the call in the log."""

    actor: str = CORE
    reason: str
    request_id: str = ""


def by(caller: context.Caller, reason: str) -> Why:
    """Returns the why of a caller."""
    return Why(actor=caller.actor, reason=reason, request_id=caller.request_id)


def fresh_ids(new_id: Callable[[str], str]) -> Callable[[], Ids]:
    """Returns what each run of a transaction takes its event ids from; see `context`."""
    again = context.fresh_ids(new_id)
    return lambda: functools.partial(again(), "evt")


def write(
    conn: storage.Connection,
    before: plugins.Plugin | None,
    after: plugins.Plugin,
    *,
    event_type: str,
    why: Why,
    event_id: str,
    now_us: int,
    version: str = "",
    binding_id: str = "",
    config_keys: Sequence[str] = (),
) -> plugins.Plugin:
    """Writes *after*, a row of its history and one event; returns it with its revision.

    *before* is the plugin as it was read under its lock, None for a new one. The revision
    is counted here.

    Raises:
        Concurrent: Somebody else wrote the new one first. Rolls back.
        AssertionError: It was not locked. Rolls back.
    """
    after = replace(after, revision=before.revision + 1 if before else 1, updated_us=now_us)
    if before is None and not rows.insert(conn, after):
        raise Concurrent(after.id)
    if before is not None and not rows.update(conn, after):
        raise AssertionError(f"plugin {after.id} was not locked before it was changed")
    old = plugin_snapshots.plugin(before) if before else plugin_pb2.Plugin()
    new = plugin_snapshots.plugin(after)
    was, is_now = plugin_snapshots.differences(old, new)
    rows.note(
        conn,
        plugins.HistoryRow(
            plugin_id=after.id,
            revision=after.revision,
            actor=why.actor,
            reason=why.reason,
            event_type=event_type,
            before=was,
            after=is_now,
            changed_us=now_us,
        ),
    )
    payload = plugin_events_pb2.PluginEvent(
        plugin=new,
        reason=why.reason,
        version=version,
        binding_id=binding_id,
        config_keys=config_keys,
    )
    if before is not None:
        _tell_changes(payload, old)
    entity = events.Entity(ENTITY, after.id, after.revision, TENANT, "", now_us)
    cause = model.Cause(correlation_id=why.request_id, idempotency_key="", actor=why.actor)
    entry = events.entry(
        event_type, entity, payload, cause=cause, causation_id="", new_id=lambda _: event_id
    )
    statement, values = outbox.append([entry])
    conn.run(statement, values)
    return after


def _tell_changes(payload: plugin_events_pb2.PluginEvent, old: plugin_pb2.Plugin) -> None:
    paths = plugin_snapshots.changed(old, payload.plugin)
    payload.changed.paths.extend(paths)
    for name in paths:
        _copy(old, payload.previous, name)
    payload.previous.SetInParent()


def _copy(source: plugin_pb2.Plugin, target: plugin_pb2.Plugin, name: str) -> None:
    field = source.DESCRIPTOR.fields_by_name[name]
    value = getattr(source, name)
    if field.is_repeated:
        getattr(target, name).extend(value)
    elif field.message_type is not None:
        if source.HasField(name):
            getattr(target, name).CopyFrom(value)
    else:
        setattr(target, name, value)


def note_config_change(
    conn: storage.Connection,
    plugin_id: str,
    *,
    binding_id: str,
    config_keys: Sequence[str],
    why: Why,
    event_id: str,
    now_us: int,
) -> None:
    """Tells that a binding of a plugin changed, in the transaction that changes it."""
    before = rows.load(conn, plugin_id, lock=True)
    if before is None:
        raise AssertionError(f"a binding of plugin {plugin_id}, which is not there")
    write(
        conn,
        before,
        before,
        event_type="plugin.config_changed",
        why=why,
        event_id=event_id,
        now_us=now_us,
        binding_id=binding_id,
        config_keys=config_keys,
    )

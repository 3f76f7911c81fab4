"""Writing a change of a binding: its row, its version and its events, in one transaction.

Owns what every change of a binding has in common. Called inside the transactions of the
use cases of bindings, of uninstalling and of upgrades. Never checks a configuration.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import grpc

from payment_service.db import bindings as rows
from payment_service.db import default_providers as default_rows
from payment_service.db import outbox
from payment_service.db import plugins as plugin_rows
from payment_service.domain import bindings, model
from payment_service.usecases import context, events
from payment_service.usecases.bindings import binding_snapshots, default_providers, secrets
from payment_service.usecases.plugins import plugin_events
from servicekit import errors, logs, storage

_log = logs.get_logger(__name__)

ENTITY = "binding"
ENVIRONMENT = "environment"
EMPTY = rows.Content()


@dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    """One change to write.

    `before` is the binding as it was when the change was decided, None if there was none;
    `after` is None for a deletion. `held_before` and `held` are its secrets, opened, for
    the event alone.
    """

    tenant_id: str
    plugin_id: str
    before: rows.Stored | None
    after: rows.Content | None
    held_before: secrets.Secrets = ()
    held: secrets.Secrets = ()
    event_type: str
    why: plugin_events.Why
    now_us: int


def write(conn: storage.Connection, wanted: Write, ids: plugin_events.Ids) -> rows.Stored | None:
    """Writes a change if the binding is as it was; returns it as it stands, or None if not."""
    # The plugin first, as everybody who locks both does.
    plugin = plugin_rows.load(conn, wanted.plugin_id, lock=True)
    if plugin is None:
        raise AssertionError(f"a binding of plugin {wanted.plugin_id}, which is not there")
    current = rows.find(conn, wanted.tenant_id, wanted.plugin_id, lock=True)
    seen = wanted.before.binding.revision if wanted.before else 0
    if (current.binding.revision if current else 0) != seen:
        return None
    # Clocks of replicas differ: no change is told as older than the one before.
    changed_us = max(wanted.now_us, rows.newest_us(conn, wanted.plugin_id) + 1)
    stored = _next(wanted, current, changed_us)
    written = rows.update(conn, stored) if current else rows.insert(conn, stored)
    if not written:
        return None
    binding = stored.binding
    if wanted.after is None:
        rows.forget_versions(conn, binding.id)
    else:
        version = rows.Version(
            binding_id=binding.id,
            generation=binding.generation,
            content=wanted.after,
            actor=wanted.why.actor,
            reason=wanted.why.reason,
            created_us=changed_us,
        )
        rows.keep_version(conn, version)
    _tell(conn, wanted, stored, ids())
    plugin_events.note_config_change(
        conn,
        wanted.plugin_id,
        binding_id=binding.id,
        config_keys=binding_snapshots.keys(stored.content.config_json),
        why=wanted.why,
        event_id=ids(),
        now_us=wanted.now_us,
    )
    return stored


def _next(wanted: Write, current: rows.Stored | None, changed_us: int) -> rows.Stored:
    former = current.binding if current else None
    anew = former is None or former.deleted
    binding = bindings.Binding(
        id=bindings.binding_id(wanted.tenant_id, wanted.plugin_id),
        tenant_id=wanted.tenant_id,
        plugin_id=wanted.plugin_id,
        generation=former.generation + 1 if former else 1,
        revision=former.revision + 1 if former else 1,
        created_us=changed_us if anew or former is None else former.created_us,
        updated_us=changed_us,
        deleted_us=changed_us if wanted.after is None else 0,
    )
    return rows.of(binding, wanted.after or EMPTY)


def _tell(conn: storage.Connection, wanted: Write, stored: rows.Stored, event_id: str) -> None:
    before = wanted.before
    old = None
    if before is not None and not before.binding.deleted:
        old = (before, wanted.held_before)
    payload = binding_snapshots.event(old, (stored, wanted.held), wanted.why.reason)
    binding = stored.binding
    shared = binding.tenant_id == bindings.SHARED
    entity = events.Entity(
        ENTITY,
        binding.id,
        binding.revision,
        plugin_events.TENANT if shared else binding.tenant_id,
        "",
        binding.updated_us,
    )
    cause = model.Cause(
        correlation_id=wanted.why.request_id, idempotency_key="", actor=wanted.why.actor
    )
    entry = events.entry(
        wanted.event_type, entity, payload, cause=cause, causation_id="", new_id=lambda _: event_id
    )
    statement, values = outbox.append([entry])
    conn.run(statement, values)


def remove_all(
    conn: storage.Connection,
    vault: secrets.Vault,
    plugin_id: str,
    *,
    why: plugin_events.Why,
    ids: plugin_events.Ids,
    now_us: int,
) -> list[str]:
    """Deletes every binding to a plugin and destroys its secrets; returns their ids.

    For uninstalling, inside its transaction.
    """
    removed = []
    for stored in rows.of_plugin(conn, plugin_id):
        wanted = Write(
            tenant_id=stored.binding.tenant_id,
            plugin_id=plugin_id,
            before=stored,
            after=None,
            held_before=opened_or_none(vault, stored),
            event_type="binding.deleted",
            why=why,
            now_us=now_us,
        )
        if write(conn, wanted, ids) is None:
            raise AssertionError(f"binding {stored.binding.id} was written under its lock")
        removed.append(stored.binding.id)
    return removed


def opened(vault: secrets.Vault, binding: str, ciphertext: bytes) -> secrets.Secrets:
    """Returns secrets in clear.

    Raises:
        errors.RpcError: ENCRYPTION_KEY_MISSING.
    """
    try:
        return vault.open(binding, ciphertext)
    except secrets.SecretsUnreadable as problem:
        raise errors.RpcError(
            grpc.StatusCode.FAILED_PRECONDITION,
            "ENCRYPTION_KEY_MISSING",
            f"{problem}; start the service with the key they were written with, after the "
            "newest one",
            metadata={"binding_id": binding},
        ) from None


def opened_or_none(vault: secrets.Vault, stored: rows.Stored) -> secrets.Secrets:
    """Returns secrets in clear, none if they can't be read: for a binding that goes."""
    try:
        return vault.open(stored.binding.id, stored.content.secrets)
    except secrets.SecretsUnreadable:
        return ()


class Environment:
    """The shared bindings and the default that core's own environment asks for."""

    def __init__(self, ctx: context.Context, vault: secrets.Vault) -> None:
        self._ctx = ctx
        self._vault = vault

    async def ensure_shared(
        self, plugin_id: str, config: Mapping[str, Any], values: Mapping[str, str]
    ) -> bool:
        """Makes the shared binding what the environment says; returns whether it changed.

        Needs no running plugin. What an operator changed since stays, until the
        environment itself says something else than the last time.
        """
        ids = plugin_events.fresh_ids(self._ctx.new_id)
        now_us = self._ctx.clock.now_us()
        own_id = bindings.binding_id(bindings.SHARED, plugin_id)
        given = [secrets.Given(slot=slot, value=text.encode()) for slot, text in values.items()]
        content = replace(EMPTY, config_json=binding_snapshots.json_text(dict(config)))
        why = plugin_events.Why(actor=ENVIRONMENT, reason="PAYMENT_SERVICE_PROVIDERS")
        found = await self._ctx.db.read(
            lambda conn: (
                rows.find(conn, bindings.SHARED, plugin_id),
                rows.newest_by(conn, own_id, ENVIRONMENT),
            )
        )
        before, last = found
        held = opened(self._vault, own_id, before.content.secrets) if before else ()
        if before is not None and not before.binding.deleted and last is not None:
            then = opened(self._vault, own_id, last.content.secrets)
            wanted_then = secrets.merge((), given, (), now_us)
            same_config = _same_config(last.content.config_json, content.config_json)
            if same_config and secrets.same(then, wanted_then):
                return False
        merged = secrets.merge(held, given, {each.slot for each in held} - set(values), now_us)
        content = replace(
            content,
            secrets=self._vault.seal(own_id, merged),
            options=before.content.options if before else EMPTY.options,
        )
        change = Write(
            tenant_id=bindings.SHARED,
            plugin_id=plugin_id,
            before=before,
            after=content,
            held_before=held,
            held=merged,
            event_type=(
                "binding.created" if before is None or before.binding.deleted else "binding.updated"
            ),
            why=why,
            now_us=now_us,
        )
        # None: another replica with the same environment was faster.
        return await self._ctx.db.write(lambda conn: write(conn, change, ids())) is not None

    async def ensure_default(self, plugin_id: str) -> None:
        """Sets the installation's default provider, if there is none."""
        why = plugin_events.Why(actor=ENVIRONMENT, reason="PAYMENT_SERVICE_DEFAULT_PROVIDER")
        event_id, now_us = self._ctx.new_id("evt"), self._ctx.clock.now_us()

        def ensure(conn: storage.Connection) -> str:
            before = default_rows.lock(conn, "")
            if before.plugin_id:
                return before.plugin_id
            default_providers.write(
                conn, before, plugin_id, why=why, event_id=event_id, now_us=now_us
            )
            return plugin_id

        default = await self._ctx.db.write(ensure)
        self._ctx.outbox_written.set()
        if default != plugin_id:
            _log.info("an operator's default provider stays", default=default, asked=plugin_id)


def _same_config(one: str, other: str) -> bool:
    return binding_snapshots.json_text(json.loads(one)) == binding_snapshots.json_text(
        json.loads(other)
    )

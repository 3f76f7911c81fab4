"""Bindings: create, update, delete, versions, rolling back.

Owns the transactions of these calls. Called by the API and by imports. A configuration
passes the gates before it is stored, and is pushed to the plugin's instances after: one
that refuses it keeps the former generation, and the caller is told.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from payhub.plugin.v1 import plugin_service_pb2

from payment_service.db import bindings as rows
from payment_service.domain import bindings, plugins, routing
from payment_service.provider_client import fleet
from payment_service.usecases import context
from payment_service.usecases.bindings import (
    binding_reading,
    binding_refusals,
    binding_store,
    gates,
    schema_check,
    secrets,
)
from payment_service.usecases.plugins import plugin_events, plugin_refusals
from servicekit import storage


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a binding is to hold; what is None stays as it is."""

    config_json: str | None = None
    options: bindings.Options | None = None
    given: tuple[secrets.Given, ...] = field(default=(), repr=False)
    removed: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """A binding after a change, and warnings about it."""

    opened: binding_reading.Opened
    diagnostics: tuple[plugin_service_pb2.Diagnostic, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A change that has passed the gates."""

    tenant_id: str
    plugin_id: str
    before: binding_reading.Opened | None
    content: rows.Content
    held: secrets.Secrets = field(repr=False)
    checked: gates.Checked
    event_type: str


class Bindings:
    """The use cases that change bindings."""

    def __init__(self, ctx: context.Context, vault: secrets.Vault, checks: gates.Gates) -> None:
        self._ctx = ctx
        self._vault = vault
        self._gates = checks
        self.reader = binding_reading.Reader(ctx, vault)

    async def create(
        self, caller: context.Caller, tenant_id: str, plugin_id: str, wanted: Wanted, reason: str
    ) -> Done:
        """Makes the binding of a tenant, `*` for the shared one.

        Raises:
            errors.RpcError: PLUGIN_UNKNOWN, VERSION_UNKNOWN, PLUGIN_STATE_CONFLICT,
                BINDING_EXISTS, CONFIG_INVALID, UNAVAILABLE.
        """
        before = await self.reader.find(tenant_id, plugin_id)
        if before is not None and not before.binding.deleted:
            raise binding_refusals.exists(before.binding)
        change = await self.prepare(tenant_id, plugin_id, before, wanted)
        why = plugin_events.by(caller, reason)
        stored = await self._write(change, why)
        if stored is None:
            current = await self.reader.find(tenant_id, plugin_id)
            assert current is not None
            raise binding_refusals.exists(current.binding)
        return await self._pushed(stored, change)

    async def update(
        self,
        caller: context.Caller,
        binding_id: str,
        expected_generation: int,
        wanted: Wanted,
        reason: str,
    ) -> Done:
        """Changes a binding, whole or not at all.

        Raises:
            errors.RpcError: RESOURCE_NOT_FOUND, STALE_GENERATION, CONFIG_INVALID,
                ENCRYPTION_KEY_MISSING, UNAVAILABLE.
        """
        before = await self.reader.expected(binding_id, expected_generation)
        binding = before.binding
        change = await self.prepare(binding.tenant_id, binding.plugin_id, before, wanted)
        return await self._change(change, plugin_events.by(caller, reason))

    async def roll_back(
        self,
        caller: context.Caller,
        binding_id: str,
        to_generation: int,
        expected_generation: int,
        reason: str,
    ) -> Done:
        """Makes a new generation with what an earlier one held.

        Raises:
            errors.RpcError: as for update.
        """
        before = await self.reader.expected(binding_id, expected_generation)
        binding = before.binding
        self._require_usable(binding.plugin_id)
        former = await self.reader.version(binding_id, to_generation)
        held_then = binding_store.opened(self._vault, binding_id, former.content.secrets)
        checked = await self._gates.check(binding.plugin_id, former.content.config_json, held_then)
        checked.require()
        change = Prepared(
            before=self.reader.open(before),
            content=replace(former.content, schema_digest=checked.schema_digest),
            held=held_then,
            checked=checked,
            tenant_id=binding.tenant_id,
            plugin_id=binding.plugin_id,
            event_type="binding.rolled_back",
        )
        return await self._change(change, plugin_events.by(caller, reason))

    async def delete(
        self, caller: context.Caller, binding_id: str, expected_generation: int, reason: str
    ) -> binding_reading.Opened:
        """Deletes a binding with all its versions and destroys its secrets.

        Raises:
            errors.RpcError: RESOURCE_NOT_FOUND, STALE_GENERATION, BINDING_IN_USE.
        """
        before = await self.reader.stored(binding_id, deleted=True)
        binding = before.binding
        if binding.deleted:
            return binding_reading.Opened(stored=before)
        if expected_generation and expected_generation != binding.generation:
            raise binding_refusals.stale(binding, expected_generation)
        ids = plugin_events.fresh_ids(self._ctx.new_id)
        wanted = binding_store.Write(
            tenant_id=binding.tenant_id,
            plugin_id=binding.plugin_id,
            before=before,
            after=None,
            held_before=binding_store.opened_or_none(self._vault, before),
            event_type="binding.deleted",
            why=plugin_events.by(caller, reason),
            now_us=self._ctx.clock.now_us(),
        )

        def delete(conn: storage.Connection) -> rows.Stored | int | None:
            if waiting := rows.open_operations(conn, binding):
                return waiting
            return binding_store.write(conn, wanted, ids())

        deleted = await self._ctx.db.write(delete)
        if isinstance(deleted, int):
            raise binding_refusals.in_use(binding, deleted)
        if deleted is None:
            raise binding_refusals.stale((await self.reader.stored(binding_id)).binding, 0)
        await self.committed()
        provider = self._ctx.providers.find(binding.plugin_id)
        view = self._ctx.catalog.view
        if provider is not None and view.binding(binding.tenant_id, binding.plugin_id) is None:
            await provider.remove_binding(binding_id)
        return binding_reading.Opened(stored=deleted)

    async def validate(
        self,
        tenant_id: str,
        plugin_id: str,
        wanted: Wanted,
        *,
        version: str,
        check_credentials: bool,
    ) -> gates.Checked:
        """Checks what create or update would store, and stores nothing.

        Raises:
            errors.RpcError: PLUGIN_UNKNOWN, VERSION_UNKNOWN, UNAVAILABLE.
        """
        before = await self.reader.find(tenant_id, plugin_id)
        if before is not None and before.binding.deleted:
            before = None
        content, held = self._merged(tenant_id, plugin_id, before, wanted)
        return await self._gates.check(
            plugin_id,
            content.config_json,
            held,
            given={each.slot for each in wanted.given},
            version=version,
            check_credentials=check_credentials,
        )

    def remove_all(
        self,
        conn: storage.Connection,
        plugin_id: str,
        *,
        why: plugin_events.Why,
        ids: plugin_events.Ids,
        now_us: int,
    ) -> list[str]:
        """Deletes every binding to a plugin, inside the transaction that uninstalls it."""
        return binding_store.remove_all(
            conn, self._vault, plugin_id, why=why, ids=ids, now_us=now_us
        )

    async def prepare(
        self,
        tenant_id: str,
        plugin_id: str,
        before: rows.Stored | None,
        wanted: Wanted,
        *,
        judged: Sequence[gates.Found] | None = None,
    ) -> Prepared:
        """Checks a change and returns it ready to be written.

        *judged* is what the schema has found, if it was asked already.

        Raises:
            errors.RpcError: CONFIG_INVALID and what the gates raise.
        """
        self._require_usable(plugin_id)
        if judged:
            raise gates.config_invalid(judged)
        if wanted.config_json is None and before is not None:
            # As it stands it was judged before, unless the schema is another one now.
            digest = (await self._gates.version(plugin_id)).schema_digest
            judged = () if before.binding.schema_digest == digest else judged
        content, held = self._merged(tenant_id, plugin_id, before, wanted)
        checked = await self._gates.check(
            plugin_id,
            content.config_json,
            held,
            given={each.slot for each in wanted.given},
            by_schema=judged is None,
        )
        checked.require()
        anew = before is None or before.binding.deleted
        return Prepared(
            before=self.reader.open(before) if before else None,
            content=replace(content, schema_digest=checked.schema_digest),
            held=held,
            checked=checked,
            tenant_id=tenant_id,
            plugin_id=plugin_id,
            event_type="binding.created" if anew else "binding.updated",
        )

    def write_of(
        self, change: Prepared, why: plugin_events.Why
    ) -> Callable[[storage.Connection, plugin_events.Ids], rows.Stored | None]:
        """Returns what writes a prepared change inside a transaction."""
        before = change.before
        wanted = binding_store.Write(
            tenant_id=change.tenant_id,
            plugin_id=change.plugin_id,
            before=before.stored if before else None,
            after=change.content,
            held_before=before.held if before else (),
            held=change.held,
            event_type=change.event_type,
            why=why,
            now_us=self._ctx.clock.now_us(),
        )
        return lambda conn, ids: binding_store.write(conn, wanted, ids)

    async def committed(self) -> None:
        """Tells everybody in this process that bindings have changed."""
        self._ctx.outbox_written.set()
        await self._ctx.catalog.refresh()

    async def _write(self, change: Prepared, why: plugin_events.Why) -> rows.Stored | None:
        write = self.write_of(change, why)
        ids = plugin_events.fresh_ids(self._ctx.new_id)
        stored = await self._ctx.db.write(lambda conn: write(conn, ids()))
        if stored is not None:
            await self.committed()
        return stored

    async def _change(self, change: Prepared, why: plugin_events.Why) -> Done:
        stored = await self._write(change, why)
        if stored is None:
            assert change.before is not None
            binding = change.before.stored.binding
            current = await self.reader.stored(binding.id)
            raise binding_refusals.stale(current.binding, binding.generation)
        return await self._pushed(stored, change)

    async def _pushed(self, stored: rows.Stored, change: Prepared) -> Done:
        """Sends a new content to the instances now, so that the caller hears of a refusal.

        Those of the shared binding's tenants get it from the fleet, each under its own id.
        """
        warnings = change.checked.messages()
        binding = stored.binding
        provider = self._ctx.providers.find(binding.plugin_id)
        if provider is not None and change.checked.by_plugin:
            generation = routing.generation(
                self._ctx.catalog.view, binding.tenant_id, binding.plugin_id
            )
            config = gates.wire_config(
                stored.content.config_json, change.held, self._ctx.clock.now_us()
            )
            version = change.checked.version
            try:
                await provider.configure(binding.id, generation, config, version=version)
            except fleet.Rejected as refused:
                texts = [each.summary for each in refused.diagnostics] or [str(refused)]
                hidden = gates.unsaid(change.held)
                warnings += [_kept(text, hidden) for text in texts]
            except fleet.Unreachable as problem:
                warnings.append(_kept(problem.text, ()))
        opened = binding_reading.Opened(stored=stored, held=change.held)
        return Done(opened=opened, diagnostics=tuple(warnings))

    def _require_usable(self, plugin_id: str) -> None:
        view = self._ctx.catalog.view
        plugin = view.plugin(plugin_id)
        if plugin is None or not plugin.entry.allowed:
            raise plugin_refusals.unknown(plugin_id, view.plugins)
        if plugin.state is plugins.PluginState.UNINSTALLED:
            text = f"{plugin_id} is uninstalled; allow it again before it gets a configuration"
            raise plugin_refusals.conflict(plugin, text)

    def _merged(
        self, tenant_id: str, plugin_id: str, before: rows.Stored | None, wanted: Wanted
    ) -> tuple[rows.Content, secrets.Secrets]:
        """Returns content and secrets after a change, the secrets sealed in the content.

        Raises:
            errors.RpcError: CONFIG_INVALID, if the configuration is no JSON object.
        """
        binding_id = bindings.binding_id(tenant_id, plugin_id)
        former = before.content if before else binding_store.EMPTY
        config = former.config_json if wanted.config_json is None else wanted.config_json
        content = schema_check.read_object(config)
        if isinstance(content, schema_check.Finding):
            raise gates.config_invalid([gates.Found(summary=content.summary)])
        held = binding_store.opened(self._vault, binding_id, former.secrets)
        merged = secrets.merge(held, wanted.given, wanted.removed, self._ctx.clock.now_us())
        options = former.options if wanted.options is None else wanted.options
        sealed = former.secrets if merged == held else self._vault.seal(binding_id, merged)
        return replace(former, config_json=config, options=options, secrets=sealed), merged


def _kept(why: str, hidden: Sequence[str]) -> plugin_service_pb2.Diagnostic:
    text = f"stored, but an instance keeps the former generation: {why}"
    return gates.scrubbed(gates.Found(summary=text, is_error=False), hidden).message()

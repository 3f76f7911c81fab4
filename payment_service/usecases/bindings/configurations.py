"""What plugins are configured with: secrets decrypted just before they are sent.

Owns which generation and content an instance gets, also while two versions with two
schemas run side by side, and the check of all configurations before an upgrade. Called by
the fleet, the lifecycle and upgrades. Keeps no secret in memory.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from payhub.admin.v1 import plugin_admin_pb2
from payhub.plugin.v1 import plugin_service_pb2

from payment_service.db import bindings as rows
from payment_service.domain import bindings, plugins
from payment_service.provider_client import fleet
from payment_service.usecases import context
from payment_service.usecases.bindings import (
    binding_refusals,
    binding_snapshots,
    binding_store,
    gates,
    secrets,
)
from payment_service.usecases.plugins import plugin_events
from servicekit import bounded, errors, logs, storage

_log = logs.get_logger(__name__)

# Texts of up to 256 KiB each.
_FITTED_MAX = 256
# Configurations judged in one go, and asked of the plugin at once.
_JUDGED_AT_ONCE = 100
_ASKED_AT_ONCE = 8
MIGRATIONS_MAX = 1_000


class Configuration(NamedTuple):
    """What one binding id is to be configured with; `config` holds secrets in clear."""

    binding: bindings.Binding
    binding_id: str
    generation: int
    config: plugin_service_pb2.BindingConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """A binding's configuration for one version: as stored, rewritten, or not at all."""

    stored: rows.Stored
    config_json: str
    held: secrets.Secrets = field(default=(), repr=False)
    found: tuple[gates.Found, ...] = ()

    @property
    def rewritten(self) -> bool:
        """Whether it is another text than what is stored."""
        return self.config_json != self.stored.content.config_json

    @property
    def refused(self) -> bool:
        """Whether the version can't take it."""
        return any(each.is_error for each in self.found)

    def message(self) -> plugin_admin_pb2.BindingMigration:
        """Returns it as the contract spells it."""
        binding = self.stored.binding
        changes = binding_snapshots.config_differences(
            self.stored.content.config_json, self.config_json
        )
        return plugin_admin_pb2.BindingMigration(
            binding_id=binding.id,
            tenant_id=binding.tenant_id,
            migrated=self.rewritten,
            changes=changes[: binding_snapshots.CHANGES_MAX],
            diagnostics=[each.message() for each in self.found],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Upgrade:
    """What a version makes of every binding of its plugin."""

    version: str
    schema_digest: str
    fitted: tuple[Fitted, ...]

    @property
    def refused(self) -> bool:
        """Whether a binding stands in the way."""
        return any(each.refused for each in self.fitted)

    def violations(self) -> list[tuple[str, str]]:
        """Returns what stands in the way: binding id with JSON pointer, and why."""
        return [
            (f"{each.stored.binding.id}{found.json_pointer}", found.summary)
            for each in self.fitted
            for found in each.found
            if found.is_error
        ]

    def migrations(self) -> list[plugin_admin_pb2.BindingMigration]:
        """Returns what the upgrade does, as the contract spells it, at most 1000."""
        return [each.message() for each in self.fitted[:MIGRATIONS_MAX]]

    def write(
        self,
        conn: storage.Connection,
        *,
        why: plugin_events.Why,
        ids: plugin_events.Ids,
        now_us: int,
    ) -> None:
        """Stores rewritten configurations as new generations, inside the transaction of
        whoever makes this version the current one.

        Raises:
            errors.RpcError: STALE_GENERATION, if one changed since it was looked at.
        """
        for each in self.fitted:
            if not each.rewritten:
                continue
            binding = each.stored.binding
            wanted = binding_store.Write(
                tenant_id=binding.tenant_id,
                plugin_id=binding.plugin_id,
                before=each.stored,
                after=replace(
                    each.stored.content,
                    config_json=each.config_json,
                    schema_digest=self.schema_digest,
                ),
                held_before=each.held,
                held=each.held,
                event_type="binding.updated",
                why=why,
                now_us=now_us,
            )
            if binding_store.write(conn, wanted, ids) is None:
                raise binding_refusals.stale(binding, binding.generation)


class Configurations:
    """Finds what plugins are configured with."""

    def __init__(self, ctx: context.Context, vault: secrets.Vault, checks: gates.Gates) -> None:
        self._ctx = ctx
        self._vault = vault
        self._gates = checks
        self._fitted: bounded.Bounded[tuple[str, int, str], str] = bounded.Bounded(_FITTED_MAX)

    async def configuration(
        self, binding_id: str, tenant_id: str, plugin_id: str, version: str = ""
    ) -> tuple[int, plugin_service_pb2.BindingConfig]:
        """Returns the generation and configuration of a tenant's binding for a version.

        Raises:
            LookupError: The tenant has no binding there, or its secrets can't be decrypted.
        """

        def read(conn: storage.Connection) -> tuple[rows.Stored | None, rows.Stored | None]:
            shared = rows.find(conn, bindings.SHARED, plugin_id)
            if tenant_id == bindings.SHARED:
                return None, shared
            return rows.find(conn, tenant_id, plugin_id), shared

        own, shared = await self._ctx.db.read(read)
        used = next((s for s in (own, shared) if s is not None and not s.binding.deleted), None)
        if used is None:
            raise LookupError(f"tenant {tenant_id} has no binding to {plugin_id} ({binding_id})")
        generation = bindings.wire_generation(
            own.binding if own else None, shared.binding if shared else None
        )
        return generation, await self._config(used, version)

    async def configurations(self, plugin_id: str) -> list[Configuration]:
        """Returns what every binding to a plugin is configured with; disabled ones left out.

        Raises:
            LookupError: Secrets of one can't be decrypted.
        """
        found = await self._ctx.db.read(lambda conn: rows.of_plugin(conn, plugin_id))
        made = []
        for stored in found:
            binding = stored.binding
            if binding.options.disabled:
                continue
            generation, config = await self.configuration(binding.id, binding.tenant_id, plugin_id)
            made.append(
                Configuration(
                    binding=binding, binding_id=binding.id, generation=generation, config=config
                )
            )
        return made

    async def check_upgrade(self, plugin_id: str, version: str) -> Upgrade:
        """Returns what a version makes of every binding: as it is, rewritten, or refused.

        Raises:
            errors.RpcError: PLUGIN_UNKNOWN, VERSION_UNKNOWN, UNAVAILABLE.
        """
        target = await self._gates.version(plugin_id, version)
        found = await self._ctx.db.read(lambda conn: rows.of_plugin(conn, plugin_id))
        slots = asyncio.Semaphore(_ASKED_AT_ONCE)

        async def fit(stored: rows.Stored, found: Sequence[gates.Found]) -> Fitted:
            async with slots:
                return await self._fit(stored, target, found)

        fitted: list[Fitted] = []
        for start in range(0, len(found), _JUDGED_AT_ONCE):
            part = found[start : start + _JUDGED_AT_ONCE]
            judged = await self._judged(target, part)
            fitted += await asyncio.gather(*map(fit, part, judged))
        return Upgrade(version=version, schema_digest=target.schema_digest, fitted=tuple(fitted))

    async def _config(self, stored: rows.Stored, version: str) -> plugin_service_pb2.BindingConfig:
        content = stored.content
        try:
            held = self._vault.open(stored.binding.id, content.secrets)
        except secrets.SecretsUnreadable as problem:
            raise LookupError(str(problem)) from None
        text = content.config_json
        target = self._seen(stored.binding.plugin_id, version)
        if target is not None:
            held = gates.only_known(await self._gates.schema(target.schema_digest), held)
            if content.schema_digest not in ("", target.schema_digest):
                text = await self._fitting(stored, target)
        return gates.wire_config(text, held, self._ctx.clock.now_us())

    def _seen(self, plugin_id: str, version: str) -> plugins.Version | None:
        return self._ctx.catalog.view.version(plugin_id, version) if version else None

    async def _fitting(self, stored: rows.Stored, target: plugins.Version) -> str:
        """Returns a configuration's text for a version with another schema.

        What does not fit is sent as it is: the plugin's own answer tells best why.
        """
        key = (stored.binding.id, stored.binding.generation, target.schema_digest)
        if (known := self._fitted.get(key)) is not None:
            return known
        try:
            (judged,) = await self._judged(target, [stored])
            fitted = await self._fit(stored, target, judged)
        except errors.RpcError as problem:
            _log.warning("can't fit a configuration now", binding_id=key[0], why=problem.message)
            return stored.content.config_json
        if fitted.refused:
            return stored.content.config_json
        self._fitted[key] = fitted.config_json
        return fitted.config_json

    async def _judged(
        self, target: plugins.Version, found: Sequence[rows.Stored]
    ) -> Sequence[Sequence[gates.Found]]:
        texts = [stored.content.config_json for stored in found]
        return await self._gates.judged(target.schema_digest, texts)

    async def _fit(
        self, stored: rows.Stored, target: plugins.Version, judged: Sequence[gates.Found]
    ) -> Fitted:
        """Returns a configuration for *target*, whose schema has found *judged* in it."""
        text = stored.content.config_json
        found = list(judged)
        if judged:
            text, found = await self._rewritten(stored, target, judged)
        if not any(each.is_error for each in found):
            binding = stored.binding
            held = binding_store.opened(self._vault, binding.id, stored.content.secrets)
            checked = await self._gates.check(binding.plugin_id, text, held, version=target.version)
            found = [*found, *checked.found]
        if any(each.is_error for each in found):
            text = stored.content.config_json
        return Fitted(stored=stored, config_json=text, found=tuple(found))

    async def _rewritten(
        self, stored: rows.Stored, target: plugins.Version, judged: Sequence[gates.Found]
    ) -> tuple[str, list[gates.Found]]:
        """Returns what the version's migration makes of a configuration, else what the
        binding held when that schema was last in force, else what is wrong with it.
        """
        answer = await self._migrated(stored, target)
        if answer is not None and answer.config_json:
            return answer.config_json, []
        binding_id, digest = stored.binding.id, target.schema_digest
        former = await self._ctx.db.read(
            lambda conn: rows.newest_of_schema(conn, binding_id, digest)
        )
        if former is not None:
            text = f"gets back what it held at generation {former.generation}"
            return former.content.config_json, [gates.Found(summary=text, is_error=False)]
        said = [
            gates.Found(summary=each.summary, json_pointer=each.json_pointer)
            for each in (answer.diagnostics if answer is not None else ())
        ]
        return stored.content.config_json, [*judged, *said]

    async def _migrated(
        self, stored: rows.Stored, target: plugins.Version
    ) -> plugin_service_pb2.MigrateConfigResponse | None:
        plugin_id = stored.binding.plugin_id
        view = self._ctx.catalog.view
        provider = self._ctx.providers.find(plugin_id)
        digest = stored.content.schema_digest
        if not digest:
            # Made by the environment and never judged: for the version in use until now.
            plugin = view.plugin(plugin_id)
            current = view.version(plugin_id, plugin.current_version) if plugin else None
            digest = current.schema_digest if current else ""
        if provider is None or not digest or target.version not in provider.versions():
            return None
        former = [each for each in view.versions.get(plugin_id, ()) if each.schema_digest == digest]
        number = 0
        if former:
            shaken = plugin_service_pb2.HandshakeResponse.FromString(former[-1].handshake)
            number = shaken.config_schema_version
        request = plugin_service_pb2.MigrateConfigRequest(
            from_schema_digest=digest,
            from_config_schema_version=number,
            config_json=stored.content.config_json,
        )
        try:
            return await provider.migrate(request, version=target.version)
        except fleet.Unsupported:
            return None
        except fleet.Unreachable as problem:
            raise errors.unavailable(
                f"{plugin_id} {target.version} could not rewrite a configuration: {problem}"
            ) from None

"""What plugins do by themselves: they turn up, shake hands, or fail to.

Owns who is let in, and keeping what a plugin said of itself. Called when an instance
registers or is found at its static endpoint, after it has been dialled. Never dials.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import replace

from payhub.plugin.v1 import plugin_service_pb2

from payment_service.db import instances, versions
from payment_service.db import plugins as rows
from payment_service.domain import admission, plugins
from payment_service.usecases.plugins import (
    observing,
    plugin_changes,
    plugin_events,
    plugin_refusals,
    plugin_snapshots,
)
from servicekit import errors, storage

Handshake = plugin_service_pb2.HandshakeResponse
Schema = plugin_service_pb2.GetConfigSchemaResponse

# Services core can call, by kind.
SERVICES: Mapping[int, tuple[str, ...]] = {
    plugin_service_pb2.PLUGIN_KIND_PROVIDER: ("payhub.provider.v1.PaymentProviderService",)
}
# Anybody with a key may turn up under any name.
UNLISTED_MAX = 100
VERSIONS_MAX = 100
# What is quarantined stays so, unless that many others are by now.
QUARANTINED_MAX = 1_000
DETAIL_CHARS_MAX = 1000


class Registrations(plugin_changes.Changes):
    """The use cases of plugins that turn up."""

    async def discovered(self, plugin_id: str, *, why: plugin_events.Why) -> None:
        """Notes a plugin that is not on the allowlist and tried to register.

        At most 100 of them are kept, so that an operator sees them.
        """
        if self._ctx.catalog.view.plugin(plugin_id) is not None:
            return

        def note(conn: storage.Connection, ids: plugin_events.Ids, now_us: int) -> None:
            known = rows.load_all(conn)
            unlisted = sum(not each.entry.allowed for each in known.values())
            if plugin_id in known or unlisted >= UNLISTED_MAX:
                return
            plugin_events.write(
                conn,
                None,
                plugins.Plugin(
                    entry=plugins.Entry(plugin_id=plugin_id, allowed=False),
                    state=plugins.PluginState.DISCOVERED,
                    created_us=now_us,
                ),
                event_type="plugin.discovered",
                why=why,
                event_id=ids(),
                now_us=now_us,
            )

        await self._change(note)

    async def registered(
        self,
        plugin_id: str,
        handshake: Handshake,
        schema: Schema,
        *,
        why: plugin_events.Why,
        static: bool = False,
    ) -> plugins.Plugin:
        """Keeps what an instance said of itself, if it is let in.

        A plugin that none of was let in before is REGISTERED then, or in ERROR. What is
        *static* stands where its predecessor stood: its version becomes the current one,
        unless instances with a lease have that or a report is required first.

        Raises:
            errors.RpcError: PLUGIN_UNKNOWN, PLUGIN_NOT_ALLOWED, NO_COMMON_VERSION or
                PLUGIN_FAILED.
        """

        def keep(
            conn: storage.Connection, ids: plugin_events.Ids, now_us: int
        ) -> tuple[plugins.Plugin, errors.RpcError | None]:
            before = plugin_changes.locked(conn, plugin_id)
            refusal = _refusal(before, handshake, schema)
            if refusal is not None:
                return _failed(conn, before, refusal, why, ids, now_us), refusal
            is_news = _save(conn, before, handshake, schema, now_us)
            succeeds = static and _may_succeed(conn, before)
            after = _registered(before, handshake, succeeds=succeeds)
            if after.current_version != before.current_version:
                # What its predecessor is quarantined for counts no more.
                after = observing.judged(conn, after, now_us)
            if not is_news and after == before:
                return before, None
            return plugin_events.write(
                conn,
                before,
                after,
                event_type="plugin.registered",
                why=why,
                event_id=ids(),
                now_us=now_us,
                version=handshake.identity.plugin_version,
            ), None

        # Most registrations are of a version that is known already.
        plugin, refusal = await self._change(keep)
        if refusal is not None:
            raise refusal
        return plugin

    async def failed(
        self,
        plugin_id: str,
        transition: plugins.Transition,
        *,
        reason: str,
        detail: str,
        why: plugin_events.Why,
    ) -> plugins.Plugin:
        """Keeps that *transition* failed, if it would have changed the plugin's state.

        Args:
            plugin_id: Which plugin.
            transition: What failed.
            reason: One of the contract's error reasons.
            detail: The same for people; no secret.
            why: Who tried.

        Raises:
            errors.RpcError: PLUGIN_UNKNOWN.
        """

        def keep(conn: storage.Connection, ids: plugin_events.Ids, now_us: int) -> plugins.Plugin:
            before = plugin_changes.locked(conn, plugin_id)
            return note_failure(conn, before, transition, reason, detail, why, ids, now_us)

        return await self._change(keep)


def note_failure(
    conn: storage.Connection,
    before: plugins.Plugin,
    transition: plugins.Transition,
    reason: str,
    detail: str,
    why: plugin_events.Why,
    ids: plugin_events.Ids,
    now_us: int,
) -> plugins.Plugin:
    """Brings a plugin to ERROR, unless it is past *transition* or failed the same way before."""
    judged = plugins.judge(before, transition)
    if isinstance(judged, plugins.Refusal) or judged.repeat:
        return before
    failure = plugins.Failure(
        transition=transition, reason=reason, detail=detail[:DETAIL_CHARS_MAX], failed_us=now_us
    )
    known = before.failure
    if known is not None and replace(known, failed_us=now_us) == failure:
        return before
    return plugin_events.write(
        conn,
        before,
        replace(before, state=plugins.PluginState.ERROR, failure=failure),
        event_type="plugin.error",
        why=why,
        event_id=ids(),
        now_us=now_us,
    )


def _failed(
    conn: storage.Connection,
    before: plugins.Plugin,
    refusal: errors.RpcError,
    why: plugin_events.Why,
    ids: plugin_events.Ids,
    now_us: int,
) -> plugins.Plugin:
    register = plugins.Transition.REGISTER
    return note_failure(conn, before, register, refusal.reason, refusal.message, why, ids, now_us)


def _refusal(
    plugin: plugins.Plugin, handshake: Handshake, schema: Schema
) -> errors.RpcError | None:
    """Returns why an instance is not let in, or None."""
    identity, entry = handshake.identity, plugin.entry
    version = identity.plugin_version
    if identity.kind != entry.kind:
        names = [_kind(entry.kind), _kind(identity.kind)]
        text = f"{plugin.id} is allowed as {names[0]}, and it is {names[1]}"
        return plugin_refusals.not_allowed(plugin.id, version, names[0], text)
    if problem := admission.version_problem(version):
        return plugin_refusals.not_allowed(plugin.id, version, entry.version_specifier, problem)
    if not admission.version_matches(entry.version_specifier, version):
        text = (
            f"{plugin.id} is allowed in versions {entry.version_specifier}, and this is {version}; "
            "change its entry, or deploy another version"
        )
        return plugin_refusals.not_allowed(plugin.id, version, entry.version_specifier, text)
    offered = SERVICES.get(identity.kind, ())
    if not set(offered) & set(handshake.services):
        return plugin_refusals.no_common_version(plugin.id, offered, handshake.services)
    digest = f"sha256:{hashlib.sha256(schema.json_schema.encode()).hexdigest()}"
    if not digest == schema.schema_digest == handshake.schema_digest:
        return plugin_refusals.broken_contract(
            plugin.id, f"its configuration schema has the digest {digest}, not the one it states"
        )
    return None


def _kind(kind: int) -> str:
    found = plugin_service_pb2.PluginKind.DESCRIPTOR.values_by_number.get(kind)
    return found.name if found is not None else f"kind {kind}"


def _save(
    conn: storage.Connection,
    plugin: plugins.Plugin,
    handshake: Handshake,
    schema: Schema,
    now_us: int,
) -> bool:
    """Stores version and schema; returns whether anything in it is new."""
    version = handshake.identity.plugin_version
    known = versions.load(conn, plugin.id, version)
    versions.save_schema(
        conn,
        versions.Schema(
            digest=schema.schema_digest,
            json_schema=schema.json_schema,
            slots=tuple(
                versions.Slot(slot=s.slot, description=s.description, required=s.required)
                for s in schema.secret_slots
            ),
        ),
    )
    forgotten = 0
    if known is None:
        forgotten = versions.prune(
            conn,
            plugin.id,
            in_use=(plugin.current_version, plugin.previous_version, plugin.canary_version),
            keep=VERSIONS_MAX - 1,
            keep_quarantined=QUARANTINED_MAX,
        )
    versions.save(
        conn,
        plugins.Version(
            plugin_id=plugin.id,
            version=version,
            schema_digest=schema.schema_digest,
            handshake=handshake.SerializeToString(deterministic=True),
            first_seen_us=now_us,
        ),
    )
    if forgotten:
        # The schema of this version has somebody now.
        versions.prune_schemas(conn)
    return known is None or _content(known.handshake) != _content(handshake.SerializeToString())


def _content(handshake: bytes) -> bytes:
    """What a handshake says of a version, whichever instance said it."""
    message = Handshake.FromString(handshake)
    message.identity.ClearField("instance_id")
    return message.SerializeToString(deterministic=True)


def _may_succeed(conn: storage.Connection, plugin: plugins.Plugin) -> bool:
    if plugin.canary_version or plugin.entry.requires_report:
        return False
    return not any(
        each.alive and not each.static and each.version == plugin.current_version
        for each in instances.load_all(conn)
        if each.plugin_id == plugin.id
    )


def _registered(before: plugins.Plugin, handshake: Handshake, *, succeeds: bool) -> plugins.Plugin:
    judged = plugins.judge(before, plugins.Transition.REGISTER)
    after = before
    if isinstance(judged, plugins.Step) and not judged.repeat:
        after = replace(before, state=judged.state, failure=None)
    version = handshake.identity.plugin_version
    if succeeds or after.current_version in ("", version):
        manifest = plugin_snapshots.manifest(handshake)
        after = replace(after, current_version=version, manifest=manifest)
    return after

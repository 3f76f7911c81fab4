"""Bindings that leave an installation, and bindings that come in.

Owns exports and imports. Called by the API and by backups. Secrets leave only when asked
for, and sealed. An import passes the same gates as any change, and is whole or nothing.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from payhub.admin.v1 import binding_admin_service_pb2 as pb
from payhub.plugin.v1 import plugin_service_pb2

from payment_service.db import bindings as rows
from payment_service.domain import bindings as domain_bindings
from payment_service.usecases import context
from payment_service.usecases.bindings import (
    binding_reading,
    binding_refusals,
    binding_snapshots,
    bindings,
    gates,
    schema_check,
    sealing,
    secrets,
)
from payment_service.usecases.plugins import plugin_events
from servicekit import errors, storage

FORMAT = 1
PAGE_MAX = 50
PAGE_BYTES_MAX = 3 * 1024 * 1024
# The digest of a configuration that was never judged: the environment made it.
NO_DIGEST = f"sha256:{'0' * 64}"
_WHOLE_CALL = frozenset({"UNAVAILABLE", "SEAL_INVALID", "ENCRYPTION_KEY_MISSING"})

_Outcome = pb.ImportResult


class Exports:
    """Exports and imports bindings."""

    def __init__(self, ctx: context.Context, cases: bindings.Bindings, checks: gates.Gates) -> None:
        self._ctx = ctx
        self._cases = cases
        self._gates = checks

    async def page(
        self,
        *,
        tenant_id: str,
        plugin_id: str,
        after_id: str,
        most: int,
        passphrase: str | None,
    ) -> tuple[list[pb.ExportedBinding], str]:
        """Returns one page and the id of its last binding, '' if nothing follows.

        Args:
            tenant_id: Only this one; '' for all.
            plugin_id: Only this one; '' for all.
            after_id: The last binding of the previous page.
            most: At most so many; fewer where they are large.
            passphrase: Seals the secrets; None leaves them out.
        """
        found = await self._cases.reader.list_by_id(
            tenant_id=tenant_id, plugin_id=plugin_id, after_id=after_id, most=most + 1
        )
        sealer = await sealing.sealer(passphrase) if passphrase is not None and found else None
        made: list[pb.ExportedBinding] = []
        size = 0
        for opened in found[:most]:
            exported = _exported(opened, sealer)
            size += exported.ByteSize()
            if made and size > PAGE_BYTES_MAX:
                break
            made.append(exported)
        more = len(made) < len(found)
        return made, found[len(made) - 1].stored.binding.id if made and more else ""

    async def take_in(
        self,
        caller: context.Caller,
        exported: Sequence[pb.ExportedBinding],
        *,
        passphrase: str,
        dry_run: bool,
        overwrite: bool,
        reason: str,
    ) -> tuple[list[pb.ImportResult], bool]:
        """Makes or updates bindings, all or none; returns what became of each, and whether.

        Raises:
            errors.RpcError: SEAL_INVALID, INVALID_FIELD, STALE_GENERATION, UNAVAILABLE.
        """
        _require_distinct(exported)
        opener = sealing.Opener(passphrase)
        judged = await self._judged(exported)
        plans = [
            await self._plan(each, opener, found, overwrite=overwrite)
            for each, found in zip(exported, judged, strict=True)
        ]
        results = [plan.result for plan in plans]
        refused = any(r.outcome == _Outcome.OUTCOME_REFUSED for r in results)
        if dry_run or refused:
            return results, False
        changes = [plan.change for plan in plans if plan.change is not None]
        await self._store(changes, plugin_events.by(caller, reason))
        return results, True

    async def _store(self, changes: list[bindings.Prepared], why: plugin_events.Why) -> None:
        # In one order, so that two imports never wait for each other.
        changes.sort(key=lambda change: (change.plugin_id, change.tenant_id))
        writes = [(change, self._cases.write_of(change, why)) for change in changes]
        ids = plugin_events.fresh_ids(self._ctx.new_id)

        def store(conn: storage.Connection) -> None:
            mint = ids()
            for change, write in writes:
                if write(conn, mint) is None:
                    raise _changed_meanwhile(change)

        if writes:
            await self._ctx.db.write(store)
            await self._cases.committed()

    async def _judged(
        self, exported: Sequence[pb.ExportedBinding]
    ) -> list[Sequence[gates.Found] | None]:
        """Returns what the schemas find, one process per schema; None for an unknown plugin."""
        by_digest: dict[str, list[int]] = {}
        for number, each in enumerate(exported):
            try:
                version = await self._gates.version(each.plugin_id)
            except errors.RpcError:
                continue
            by_digest.setdefault(version.schema_digest, []).append(number)
        judged: list[Sequence[gates.Found] | None] = [None] * len(exported)
        for digest, numbers in by_digest.items():
            texts = [exported[number].config_json or "{}" for number in numbers]
            for number, found in zip(numbers, await self._gates.judged(digest, texts), strict=True):
                judged[number] = found
        return judged

    async def _plan(
        self,
        each: pb.ExportedBinding,
        opener: sealing.Opener,
        judged: Sequence[gates.Found] | None,
        *,
        overwrite: bool,
    ) -> "_Plan":
        binding_id = domain_bindings.binding_id(each.tenant_id, each.plugin_id)
        result = pb.ImportResult(
            tenant_id=each.tenant_id, plugin_id=each.plugin_id, binding_id=binding_id
        )
        incoming = await opener.open(binding_id, each.sealed_secrets)
        before = await self._cases.reader.find(each.tenant_id, each.plugin_id)
        exists = before is not None and not before.binding.deleted
        opened = self._cases.reader.open(before) if before is not None else None
        wanted = _wanted(each, incoming, opened.held if opened else ())
        if opened is not None and exists:
            if _equal(opened, wanted, incoming, sealed=bool(each.sealed_secrets)):
                result.outcome = _Outcome.OUTCOME_UNCHANGED
                return _Plan(result=result)
            if not overwrite:
                return _refused(result, "exists already and differs; import with overwrite")
        try:
            change = await self._cases.prepare(
                each.tenant_id, each.plugin_id, before, wanted, judged=judged
            )
        except errors.RpcError as refusal:
            if refusal.reason in _WHOLE_CALL:
                raise
            return _refused(result, refusal.message, refusal.violations)
        result.diagnostics.extend(change.checked.messages())
        result.outcome = _Outcome.OUTCOME_UPDATED if exists else _Outcome.OUTCOME_CREATED
        return _Plan(result=result, change=change)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    result: pb.ImportResult
    change: bindings.Prepared | None = None


def _exported(opened: binding_reading.Opened, sealer: sealing.Sealer | None) -> pb.ExportedBinding:
    stored = opened.stored
    binding = stored.binding
    return pb.ExportedBinding(
        format=FORMAT,
        tenant_id=binding.tenant_id,
        plugin_id=binding.plugin_id,
        config_json=stored.content.config_json,
        options=binding_snapshots.options(stored.content.options),
        schema_digest=stored.content.schema_digest or NO_DIGEST,
        generation=binding.generation,
        sealed_secrets=sealer.seal(binding.id, opened.held) if sealer else b"",
    )


def _wanted(
    each: pb.ExportedBinding, incoming: secrets.Secrets, held: secrets.Secrets
) -> bindings.Wanted:
    """Returns what is to be stored; without sealed secrets those held stay."""
    changed = secrets.changed_slots(held, incoming) if each.sealed_secrets else []
    newest = {secret.slot: secret for secret in sorted(incoming, key=lambda s: s.version)}
    return bindings.Wanted(
        config_json=each.config_json or "{}",
        options=binding_snapshots.options_of(each.options),
        given=tuple(
            secrets.Given(slot=slot, value=newest[slot].value, expire_us=newest[slot].expire_us)
            for slot in changed
            if slot in newest
        ),
        removed=frozenset(slot for slot in changed if slot not in newest),
    )


def _equal(
    opened: binding_reading.Opened,
    wanted: bindings.Wanted,
    incoming: secrets.Secrets,
    *,
    sealed: bool,
) -> bool:
    content = opened.stored.content
    theirs = schema_check.read_object(wanted.config_json or "{}")
    if isinstance(theirs, schema_check.Finding):
        return False
    ours = json.loads(content.config_json)
    return (
        binding_snapshots.json_text(ours) == binding_snapshots.json_text(theirs)
        and content.options == wanted.options
        and (not sealed or secrets.same(opened.held, incoming))
    )


def _require_distinct(exported: Sequence[pb.ExportedBinding]) -> None:
    seen: set[rows.Key] = set()
    for number, each in enumerate(exported):
        key = (each.tenant_id, each.plugin_id)
        if key in seen:
            raise errors.invalid_field(
                f"bindings[{number}]", "is a second one of that tenant and plugin"
            )
        seen.add(key)


def _refused(
    result: pb.ImportResult, text: str, violations: Sequence[tuple[str, str]] = ()
) -> _Plan:
    result.outcome = _Outcome.OUTCOME_REFUSED
    severity = plugin_service_pb2.Diagnostic.SEVERITY_ERROR
    found = [
        (summary, field.removeprefix("config_json"))
        if field.startswith("config_json")
        else (f"{field}: {summary}", "")
        for field, summary in violations
    ]
    for summary, pointer in found or [(text, "")]:
        result.diagnostics.add(severity=severity, summary=summary, json_pointer=pointer)
    return _Plan(result=result)


def _changed_meanwhile(change: bindings.Prepared) -> errors.RpcError:
    if change.before is not None:
        return binding_refusals.stale(change.before.stored.binding, 0)
    return errors.unavailable(
        f"somebody made the binding of {change.tenant_id} to {change.plugin_id} meanwhile; "
        "repeat the import"
    )

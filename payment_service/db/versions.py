"""Versions of plugins, their configuration schemas and their conformance reports: rows.

Owns the tables `plugin_versions`, `config_schemas` and `plugin_reports`. Called by the use
cases inside their transactions.
"""

import json
from dataclasses import dataclass

from payment_service.domain import plugins
from servicekit import storage

_VERSIONS = (
    "plugin_id, version, schema_digest, handshake, quarantined_us, quarantine_reason, first_seen_us"
)
_REPORTS = "plugin_id, version, schema_digest, passed, report, actor, stored_us"

_SAVE = storage.Statement(
    f"insert into plugin_versions ({_VERSIONS}) values (:plugin_id, :version, :schema_digest, "
    ":handshake, :quarantined_us, :quarantine_reason, :first_seen_us) "
    "on conflict (plugin_id, version) do update "
    "set schema_digest = excluded.schema_digest, handshake = excluded.handshake"
)
_LOAD = storage.Statement(
    f"select {_VERSIONS} from plugin_versions where plugin_id = :plugin_id and version = :version"
)
_ALL = storage.Statement(f"select {_VERSIONS} from plugin_versions order by plugin_id, version")
_QUARANTINE = storage.Statement(
    "update plugin_versions set quarantined_us = :now_us, quarantine_reason = :reason "
    "where plugin_id = :plugin_id and version = :version and quarantined_us = 0"
)
_RELEASE = storage.Statement(
    "update plugin_versions set quarantined_us = 0, quarantine_reason = '' "
    "where plugin_id = :plugin_id and version = :version and quarantined_us > 0"
)
_PRUNE = storage.Statement(
    "delete from plugin_versions where plugin_id = :plugin_id "
    "and version not in (:one, :two, :three) and version not in ("
    "select version from plugin_versions where plugin_id = :plugin_id "
    "order by first_seen_us desc, version limit :keep) and version not in ("
    "select version from plugin_versions where plugin_id = :plugin_id and quarantined_us > 0 "
    "order by quarantined_us desc, version limit :keep_quarantined)"
)
_PRUNE_SCHEMAS = storage.Statement(
    "delete from config_schemas where not exists (select 1 from plugin_versions v "
    "where v.schema_digest = config_schemas.schema_digest) "
    "and not exists (select 1 from bindings b "
    "where b.schema_digest = config_schemas.schema_digest) "
    "and not exists (select 1 from binding_versions g "
    "where g.schema_digest = config_schemas.schema_digest)"
)
_SAVE_SCHEMA = storage.Statement(
    "insert into config_schemas (schema_digest, json_schema, secret_slots) "
    "values (:digest, :json_schema, :slots) on conflict do nothing"
)
_LOAD_SCHEMA = storage.Statement(
    "select json_schema, secret_slots from config_schemas where schema_digest = :digest"
)
_SAVE_REPORT = storage.Statement(
    f"insert into plugin_reports ({_REPORTS}) values (:plugin_id, :version, :schema_digest, "
    ":passed, :report, :actor, :stored_us) "
    "on conflict (plugin_id, version, schema_digest) do update "
    "set passed = excluded.passed, report = excluded.report, actor = excluded.actor, "
    "stored_us = excluded.stored_us"
)
_LOAD_REPORT = storage.Statement(
    f"select {_REPORTS} from plugin_reports where plugin_id = :plugin_id "
    "and version = :version and schema_digest = :schema_digest"
)
_PRUNE_REPORTS = storage.Statement(
    "delete from plugin_reports where plugin_id = :plugin_id and stored_us < ("
    "select min(stored_us) from (select stored_us from plugin_reports "
    "where plugin_id = :plugin_id order by stored_us desc limit :keep) as kept)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """A secret that a configuration needs."""

    slot: str
    description: str
    required: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Schema:
    """What a configuration must look like, by its digest."""

    digest: str
    json_schema: str
    slots: tuple[Slot, ...]


def save(conn: storage.Connection, version: plugins.Version) -> None:
    """Stores what a version said of itself last; a quarantine stays as it is."""
    conn.run(
        _SAVE,
        {
            "plugin_id": version.plugin_id,
            "version": version.version,
            "schema_digest": version.schema_digest,
            "handshake": version.handshake,
            "quarantined_us": version.quarantined_us,
            "quarantine_reason": version.quarantine_reason,
            "first_seen_us": version.first_seen_us,
        },
    )


def from_row(row: storage.Row) -> plugins.Version:
    """Returns a version from its columns."""
    return plugins.Version(
        plugin_id=row[0],
        version=row[1],
        schema_digest=row[2],
        handshake=bytes(row[3]),
        quarantined_us=row[4],
        quarantine_reason=row[5],
        first_seen_us=row[6],
    )


def load(conn: storage.Connection, plugin_id: str, version: str) -> plugins.Version | None:
    """Returns a version, or None."""
    row = conn.one(_LOAD, {"plugin_id": plugin_id, "version": version})
    return from_row(row) if row else None


def load_all(conn: storage.Connection) -> dict[str, tuple[plugins.Version, ...]]:
    """Returns every version by plugin."""
    found: dict[str, tuple[plugins.Version, ...]] = {}
    for row in conn.all(_ALL):
        found[row[0]] = (*found.get(row[0], ()), from_row(row))
    return found


def quarantine(
    conn: storage.Connection, plugin_id: str, version: str, *, reason: str, now_us: int
) -> bool:
    """Quarantines a version; returns whether it was not before."""
    values = {"plugin_id": plugin_id, "version": version, "reason": reason, "now_us": now_us}
    return conn.run(_QUARANTINE, values) == 1


def release(conn: storage.Connection, plugin_id: str, version: str) -> bool:
    """Ends a quarantine; returns whether there was one."""
    return conn.run(_RELEASE, {"plugin_id": plugin_id, "version": version}) == 1


def prune(
    conn: storage.Connection,
    plugin_id: str,
    *,
    in_use: tuple[str, str, str],
    keep: int,
    keep_quarantined: int,
) -> int:
    """Forgets all but the *keep* versions that were seen first last, and the *keep_quarantined*
    that were quarantined last; returns how many.
    """
    one, two, three = in_use
    values = {"plugin_id": plugin_id, "one": one, "two": two, "three": three, "keep": keep}
    return conn.run(_PRUNE, {**values, "keep_quarantined": keep_quarantined})


def prune_schemas(conn: storage.Connection) -> None:
    """Forgets the schemas that no version and no configuration has any more."""
    conn.run(_PRUNE_SCHEMAS)


def save_schema(conn: storage.Connection, schema: Schema) -> None:
    """Stores a schema; one with that digest is the same."""
    slots = [[each.slot, each.description, each.required] for each in schema.slots]
    conn.run(
        _SAVE_SCHEMA,
        {"digest": schema.digest, "json_schema": schema.json_schema, "slots": json.dumps(slots)},
    )


def load_schema(conn: storage.Connection, digest: str) -> Schema | None:
    """Returns the schema with that digest, or None."""
    row = conn.one(_LOAD_SCHEMA, {"digest": digest})
    if row is None:
        return None
    slots = tuple(
        Slot(slot=slot, description=description, required=required)
        for slot, description, required in json.loads(row[1])
    )
    return Schema(digest=digest, json_schema=row[0], slots=slots)


def save_report(conn: storage.Connection, report: plugins.Report) -> None:
    """Stores a report in place of an earlier one on the same version and schema."""
    conn.run(
        _SAVE_REPORT,
        {
            "plugin_id": report.plugin_id,
            "version": report.version,
            "schema_digest": report.schema_digest,
            "passed": int(report.passed),
            "report": report.report,
            "actor": report.actor,
            "stored_us": report.stored_us,
        },
    )


def _report(row: storage.Row) -> plugins.Report:
    return plugins.Report(
        plugin_id=row[0],
        version=row[1],
        schema_digest=row[2],
        passed=bool(row[3]),
        report=row[4],
        actor=row[5],
        stored_us=row[6],
    )


def load_report(
    conn: storage.Connection, plugin_id: str, version: str, schema_digest: str
) -> plugins.Report | None:
    """Returns the report on a version with that schema, or None."""
    values = {"plugin_id": plugin_id, "version": version, "schema_digest": schema_digest}
    row = conn.one(_LOAD_REPORT, values)
    return _report(row) if row else None


def prune_reports(conn: storage.Connection, plugin_id: str, *, keep: int) -> None:
    """Forgets all but the *keep* newest reports on a plugin."""
    conn.run(_PRUNE_REPORTS, {"plugin_id": plugin_id, "keep": keep})

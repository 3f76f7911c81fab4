"""Bindings and their versions: their rows.

Owns the tables `bindings` and `binding_versions`. Called by the use cases inside their
transactions. Secrets come and go as ciphertext; never decrypts one. A
deleted binding's row stays: its generation must not be used again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from payment_service.db import rows
from payment_service.domain import bindings
from servicekit import storage

_HEAD = (
    "binding_id, tenant_id, plugin_id, generation, revision, options_json, schema_digest, "
    "created_us, updated_us, deleted_us"
).split(", ")
_COLUMNS = [*_HEAD, "config_json", "secrets"]
_WRITTEN = [*_COLUMNS, "enabled"]
_CHANGEABLE = [
    name for name in _WRITTEN if name not in ("binding_id", "tenant_id", "plugin_id", "created_us")
]
_VERSION = (
    "binding_id, generation, config_json, options_json, secrets, schema_digest, actor, reason, "
    "created_us"
)
_SELECT = f"select {', '.join(_COLUMNS)} from bindings"

_REVISIONS = storage.Statement("select binding_id, revision from bindings")
_HEADS = storage.Statement(f"select {', '.join(_HEAD)} from bindings")
_FIND = storage.Statement(f"{_SELECT} where tenant_id = :tenant_id and plugin_id = :plugin_id")
_LOCK = storage.Statement(
    f"{_SELECT} where tenant_id = :tenant_id and plugin_id = :plugin_id",
    postgresql=f"{_SELECT} where tenant_id = :tenant_id and plugin_id = :plugin_id for update",
)
_BY_ID = storage.Statement(f"{_SELECT} where binding_id = :binding_id")
_OF_PLUGIN = storage.Statement(
    f"{_SELECT} where plugin_id = :plugin_id and deleted_us = 0 order by tenant_id"
)
_NEWEST_US = storage.Statement("select max(updated_us) from bindings where plugin_id = :plugin_id")
_INSERT = storage.Statement(
    f"insert into bindings ({', '.join(_WRITTEN)}) "
    f"values ({', '.join(f':{name}' for name in _WRITTEN)}) on conflict do nothing"
)
_UPDATE = storage.Statement(
    f"update bindings set {', '.join(f'{name} = :{name}' for name in _CHANGEABLE)} "
    "where binding_id = :binding_id and revision = :revision - 1"
)
_KEEP_VERSION = storage.Statement(
    f"insert into binding_versions ({_VERSION}) values (:binding_id, :generation, :config_json, "
    ":options_json, :secrets, :schema_digest, :actor, :reason, :created_us)"
)
_VERSIONS = storage.Statement(
    f"select {_VERSION} from binding_versions where binding_id = :binding_id "
    "and generation < :below order by generation desc limit :most"
)
_GENERATION = storage.Statement(
    f"select {_VERSION} from binding_versions where binding_id = :binding_id "
    "and generation = :generation"
)
_FORGET_VERSIONS = storage.Statement("delete from binding_versions where binding_id = :binding_id")
_NEWEST_BY = storage.Statement(
    f"select {_VERSION} from binding_versions where binding_id = :binding_id "
    "and actor = :actor order by generation desc limit 1"
)
_NEWEST_OF_SCHEMA = storage.Statement(
    f"select {_VERSION} from binding_versions where binding_id = :binding_id "
    "and schema_digest = :schema_digest order by generation desc limit 1"
)
_OPEN_OPERATIONS = storage.Statement(
    "select count(*) from operations where state <= 4 and binding_id = :binding_id"
)
_OPEN_OF_PLUGIN = storage.Statement(
    "select count(*) from operations where state <= 4 and provider = :plugin_id "
    "and tenant_id not in (select tenant_id from bindings where plugin_id = :plugin_id "
    "and deleted_us = 0)"
)

_TO_RENEW = storage.Statement(
    "select binding_id, secrets from bindings where binding_id > :after and secrets <> :none "
    "order by binding_id limit :most"
)
_RENEW = storage.Statement(
    "update bindings set secrets = :fresh where binding_id = :binding_id and secrets = :stale"
)
_VERSIONS_TO_RENEW = storage.Statement(
    "select binding_id, generation, secrets from binding_versions "
    "where (binding_id, generation) > (:after, :after_generation) and secrets <> :none "
    "order by binding_id, generation limit :most"
)
_RENEW_VERSION = storage.Statement(
    "update binding_versions set secrets = :fresh where binding_id = :binding_id "
    "and generation = :generation and secrets = :stale"
)

Key = tuple[str, str]
_NO_OPTIONS = bindings.Options()


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What a binding holds at one generation; `secrets` is ciphertext, b"" for none."""

    config_json: str = "{}"
    options: bindings.Options = _NO_OPTIONS
    secrets: bytes = b""
    schema_digest: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """A binding with its content."""

    binding: bindings.Binding
    content: Content


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """One generation of a binding: what it held, who made it so, and why."""

    binding_id: str
    generation: int
    content: Content
    actor: str
    reason: str
    created_us: int


def _head(row: storage.Row) -> bindings.Binding:
    return bindings.Binding(
        id=row[0],
        tenant_id=row[1],
        plugin_id=row[2],
        generation=row[3],
        revision=row[4],
        options=rows.load_options(row[5]),
        schema_digest=row[6],
        created_us=row[7],
        updated_us=row[8],
        deleted_us=row[9],
    )


def _stored(row: storage.Row) -> Stored:
    binding = _head(row)
    return Stored(
        binding=binding,
        content=Content(
            config_json=row[10],
            options=binding.options,
            secrets=bytes(row[11]),
            schema_digest=binding.schema_digest,
        ),
    )


def _params(stored: Stored) -> dict[str, object]:
    binding, content = stored.binding, stored.content
    return {
        "binding_id": binding.id,
        "tenant_id": binding.tenant_id,
        "plugin_id": binding.plugin_id,
        "generation": binding.generation,
        "revision": binding.revision,
        "options_json": rows.dump_options(content.options),
        "schema_digest": content.schema_digest,
        "enabled": int(not content.options.disabled),
        "created_us": binding.created_us,
        "updated_us": binding.updated_us,
        "deleted_us": binding.deleted_us,
        "config_json": content.config_json,
        "secrets": content.secrets,
    }


def of(binding: bindings.Binding, content: Content) -> Stored:
    """Returns a binding whose options and schema are those of its content."""
    agreed = replace(binding, options=content.options, schema_digest=content.schema_digest)
    return Stored(binding=agreed, content=content)


def load_heads(
    conn: storage.Connection, previous: Mapping[Key, bindings.Binding]
) -> Mapping[Key, bindings.Binding]:
    """Returns every binding without its content, deleted ones too, by (tenant, plugin).

    Returns *previous* itself if nothing has changed since: the catalog asks every second.
    """
    revisions = {row[0]: row[1] for row in conn.all(_REVISIONS)}
    if revisions == {binding.id: binding.revision for binding in previous.values()}:
        return previous
    heads = [_head(row) for row in conn.all(_HEADS)]
    return {(binding.tenant_id, binding.plugin_id): binding for binding in heads}


def find(
    conn: storage.Connection, tenant_id: str, plugin_id: str, *, lock: bool = False
) -> Stored | None:
    """Returns a tenant's own binding with its content, also a deleted one, or None."""
    row = conn.one(_LOCK if lock else _FIND, {"tenant_id": tenant_id, "plugin_id": plugin_id})
    return _stored(row) if row else None


def load(conn: storage.Connection, binding_id: str) -> Stored | None:
    """Returns a binding with its content, also a deleted one, or None."""
    row = conn.one(_BY_ID, {"binding_id": binding_id})
    return _stored(row) if row else None


def of_plugin(conn: storage.Connection, plugin_id: str) -> list[Stored]:
    """Returns every binding to a plugin that is not deleted, by tenant."""
    return [_stored(row) for row in conn.all(_OF_PLUGIN, {"plugin_id": plugin_id})]


def list_by_id(
    conn: storage.Connection, *, tenant_id: str, plugin_id: str, after_id: str, most: int
) -> list[Stored]:
    """Returns at most *most* bindings that are not deleted; '' matches every tenant or plugin."""
    clauses = ["deleted_us = 0", "binding_id > :after_id"]
    values: dict[str, object] = {"after_id": after_id, "most": most}
    for name, value in (("tenant_id", tenant_id), ("plugin_id", plugin_id)):
        if value:
            clauses.append(f"{name} = :{name}")
            values[name] = value
    text = f"{_SELECT} where {' and '.join(clauses)} order by binding_id limit :most"
    return [_stored(row) for row in conn.query(text, values)]


def newest_us(conn: storage.Connection, plugin_id: str) -> int:
    """Returns when a binding to a plugin was last changed; 0 if there never was one."""
    row = conn.one(_NEWEST_US, {"plugin_id": plugin_id})
    return int(row[0]) if row and row[0] else 0


def insert(conn: storage.Connection, stored: Stored) -> bool:
    """Stores a new binding; returns False if there is one of that tenant and plugin."""
    return conn.run(_INSERT, _params(stored)) == 1


def update(conn: storage.Connection, stored: Stored) -> bool:
    """Stores a binding whose revision is one above the stored one; returns whether it was."""
    return conn.run(_UPDATE, _params(stored)) == 1


def keep_version(conn: storage.Connection, version: Version) -> None:
    """Stores what a generation holds."""
    conn.run(
        _KEEP_VERSION,
        {
            "binding_id": version.binding_id,
            "generation": version.generation,
            "config_json": version.content.config_json,
            "options_json": rows.dump_options(version.content.options),
            "secrets": version.content.secrets,
            "schema_digest": version.content.schema_digest,
            "actor": version.actor,
            "reason": version.reason,
            "created_us": version.created_us,
        },
    )


def _version(row: storage.Row) -> Version:
    return Version(
        binding_id=row[0],
        generation=row[1],
        content=Content(
            config_json=row[2],
            options=rows.load_options(row[3]),
            secrets=bytes(row[4]),
            schema_digest=row[5],
        ),
        actor=row[6],
        reason=row[7],
        created_us=row[8],
    )


def forget_versions(conn: storage.Connection, binding_id: str) -> None:
    """Removes every generation of a binding, with its secrets."""
    conn.run(_FORGET_VERSIONS, {"binding_id": binding_id})


def newest_by(conn: storage.Connection, binding_id: str, actor: str) -> Version | None:
    """Returns the newest generation that *actor* made, or None."""
    row = conn.one(_NEWEST_BY, {"binding_id": binding_id, "actor": actor})
    return _version(row) if row else None


def newest_of_schema(
    conn: storage.Connection, binding_id: str, schema_digest: str
) -> Version | None:
    """Returns the newest generation that was valid against a schema, or None."""
    values = {"binding_id": binding_id, "schema_digest": schema_digest}
    row = conn.one(_NEWEST_OF_SCHEMA, values)
    return _version(row) if row else None


def versions(
    conn: storage.Connection, binding_id: str, *, below: int, most: int
) -> Sequence[Version]:
    """Returns at most *most* generations below one, newest first."""
    found = conn.all(_VERSIONS, {"binding_id": binding_id, "below": below, "most": most})
    return [_version(row) for row in found]


def version(conn: storage.Connection, binding_id: str, generation: int) -> Version | None:
    """Returns one generation, or None."""
    row = conn.one(_GENERATION, {"binding_id": binding_id, "generation": generation})
    return _version(row) if row else None


def open_operations(conn: storage.Connection, binding: bindings.Binding) -> int:
    """Returns how many operations of a binding are not final.

    Of the shared one: those of every tenant without a binding of its own.
    """
    if binding.tenant_id == bindings.SHARED:
        row = conn.one(_OPEN_OF_PLUGIN, {"plugin_id": binding.plugin_id})
    else:
        row = conn.one(_OPEN_OPERATIONS, {"binding_id": binding.id})
    return int(row[0]) if row else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Sealed:
    """A row's ciphertext; `generation` is 0 for the row of the binding itself."""

    binding_id: str
    generation: int
    secrets: bytes


def sealed_after(conn: storage.Connection, after: Sealed | None, most: int) -> list[Sealed]:
    """Returns at most *most* ciphertexts after one: of bindings first, then of versions."""
    values: dict[str, object] = {"none": b"", "most": most}
    if after is None or not after.generation:
        start = after.binding_id if after else ""
        found = conn.all(_TO_RENEW, {**values, "after": start})
        if found:
            return [Sealed(binding_id=r[0], generation=0, secrets=bytes(r[1])) for r in found]
        after = None
    place = (after.binding_id, after.generation) if after else ("", 0)
    found = conn.all(
        _VERSIONS_TO_RENEW, {**values, "after": place[0], "after_generation": place[1]}
    )
    return [Sealed(binding_id=r[0], generation=r[1], secrets=bytes(r[2])) for r in found]


def reseal(conn: storage.Connection, stale: Sealed, fresh: bytes) -> bool:
    """Replaces a ciphertext by another one of the same secrets, if it is still there."""
    values: dict[str, object] = {
        "binding_id": stale.binding_id,
        "stale": stale.secrets,
        "fresh": fresh,
    }
    if not stale.generation:
        return conn.run(_RENEW, values) == 1
    return conn.run(_RENEW_VERSION, {**values, "generation": stale.generation}) == 1

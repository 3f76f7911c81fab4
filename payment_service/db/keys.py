"""API keys: their rows. The secret itself is never stored, only its SHA-256.

Owns the table `api_keys`. Called by the use cases.
"""

from dataclasses import dataclass

from servicekit import storage

_COLUMNS = (
    "id, tenant_id, scopes, name, sha256, created_us, revoked_us, plugin_id, publish_types, version"
)
_INSERT = storage.Statement(
    f"insert into api_keys ({_COLUMNS}) values (:id, :tenant_id, :scopes, :name, :sha256, "
    ":created_us, :revoked_us, :plugin_id, :publish_types, :version) on conflict do nothing"
)
_LOAD = storage.Statement(f"select {_COLUMNS} from api_keys where id = :id")
_REVOKE = storage.Statement(
    "update api_keys set revoked_us = :now_us, version = version + 1 "
    "where id = :id and revoked_us = 0"
)


_TENANTS = storage.Statement("select distinct tenant_id from api_keys limit 100000")


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """One API key; `revoked_us` is 0 while it is valid, `plugin_id` '' for no plugin's.

    `version` is that of its newest event, 0 if none has told of it.
    """

    id: str
    tenant_id: str
    scopes: tuple[str, ...]
    name: str
    sha256: bytes
    created_us: int
    revoked_us: int = 0
    plugin_id: str = ""
    publish_types: tuple[str, ...] = ()
    version: int = 1


def _from_row(row: storage.Row) -> Key:
    return Key(
        id=row[0],
        tenant_id=row[1],
        scopes=tuple(row[2].split()),
        name=row[3],
        sha256=row[4],
        created_us=row[5],
        revoked_us=row[6],
        plugin_id=row[7],
        publish_types=tuple(row[8].split()),
        version=row[9],
    )


def insert(conn: storage.Connection, key: Key) -> bool:
    """Stores a key; returns whether it is new."""
    return (
        conn.run(
            _INSERT,
            {
                "id": key.id,
                "tenant_id": key.tenant_id,
                "scopes": " ".join(key.scopes),
                "name": key.name,
                "sha256": key.sha256,
                "created_us": key.created_us,
                "revoked_us": key.revoked_us,
                "plugin_id": key.plugin_id,
                "publish_types": " ".join(key.publish_types),
                "version": key.version,
            },
        )
        == 1
    )


def load(conn: storage.Connection, key_id: str) -> Key | None:
    """Returns a key, or None."""
    row = conn.one(_LOAD, {"id": key_id})
    return _from_row(row) if row else None


def revoke(conn: storage.Connection, key_id: str, now_us: int) -> bool:
    """Revokes a key; returns whether this call did it."""
    return conn.run(_REVOKE, {"id": key_id, "now_us": now_us}) == 1


def list_newest_first(
    conn: storage.Connection, *, tenant_id: str, before: tuple[int, str] | None, most: int
) -> list[Key]:
    """Returns at most *most* keys, newest first.

    *before* is (created_us, id) of the last key of the previous page.
    """
    clauses = ["1 = 1"]
    values: dict[str, object] = {"most": most}
    if tenant_id:
        clauses.append("tenant_id = :tenant_id")
        values["tenant_id"] = tenant_id
    if before:
        clauses.append("(created_us, id) < (:before_us, :before_id)")
        values["before_us"], values["before_id"] = before
    text = (
        f"select {_COLUMNS} from api_keys where {' and '.join(clauses)} "
        "order by created_us desc, id desc limit :most"
    )
    return [_from_row(row) for row in conn.query(text, values)]


def tenants(conn: storage.Connection) -> list[str]:
    """Returns every tenant that has or had a key, at most 100,000."""
    return [str(row[0]) for row in conn.all(_TENANTS, {})]

"""Default providers: one row per tenant that has one, '' for the installation.

Owns the tables `provider_defaults` and `default_provider_versions`. Called by the use cases inside
their transactions, and for the catalog. Never decides.
"""

from dataclasses import dataclass

from servicekit import storage

_LOAD_ALL = storage.Statement("select tenant_id, plugin_id from provider_defaults")
_BEGIN = storage.Statement(
    "insert into default_provider_versions (tenant_id, version) values (:tenant_id, 0) "
    "on conflict do nothing"
)
_VERSION = "select version from default_provider_versions where tenant_id = :tenant_id"
_LOCK_VERSION = storage.Statement(_VERSION, postgresql=f"{_VERSION} for update")
_PLUGIN = "select plugin_id from provider_defaults where tenant_id = :tenant_id"
_LOCK_PLUGIN = storage.Statement(_PLUGIN, postgresql=f"{_PLUGIN} for update")
_COUNT = storage.Statement(
    "update default_provider_versions set version = :version where tenant_id = :tenant_id"
)
_SET = storage.Statement(
    "insert into provider_defaults (tenant_id, plugin_id) values (:tenant_id, :plugin_id) "
    "on conflict (tenant_id) do update set plugin_id = excluded.plugin_id"
)
_CLEAR = storage.Statement("delete from provider_defaults where tenant_id = :tenant_id")


@dataclass(frozen=True, slots=True, kw_only=True)
class Default:
    """A default provider; `tenant_id` is '' for the installation's, `plugin_id` '' for none.

    `version` is that of its newest event, 0 if none has told of it.
    """

    tenant_id: str
    plugin_id: str
    version: int


def load_all(conn: storage.Connection) -> dict[str, str]:
    """Returns the default provider of each tenant that has one, '' for the installation."""
    return {row[0]: row[1] for row in conn.all(_LOAD_ALL)}


def lock(conn: storage.Connection, tenant_id: str) -> Default:
    """Returns a default provider as it stands until the transaction ends."""
    values = {"tenant_id": tenant_id}
    conn.run(_BEGIN, values)
    version = conn.one(_LOCK_VERSION, values)
    assert version is not None
    plugin = conn.one(_LOCK_PLUGIN, values)
    return Default(
        tenant_id=tenant_id, plugin_id=plugin[0] if plugin else "", version=int(version[0])
    )


def save(conn: storage.Connection, default: Default) -> None:
    """Stores a default provider that was locked, with its version."""
    conn.run(_COUNT, {"tenant_id": default.tenant_id, "version": default.version})
    if default.plugin_id:
        conn.run(_SET, {"tenant_id": default.tenant_id, "plugin_id": default.plugin_id})
    else:
        conn.run(_CLEAR, {"tenant_id": default.tenant_id})

"""Instances of plugins and their leases: their rows.

Owns the table `plugin_instances`. Called by the use case of leases and by the catalog.
Time is the database's own, so that the clocks of replicas need not agree.

A row whose lease has run out stays for a while: the process may still be there, and if it
crashed, its start counts. One that said good-bye is deleted at once. `lease_until_us` is 0
once another process has taken over its endpoint, and endless at a static endpoint, where
core's own connection tells who is there.
"""

from payment_service.domain import plugins
from servicekit import storage

ENDLESS_US = 2**63 - 1
_COLUMNS = (
    "session_id, plugin_id, instance_id, version, endpoint, lease_until_us, directive, static, "
    "started_us"
)
_SELECT = (
    f"select {_COLUMNS}, case when lease_until_us > {{now_us}} then 1 else 0 end "
    "from plugin_instances"
)
_ALL = storage.Statement(f"{_SELECT} where lease_until_us > 0 order by plugin_id, started_us")
_OF_SESSION = storage.Statement(f"{_SELECT} where session_id = :session_id and lease_until_us > 0")
_OF_INSTANCE = storage.Statement(
    f"{_SELECT} where plugin_id = :plugin_id and instance_id = :instance_id"
)
# An instance id moves to another endpoint only after its lease there is over.
_PUT = storage.Statement(
    f"insert into plugin_instances ({_COLUMNS}) values (:session_id, :plugin_id, :instance_id, "
    ":version, :endpoint, case when :static = 1 then :endless_us else {now_us} + :length_us end, "
    ":directive, :static, {now_us}) "
    "on conflict (plugin_id, instance_id) do update set version = excluded.version, "
    "endpoint = excluded.endpoint, lease_until_us = excluded.lease_until_us, "
    "static = excluded.static "
    "where plugin_instances.endpoint = excluded.endpoint "
    "or plugin_instances.lease_until_us <= {now_us}"
)
_SUPERSEDE = storage.Statement(
    "update plugin_instances set lease_until_us = 0 where plugin_id = :plugin_id "
    "and instance_id <> :instance_id and lease_until_us > 0 "
    "and (endpoint = :endpoint or (static = 1 and :static = 1))"
)
_RENEW = storage.Statement(
    "update plugin_instances set lease_until_us = {now_us} + :length_us "
    "where session_id = :session_id and static = 0 and lease_until_us > 0"
)
_REMOVE = storage.Statement("delete from plugin_instances where session_id = :session_id")
_REMOVE_ALL = storage.Statement("delete from plugin_instances where plugin_id = :plugin_id")
_DIRECT = storage.Statement(
    "update plugin_instances set directive = :directive where plugin_id = :plugin_id "
    "and version = :version and directive <> :directive"
)
_STARTS = storage.Statement(
    "select started_us, case when lease_until_us > {now_us} then 0 else 1 end, {now_us} "
    "from plugin_instances where plugin_id = :plugin_id and version = :version "
    "order by started_us desc limit :most"
)
_FORGET_STARTS = storage.Statement(
    "delete from plugin_instances where plugin_id = :plugin_id and version = :version "
    "and lease_until_us <= {now_us}"
)
_PURGE = storage.Statement(
    "delete from plugin_instances where started_us < {now_us} - :keep_us "
    "and lease_until_us < {now_us} - :keep_us"
)


def _from_row(row: storage.Row) -> plugins.Instance:
    return plugins.Instance(
        session_id=row[0],
        plugin_id=row[1],
        instance_id=row[2],
        version=row[3],
        endpoint=row[4],
        lease_until_us=row[5],
        directive=plugins.Directive(row[6]),
        static=bool(row[7]),
        started_us=row[8],
        alive=bool(row[9]),
    )


def load_all(conn: storage.Connection) -> list[plugins.Instance]:
    """Returns every instance that nobody has taken over from, the oldest of a plugin first."""
    return [_from_row(row) for row in conn.all(_ALL)]


def load(conn: storage.Connection, session_id: str) -> plugins.Instance | None:
    """Returns the instance of a session, or None."""
    row = conn.one(_OF_SESSION, {"session_id": session_id})
    return _from_row(row) if row else None


def put(
    conn: storage.Connection, instance: plugins.Instance, *, length_us: int
) -> tuple[plugins.Instance, bool]:
    """Gives *instance* a lease of *length_us* from now and ends those it takes over from.

    Its own earlier lease is renewed and keeps session, start and directive.

    Returns:
        The instance as stored, and whether it is *instance*; if not, the instance id is
        held by a live lease at another endpoint and nothing was written.
    """
    written = conn.run(
        _PUT,
        {
            "session_id": instance.session_id,
            "plugin_id": instance.plugin_id,
            "instance_id": instance.instance_id,
            "version": instance.version,
            "endpoint": instance.endpoint,
            "directive": int(instance.directive),
            "static": int(instance.static),
            "length_us": length_us,
            "endless_us": ENDLESS_US,
        },
    )
    who = {"plugin_id": instance.plugin_id, "instance_id": instance.instance_id}
    row = conn.one(_OF_INSTANCE, who)
    if row is None:
        raise LookupError(f"instance {instance.instance_id} was removed while it was written")
    if written:
        place = {"endpoint": instance.endpoint, "static": int(instance.static)}
        conn.run(_SUPERSEDE, {**who, **place})
    return _from_row(row), written == 1


def renew(conn: storage.Connection, session_id: str, *, length_us: int) -> plugins.Instance | None:
    """Renews a lease, also one that has run out; None if the session is not known."""
    if not conn.run(_RENEW, {"session_id": session_id, "length_us": length_us}):
        return None
    return load(conn, session_id)


def remove(conn: storage.Connection, session_id: str) -> bool:
    """Forgets an instance that said good-bye; returns whether it was known."""
    return conn.run(_REMOVE, {"session_id": session_id}) == 1


def remove_all(conn: storage.Connection, plugin_id: str) -> int:
    """Forgets every instance of a plugin; returns how many there were."""
    return conn.run(_REMOVE_ALL, {"plugin_id": plugin_id})


def direct(
    conn: storage.Connection, plugin_id: str, version: str, directive: plugins.Directive
) -> int:
    """Tells every instance of a version what core wants of it; returns how many hear of it."""
    values = {"plugin_id": plugin_id, "version": version, "directive": int(directive)}
    return conn.run(_DIRECT, values)


def starts(
    conn: storage.Connection, plugin_id: str, version: str, *, most: int
) -> tuple[list[tuple[int, bool]], int]:
    """Returns the newest starts of a version, and the time of the database now.

    Each start is its time and whether the instance is gone without having said so.
    """
    values = {"plugin_id": plugin_id, "version": version, "most": most}
    rows = conn.all(_STARTS, values)
    return [(row[0], bool(row[1])) for row in rows], rows[0][2] if rows else 0


def forget_starts(conn: storage.Connection, plugin_id: str, version: str) -> int:
    """Forgets what is over of a version, so that its crashes are counted anew."""
    return conn.run(_FORGET_STARTS, {"plugin_id": plugin_id, "version": version})


def purge(conn: storage.Connection, *, keep_us: int) -> int:
    """Deletes what began and ended more than *keep_us* ago; returns how many rows."""
    return conn.run(_PURGE, {"keep_us": keep_us})

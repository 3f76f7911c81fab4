"""API keys: make, list, revoke, and find out what one may do.

Owns the transactions of these calls and the keys that the embedded default
makes for itself. Called by the API and at start. Never stores a secret: only
its SHA-256. What is made or revoked is told by an event.
"""

import hmac
import pathlib

from payment_service.db import keys
from payment_service.domain import admission, model
from payment_service.usecases import context, key_events
from servicekit import auth, errors, secret_files, storage

SCOPES = (
    "payments:read",
    "payments:write",
    "events:read",
    "events:publish",
    "plugins:register",
    "webhooks:manage",
    "admin",
)
SYSTEM_TENANT = "system"
RELAY_SCOPES = ("events:publish", "events:read")
PLUGIN_SCOPES = ("plugins:register",)
# Who makes keys where nobody calls: at start, and by the command.
CORE = model.Cause(correlation_id="", idempotency_key="", actor="core")
COMMAND = model.Cause(correlation_id="", idempotency_key="", actor="command")
# What a key that belongs to a plugin may hold: nothing that reaches money or other plugins.
BOUND_SCOPES = frozenset({"plugins:register", "events:publish", "events:read"})


class KeyProblem(Exception):
    """A key that the installation starts with can't be had, or can't be made valid."""


class Keys:
    """The use cases of API keys."""

    def __init__(self, ctx: context.Context) -> None:
        self._ctx = ctx

    async def create(
        self,
        *,
        tenant_id: str,
        scopes: tuple[str, ...],
        name: str,
        plugin_id: str = "",
        publish_types: tuple[str, ...] = (),
        cause: model.Cause = COMMAND,
    ) -> tuple[keys.Key, str]:
        """Makes a key, for *plugin_id* alone if one is named.

        Returns:
            The key, and its secret, which is kept nowhere.

        Raises:
            errors.RpcError: INVALID_FIELD, for a scope that no plugin's key may hold, and
                for event types that it can't be given.
        """
        _check_types(publish_types, scopes, plugin_id)
        if plugin_id and (foreign := set(scopes) - BOUND_SCOPES):
            text = f"a plugin's key can't hold {', '.join(sorted(foreign))}; "
            allowed = ", ".join(sorted(BOUND_SCOPES))
            raise errors.invalid_field("scopes", f"{text}it may hold {allowed}")
        key_id, secret = auth.new_key()
        key = keys.Key(
            id=key_id,
            tenant_id=tenant_id,
            scopes=scopes,
            name=name,
            sha256=auth.digest(secret),
            created_us=self._ctx.clock.now_us(),
            plugin_id=plugin_id,
            publish_types=publish_types,
        )
        await self._insert(key, cause)
        return key, secret

    async def _insert(self, key: keys.Key, cause: model.Cause) -> keys.Key | None:
        """Stores and tells a key; returns the one that is stored under its id already."""
        event_id = self._ctx.new_id("evt")

        def insert(conn: storage.Connection) -> keys.Key | None:
            if not keys.insert(conn, key):
                return keys.load(conn, key.id)
            key_events.tell_created(conn, key, cause=cause, event_id=event_id)
            return None

        stored = await self._ctx.db.write(insert)
        if stored is None:
            self._ctx.outbox_written.set()
        return stored

    async def list_newest_first(
        self, *, tenant_id: str, before: tuple[int, str] | None, most: int
    ) -> list[keys.Key]:
        """Returns at most *most* keys, newest first."""
        return await self._ctx.db.read(
            lambda conn: keys.list_newest_first(conn, tenant_id=tenant_id, before=before, most=most)
        )

    async def revoke(self, key_id: str, cause: model.Cause) -> keys.Key:
        """Revokes a key for good; does nothing if it is revoked.

        Raises:
            errors.RpcError: RESOURCE_NOT_FOUND.
        """
        now_us = self._ctx.clock.now_us()
        event_id = self._ctx.new_id("evt")

        def revoke(conn: storage.Connection) -> keys.Key | None:
            revoked = keys.revoke(conn, key_id, now_us)
            found = keys.load(conn, key_id)
            if revoked and found is not None:
                key_events.tell_revoked(conn, found, cause=cause, event_id=event_id)
            return found

        key = await self._ctx.db.write(revoke)
        self._ctx.outbox_written.set()
        if key is None:
            raise errors.not_found("key", key_id)
        return key

    async def look_up(self, key_id: str, sha256: bytes) -> auth.Principal | None:
        """Returns what a key may do, or None if it is unknown, wrong or revoked."""
        key = await self._ctx.db.read(lambda conn: keys.load(conn, key_id))
        if key is None or key.revoked_us or not hmac.compare_digest(key.sha256, sha256):
            return None
        types = self._event_types(key.plugin_id)
        return auth.Principal(
            tenant_id=key.tenant_id,
            scopes=frozenset(key.scopes),
            key_id=key.id,
            plugin_id=key.plugin_id,
            publish_types=types.publish if key.plugin_id else key.publish_types,
            read_types=types.read,
        )

    def _event_types(self, plugin_id: str) -> admission.EventTypes:
        """What a plugin's key may publish and read: what it asks for and is granted."""
        plugin = self._ctx.catalog.view.plugin(plugin_id) if plugin_id else None
        if plugin is None or not plugin.entry.allowed:
            return admission.EventTypes()
        return admission.event_types(
            admission.in_force(plugin.entry.permissions, plugin.manifest.permissions)
        )

    async def ensure(
        self, secret: str, *, tenant_id: str, scopes: tuple[str, ...], name: str
    ) -> None:
        """Stores a key whose secret an operator chose, unless it is stored already.

        One that was revoked stays so.

        Raises:
            KeyProblem: A key of that id is stored that is another one.
            errors.RpcError: KEY_INVALID, if the text has not the form of a key.
        """
        key = keys.Key(
            id=auth.parse_key(secret),
            tenant_id=tenant_id,
            scopes=scopes,
            name=name,
            sha256=auth.digest(secret),
            created_us=self._ctx.clock.now_us(),
        )
        stored = await self._insert(key, CORE)
        if stored is None:
            return
        if not hmac.compare_digest(stored.sha256, key.sha256):
            raise KeyProblem(
                f"{name}: the key {key.id} has another secret in the database; "
                "give that one, or a key with an id of its own"
            )
        if stored.tenant_id != tenant_id:
            raise KeyProblem(
                f"{name}: the key {key.id} is in use as {stored.name!r} of tenant "
                f"{stored.tenant_id}; give a key of its own"
            )


def _check_types(types: tuple[str, ...], scopes: tuple[str, ...], plugin_id: str) -> None:
    """Checks which event types a key is to publish; INVALID_FIELD."""
    if not types:
        return
    if plugin_id:
        raise errors.invalid_field("publish_types", "a plugin's key publishes what it is granted")
    if "events:publish" not in scopes:
        raise errors.invalid_field("publish_types", "needs the scope events:publish")
    for index, each in enumerate(types):
        if each.partition(".")[0] in admission.RESERVED:
            raise errors.invalid_field(f"publish_types[{index}]", f"core alone publishes {each}")


def read_or_make(path: pathlib.Path) -> str:
    """Returns the secret in *path*; writes a new one, readable by its owner only, if missing.

    Raises:
        KeyProblem: It can't be read or made, or holds something else.
    """
    try:
        secret = secret_files.read_or_make(path, lambda: auth.new_key()[1])
        auth.parse_key(secret)
    except OSError as problem:
        raise KeyProblem(f"{path}: can't read or make it ({problem.strerror})") from None
    except (errors.RpcError, UnicodeDecodeError):
        raise KeyProblem(f"{path}: not an API key; remove it, and a new one is made") from None
    return secret

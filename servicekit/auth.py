"""API keys: their form, how a call carries one, and a cache of what they allow.

Owns `phk_<key id>_<secret>` and the `authorization: Bearer` header. Called by
services that authenticate calls; never stores or logs a whole key.
"""

import asyncio
import base64
import hashlib
import re
import secrets
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any

from servicekit import clock as clocks
from servicekit import errors, turns

_KEY = re.compile(r"phk_([a-z2-7]{16})_[A-Za-z0-9_-]{43}")

NEGATIVE_TTL_S = 2.0
# Lookups at a time of keys that nothing is known of, others that wait, and how long they do.
NEW_MAX = 64
NEW_WAITING_MAX = 1_000
NEW_PATIENCE_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """Who calls: decided by the key alone, never by a request field.

    `plugin_id` is set for the key of a plugin, which publishes and reads only the event
    types listed, whatever its scopes say: exact ones, or prefixes that end in `.*`. For
    other keys `publish_types` is what their service publishes, and `read_types` is empty.
    """

    tenant_id: str
    scopes: frozenset[str]
    key_id: str
    plugin_id: str = ""
    publish_types: tuple[str, ...] = ()
    read_types: tuple[str, ...] = ()

    def require(self, scope: str) -> None:
        """Raise SCOPE_MISSING unless this principal holds `scope`."""
        if scope not in self.scopes:
            raise errors.scope_missing(scope)


def new_key() -> tuple[str, str]:
    """Return (key id, whole key): 80 random bits name it, 256 protect it."""
    key_id = base64.b32encode(secrets.token_bytes(10)).decode().lower()
    return key_id, f"phk_{key_id}_{secrets.token_urlsafe(32)}"


def digest(full: str) -> bytes:
    """Return the SHA-256 of a whole key: all that is ever stored of it."""
    return hashlib.sha256(full.encode()).digest()


def parse_key(full: str) -> str:
    """Return the key id of a whole key; KEY_INVALID when it has another form."""
    matched = _KEY.fullmatch(full)
    if matched is None:
        raise errors.key_invalid("the API key is malformed; expected phk_<id>_<secret>")
    return matched[1]


def parse_bearer(metadata: Iterable[tuple[str, Any]] | None) -> tuple[str, str]:
    """Return (key id, whole key) from a call's metadata; KEY_INVALID without one."""
    for name, value in metadata or ():
        if name == "authorization":
            scheme, _, full = str(value).partition(" ")
            if scheme.lower() != "bearer":
                raise errors.key_invalid("authorization must be: Bearer <API key>")
            return parse_key(full), full
    raise errors.key_invalid("no API key; send authorization: Bearer <API key>")


Lookup = Callable[[str, bytes], Awaitable[Principal | None]]


@dataclass(slots=True)
class _Entry:
    principal: Principal
    expires_s: float


@dataclass(frozen=True, slots=True)
class _Lookup:
    key_id: str
    task: "asyncio.Task[Principal | None]"


class KeyCache:
    """What keys allow, for `ttl_s`; one lookup at a time per key.

    Unknown keys are remembered for 2 s, so that a caller with a bad key costs
    no lookup per call. Entries are found by digest; whole keys are not kept.
    A key that was good is looked up again at once; others wait for each other, so that
    a flood of invented keys keeps nobody out who is known.
    """

    def __init__(
        self,
        lookup: Lookup,
        *,
        ttl_s: float = 30.0,
        max_size: int = 10_000,
        clock: clocks.Clock | None = None,
    ) -> None:
        self._lookup = lookup
        self._ttl_s = ttl_s
        self._max_size = max_size
        self._clock = clock or clocks.SystemClock()
        self._entries: dict[bytes, _Entry] = {}
        # Apart, so that a flood of invented keys can't push out the real ones.
        self._unknown: dict[bytes, float] = {}
        self._running: dict[bytes, _Lookup] = {}
        self._new = turns.Turns(NEW_MAX, waiting_max=NEW_WAITING_MAX)

    async def get(self, key_id: str, full: str) -> Principal | None:
        """Return what the key allows, or None for an unknown or revoked one.

        Raises what the lookup raises, also for a key that was good a moment ago, and OVERLOADED
        where too many are asked about that nothing is known of.
        """
        key_digest = digest(full)
        entry = self._entries.get(key_digest)
        if entry is not None and self._clock.monotonic_s() < entry.expires_s:
            return entry.principal
        if self._unknown and self._clock.monotonic_s() < self._unknown.get(key_digest, 0.0):
            return None
        running = self._running.get(key_digest)
        if running is None:
            task = asyncio.get_running_loop().create_task(self._fill(key_id, key_digest))
            # Whoever asked may be gone before it fails.
            task.add_done_callback(_heard)
            running = self._running[key_digest] = _Lookup(key_id, task)
        return await asyncio.shield(running.task)

    def forget(self, key_id: str) -> None:
        """Drop what is known of `key_id`, for example after it was revoked here.

        What a lookup under way finds is not kept: it may be from before.
        """
        for key_digest, entry in list(self._entries.items()):
            if entry.principal.key_id == key_id:
                del self._entries[key_digest]
        for key_digest, running in list(self._running.items()):
            if running.key_id == key_id:
                del self._running[key_digest]

    def _is_current(self, key_digest: bytes) -> bool:
        running = self._running.get(key_digest)
        return running is not None and running.task is asyncio.current_task()

    async def _look_up(self, key_id: str, key_digest: bytes) -> Principal | None:
        if key_digest in self._entries:
            return await self._lookup(key_id, key_digest)
        async with self._new.turn(NEW_PATIENCE_S) as taken:
            if not taken:
                raise errors.overloaded("too many unknown API keys at once", retry_after_s=1.0)
            return await self._lookup(key_id, key_digest)

    async def _fill(self, key_id: str, key_digest: bytes) -> Principal | None:
        try:
            principal = await self._look_up(key_id, key_digest)
            if not self._is_current(key_digest):
                return principal
            now_s = self._clock.monotonic_s()
            self._entries.pop(key_digest, None)
            if principal is None:
                _make_room(self._unknown, self._max_size)
                self._unknown[key_digest] = now_s + min(NEGATIVE_TTL_S, self._ttl_s)
            else:
                self._unknown.pop(key_digest, None)
                _make_room(self._entries, self._max_size)
                self._entries[key_digest] = _Entry(principal, now_s + self._ttl_s)
            return principal
        finally:
            if self._is_current(key_digest):
                del self._running[key_digest]


def _heard(task: "asyncio.Task[Principal | None]") -> None:
    if not task.cancelled():
        task.exception()


def _make_room(entries: dict[bytes, Any], max_size: int) -> None:
    while len(entries) >= max_size:
        del entries[next(iter(entries))]

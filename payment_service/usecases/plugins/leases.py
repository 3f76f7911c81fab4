"""Leases: which instances of plugins are alive, and where.

Owns letting an instance in: the allowlist, its endpoint, dialling it back and comparing
identities, before anything is stored or sent to it. Called by the API for those that
register and by the fleet for those at static endpoints. A lease says that an instance is
alive; whether it may be used is the lifecycle's word.
"""

import asyncio
from dataclasses import dataclass

import grpc
from payhub.plugin.v1 import plugin_service_pb2

from payment_service.db import instances
from payment_service.db import plugins as plugin_rows
from payment_service.domain import admission, plugins
from payment_service.provider_client import introduction, probing, sharing
from payment_service.usecases import context
from payment_service.usecases.plugins import lifecycle, plugin_events, plugin_refusals
from servicekit import errors, logs, loop, storage

_log = logs.get_logger(__name__)

# Each takes a connection and seconds of waiting for somebody unknown.
DIALLING_MAX = 16
STARTS_MAX = 20
PURGE_EVERY_S = 60.0
# How long what is over is kept beyond the time in which crashes are counted, seconds.
KEEP_EXTRA_S = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """How long a lease is, seconds, and what counts as a crash."""

    length_s: float = 15.0
    rule: probing.Rule

    @property
    def length_us(self) -> int:
        """The length in microseconds."""
        return round(self.length_s * 1_000_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plugin:
    """Who registers: the caller, and the only plugin that its key is for, '' for any."""

    caller: context.Caller
    plugin_id: str = ""


class Leases:
    """The use cases of leases."""

    def __init__(self, ctx: context.Context, life: lifecycle.Lifecycle, terms: Terms) -> None:
        self._ctx = ctx
        self._life = life
        self.terms = terms
        self._dialling = 0
        self._quarantining: set[asyncio.Task[None]] = set()

    async def register(
        self, who: Plugin, identity: plugin_service_pb2.PluginIdentity, endpoint: str
    ) -> plugins.Instance:
        """Gives an instance a lease; a repeat returns the same one, renewed.

        Raises:
            errors.RpcError: PLUGIN_UNKNOWN, PLUGIN_NOT_ALLOWED, ENDPOINT_NOT_ALLOWED,
                INSTANCE_UNREACHABLE, IDENTITY_MISMATCH, NO_COMMON_VERSION, PLUGIN_FAILED,
                INSTANCE_CONFLICT, OVERLOADED.
        """
        await self._require_admitted(who, identity, endpoint)
        introduced = await self._dial(endpoint, identity)
        found = introduction.mismatch(introduced.handshake, identity)
        if found is not None:
            _log.error(
                "another one answers",
                plugin_id=identity.plugin_id,
                endpoint=endpoint,
                problem=found.text,
            )
            raise _mismatch(identity.plugin_id, endpoint, found)
        why = plugin_events.by(who.caller, f"an instance registered at {endpoint}")
        return await self._ctx.tracker.shielded(
            self._admit(introduced, endpoint, why, static=False)
        )

    async def adopt(self, endpoint: str, introduced: introduction.Introduction) -> str:
        """Lets in who answers at a plugin's static endpoint; returns why not, or ''."""
        why = plugin_events.Why(reason=f"an instance answered at {endpoint}")
        try:
            await self._ctx.tracker.shielded(self._admit(introduced, endpoint, why, static=True))
        except errors.RpcError as refused:
            return refused.message
        return ""

    async def renew(self, who: Plugin, session_id: str) -> plugins.Instance:
        """Extends a lease and returns the instance with what core wants of it.

        Raises:
            errors.RpcError: SESSION_UNKNOWN, PLUGIN_NOT_ALLOWED.
        """
        length_us = self.terms.length_us

        def write(conn: storage.Connection) -> plugins.Instance | None:
            found = instances.load(conn, session_id)
            if found is None or not _is_for(who, found.plugin_id):
                return found
            return instances.renew(conn, session_id, length_us=length_us)

        found = await self._ctx.db.write(write)
        if found is None:
            raise _session_unknown(session_id)
        _require_own(who, found.plugin_id, found.version)
        return found

    def directive(self, instance: plugins.Instance) -> plugins.Directive:
        """Returns what core wants of an instance now; one that is quarantined stands by."""
        if self._ctx.catalog.view.quarantined(instance.plugin_id, instance.version):
            return plugins.Directive.STAND_BY
        return instance.directive

    async def deregister(self, who: Plugin, session_id: str) -> None:
        """Closes a lease; does nothing if there is none.

        Raises:
            errors.RpcError: PLUGIN_NOT_ALLOWED.
        """

        def write(conn: storage.Connection) -> plugins.Instance | None:
            found = instances.load(conn, session_id)
            if found is not None and _is_for(who, found.plugin_id):
                instances.remove(conn, session_id)
            return found

        found = await self._ctx.db.write(write)
        if found is None:
            return
        _require_own(who, found.plugin_id, found.version)
        _log.info("instance left", plugin_id=found.plugin_id, instance_id=found.instance_id)
        await self._ctx.catalog.refresh()

    def quarantine_soon(self, plugin_id: str, version: str, reason: str) -> None:
        """Quarantines a version in a task of its own: the caller need not wait for it."""

        async def quarantine() -> None:
            try:
                why = plugin_events.Why(reason=reason)
                await self._life.quarantine(plugin_id, version, why=why)
            except Exception:
                # It goes on breaking the contract, which brings the next attempt.
                _log.exception("can't quarantine", plugin_id=plugin_id, version=version)

        task = asyncio.get_running_loop().create_task(quarantine())
        self._quarantining.add(task)
        task.add_done_callback(self._quarantining.discard)

    async def run(self, stop: asyncio.Event) -> None:
        """Forgets what is long over, until *stop* is set."""
        keep_us = round((self.terms.rule.crash_window_s + KEEP_EXTRA_S) * 1_000_000)

        async def once() -> int:
            await self._ctx.db.write(lambda conn: instances.purge(conn, keep_us=keep_us))
            return 0

        await loop.run_forever(once, idle_s=PURGE_EVERY_S, stop=stop, name="leases")

    async def _require_admitted(
        self, who: Plugin, identity: plugin_service_pb2.PluginIdentity, endpoint: str
    ) -> None:
        """Raises unless the allowlist admits who registers; nothing was dialled yet."""
        plugin_id, version = identity.plugin_id, identity.plugin_version
        _require_own(who, plugin_id, version)
        plugin = self._ctx.catalog.view.plugin(plugin_id)
        if plugin is None or not plugin.entry.allowed:
            # It may have been allowed a moment ago.
            plugin = (await self._ctx.catalog.refresh()).plugin(plugin_id)
        if plugin is None or not plugin.entry.allowed:
            why = plugin_events.by(who.caller, "it tried to register and is not allowed")
            await self._life.discovered(plugin_id, why=why)
            raise plugin_refusals.unknown(plugin_id)
        entry = plugin.entry
        if problem := admission.endpoint_problem(endpoint):
            raise errors.invalid_field("endpoint", problem)
        if not admission.endpoint_matches(entry.endpoint_pattern, endpoint):
            raise _endpoint_not_allowed(entry, endpoint)
        if not admission.version_matches(entry.version_specifier, version):
            text = (
                f"{plugin_id} is allowed in versions {entry.version_specifier}, and this is "
                f"{version[:64]}; change its entry, or deploy another version"
            )
            raise plugin_refusals.not_allowed(plugin_id, version, entry.version_specifier, text)

    async def _dial(
        self, endpoint: str, identity: plugin_service_pb2.PluginIdentity
    ) -> introduction.Introduction:
        if self._dialling >= DIALLING_MAX:
            raise errors.overloaded("too many instances register at once", retry_after_s=1.0)
        self._dialling += 1
        try:
            return await introduction.dial(self._ctx.dialer, endpoint, identity)
        except introduction.Unreachable as problem:
            raise _unreachable(endpoint, problem.cause) from None
        finally:
            self._dialling -= 1

    async def _admit(
        self,
        introduced: introduction.Introduction,
        endpoint: str,
        why: plugin_events.Why,
        *,
        static: bool,
    ) -> plugins.Instance:
        identity = introduced.handshake.identity
        plugin_id, version = identity.plugin_id, identity.plugin_version
        await self._life.registered(
            plugin_id, introduced.handshake, introduced.schema, why=why, static=static
        )
        wanted = plugins.Instance(
            session_id=self._ctx.new_id("ses"),
            plugin_id=plugin_id,
            instance_id=identity.instance_id,
            version=version,
            endpoint=endpoint,
            lease_until_us=0,
            static=static,
        )

        def write(conn: storage.Connection) -> tuple[plugins.Instance, bool, int]:
            plugin = plugin_rows.load(conn, plugin_id, lock=True)
            if plugin is None or not plugin.entry.allowed:
                raise plugin_refusals.unknown(plugin_id)
            held, is_own = instances.put(conn, wanted, length_us=self.terms.length_us)
            # One that was there before has not started.
            is_start = held.session_id == wanted.session_id
            return held, is_own, self._crashes(conn, plugin_id, version) if is_start else 0

        held, is_own, crashes = await self._ctx.db.write(write)
        if not is_own:
            raise _conflict(held)
        _log.info(
            "instance registered",
            plugin_id=plugin_id,
            version=version,
            instance_id=held.instance_id,
            endpoint=endpoint,
        )
        if 0 < self.terms.rule.crashes_max <= crashes:
            await self._judge(held, crashes)
        await self._ctx.catalog.refresh()
        return held

    async def _judge(self, newest: plugins.Instance, crashes: int) -> None:
        """Quarantines a version for a crash loop, unless its processes take turns at an address."""
        plugin_id, version = newest.plugin_id, newest.version
        if await sharing.leads_elsewhere(
            self._ctx.dialer, newest.endpoint, plugin_id, newest.instance_id
        ):
            _log.warning(
                "several processes answer at one address; their starts are not taken for crashes",
                plugin_id=plugin_id,
                endpoint=newest.endpoint,
            )
            return
        text = f"crash loop: {crashes} crashes within {self.terms.rule.crash_window_s:g} s"
        await self._life.quarantine(plugin_id, version, why=plugin_events.Why(reason=text))

    def _crashes(self, conn: storage.Connection, plugin_id: str, version: str) -> int:
        found, now_us = instances.starts(conn, plugin_id, version, most=STARTS_MAX)
        starts = [probing.Start(started_us=at_us, gone=gone) for at_us, gone in found]
        return probing.crashes(starts, self.terms.rule, now_us)


def _is_for(who: Plugin, plugin_id: str) -> bool:
    return who.plugin_id in ("", plugin_id)


def _require_own(who: Plugin, plugin_id: str, version: str) -> None:
    if not _is_for(who, plugin_id):
        raise plugin_refusals.not_allowed(
            plugin_id,
            version,
            who.plugin_id,
            f"the key belongs to plugin {who.plugin_id}, and this is {plugin_id[:64]}; "
            "give each plugin a key of its own",
        )


def _endpoint_not_allowed(entry: plugins.Entry, endpoint: str) -> errors.RpcError:
    pattern = entry.endpoint_pattern
    wanted = f"{pattern!r} allows" if pattern else "its entry allows none to register"
    return errors.RpcError(
        grpc.StatusCode.PERMISSION_DENIED,
        "ENDPOINT_NOT_ALLOWED",
        f"{entry.plugin_id} may not be at {endpoint[:128]}: {wanted}; change the "
        "endpoint_pattern of its entry, or the endpoint it advertises",
        metadata={"endpoint": endpoint, "allowed": pattern},
    )


def _unreachable(endpoint: str, cause: str) -> errors.RpcError:
    return errors.RpcError(
        grpc.StatusCode.UNAVAILABLE,
        "INSTANCE_UNREACHABLE",
        f"core dialled {endpoint[:128]} back and got no usable answer: {cause}",
        retry="same_key",
        metadata={"endpoint": endpoint, "cause": cause},
    )


def _mismatch(plugin_id: str, endpoint: str, found: introduction.Mismatch) -> errors.RpcError:
    return errors.RpcError(
        grpc.StatusCode.FAILED_PRECONDITION,
        "IDENTITY_MISMATCH",
        f"{plugin_id} registered from {endpoint[:128]}, and another one answers there: "
        f"{found.text}; advertise an endpoint that leads to this process alone",
        metadata={
            "field": found.field,
            "registered": found.registered,
            "answered": found.answered,
        },
    )


def _conflict(held: plugins.Instance) -> errors.RpcError:
    return errors.RpcError(
        grpc.StatusCode.ALREADY_EXISTS,
        "INSTANCE_CONFLICT",
        f"instance {held.instance_id} of {held.plugin_id} has a lease at {held.endpoint}; make a "
        "fresh instance id at every start",
        metadata={"instance_id": held.instance_id, "endpoint": held.endpoint},
    )


def _session_unknown(session_id: str) -> errors.RpcError:
    return errors.RpcError(
        grpc.StatusCode.NOT_FOUND,
        "SESSION_UNKNOWN",
        f"no session {session_id[:64]!r}; register again",
    )

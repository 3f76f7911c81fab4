"""One instance of a plugin as this process sees it: connection, identity, readiness.

Owns the life of a connection to an instance: who must answer, its probes, and sending it
configurations it lacks. Made and ended by `fleet`, used by `pool`. Never chooses, never
sends an operation.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

import grpc.aio
from payhub.plugin.v1 import plugin_service_pb2

from payment_service.domain import plugins
from payment_service.provider_client import (
    client,
    configuring,
    introduction,
    lags,
    loading,
    probing,
)
from servicekit import bounded, errors, logs, tasks, tls, validation
from servicekit import clock as clocks

_log = logs.get_logger(__name__)

# Bindings configured anew in one go; what is left follows with the next probe, or is
# configured when it is used.
RECONFIGURED_MAX = 50
REMOVE_TIMEOUT_S = 5.0
# How long a new connection may take before it counts as a missing one.
FRESH_S = 5.0
# Processes that are remembered at one address, to notice that they take turns.
MET_MAX = 100

_P = plugin_service_pb2.ProbeResponse
_Status = plugin_service_pb2.BindingStatus
Adopt = Callable[["Link", introduction.Handshake], Awaitable[str]]


class Link:
    """A connection to one instance.

    Args:
        plugin_id: Whose instance it must be.
        endpoint: Where it is.
        instance: The lease it has; None at a static endpoint.
        bindings: Where configurations come from.
        limits: How long to wait for calls.
        rule: How it is probed.
        clock: Where time comes from.
        dialer: How it is called.
        adopt: Asked about every new process at a static endpoint; returns why it may not
            be used, or ''.
        welcomed: Called after every handshake that went well.
        lags: Hears how far its clock is behind.
        load: Hears how far its processes are.
    """

    def __init__(  # noqa: PLR0913
        self,
        *,
        plugin_id: str,
        endpoint: str,
        instance: plugins.Instance | None,
        bindings: configuring.Bindings,
        limits: client.Limits,
        rule: probing.Rule,
        clock: clocks.Clock,
        dialer: tls.Dialer,
        adopt: Adopt,
        welcomed: Callable[[], None],
        lags: lags.Lags,
        load: loading.Load,
    ) -> None:
        self.plugin_id = plugin_id
        self.endpoint = endpoint
        self.instance = instance
        self.load = load
        self.watch = probing.Watch(rule.misses_max)
        self.probe: plugin_service_pb2.ProbeResponse | None = None
        self.probe_us = 0
        # What its operator should know of its clock; '' if nothing.
        self.clock_problem = ""
        self.handshake: introduction.Handshake | None = None
        # Calls of operations in progress.
        self.active = 0
        self.calls_max = 0
        # Bindings whose credentials the provider refused, and those of which generation.
        self.rejected: dict[str, int] = {}
        # Set once its lease has run out and it does not answer either; at a static endpoint, once
        # who has the connection is silent: over another one somebody else may answer.
        self.gone = False
        # Set once a process came back after another one had answered: they take turns.
        self.shared = False
        self._met: bounded.Bounded[str, None] = bounded.Bounded(MET_MAX)
        self.client = client.ProviderClient(
            name=plugin_id,
            endpoint=endpoint,
            bindings=bindings,
            limits=limits,
            clock=clock,
            dialer=dialer,
            welcome=self._welcome,
            welcomed=self._acquainted,
            load=load,
        )
        self._rule = rule
        self._lags = lags
        self._skew_s = limits.skew_s
        self._clock = clock
        self._adopt = adopt
        self._welcomed = welcomed
        self._look = asyncio.Event()
        self._closing = False
        self._since_s = clock.monotonic_s()
        self._stale: frozenset[str] = frozenset()
        self._orphaned: list[str] = []
        self._idle = asyncio.Event()
        self._probing: asyncio.Task[None] | None = None

    @property
    def static(self) -> bool:
        """Whether core found it by a static endpoint."""
        return self.instance is None

    @property
    def version(self) -> str:
        """Version it stated; '' as long as it has not."""
        if self.instance is not None:
            return self.instance.version
        known = self.client.known
        return known.plugin_version if known is not None else ""

    @property
    def instance_id(self) -> str:
        """Identity it stated; '' as long as it has not."""
        if self.instance is not None:
            return self.instance.instance_id
        known = self.client.known
        return known.instance_id if known is not None else ""

    @property
    def schema_digest(self) -> str:
        """Digest of the schema of its configuration; '' as long as it is not known."""
        known = self.client.known
        return known.schema_digest if known is not None else ""

    @property
    def directive(self) -> plugins.Directive:
        """What core wants of it."""
        return self.instance.directive if self.instance else plugins.Directive.CONTINUE

    @property
    def draining(self) -> bool:
        """Whether it has said that it takes nothing new."""
        return self.watch.draining

    @property
    def ready(self) -> bool:
        """Whether it answers: look-ups at least and, unless it is draining, operations."""
        return not self.watch.problem and self.client.ready

    @property
    def is_fresh(self) -> bool:
        """Whether it is too early to tell how it is doing."""
        if self.ready or self.client.known is not None:
            return False
        return self._clock.monotonic_s() - self._since_s < FRESH_S

    @property
    def detail(self) -> str:
        """Why it is not ready, for people; '' if it is."""
        return self.client.detail or self.watch.problem

    def start(self) -> None:
        """Connects and probes until `close`."""
        self.client.start()
        self._probing = tasks.detached(self._run())

    async def close(self, grace_s: float) -> None:
        """Ends the connection once no operation runs over it, after *grace_s* at the latest."""
        if self._probing is not None:
            self._probing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._probing
        self._closing = True
        if self.active:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._idle.wait(), grace_s)
        await self.client.close()

    def leave(self) -> None:
        """A call of an operation has ended."""
        self.active -= 1
        if self._closing and not self.active:
            self._idle.set()

    def refused(self, binding_id: str) -> None:
        """The provider has refused the credentials that it has of a binding."""
        self.rejected[binding_id] = self.client.configuring.generation(binding_id)

    def follow(self, instance: plugins.Instance | None) -> None:
        """Takes note of what its lease says now; None at a static endpoint.

        An instance whose lease has run out is used for as long as it answers probes.
        """
        lost = instance is not None and not instance.alive
        if lost and (self.instance is None or self.instance.alive):
            self.look()
        self.instance = instance

    def look(self) -> None:
        """Probes it at once, and gives it the configurations it lacks."""
        self._look.set()

    async def call(self, method: str, request: Any, timeout_s: float) -> Any:
        """Calls an RPC of PluginService by its name.

        Raises:
            grpc.aio.AioRpcError: Whatever the instance, or the connection to it, says.
        """
        return await self.client.call(method, request, timeout_s)

    def recount(self) -> None:
        """Finds out which configurations it lacks, and has them sent."""
        self._stale = frozenset(binding_id for binding_id, _ in self.client.configuring.stale())
        self._orphaned = self.client.configuring.orphaned()
        if self._stale or self._orphaned:
            self.look()

    def seen(self) -> probing.Seen:
        """Returns what conditions are made of."""
        ready = self.ready and not self.draining
        reasons = self.probe.degraded_reasons if self.probe else ()
        why_not = self.detail or ("it is draining" if self.draining else "not connected")
        return probing.Seen(
            version=self.version,
            connected=not self.client.detail,
            problem="" if ready else why_not,
            readiness=_P.READINESS_DEGRADED if self.clock_problem else self.watch.readiness,
            degraded=frozenset([*reasons, self.clock_problem]) - {""},
            stale=self._stale,
            rejected=frozenset(self.rejected),
        )

    async def _welcome(self, handshake: introduction.Handshake) -> str:
        expected = plugin_service_pb2.PluginIdentity(plugin_id=self.plugin_id)
        if self.instance is not None:
            expected = introduction.expect(self.instance)
        if (found := introduction.mismatch(handshake, expected)) is not None:
            return f"another one answers at {self.endpoint}: {found.text}"
        if text := introduction.unusable(handshake):
            return text
        known = self.client.known
        is_new = known is None or known.instance_id != handshake.identity.instance_id
        if self.static and is_new and (text := await self._adopt(self, handshake)):
            return text
        self._remember(handshake.identity.instance_id)
        self.handshake = handshake
        self.calls_max = handshake.max_concurrent_calls
        if is_new:
            self.rejected.clear()
        await self._probe()
        return ""

    def _remember(self, instance_id: str) -> None:
        self.shared |= instance_id in self._met and instance_id != next(reversed(self._met))
        self._met[instance_id] = None

    def _acquainted(self) -> None:
        self.load.met(self.instance_id)
        self._note_loaded()
        self._welcomed()

    def _note_loaded(self) -> None:
        if self.ready and not self.draining:
            self.load.ready()

    async def _run(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._look.wait(), self._rule.every_s)
            self._look.clear()
            if not self.client.detail:
                await self._probe()
                self._note_loaded()
                await self._reconfigure()
                await self._forget()
            self.gone = self._is_silent() if self.instance is None else self._is_lost(self.instance)

    def _is_silent(self) -> bool:
        unanswered = self.client.unanswered >= self._rule.misses_max
        return unanswered or (self.watch.is_silent and not self.client.detail)

    def _is_lost(self, instance: plugins.Instance) -> bool:
        return not instance.alive and not self.ready

    async def _probe(self) -> None:
        request = plugin_service_pb2.ProbeRequest()
        asked_us = self._clock.now_us()
        try:
            answer = await self.call("Probe", request, self._rule.timeout_s)
            if answer is None:
                raise errors.malformed_message()
            validation.validate(answer)
            _strip_untellable(answer)
        except (grpc.aio.AioRpcError, errors.RpcError) as error:
            self.watch.missed()
            if self.instance is not None and not self.instance.alive:
                self.gone = True
            _log.debug("probe failed", provider=self.plugin_id, problem=str(error)[:120])
            return
        self.probe, self.probe_us = answer, self._clock.now_us()
        self._note_clock(answer, asked_us)
        self.watch.answered(answer.readiness)
        applied = {status.binding_id: status.applied_generation for status in answer.bindings}
        # Of a binding that is gone, or was given others since, nobody would ever take it back.
        for binding_id, generation in list(self.rejected.items()):
            now = applied.get(binding_id, self.client.configuring.generation(binding_id))
            if not now or now > generation:
                del self.rejected[binding_id]
        for binding_id, held in list(self.client.configuring.held.items()):
            # It lost a configuration, for example because its process was replaced.
            if applied.get(binding_id, 0) < held.generation:
                self.client.configuring.forget(binding_id)
        for status in answer.bindings:
            if status.credential_status == _Status.CREDENTIAL_STATUS_REJECTED:
                self.rejected[status.binding_id] = status.applied_generation
            elif status.credential_status == _Status.CREDENTIAL_STATUS_ACCEPTED:
                self.rejected.pop(status.binding_id, None)

    def _note_clock(self, answer: plugin_service_pb2.ProbeResponse, asked_us: int) -> None:
        if not answer.HasField("time") or self.handshake is None:
            return
        off_s = self._lags.note(
            # The first probe comes before `instance_id` is known of a static one.
            self.handshake.identity.instance_id,
            asked_us=asked_us,
            told_us=answer.time.ToMicroseconds(),
            answered_us=self.probe_us,
        )
        problem = ""
        # Who is told of is told no more once it is clearly within the limit.
        if abs(off_s) > self._skew_s * (0.75 if self.clock_problem else 1.0):
            side = "behind" if off_s > 0 else "ahead"
            problem = f"its clock is more than {self._skew_s:g} s {side}: synchronize it"
            if not self.clock_problem:
                _log.warning(
                    "a provider's clock is off", provider=self.plugin_id, behind_s=round(off_s, 1)
                )
        self.clock_problem = problem

    async def _reconfigure(self) -> None:
        if not self._stale:
            return
        for number, (binding_id, tenant_id) in enumerate(self.client.configuring.stale()):
            if number >= RECONFIGURED_MAX or not self.ready:
                break
            try:
                await self.client.configuring.configure(binding_id, tenant_id)
            except Exception:
                # The next probe tries again; an operation that needs it fails by itself.
                _log.exception("a binding could not be configured", binding_id=binding_id)
                break
        self._stale = frozenset(binding_id for binding_id, _ in self.client.configuring.stale())

    async def _forget(self) -> None:
        """Has it forget bindings that are gone, and their secrets."""
        while self._orphaned and self.ready:
            request = plugin_service_pb2.RemoveBindingRequest(binding_id=self._orphaned.pop())
            self.client.configuring.forget(request.binding_id)
            try:
                await self.call("RemoveBinding", request, REMOVE_TIMEOUT_S)
            except grpc.aio.AioRpcError as error:
                _log.warning(
                    "an instance did not forget a binding",
                    provider=self.plugin_id,
                    binding_id=request.binding_id,
                    code=error.code().name,
                )


def _strip_untellable(answer: plugin_service_pb2.ProbeResponse) -> None:
    """Takes out what can't be told on: NUL, which PostgreSQL does not keep, and times that are
    in no calendar.
    """
    for told in (answer.degraded_reasons, *(each.degraded_reasons for each in answer.bindings)):
        told[:] = [reason.replace("\0", "") for reason in told]
    warnings = [each for status in answer.bindings for each in status.secret_warnings]
    times = [(status, "credential_time") for status in answer.bindings]
    for holder, name in ((answer, "time"), *times, *((each, "expire_time") for each in warnings)):
        try:
            getattr(holder, name).ToMicroseconds()
        except ValueError:
            holder.ClearField(name)

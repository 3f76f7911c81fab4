"""One instance of a provider: its channel, its introduction, and the calls of operations.

Owns the connection to one process. Called by `link`. Never repeats a call, but for one: after
BINDING_NOT_CONFIGURED, which states that nothing happened, the binding is configured and the
call sent once more.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import grpc
import grpc.aio
from payhub.plugin.v1 import capability_pb2, plugin_service_pb2_grpc
from payhub.provider.v1 import failure_pb2, operation_pb2
from payhub.provider.v1 import payment_provider_service_pb2 as provider_pb2

from payment_service.domain import model
from payment_service.provider_client import (
    configuring,
    introduction,
    loading,
    reading,
    requests,
    seeing,
    signs,
    stubs,
)
from servicekit import clock as clocks
from servicekit import failpoints, logs, rpc, server, tasks, tls

_log = logs.get_logger(__name__)

LOOKUP_TIMEOUT_S = 10.0
RETRY_HANDSHAKE_S = 1.0
LOST_POLLS = 5
LOST_POLL_S = 0.01

Welcome = Callable[[introduction.Handshake], Awaitable[str]]


class NotConfigured(Exception):
    """An instance could not be given the configuration of a binding; says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How long to wait, seconds.

    `connect_s` is the longest wait for a connection, or for room, before an operation counts as not
    sent; `skew_s`, or the time that the plugin gives its requests, is added to `not_after`
    before NOT_FOUND counts. `call_s` is the longest that a call of an operation may take.
    """

    connect_s: float = 1.0
    skew_s: float = 2.0
    call_s: float = 20.0


class ProviderClient:
    """A connection to one instance; see the module.

    Args:
        name: Plugin id.
        endpoint: `host:port`.
        bindings: Where configurations come from.
        limits: How long to wait.
        clock: Where time comes from.
        dialer: How it is called.
        welcome: Judges every handshake; returns why the instance may not be used, or ''.
        welcomed: Called once `known` holds what a good one said.
        load: Hears of connections and of what became of handshakes.
    """

    def __init__(
        self,
        *,
        name: str,
        endpoint: str,
        bindings: configuring.Bindings,
        limits: Limits,
        clock: clocks.Clock,
        dialer: tls.Dialer,
        welcome: Welcome,
        welcomed: Callable[[], None],
        load: loading.Load,
    ) -> None:
        self.name = name
        self.endpoint = endpoint
        self.known: introduction.Known | None = None
        self.detail = "no connection yet"
        # Handshakes in a row over this connection that had no usable answer.
        self.unanswered = 0
        self.configuring = configuring.Configuring(name=name, bindings=bindings, call=self.call)
        self._limits = limits
        self._clock = clock
        self._welcome = welcome
        self._welcomed = welcomed
        self._load = load
        # Of its own: another connection to the same endpoint may outlive this one.
        options = [*server.MONEY_CHANNEL_OPTIONS, ("grpc.use_local_subchannel_pool", 1)]
        self._channel = dialer.dial(endpoint, options)
        self.plugin: Any = plugin_service_pb2_grpc.PluginServiceStub(self._channel)
        self._stubs = stubs.make(self._channel)
        self._watching: asyncio.Task[None] | None = None

    @property
    def ready(self) -> bool:
        """Whether the instance is connected and was welcomed."""
        state = self._channel.get_state(try_to_connect=True)
        return state is grpc.ChannelConnectivity.READY and not self.detail

    def start(self) -> None:
        """Connects, and gets acquainted on every new connection."""
        self._watching = tasks.detached(self._watch())

    async def close(self) -> None:
        """Ends the connection."""
        if self._watching is not None:
            self._watching.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watching
        await self.configuring.close()
        await self._channel.close()

    async def call(self, method: str, request: Any, timeout_s: float) -> Any:
        """Calls an RPC of PluginService by its name; None for an answer that is no message.

        Raises:
            grpc.aio.AioRpcError: Whatever the instance, or the connection to it, says.
        """
        return await stubs.answer(getattr(self.plugin, method)(request, timeout=timeout_s))

    async def execute(self, operation: model.Operation) -> signs.Reply:
        """Sends *operation* and returns what came of it."""
        if not self.ready:
            detail = self.detail or "no connection"
            return signs.Reply(
                report=reading.not_sent(operation.version, "PROVIDER_UNREACHABLE", detail),
                sign=signs.Sign.ELSEWHERE,
            )
        if (failed := await self._unconfigured(operation)) is not None:
            return failed
        reply = await self._send(operation)
        if reply.report.failure is None or reply.report.failure.reason != "BINDING_NOT_CONFIGURED":
            return reply
        self.configuring.forget(operation.binding_id)
        if (failed := await self._unconfigured(operation)) is not None:
            return failed
        return await self._send(operation)

    async def _unconfigured(self, operation: model.Operation) -> signs.Reply | None:
        failed = await self.configuring.ensure(operation.binding_id, operation.tenant_id)
        if failed is None:
            return None
        text, sign = failed
        report = reading.not_sent(operation.version, "BINDING_NOT_CONFIGURED", text)
        return signs.Reply(report=report, sign=sign, text="CONFIGURE_FAILED")

    async def _send(self, operation: model.Operation) -> signs.Reply:
        left_s = (operation.not_after_us - self._clock.now_us()) / 1_000_000
        if left_s <= 0:
            late = reading.not_sent(operation.version, "TOO_LATE", "not sent: its time was over")
            return signs.Reply(report=late, sign=signs.Sign.NEUTRAL)
        method = requests.METHODS[operation.kind]
        generation = self.configuring.generation(operation.binding_id)
        request = requests.with_context(operation, generation=generation)
        failpoints.hit("payment_service.before_provider_call")
        try:
            send = getattr(self._stubs[method.service], method.name)
            answer = await send(request, timeout=left_s, metadata=rpc.trace_onward())
        except grpc.aio.AioRpcError as error:
            return await self._failed(operation, error)
        except asyncio.CancelledError:
            return await self._failed(operation, stubs.connection_closed())
        failpoints.hit("payment_service.after_provider_call")
        return self._answered(operation, answer)

    def _answered(self, operation: model.Operation, answer: Any) -> signs.Reply:
        found: operation_pb2.Operation | None = answer.operation if answer is not None else None
        seen, text = seeing.of_answer(answer)
        if text := text or signs.broken(operation, found, seen):
            return signs.Reply(
                report=reading.unknown(operation.version, text),
                sign=signs.Sign.CONTRACT,
                text=text,
            )
        assert found is not None
        return signs.Reply(report=reading.result(operation, found, seen), sign=signs.Sign.GOOD)

    async def _failed(self, operation: model.Operation, error: grpc.aio.AioRpcError) -> signs.Reply:
        failure = reading.failure_of(error)
        broke_off = failure is None and error.code() is grpc.StatusCode.UNAVAILABLE
        return signs.of_failure(
            operation,
            reading.failed_call(operation, error),
            failure,
            error.code(),
            self.known.capabilities if self.known else frozenset(),
            is_lost=broke_off and await self._is_lost(),
        )

    async def _is_lost(self) -> bool:
        """Whether the connection is gone, which is known a moment later than what it broke off."""
        for _ in range(LOST_POLLS):
            if not self.ready:
                return True
            await asyncio.sleep(LOST_POLL_S)
        return not self.ready

    async def look_up(
        self,
        operation: model.Operation,
        object_id: str,
        had: introduction.Known | None = None,
        behind_s: float = 0.0,
    ) -> signs.Reply:
        """Asks what became of *operation* and returns what is known.

        *object_id* is the provider's id of what it made, '' while core does not know one. *had* is
        what the version that was sent the operation declared, None if nobody knows which that is.
        *behind_s* is how far the clock of whoever has it may be behind.
        """
        failed = await self.configuring.ensure(operation.binding_id, operation.tenant_id)
        if failed is not None:
            report = reading.unknown(operation.version, failed[0])
            return signs.Reply(report=report, sign=signs.Sign.NEUTRAL)
        request = provider_pb2.GetOperationRequest(
            binding_id=operation.binding_id,
            operation_id=operation.id,
            hints=requests.hints(operation, object_id),
        )
        # What arrives while the answer is under way is not in it.
        asked_us = self._clock.now_us()
        try:
            stub = self._stubs[requests.Service.PAYMENT]
            asked = stub.GetOperation(
                request, timeout=LOOKUP_TIMEOUT_S, metadata=rpc.trace_onward()
            )
            answer = await stubs.answer(asked)
        except grpc.aio.AioRpcError as error:
            failure = reading.failure_of(error)
            if error.code() is grpc.StatusCode.NOT_FOUND:
                return self._absent(operation, failure, asked_us, had, behind_s)
            lost = failure_pb2.FAILURE_REASON_BINDING_NOT_CONFIGURED
            if failure is not None and failure.reason == lost:
                self.configuring.forget(operation.binding_id)
            detail = reading.failed_call(operation, error).detail
            report = reading.unknown(operation.version, detail)
            return signs.Reply(report=report, sign=signs.Sign.NEUTRAL)
        return self._answered(operation, answer)

    def _absent(
        self,
        operation: model.Operation,
        failure: failure_pb2.Failure | None,
        asked_us: int,
        had: introduction.Known | None,
        behind_s: float,
    ) -> signs.Reply:
        """Returns what NOT_FOUND proves. It is a fact only where look-ups are conclusive and
        nothing can arrive any more, by what both versions declared: the one that looked, and the
        one that was sent the operation.
        """
        promised = failure is not None and failure.reason == failure_pb2.FAILURE_REASON_NOT_FOUND
        known = [each for each in (self.known, had) if each is not None]
        lookup = capability_pb2.CAPABILITY_OPERATION_LOOKUP
        conclusive = bool(self.known) and all(lookup in each.capabilities for each in known)
        longest_s = max(self._limits.skew_s, *(each.request_max_s for each in known), 0.0)
        fence_us = operation.not_after_us + round((longest_s + behind_s) * 1_000_000)
        version = operation.version
        if not promised or not conclusive:
            report = reading.unknown(version, "NOT_FOUND, which is not conclusive here")
        elif asked_us <= fence_us:
            report = reading.unknown(version, "NOT_FOUND, but it may still arrive")
        else:
            report = reading.not_sent(version, "NEVER_ARRIVED", "looked up after its fence")
        return signs.Reply(report=report, sign=signs.Sign.NEUTRAL)

    async def notice(
        self, method: str, request: Any, *, binding_id: str, tenant_id: str, timeout_s: float
    ) -> Any:
        """Calls an RPC of NoticeProviderService, which changes nothing, by its name.

        Raises:
            grpc.aio.AioRpcError: Whatever the instance, or the connection to it, says.
            NotConfigured: It could not be given the binding.
        """
        call = getattr(self._stubs[requests.Service.NOTICE], method)
        if (failed := await self.configuring.ensure(binding_id, tenant_id)) is not None:
            raise NotConfigured(failed[0])
        try:
            return await stubs.answer(call(request, timeout=timeout_s, metadata=rpc.trace_onward()))
        except grpc.aio.AioRpcError as error:
            failure = reading.failure_of(error)
            lost = failure_pb2.FAILURE_REASON_BINDING_NOT_CONFIGURED
            if failure is None or failure.reason != lost:
                raise
        self.configuring.forget(binding_id)
        if (failed := await self.configuring.ensure(binding_id, tenant_id)) is not None:
            raise NotConfigured(failed[0])
        return await stubs.answer(call(request, timeout=timeout_s, metadata=rpc.trace_onward()))

    async def _watch(self) -> None:
        changed: asyncio.Task[None] | None = None
        try:
            while True:
                state = self._channel.get_state(try_to_connect=True)
                if changed is None or changed.done():
                    # From now on: another process may be there before this one is known.
                    changed = tasks.detached(self._channel.wait_for_state_change(state))
                if await self._met(state):
                    await changed
                else:
                    await asyncio.sleep(RETRY_HANDSHAKE_S)
        finally:
            if changed is not None:
                changed.cancel()

    async def _met(self, state: grpc.ChannelConnectivity) -> bool:
        """Takes note of how the channel is; False if whoever is there must be asked again."""
        if state is not grpc.ChannelConnectivity.READY:
            self.detail = f"no connection: {state.name}"
            self.unanswered = 0
            self._load.lost()
            return True
        # The connection may have been lost and made again before this looked.
        self.detail = self.detail or "getting acquainted"
        self._load.connected()
        await self._introduce()
        return not self.detail

    async def _introduce(self) -> None:
        outcome = loading.Outcome.FAILED
        try:
            handshake = await introduction.shake_hands(self.plugin)
            problem = await self._welcome(handshake)
            outcome = loading.Outcome.REFUSED
            self.unanswered = 0
        except introduction.Unreachable as error:
            problem = error.cause
            self.unanswered += 1
        except Exception:
            _log.exception("an instance could not be welcomed", provider=self.name)
            problem = "a fault in core"
        if problem:
            if problem != self.detail:
                _log.warning(
                    "instance refused", provider=self.name, endpoint=self.endpoint, detail=problem
                )
            self.detail = problem
            self._load.failed(outcome)
            return
        known = introduction.known_of(handshake)
        if self.known is None or self.known.instance_id != known.instance_id:
            # A new process has no configuration.
            self.configuring.clear()
        self.known = known
        self.configuring.version = known.plugin_version
        self.detail = ""
        self._welcomed()
        _log.info(
            "instance connected",
            provider=self.name,
            version=known.plugin_version,
            instance_id=known.instance_id,
        )

"""One process: start, announce, serve, drain.

Owns the gRPC server with health and reflection, the HTTP server beside it, the
signals and the order of a shutdown. Called by each `__main__`; never knows what
it serves.
"""

import asyncio
import gc
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import Any, TypeVar, cast

import grpc
import grpc.aio
import uvloop
from starlette import routing

from servicekit import dispatch, failpoints, health, http, interceptor, logs, metrics, tasks, tls
from servicekit import settings as settings_module

T = TypeVar("T")

MESSAGE_BYTES_MAX = 4 * 1024 * 1024
# Terminals, make and `timeout` often signal a process and its group: one wish, told twice.
SAME_SIGNAL_S = 0.5
# Objects made and not yet freed before a collection; the default is those of twenty payments.
GC_YOUNG_MAX = 10_000
# What a process that is told to stop at once may still spend on closing files.
CLOSE_AT_ONCE_S = 2.0
# Together below `settings.STOP_EXTRA_S`: for the steps of the drain beyond the work that they wait
# for, for background tasks that end after them, and for closing: a statement and a request.
DRAIN_EXTRA_S = 2.0
END_S = 2.0
CLOSE_S = 15.0

Options = Sequence[tuple[str, Any]]

_KEEPALIVE: tuple[tuple[str, Any], ...] = (
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
)
_MESSAGES: tuple[tuple[str, Any], ...] = (
    ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
    ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
)

SERVER_OPTIONS: tuple[tuple[str, Any], ...] = (
    *_MESSAGES,
    *_KEEPALIVE,
    # Clients ping every 30 s at most often; stricter servers answer GOAWAY.
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
    ("grpc.max_concurrent_streams", 10_000),
    # The default of 1,000 refuses calls when many clients reconnect at once.
    ("grpc.server.max_pending_requests", 10_000),
    ("grpc.server.max_pending_requests_hard_limit", 20_000),
    # Each takes a descriptor, and needs no key: by default for two minutes, until nobody gets in.
    ("grpc.server_handshake_timeout_ms", 10_000),
    # A second process on the same port must fail instead of taking half the calls.
    ("grpc.so_reuseport", 0),
)
CHANNEL_OPTIONS: tuple[tuple[str, Any], ...] = (
    *_MESSAGES,
    *_KEEPALIVE,
    # A peer that restarts is back within a second or two, not after gRPC's 20 s.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 1_000),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    # Nor is it looked for where it was for the 30 s in which gRPC asks for no name again.
    ("grpc.dns_min_time_between_resolutions_ms", 1_000),
)
# A repeated money call is the resolver's decision, never the channel's.
MONEY_CHANNEL_OPTIONS: tuple[tuple[str, Any], ...] = (
    *CHANNEL_OPTIONS,
    ("grpc.enable_retries", 0),
)

Registrar = Callable[[grpc.aio.Server], None]
Background = Callable[[asyncio.Event], Awaitable[None]]
Step = Callable[[], Awaitable[Any]]

_SIGNALS = (signal.SIGTERM, signal.SIGINT)

_log = logs.get_logger(__name__)


class CannotGoOn(Exception):
    """Raised by a background task for what an operator has to see to: `advice` says how, if it is
    not plain from the problem.
    """

    def __init__(self, problem: str, *, advice: str = "") -> None:
        super().__init__(problem)
        self.advice = advice


def run(coro: Coroutine[Any, Any, T]) -> T:
    """Run `coro` on a uvloop event loop and return its result."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(coro)


def merged(options: Options, extra: Options) -> list[tuple[str, Any]]:
    """Return `options` with those of `extra` added or replaced."""
    return list({**dict(options), **dict(extra)}.items())


async def serve(  # noqa: PLR0913
    *,
    settings: settings_module.ServiceSettings,
    service_name: str,
    servicers: Sequence[Registrar],
    reflection_names: Sequence[str] = (),
    interceptors: Sequence[grpc.aio.ServerInterceptor] = (),
    background: Sequence[Background] = (),
    on_drain: Sequence[Step] = (),
    closing: Sequence[Step] = (),
    options: Options = (),
    registry: metrics.Metrics | None = None,
    ready_checks: Mapping[str, http.ReadyCheck] | None = None,
    routes: Sequence[routing.BaseRoute] = (),
    health_servicer: health.Servicer | None = None,
    on_serving: Callable[[str], None] | None = None,
    asked: asyncio.Event | None = None,
) -> int:
    """Serve until SIGTERM or SIGINT, drain, and return the exit status.

    Drain: health NOT_SERVING → `drain_delay_s` → the event given to
    `background` is set and no new call is taken, running ones have
    `drain_grace_s` → `on_drain`, which has as long again → background tasks end →
    `closing`; all of it within `settings.stop_longest_s`. What takes longer is cut
    off, and the status is 1; so it is if a step of `on_drain` returns how much it
    left, as `tasks.Tracker.drain` does. A second signal, half a second or more after the
    first, skips what is left, except `closing`, which then has 2 s. `closing` also
    runs when the process can't listen. A background task that raises ends the
    process with status 1, in the log with a traceback unless it is CannotGoOn; so does one
    whose CancelledError is not its own.
    Interceptors listed before the pipeline are gRPC's own; those after it sit
    between it and the servicers and are asked once per method. Who passes
    `health_servicer` may set the health of further names. `on_serving` is given
    the address of the gRPC server before it takes its first call. Setting `asked` ends the
    process as a signal does, without counting as the first one.
    """
    outer, pipeline, inner = _split(interceptors)
    process = _Process(
        settings=settings,
        service_name=service_name,
        server=grpc.aio.server(interceptors=outer, options=merged(SERVER_OPTIONS, options)),
        readiness=http.Readiness(ready_checks),
        on_drain=on_drain,
        health_servicer=health_servicer or health.Servicer(),
        on_serving=on_serving,
        asked=asked or asyncio.Event(),
    )
    dispatcher = dispatch.Dispatcher(pipeline, inner)
    target = cast(grpc.aio.Server, dispatcher)
    health.register(target, process.health, reflection_names)
    for register in servicers:
        register(target)
    process.server.add_generic_rpc_handlers((dispatcher,))
    app = http.application(
        registry=registry or metrics.Metrics(), readiness=process.readiness, routes=routes
    )
    try:
        if process.listen(app):
            await process.live(background, reflection_names)
    finally:
        await process.close(closing)
        logs.flush()
    return process.exit_status


def _split(
    interceptors: Sequence[grpc.aio.ServerInterceptor],
) -> tuple[
    list[grpc.aio.ServerInterceptor], interceptor.Pipeline | None, list[grpc.aio.ServerInterceptor]
]:
    """Return the interceptors before the pipeline, the pipeline, and those after it."""
    places = [
        place for place, one in enumerate(interceptors) if isinstance(one, interceptor.Pipeline)
    ]
    if not places:
        return list(interceptors), None, []
    if len(places) > 1:
        raise ValueError("a server has one pipeline")
    place = places[0]
    pipeline = cast(interceptor.Pipeline, interceptors[place])
    return list(interceptors[:place]), pipeline, list(interceptors[place + 1 :])


class _Process:
    """The state of one process between its start and its end."""

    def __init__(
        self,
        *,
        settings: settings_module.ServiceSettings,
        service_name: str,
        server: grpc.aio.Server,
        readiness: http.Readiness,
        on_drain: Sequence[Step],
        health_servicer: health.Servicer,
        on_serving: Callable[[str], None] | None,
        asked: asyncio.Event,
    ) -> None:
        self.server = server
        self.readiness = readiness
        self.health = health_servicer
        self.exit_status = 0
        self._settings = settings
        self._service_name = service_name
        self._on_drain = on_drain
        self._on_serving = on_serving
        self._http: http.Server | None = None
        self._grpc_port = 0
        self._stop = asyncio.Event()
        self._asked = asked
        self._signal_s: float | None = None
        self._hurried = asyncio.Event()

    def listen(self, app: Any) -> bool:
        """Bind both ports; False, and why in the log, when one can't be had."""
        settings = self._settings
        port = settings.http_port
        try:
            self._http = http.Server(app, host=settings.host, port=port)
            port = settings.grpc_port
            address = _address(settings.host, port)
            credentials = tls.server_credentials(settings.tls_files)
            if credentials is None:
                self._grpc_port = self.server.add_insecure_port(address)
            else:
                self._grpc_port = self.server.add_secure_port(address, credentials)
        except (OSError, RuntimeError, tls.Unusable) as failure:
            _log.error("can't listen", host=settings.host, port=port, problem=str(failure))
            self.exit_status = 1
            return False
        return True

    async def live(self, background: Sequence[Background], service_names: Sequence[str]) -> None:
        """Serve until a signal or a failed background task, then drain."""
        if armed := failpoints.arm():
            _log.warning("fail points are armed; this process will be killed", armed=armed)
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            loop.add_signal_handler(number, self._on_signal, number)
        working = [loop.create_task(self._guard(work)) for work in background]
        try:
            await self._start(service_names)
            await self._asked.wait()
            drain = loop.create_task(self._drain(working))
            hurry = loop.create_task(self._hurried.wait())
            await asyncio.wait([drain, hurry], return_when=asyncio.FIRST_COMPLETED)
            if not drain.done():
                _log.warning("second signal: stopping at once")
                self.exit_status = 1
            for task in (drain, hurry):
                task.cancel()
            await asyncio.gather(drain, return_exceptions=True)
        finally:
            for task in working:
                task.cancel()
            await self.server.stop(None)
            for number in _SIGNALS:
                loop.remove_signal_handler(number)

    async def close(self, closing: Sequence[Step]) -> None:
        """Close what the caller opened, in order, and the HTTP server."""
        limit_s = CLOSE_AT_ONCE_S if self._hurried.is_set() else CLOSE_S
        try:
            async with asyncio.timeout(limit_s):
                for step in closing:
                    await self._step(step)
                if self._http is not None and not self._hurried.is_set():
                    await self._step(self._http.stop)
        except TimeoutError:
            self.exit_status = 1
            _log.error("closing took too long", limit_s=limit_s)

    async def _start(self, service_names: Sequence[str]) -> None:
        assert self._http is not None
        await self.health.open(service_names)
        await self.server.start()
        # Before anything is awaited: the first call may ask for what this sets.
        if self._on_serving is not None:
            self._on_serving(_address(self._settings.host, self._grpc_port))
        await self._http.start()
        self.readiness.serving = True
        # What lives since the start lives to the end: no collection need look at it again.
        gc.collect()
        gc.freeze()
        # Calls under way are young and no garbage: by default they are looked through often.
        gc.set_threshold(GC_YOUNG_MAX, 20, 20)
        host = self._settings.host
        sys.stdout.write(
            f"{self._service_name} ready grpc={_address(host, self._grpc_port)}"
            f" http={_address(host, self._http.port)}\n"
        )
        sys.stdout.flush()

    def _on_signal(self, number: signal.Signals) -> None:
        _log.info("signal", number=int(number), signal=number.name)
        now_s = asyncio.get_running_loop().time()
        if self._signal_s is None:
            self._signal_s = now_s
            self._asked.set()
        elif now_s - self._signal_s >= SAME_SIGNAL_S:
            self._hurried.set()

    async def _guard(self, work: Background) -> None:
        try:
            await work(self._stop)
        except CannotGoOn as refusal:
            _log.error(
                "it can't go on; the process stops", problem=str(refusal), advice=refusal.advice
            )
        except Exception:
            _log.exception("a background task failed; the process stops")
        except asyncio.CancelledError:
            if tasks.is_canceled():
                raise
            _log.exception("a background task was canceled elsewhere; the process stops")
        else:
            return
        self.exit_status = 1
        self._asked.set()

    async def _drain(self, working: Sequence[asyncio.Task[None]]) -> None:
        settings = self._settings
        self.readiness.serving = False
        await self.health.close()
        await asyncio.sleep(settings.drain_delay_s)
        self._stop.set()
        self.health.end_watches()
        await self.server.stop(settings.drain_grace_s)
        limit_s = settings.drain_grace_s + DRAIN_EXTRA_S
        end_s = asyncio.get_running_loop().time() + limit_s
        try:
            async with asyncio.timeout_at(end_s):
                for step in self._on_drain:
                    if await self._step(step):
                        self.exit_status = 1
        except TimeoutError:
            self.exit_status = 1
            _log.error("draining took too long", limit_s=limit_s)
        if working:
            left_s = end_s - asyncio.get_running_loop().time()
            _, late = await asyncio.wait(working, timeout=max(left_s, END_S))
            if late:
                _log.warning("background tasks did not end", count=len(late))

    async def _step(self, step: Step) -> Any:
        try:
            return await step()
        except Exception:
            self.exit_status = 1
            _log.exception("a step of the shutdown failed")
            return None


def _address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

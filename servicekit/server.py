"""One process: start, announce, serve, drain.

Owns the gRPC server with health and reflection, the HTTP server beside it, the
signals and the order of a shutdown. Called by each `__main__`; never knows what
it serves.
"""

import asyncio
import contextlib
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import Any, TypeVar, cast

import grpc
import grpc.aio
import uvloop
from grpc_health.v1 import health, health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from starlette import routing

from servicekit import dispatch, failpoints, http, logs, metrics, rpc
from servicekit import settings as settings_module

T = TypeVar("T")

MESSAGE_BYTES_MAX = 4 * 1024 * 1024

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
)
# A repeated money call is the resolver's decision, never the channel's.
MONEY_CHANNEL_OPTIONS: tuple[tuple[str, Any], ...] = (
    *CHANNEL_OPTIONS,
    ("grpc.enable_retries", 0),
)

Registrar = Callable[[grpc.aio.Server], None]
Background = Callable[[asyncio.Event], Awaitable[None]]
Step = Callable[[], Awaitable[Any]]

_log = logs.get_logger(__name__)


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
    credentials: grpc.ServerCredentials | None = None,
) -> int:
    """Serve until SIGTERM or SIGINT, drain, and return the exit status.

    Drain: health NOT_SERVING → `drain_delay_s` → the event given to
    `background` is set and no new call is taken, running ones have
    `drain_grace_s` → `on_drain` → background tasks end → `closing`. A second
    signal skips what is left. A background task that raises ends the process
    with status 1.
    """
    process = _Process(settings, service_name, background, on_drain, closing)
    process.readiness = http.Readiness(ready_checks)
    pipelines = [one for one in interceptors if isinstance(one, rpc.Pipeline)]
    others = [one for one in interceptors if not isinstance(one, rpc.Pipeline)]
    if len(pipelines) > 1:
        raise ValueError("a server has one pipeline")
    process.grpc = grpc.aio.server(interceptors=others, options=merged(SERVER_OPTIONS, options))
    dispatcher = dispatch.Dispatcher(pipelines[0] if pipelines else None)
    target = cast(grpc.aio.Server, dispatcher)
    health_pb2_grpc.add_HealthServicer_to_server(process.health, target)
    for register in servicers:
        register(target)
    names = (*reflection_names, health.SERVICE_NAME, reflection.SERVICE_NAME)
    reflection.enable_server_reflection(names, target)
    process.grpc.add_generic_rpc_handlers((dispatcher,))
    app = http.application(
        registry=registry or metrics.Metrics(), readiness=process.readiness, routes=routes
    )
    try:
        process.http = http.Server(app, host=settings.host, port=settings.http_port)
        address = _address(settings.host, settings.grpc_port)
        if credentials is None:
            grpc_port = process.grpc.add_insecure_port(address)
        else:
            grpc_port = process.grpc.add_secure_port(address, credentials)
    except (OSError, RuntimeError) as failure:
        _log.error("can't listen", host=settings.host, problem=str(failure))
        return 1
    return await process.live(grpc_port, reflection_names)


class _Process:
    def __init__(
        self,
        settings: settings_module.ServiceSettings,
        service_name: str,
        background: Sequence[Background],
        on_drain: Sequence[Step],
        closing: Sequence[Step],
    ) -> None:
        self.grpc: grpc.aio.Server
        self.http: http.Server
        self.readiness: http.Readiness
        self.health = health.aio.HealthServicer()
        self._settings = settings
        self._service_name = service_name
        self._background = background
        self._on_drain = on_drain
        self._closing = closing
        self._stop = asyncio.Event()
        self._first = asyncio.Event()
        self._second = asyncio.Event()
        self._exit_status = 0

    async def live(self, grpc_port: int, service_names: Sequence[str]) -> int:
        armed = failpoints.arm()
        if armed:
            _log.warning("fail points are armed; this process will be killed", armed=armed)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_signal, number)
        tasks = [loop.create_task(self._guard(work)) for work in self._background]
        try:
            await self.grpc.start()
            await self.http.start()
            for name in service_names:
                await self.health.set(name, 1)
            self.readiness.serving = True
            host = self._settings.host
            sys.stdout.write(
                f"{self._service_name} ready grpc={_address(host, grpc_port)}"
                f" http={_address(host, self.http.port)}\n"
            )
            sys.stdout.flush()
            await self._first.wait()
            drain = loop.create_task(self._drain(tasks))
            hurry = loop.create_task(self._second.wait())
            await asyncio.wait([drain, hurry], return_when=asyncio.FIRST_COMPLETED)
            hurry.cancel()
            if not drain.done():
                await self._abandon(drain)
            else:
                await drain
        finally:
            for task in tasks:
                task.cancel()
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(number)
        logs.flush()
        return self._exit_status

    def _on_signal(self, number: signal.Signals) -> None:
        if self._first.is_set():
            self._second.set()
        self._first.set()
        _log.info("signal", number=int(number), name=number.name)

    async def _guard(self, work: Background) -> None:
        try:
            await work(self._stop)
        except Exception:
            _log.exception("a background task failed; the process stops")
            self._exit_status = 1
            self._first.set()

    async def _drain(self, tasks: Sequence[asyncio.Task[None]]) -> None:
        settings = self._settings
        self.readiness.serving = False
        await self.health.enter_graceful_shutdown()
        await asyncio.sleep(settings.drain_delay_s)
        self._stop.set()
        await self.grpc.stop(settings.drain_grace_s)
        for step in self._on_drain:
            await self._step(step)
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=max(settings.drain_grace_s, 1.0))
            if late:
                _log.warning("background tasks did not end", count=len(late))
        await self._close()

    async def _abandon(self, drain: asyncio.Task[None]) -> None:
        _log.warning("second signal: stopping at once")
        self._exit_status = 1
        drain.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await drain
        await self.grpc.stop(None)
        self._stop.set()

    async def _close(self) -> None:
        for step in self._closing:
            await self._step(step)
        await self.http.stop()

    async def _step(self, step: Step) -> None:
        try:
            await step()
        except Exception:
            self._exit_status = 1
            _log.exception("a step of the shutdown failed")


def _address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

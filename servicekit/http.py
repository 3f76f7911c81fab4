"""HTTP beside gRPC: liveness, readiness and metrics; services may add routes.

Owns the starlette application and uvicorn on the process's own event loop,
with uvicorn's signal handlers off. Called by `server.serve`; never serves the
API itself.
"""

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any

import h11
import uvicorn
from starlette import applications, requests, responses, routing
from uvicorn.protocols.http import h11_impl

from servicekit import joint, logs, metrics

READY_CHECK_TIMEOUT_S = 2.0
STOP_TIMEOUT_S = 5
# At once; whoever comes beyond them is answered 503.
CONNECTIONS_MAX = 256
# How long a connection may take to bring a request with all its headers.
HEAD_TIMEOUT_S = 5.0
HEAD_BYTES_MAX = 64 * 1024
# How long a client may leave what it is answered untaken.
TAKE_TIMEOUT_S = 10.0
# Each piece of a body costs far more than its bytes, on the loop that serves payments: of what
# is read at once, so many are taken, and one more for each so many bytes.
PIECES_MIN = 64
PIECE_BYTES = 128
# What is looked at of a request that is answered already, for the next one behind it.
ANSWERED_BYTES_MAX = 64 * 1024

_log = logs.get_logger(__name__)

ReadyCheck = Callable[[], Awaitable[None]]


class Readiness:
    """Whether this process wants traffic: serving, and every check passes."""

    def __init__(self, checks: Mapping[str, ReadyCheck] | None = None) -> None:
        self.serving = False
        self._checks = dict(checks or {})

    async def failing(self) -> list[str]:
        """Return the names of what is not ready; each check has 2 s."""
        if not self.serving:
            return ["serving"]
        results = await asyncio.gather(
            *(asyncio.wait_for(check(), READY_CHECK_TIMEOUT_S) for check in self._checks.values()),
            return_exceptions=True,
        )
        failed = [
            name
            for name, result in zip(self._checks, results, strict=True)
            if isinstance(result, BaseException)
        ]
        if failed:
            _log.warning("not ready", failing=failed)
        return failed


def application(
    *,
    registry: metrics.Metrics,
    readiness: Readiness,
    routes: Sequence[routing.BaseRoute] = (),
) -> applications.Starlette:
    """Return the application with /healthz, /readyz, /metrics and `routes`."""

    async def healthz(_: requests.Request) -> responses.Response:
        return responses.JSONResponse({"status": "alive"})

    async def rendered() -> bytes:
        return registry.render()

    shown, problems = joint.Joint(rendered), joint.Joint(readiness.failing)

    async def readyz(_: requests.Request) -> responses.Response:
        failing = await problems.get()
        if failing:
            return responses.JSONResponse({"status": "not ready", "failing": failing}, 503)
        return responses.JSONResponse({"status": "ready"})

    async def scrape(_: requests.Request) -> responses.Response:
        return responses.Response(await shown.get(), media_type=metrics.CONTENT_TYPE)

    return applications.Starlette(
        routes=[
            routing.Route("/healthz", healthz),
            routing.Route("/readyz", readyz),
            routing.Route("/metrics", scrape),
            *routes,
        ]
    )


class _Uvicorn(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class _Connection(h11.Connection):
    """A parser that takes a body in no more pieces than `PIECES_MIN` and `PIECE_BYTES` allow."""

    _pieces_left = 0

    def receive_data(self, data: bytes) -> None:
        self._pieces_left = PIECES_MIN + len(data) // PIECE_BYTES
        super().receive_data(data)

    def next_event(self) -> Any:
        event = super().next_event()
        if isinstance(event, h11.Data):
            self._pieces_left -= 1
            if self._pieces_left < 0:
                raise h11.RemoteProtocolError("a body in too many pieces")
        return event


class _Protocol(h11_impl.H11Protocol):
    """A connection, closed if it takes too long to bring a request or to take an answer, or
    brings what takes too long to read.

    The library waits for either for ever, and a few hundred connections are all there are.
    """

    _answered_bytes = 0
    _late: asyncio.TimerHandle | None = None
    _untaken: asyncio.TimerHandle | None = None

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.conn = _Connection(h11.SERVER, HEAD_BYTES_MAX)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        # Writing pauses for as long as anything is left, and even what is closed waits for that.
        transport.set_write_buffer_limits(0)
        self._expect()

    def connection_lost(self, exc: Exception | None) -> None:
        self._came()
        self._taken()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._untaken = self.loop.call_later(TAKE_TIMEOUT_S, self.transport.abort)

    def resume_writing(self) -> None:
        self._taken()
        super().resume_writing()

    def data_received(self, data: bytes) -> None:
        if self.conn.our_state is h11.DONE:
            self._answered_bytes += len(data)
            if self._answered_bytes > ANSWERED_BYTES_MAX:
                # Nothing more is read; it is closed as one that brings no request.
                self._expect()
                return
        else:
            self._answered_bytes = 0
        super().data_received(data)
        if self.cycle is None or self.cycle.response_complete:
            self._expect()
        else:
            self._came()

    def send_400_response(self, msg: str) -> None:
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            super().send_400_response(msg)
        else:
            # It is being answered, or was.
            self.transport.close()

    def _expect(self) -> None:
        if self._late is None:
            self._late = self.loop.call_later(HEAD_TIMEOUT_S, self.transport.close)

    def _came(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None

    def _taken(self) -> None:
        if self._untaken is not None:
            self._untaken.cancel()
            self._untaken = None


class Server:
    """Serves one application on one socket."""

    def __init__(self, app: applications.Starlette, *, host: str, port: int) -> None:
        """Bind at once; OSError says why it can't."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.create_server((host, port), family=family, backlog=128)
        self.port: int = self._socket.getsockname()[1]
        self._uvicorn = _Uvicorn(
            uvicorn.Config(
                app,
                http=_Protocol,
                log_config=None,
                access_log=False,
                lifespan="off",
                server_header=False,
                limit_concurrency=CONNECTIONS_MAX,
                timeout_keep_alive=5,
                timeout_graceful_shutdown=STOP_TIMEOUT_S,
            )
        )
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Accept connections; returns once it does."""
        self._task = asyncio.create_task(self._uvicorn.serve(sockets=[self._socket]))
        while not self._uvicorn.started:
            if self._task.done():
                await self._task
                raise RuntimeError("the HTTP server ended while starting")
            await asyncio.sleep(0.001)

    async def stop(self) -> None:
        """Finish running requests (at most 5 s) and close."""
        self._uvicorn.should_exit = True
        if self._task is not None:
            await self._task
        self._socket.close()

"""A process from its ready line to its exit, told by signals."""

import asyncio
import contextlib
import json
import os
import re
import signal
import sys
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from typing import Any

import grpc
import grpc.aio
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from servicekit import http, interceptor, metrics, server
from tests.integration.servicekit import echo

Text = echo.Text

READY = re.compile(r"echo ready grpc=(127\.0\.0\.1:\d+) http=(127\.0\.0\.1:\d+)\n")


class Process:
    """The running service, its addresses and what it logs."""

    def __init__(self, child: asyncio.subprocess.Process, grpc_at: str, http_at: str) -> None:
        self.child = child
        self.grpc_at = grpc_at
        self.http_at = http_at
        self.channel = grpc.aio.insecure_channel(grpc_at)

    def unary(self, method: str) -> Any:
        """Return the stub of a unary method."""
        return self.channel.unary_unary(
            f"/{echo.NAME}/{method}", Text.SerializeToString, Text.FromString
        )

    async def get(self, path: str) -> tuple[int, str]:
        """Return the status and text of an HTTP GET."""

        def ask() -> tuple[int, str]:
            try:
                with urllib.request.urlopen(f"http://{self.http_at}{path}", timeout=20) as answer:
                    return answer.status, answer.read().decode()
            except urllib.error.HTTPError as refused:
                with refused:
                    return refused.code, refused.read().decode()

        return await asyncio.to_thread(ask)

    async def end(self) -> tuple[int, list[dict[str, Any]]]:
        """Wait for the exit; return its status and the log lines."""
        assert self.child.stdout is not None
        assert self.child.stderr is not None
        async with asyncio.timeout(40):
            text = await self.child.stderr.read()
            assert await self.child.stdout.read() == b""
            status = await self.child.wait()
        return status, [json.loads(line) for line in text.splitlines()]

    def events(self, lines: list[dict[str, Any]]) -> list[str]:
        """Return the events of the service itself, in order."""
        return [line["event"] for line in lines if line["event"] not in ("rpc", "signal")]


async def spawn(**env: str) -> asyncio.subprocess.Process:
    """Start the service with these variables."""
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.integration.servicekit.echo",
        env={**os.environ, **env},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


@contextlib.asynccontextmanager
async def running(**env: str) -> AsyncIterator[Process]:
    """Run the service on free ports; kill it if the test leaves it behind."""
    child = await spawn(**env)
    assert child.stdout is not None
    try:
        async with asyncio.timeout(40):
            line = (await child.stdout.readline()).decode()
        ready = READY.fullmatch(line)
        assert ready is not None, line
        process = Process(child, ready[1], ready[2])
        async with process.channel:
            yield process
    finally:
        if child.returncode is None:
            child.kill()
        # Unread pipes would leave the transport open.
        await child.communicate()


async def until_charging(process: Process) -> None:
    """Wait until the service says that it has begun to charge."""
    assert process.child.stderr is not None
    async with asyncio.timeout(40):
        while b'"charging"' not in await process.child.stderr.readline():
            pass


async def test_a_process_announces_itself_and_can_be_asked() -> None:
    """Ports are the real ones; health, reflection, readiness and metrics answer."""
    async with running() as process:
        health: Any = health_pb2_grpc.HealthStub(process.channel)
        for name in ("", echo.NAME):
            answer = await health.Check(health_pb2.HealthCheckRequest(service=name))
            assert answer.status == health_pb2.HealthCheckResponse.SERVING
        channel: Any = process.channel
        reflection: Any = reflection_pb2_grpc.ServerReflectionStub(channel)
        asked = iter([reflection_pb2.ServerReflectionRequest(list_services="")])
        async for shown in reflection.ServerReflectionInfo(asked):
            assert echo.NAME in [one.name for one in shown.list_services_response.service]
        await process.unary("Say")(Text(value="x"), timeout=5)
        assert (await process.get("/healthz"))[0] == 200
        assert (await process.get("/readyz"))[0] == 200
        status, text = await process.get("/metrics")
        assert status == 200
        assert 'payhub_rpc_requests_total{code="OK",method="test.Echo.Say"} 1.0' in text
        assert (await process.get("/other"))[0] == 404
        process.child.send_signal(signal.SIGINT)
        status, lines = await process.end()
    assert status == 0
    assert process.events(lines) == ["background ended", "drained", "closed"]


async def test_a_port_that_is_taken_ends_the_process_with_a_reason() -> None:
    """Two processes never share a port; what was opened is closed."""
    async with running(PROBLEM="ready") as first:
        assert await first.get("/readyz") == (
            503,
            '{"status":"not ready","failing":["database"]}',
        )
        for name, address in (("GRPC", first.grpc_at), ("HTTP", first.http_at)):
            port = address.rpartition(":")[2]
            child = await spawn(**{f"ECHO_SERVICE_{name}_PORT": port})
            async with asyncio.timeout(40):
                out, err = await child.communicate()
            lines = [json.loads(line) for line in err.splitlines() if line.startswith(b"{")]
            (line,) = [line for line in lines if line["event"] == "can't listen"]
            assert (child.returncode, out, line["port"]) == (1, b"", int(port))
            assert lines[-1]["event"] == "closed"


async def test_a_drain_lets_running_calls_finish() -> None:
    """SIGTERM: watchers learn it, running calls end, tracked work ends, then things close."""
    async with running() as process:
        health: Any = health_pb2_grpc.HealthStub(process.channel)
        watch = health.Watch(health_pb2.HealthCheckRequest(service=echo.NAME))
        assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
        kept = asyncio.ensure_future(process.unary("Wait")(Text(value="0.5"), timeout=10))
        left = process.unary("Charge")(Text(), timeout=60)
        await until_charging(process)
        left.cancel()
        process.child.send_signal(signal.SIGTERM)
        process.child.send_signal(signal.SIGTERM)  # to the process and to its group
        assert (await watch.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING
        assert await watch.read() is grpc.aio.EOF
        assert (await kept).value == "waited"
        with pytest.raises(asyncio.CancelledError):
            await left
        status, lines = await process.end()
    assert status == 0
    assert process.events(lines) == ["background ended", "charged", "drained", "closed"]


async def test_what_outlasts_the_grace_is_canceled_but_tracked_work_ends() -> None:
    """The grace bounds calls; a charge that has begun is still waited for."""
    async with running(ECHO_SERVICE_DRAIN_GRACE_S="0.3") as process:
        long = asyncio.ensure_future(process.unary("Wait")(Text(value="60"), timeout=60))
        charge = asyncio.ensure_future(process.unary("Charge")(Text(), timeout=60))
        await until_charging(process)
        process.child.send_signal(signal.SIGTERM)
        for call in (long, charge):
            with pytest.raises(grpc.aio.AioRpcError):
                await call
        status, lines = await process.end()
    assert status == 0
    assert process.events(lines) == ["background ended", "charged", "drained", "closed"]


async def test_work_that_is_cut_off_shows_in_the_status() -> None:
    """A charge that outlasts the drain ends in the middle, which no orderly stop does."""
    async with running(ECHO_SERVICE_DRAIN_GRACE_S="0.1", PROBLEM="unfinished") as process:
        charge = asyncio.ensure_future(process.unary("Charge")(Text(), timeout=60))
        await until_charging(process)
        process.child.send_signal(signal.SIGTERM)
        with pytest.raises(grpc.aio.AioRpcError):
            await charge
        status, lines = await process.end()
    assert status == 1
    assert process.events(lines)[-3:-1] == ["tasks left running at the end of the drain", "drained"]


async def test_a_step_that_hangs_does_not_hold_up_the_end() -> None:
    """Who stops a process kills it after a time; files are closed before that, whatever hangs."""
    async with running(ECHO_SERVICE_DRAIN_GRACE_S="0.1", PROBLEM="stuck") as process:
        process.child.send_signal(signal.SIGTERM)
        status, lines = await process.end()
    assert status == 1
    assert process.events(lines)[-2:] == ["draining took too long", "closed"]


async def test_a_second_signal_stops_at_once() -> None:
    """Calls and steps are abandoned, files are closed, and the status says so."""
    async with running() as process:
        long = asyncio.ensure_future(process.unary("Charge")(Text(), timeout=60))
        await until_charging(process)
        async with asyncio.timeout(40):
            # It may have ended before we hear that the call has.
            with contextlib.suppress(ProcessLookupError):
                while not long.done():
                    process.child.send_signal(signal.SIGTERM)
                    await asyncio.wait([long], timeout=0.1)
        with pytest.raises(grpc.aio.AioRpcError):
            await long
        status, lines = await process.end()
    assert status == 1
    assert "second signal: stopping at once" in process.events(lines)
    assert "drained" not in process.events(lines)
    assert process.events(lines)[-1] == "closed"


@pytest.mark.parametrize("problem", ["background", "cancellation", "drain"])
async def test_a_failure_shows_in_the_exit_status(problem: str) -> None:
    """A process that lost a part of itself stops in order and says 1."""
    async with running(PROBLEM=problem) as process:
        if problem == "drain":
            process.child.send_signal(signal.SIGTERM)
        status, lines = await process.end()
    assert status == 1
    assert any(f"the {problem} broke" in line.get("exception", "") for line in lines)
    assert process.events(lines)[-1] == "closed"


async def test_what_an_operator_has_to_see_to_ends_it_with_one_line() -> None:
    """A background task that can't go on stops the process in order with status 1; the log says
    why and what to do, without a traceback.
    """
    async with running(PROBLEM="refusal") as process:
        status, lines = await process.end()
    assert status == 1
    (told,) = [line for line in lines if line["level"] == "error"]
    assert told["problem"] == "the key was revoked"
    assert told["advice"] == "give it another one"
    assert "exception" not in told
    assert process.events(lines)[-1] == "closed"


async def test_wrong_settings_end_the_process_with_status_2() -> None:
    """Before anything is opened, with one line per problem on stderr."""
    child = await spawn(ECHO_SERVICE_GRPC_PORT="x", ECHO_SERVICE_HOSTT="y")
    async with asyncio.timeout(40):
        out, err = await child.communicate()
    assert (child.returncode, out) == (2, b"")
    assert sorted(line.partition(":")[0] for line in err.decode().splitlines()) == [
        "ECHO_SERVICE_GRPC_PORT",
        "ECHO_SERVICE_HOSTT",
    ]


async def test_no_call_comes_before_the_process_knows_its_address(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """`on_serving` has run by the time that anything is waited for after the gRPC server's start:
    a gateway that is called at once already names itself as a consumer's owner.
    """
    asked = asyncio.Event()
    told: list[str] = []
    seen: list[str] = []
    started = http.Server.start

    async def start(self: http.Server) -> None:
        seen.extend(told)
        asked.set()
        await started(self)

    monkeypatch.setattr(http.Server, "start", start)
    status = await server.serve(
        settings=echo.Settings(grpc_port=0, http_port=0, drain_delay_s=0),
        service_name="echo",
        servicers=[echo.Echo().register],
        interceptors=[interceptor.Pipeline(metrics=metrics.Metrics())],
        on_serving=told.append,
        asked=asked,
    )
    assert status == 0
    assert len(seen) == 1
    assert seen[0].startswith("127.0.0.1:")

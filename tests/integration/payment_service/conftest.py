"""Payment services that the tests of this folder share, per database.

Owns their processes. Tests keep apart by using tenants of their own; only
`fragile` may be stopped, and every test that does leaves nothing running that
it relies on.
"""

import concurrent.futures
import contextlib
import json
import pathlib
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import psycopg
import pytest
import pytest_asyncio

from deploy import stack
from tests import postgres, spread
from tests.integration.payment_service import billing, binding_rig, hooking, records, rig

SKEW_S = 0.2
# Look-ups soon after a call and often, so that no test waits for the resolver.
RESOLVER = {
    "PAYMENT_SERVICE_RESOLVER_IDLE_S": "0.05",
    "PAYMENT_SERVICE_RESOLVER_DOUBT_FIRST_S": "0.1",
    "PAYMENT_SERVICE_RESOLVER_PENDING_FIRST_S": "0.1",
    "PAYMENT_SERVICE_RESOLVER_LONGEST_S": "0.5",
    "PAYMENT_SERVICE_RESOLVER_GRACE_S": "0.2",
    "PAYMENT_SERVICE_PROVIDER_SKEW_S": str(SKEW_S),
    "PAYMENT_SERVICE_RELAY_ENABLED": "false",
    "PAYMENT_SERVICE_GATEWAY_WAIT_S": "0",
    "PAYMENT_SERVICE_AUTO_MIGRATE": "true",
    # Everything that can be logged is, for the test that looks for secrets there.
    "PAYMENT_SERVICE_LOG_LEVEL": "debug",
}
# A call takes long enough to be met half-way, and its time is over soon.
HASTY_TIMEOUT_S = 1.2
_HASTY = {
    "PAYMENT_SERVICE_PROVIDER_TIMEOUT_S": str(HASTY_TIMEOUT_S),
    "PAYMENT_SERVICE_PROVIDER_CONFIG": json.dumps({"mock": {"latency_ms": 120}}),
}
# A doubt can be met before it is looked at; whoever asks for one makes that due.
_UNHURRIED = {
    "PAYMENT_SERVICE_RESOLVER_DOUBT_FIRST_S": "2",
    "PAYMENT_SERVICE_RESOLVER_LONGEST_S": "2",
}


class Service:
    """A running payment service with its database and the ledger of its provider.

    Args:
        processes: Where it runs.
        url: Its database.
        ledger: The provider's ledger file.
    """

    def __init__(self, processes: stack.Stack, url: str, ledger: pathlib.Path) -> None:
        self.processes = processes
        self.url = url
        self.target = processes.target(stack.PAYMENTS)
        self.records = records.Records(url)
        self.ledger = records.Ledger(ledger)

    def admin(self) -> rig.Caller:
        """Returns a caller with every scope."""
        return rig.Caller(self.target, self.processes.dev_key())

    def knows_its_provider(self) -> None:
        """Waits until the provider was seen: a service is ready without it."""
        deadline_s = time.monotonic() + rig.TIMEOUT_S
        while not self.records.rows("select version from plugin_versions"):
            assert time.monotonic() < deadline_s, self.log()
            time.sleep(0.02)

    async def provider_up(self) -> None:
        """Starts its own provider if it does not run, and waits until it is connected."""
        if not self.processes.running(stack.MOCK):
            self.processes.restart(stack.MOCK)
        await self._sees_its_provider(ready=True)

    async def provider_down(self) -> None:
        """Ends its own provider and waits until the service knows."""
        if self.processes.running(stack.MOCK):
            self.processes.kill(stack.MOCK)
        await self._sees_its_provider(ready=False)

    async def _sees_its_provider(self, *, ready: bool) -> None:
        async with self.admin() as admin:

            async def seen() -> bool:
                answer = await admin.call(admin.status.GetStatus, rig.status_request())
                return bool(answer.providers[0].ready == ready)

            await rig.until(seen)

    def log(self) -> str:
        """Returns everything the service printed so far."""
        return self.processes.log_file(stack.PAYMENTS).read_text()


class Services:
    """Starts services when they are first asked for, and stops all at the end.

    Args:
        folder: For their files.
        new_url: Makes a database for a dialect.
        bank: The provider they share.
    """

    def __init__(
        self, folder: pathlib.Path, new_url: Callable[[str], str], bank: stack.Stack
    ) -> None:
        self._folder = folder
        self._new_url = new_url
        self._bank = bank
        self._running: dict[tuple[str, str], Service] = {}
        self._stop = contextlib.ExitStack()

    def get(self, kind: str, dialect: str) -> Service:
        """Returns a running service: `steady`, `hasty`, or `fragile` with its own provider."""
        if (kind, dialect) not in self._running:
            wanted = ("fragile",) if kind == "fragile" else ("steady", "hasty")
            made = [self._make(name, dialect) for name in wanted]
            for service in made:
                self._stop.callback(service.processes.stop)
                self._stop.callback(service.records.close)
            with concurrent.futures.ThreadPoolExecutor() as pool:
                list(pool.map(lambda service: service.processes.start(), made))
            for service in made:
                service.knows_its_provider()
            self._running |= {(name, dialect): s for name, s in zip(wanted, made, strict=True)}
        return self._running[kind, dialect]

    def stop(self) -> None:
        """Stops them all."""
        self._stop.close()

    def _make(self, kind: str, dialect: str) -> Service:
        folder = self._folder / f"{kind}-{dialect}"
        url = self._new_url(dialect)
        env = dict(RESOLVER) | (_HASTY if kind != "steady" else {})
        names: tuple[str, ...] = (stack.PAYMENTS,)
        bank = self._bank
        if kind == "fragile":
            names = (stack.PAYMENTS, stack.MOCK)
            # Its provider is killed more often than any crash loop would be let run.
            env["PAYMENT_SERVICE_PLUGIN_CRASHES_MAX"] = "0"
            env |= _UNHURRIED
        else:
            env["PAYMENT_SERVICE_PROVIDERS"] = json.dumps({"mock": bank.target(stack.MOCK)})
        processes = stack.Stack(folder, env=env, databases={stack.PAYMENTS: url}, names=names)
        own = folder if kind == "fragile" else bank.var
        return Service(processes, url, own / "mock_ledger.db")


@pytest.fixture(scope="session")
def bank(tmp_path_factory: pytest.TempPathFactory) -> Iterator[stack.Stack]:
    """The simulated provider that the services share."""
    env = {"PROVIDER_MOCK_SETTLE_AFTER_S": "0.3", "PROVIDER_MOCK_LOG_LEVEL": "debug"}
    with stack.Stack(tmp_path_factory.mktemp("bank"), env=env, names=(stack.MOCK,)) as running:
        yield running


@pytest.fixture(scope=spread.scope)
def services(
    tmp_path_factory: pytest.TempPathFactory, bank: stack.Stack, postgres_url: str
) -> Iterator[Services]:
    """The services that the tests share."""
    folder = tmp_path_factory.mktemp("payments")

    def new_url(dialect: str) -> str:
        name = f"payments_{uuid.uuid4().hex[:12]}"
        if dialect == "sqlite":
            return f"sqlite:///{folder}/{name}.db"
        with psycopg.connect(postgres_url, autocommit=True) as connection:
            connection.execute(f'create database "{name}"')
        return postgres.with_database(postgres_url, name)

    made = Services(folder, new_url, bank)
    yield made
    made.stop()


@pytest.fixture(params=["sqlite", "postgresql"])
def dialect(request: pytest.FixtureRequest) -> str:
    """Each database in turn."""
    name: str = request.param
    return name


@pytest.fixture
def service(services: Services, dialect: str) -> Service:
    """A service that waits long for its provider."""
    return services.get("steady", dialect)


@pytest.fixture
def hasty(services: Services, dialect: str) -> Service:
    """A service whose provider takes 120 ms and gets 1.2 s."""
    return services.get("hasty", dialect)


@pytest.fixture
def fragile(services: Services, dialect: str) -> Service:
    """Like `hasty`, with a provider of its own that may be killed."""
    running = services.get("fragile", dialect)
    assert running.processes.running(stack.PAYMENTS)
    return running


Join = Callable[..., Awaitable[rig.Caller]]


@pytest_asyncio.fixture
async def join() -> AsyncIterator[Join]:
    """Makes callers of a service, each of a tenant that nobody else uses."""
    async with contextlib.AsyncExitStack() as opened:

        async def make(
            service: Service, scopes: tuple[str, ...] = rig.PAY, tenant: str = ""
        ) -> rig.Caller:
            name = tenant or f"t-{uuid.uuid4().hex[:12]}"
            async with service.admin() as admin:
                key = await admin.create_key(name, scopes)
            caller = rig.Caller(service.target, key.secret, name)
            return await opened.enter_async_context(caller)

        yield make


@pytest_asyncio.fixture
async def caller(service: Service, join: Join) -> rig.Caller:
    """A caller of `service`."""
    return await join(service)


@pytest_asyncio.fixture
async def admin(service: Service) -> AsyncIterator[binding_rig.Admin]:
    """Somebody who may change bindings of `service`."""
    async with service.admin() as caller:
        yield binding_rig.Admin(caller)


@pytest_asyncio.fixture
async def bill(database_url: str) -> AsyncIterator[billing.Billing]:
    """A service of its own, in this process, with a provider that bills and keeps methods."""
    async with billing.running(database_url) as running:
        yield running


@pytest_asyncio.fixture
async def hooks(database_url: str) -> AsyncIterator[hooking.Hooks]:
    """A service with a provider that sends webhooks."""
    async with hooking.running(database_url) as running:
        yield running

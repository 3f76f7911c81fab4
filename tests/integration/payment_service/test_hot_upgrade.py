"""Two versions of a provider side by side under load, and one of them goes.

Every process is real: the payment service, two `provider_mock` that register themselves,
and between them one upstream system that remembers what was done.
"""

import asyncio
import contextlib
import pathlib
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
import pytest_asyncio
from payhub.admin.v1 import binding_admin_service_pb2, plugin_admin_service_pb2_grpc
from payhub.admin.v1 import plugin_admin_service_pb2 as pb
from payhub.plugin.v1 import plugin_pb2, plugin_service_pb2

from deploy import stack
from provider_sdk.conformance import upstream
from tests.integration.payment_service import rig
from tests.integration.provider import rig as provider_rig

WHY = "a rehearsal"
OLD, NEW = "1.0.0", "1.1.0"
# New payments while versions change: so many a second, and so many at each step.
RATE_PER_S = 50
PAYMENTS_EACH = 40
# How soon after its end core may still send to a process, and a version that was left retires.
NOTICED_S = 3.0
RETIRED_TIMEOUT_S = 30.0
_SETTINGS = {
    "PAYMENT_SERVICE_PROVIDERS": "{}",
    "PAYMENT_SERVICE_DEFAULT_PROVIDER": "",
    "PAYMENT_SERVICE_AUTO_MIGRATE": "true",
    "PAYMENT_SERVICE_RELAY_ENABLED": "false",
    "PAYMENT_SERVICE_GATEWAY_WAIT_S": "0",
    "PAYMENT_SERVICE_PLUGIN_PROBE_S": "0.3",
    "PAYMENT_SERVICE_PLUGIN_LEASE_S": "3",
    "PAYMENT_SERVICE_PROVIDER_TIMEOUT_S": "3",
    "PAYMENT_SERVICE_PROVIDER_SKEW_S": "0.2",
    "PAYMENT_SERVICE_RESOLVER_IDLE_S": "0.05",
    "PAYMENT_SERVICE_RESOLVER_DOUBT_FIRST_S": "0.1",
    "PAYMENT_SERVICE_RESOLVER_LONGEST_S": "0.5",
    "PAYMENT_SERVICE_UPGRADE_STAND_BY_S": "2",
}


@dataclass(slots=True, kw_only=True)
class Installation:
    """A payment service, the bank behind its provider, and the versions that run."""

    processes: stack.Stack
    bank: upstream.Upstream
    folder: pathlib.Path
    admin: rig.Caller
    module: str = "provider_mock"
    running: dict[str, provider_rig.MockProcess] = field(default_factory=dict)
    # What each version printed, also after its end.
    logs: dict[str, pathlib.Path] = field(default_factory=dict)
    # Between which moments the last one that was ended did so.
    ending_s: tuple[float, float] = (0.0, 0.0)

    async def call(self, name: str, **fields: Any) -> Any:
        """Calls an RPC of PluginAdminService about the provider, as often as core itself
        changes it at the same moment.
        """
        stub: Any = plugin_admin_service_pb2_grpc.PluginAdminServiceStub(self.admin.channel)
        kind = getattr(pb, f"{name}Request")
        if "reason" in kind.DESCRIPTOR.fields_by_name:
            fields["reason"] = WHY
        if "plugin_id" in kind.DESCRIPTOR.fields_by_name:
            fields["plugin_id"] = "mock"
        while True:
            try:
                return await self.admin.call(getattr(stub, name), kind(**fields))
            except rig.Refused as refused:
                if refused.reason != "STALE_GENERATION":
                    raise

    async def deploy(self, version: str) -> None:
        """Starts a process in a version, which registers itself; returns once it is ready."""
        env = {
            "PROVIDER_MOCK_VERSION": version,
            "PROVIDER_MOCK_UPSTREAM_URL": self.bank.url,
            # So long is doubted what a version that was killed may have sent.
            "PROVIDER_MOCK_UPSTREAM_REQUEST_MAX_S": "3",
            # While it refuses with nothing done, core goes elsewhere.
            "PROVIDER_MOCK_DRAIN_DELAY_S": "0.5",
            "PLUGIN_CORE_ENDPOINT": self.processes.target(stack.PAYMENTS),
            "PLUGIN_KEY_FILE": str(self.processes.plugin_key_file),
        }
        started = await asyncio.to_thread(provider_rig.MockProcess, self.folder, env, self.module)
        self.running[version] = started
        self.logs[version] = started.log

        async def ready() -> bool:
            told = await self.call("GetPluginHealth")
            return any(each.version == version and each.ready for each in told.instances)

        await rig.until(ready)

    async def end(self, version: str, number: signal.Signals) -> None:
        """Sends a signal to the process of a version and waits for its end."""
        process = self.running.pop(version)
        began_s = time.monotonic()
        process.process.send_signal(number)
        await asyncio.to_thread(process.wait)
        self.ending_s = (began_s, time.monotonic())

    async def plugin(self) -> plugin_pb2.Plugin:
        """Returns the provider as it stands."""
        found: plugin_pb2.Plugin = (await self.call("GetPlugin")).plugin
        return found

    async def both_take_part(self) -> bool:
        """Returns whether each version has taken a payment."""
        return all(".AuthorizePayment" in self.logs[one].read_text() for one in (OLD, NEW))

    def booked(self, operation_id: str) -> list[str]:
        """Returns the kinds of effects of an operation at the bank; [] if it never arrived."""
        # Not `effects(operation_id)`: where no key holds the id, that returns everybody's.
        return [str(each.kind) for each in self.bank.effects() if operation_id in each.key]


@pytest_asyncio.fixture
async def installed(
    request: pytest.FixtureRequest, tmp_path: pathlib.Path
) -> AsyncIterator[Installation]:
    """An installation whose provider runs in its old version and is enabled; `<database> unsure`
    if that is to be `unsure`.
    """
    database, _, kind = request.param.partition(" ")
    module = f"tests.integration.payment_service.{kind}" if kind else "provider_mock"
    urls = {}
    if database == "postgresql":
        new_url: Callable[[], str] = request.getfixturevalue("new_postgres_database")
        urls[stack.PAYMENTS] = new_url()
    processes = stack.Stack(tmp_path, env=_SETTINGS, databases=urls, names=(stack.PAYMENTS,))
    bank = upstream.Upstream()
    async with contextlib.AsyncExitStack() as closing:
        await bank.start()
        closing.push_async_callback(bank.close)
        closing.callback(processes.stop)
        await asyncio.to_thread(processes.start)
        admin = await closing.enter_async_context(
            rig.Caller(processes.target(stack.PAYMENTS), processes.dev_key())
        )
        made = Installation(
            processes=processes, bank=bank, folder=tmp_path, admin=admin, module=module
        )

        def kill() -> None:
            for each in made.running.values():
                each.kill()

        closing.callback(kill)
        entry = plugin_pb2.PluginAllowance(
            plugin_id="mock",
            kind=plugin_service_pb2.PLUGIN_KIND_PROVIDER,
            endpoint_pattern=r"127\.0\.0\.1:[0-9]+",
            version_specifier=">=1,<2",
        )
        await made.call("AllowPlugin", allowance=entry)
        await made.deploy(OLD)
        shared = binding_admin_service_pb2.CreateBindingRequest(
            tenant_id="*", plugin_id="mock", config_json="{}", reason=WHY
        )
        await admin.call(admin.bindings.CreateBinding, shared)
        await made.call("InitializePlugin")
        await made.call("EnablePlugin")
        yield made


@dataclass(frozen=True, slots=True, kw_only=True)
class Paid:
    """A payment as it was answered, and between which moments that was."""

    payment: rig.Payment
    began_s: float
    ended_s: float


class Load:
    """New payments at a steady rate, each in its own call.

    Args:
        caller: Who pays.
    """

    def __init__(self, caller: rig.Caller) -> None:
        self._caller = caller
        self._tasks: list[asyncio.Task[Paid]] = []
        self._over = False

    async def run(self) -> list[Paid]:
        """Makes payments until `end`; a call that fails fails this."""
        begin_s = time.monotonic()
        while not self._over:
            number = len(self._tasks)
            await asyncio.sleep(max(begin_s + number / RATE_PER_S - time.monotonic(), 0.0))
            self._tasks.append(asyncio.create_task(self._pay(100 + number)))
        return list(await asyncio.gather(*self._tasks))

    async def _pay(self, amount_minor: int) -> Paid:
        began_s = time.monotonic()
        payment = await self._caller.create(amount_minor=amount_minor, provider="mock")
        return Paid(payment=payment, began_s=began_s, ended_s=time.monotonic())

    def end(self) -> None:
        """Makes no more."""
        self._over = True

    async def goes_on(self) -> None:
        """Returns once PAYMENTS_EACH more payments were begun."""
        wanted = len(self._tasks) + PAYMENTS_EACH

        async def there() -> bool:
            return len(self._tasks) >= wanted

        await rig.until(there)


async def switch(made: Installation, first: str, number: signal.Signals) -> list[Paid]:
    """Upgrades while payments are made, and ends *first* before anything else goes."""
    load = Load(made.admin)
    paying = asyncio.create_task(load.run())
    await load.goes_on()
    await made.deploy(NEW)
    await made.call("StartUpgrade", version=NEW, percent=30)
    await load.goes_on()
    await rig.until(made.both_take_part)
    if first == NEW:
        # The trial fails: everything goes back to the old one.
        await made.end(NEW, number)
        await load.goes_on()
        await made.call("RollBackUpgrade", version=NEW)
    else:
        await made.call("PromoteUpgrade")
        await load.goes_on()
        await made.end(OLD, number)
    await load.goes_on()
    load.end()
    paid = await paying
    assert len(paid) >= 4 * PAYMENTS_EACH
    return paid


@pytest.mark.parametrize("installed", ["sqlite"], indirect=True)
@pytest.mark.parametrize("first", [OLD, NEW], ids=["old first", "new first"])
async def test_no_call_fails_while_versions_change(installed: Installation, first: str) -> None:
    """At least 160 payments at 50 a second, while a version comes, is tried and promoted or rolled
    back, and the one that is left is ended: every one of them succeeds, once.
    """
    paid = [each.payment for each in await switch(installed, first, signal.SIGTERM)]
    assert Counter(map(rig.state, paid)) == {"SUCCEEDED": len(paid)}
    for payment in paid:
        assert installed.booked(payment.operations[0].id) == ["sale"]
    plugin = await installed.plugin()
    assert plugin.current_version == (NEW if first == OLD else OLD)
    assert not plugin.canary_version


@pytest.mark.parametrize("installed", ["postgresql"], indirect=True)
@pytest.mark.parametrize("first", [OLD, NEW], ids=["old first", "new first"])
async def test_a_version_that_is_killed_loses_no_payment(
    installed: Installation, first: str
) -> None:
    """SIGKILL instead: no call fails; what was under way is in doubt, and ends as the bank
    says it did, with one effect at most.
    """
    paid = await switch(installed, first, signal.SIGKILL)
    doubts = [each for each in paid if rig.state(each.payment) != "SUCCEEDED"]
    assert {rig.state(each.payment) for each in doubts} <= {"IN_DOUBT"}
    killed_s, gone_s = installed.ending_s
    for doubt in doubts:
        assert doubt.ended_s > killed_s, "it was under way"
        assert doubt.began_s < gone_s + NOTICED_S, "it was under way"
    for each in paid:
        ended = await installed.admin.becomes_known(each.payment.id)
        expected = ["sale"] if rig.state(ended) == "SUCCEEDED" else []
        assert installed.booked(ended.operations[0].id) == expected
        assert not ended.failure.reason or ended.failure.reason == "NEVER_ARRIVED"


@pytest.mark.parametrize("installed", ["postgresql"], indirect=True)
async def test_what_one_version_captured_another_one_refunds(installed: Installation) -> None:
    """The state of a payment is upstream: any version serves what came before it."""
    held = await installed.admin.create(manual=True, provider="mock")
    sold = await installed.admin.create(provider="mock")
    held = await installed.admin.capture(held.id)
    open_ = await installed.admin.create(manual=True, provider="mock")
    await installed.deploy(NEW)
    await installed.call("StartUpgrade", version=NEW, percent=100)
    await installed.call("PromoteUpgrade")
    await installed.end(OLD, signal.SIGTERM)
    for payment in (held, sold):
        refund = await installed.admin.refund(payment.id, 400)
        assert rig.state(refund) == "SUCCEEDED"
    assert rig.state(await installed.admin.cancel(open_.id)) == "CANCELED"


@pytest.mark.parametrize("installed", ["sqlite"], indirect=True)
async def test_a_version_that_was_left_stands_by_and_is_then_retired(
    installed: Installation,
) -> None:
    """It may be gone back to for a while; then it drains, says good-bye and exits."""
    await installed.deploy(NEW)
    await installed.call("StartUpgrade", version=NEW, percent=10)
    await installed.call("PromoteUpgrade")
    plugin = await installed.plugin()
    assert (plugin.current_version, plugin.previous_version) == (NEW, OLD)
    await installed.call("RollBackUpgrade", version=NEW)
    assert (await installed.plugin()).current_version == OLD
    # Said again, it changes nothing.
    await installed.call("RollBackUpgrade", version=NEW)
    assert rig.state(await installed.admin.create(provider="mock")) == "SUCCEEDED"

    await installed.call("StartUpgrade", version=NEW, percent=10)
    await installed.call("PromoteUpgrade")
    process = installed.running.pop(OLD)
    # It is swept up with others that are over, hears of it with its lease, and drains.
    assert await asyncio.to_thread(process.process.wait, RETIRED_TIMEOUT_S) == 0
    await asyncio.to_thread(process.wait)
    assert (await installed.plugin()).previous_version == ""
    refused = await rig.refusal(installed.call("RollBackUpgrade", version=NEW))
    assert (refused.reason, refused.metadata["problem"]) == ("UPGRADE_REFUSED", "not_started")
    assert rig.state(await installed.admin.create(provider="mock")) == "SUCCEEDED"


@pytest.mark.parametrize("installed", ["sqlite unsure", "postgresql unsure"], indirect=True)
async def test_a_doubt_is_sent_again_to_the_version_that_had_it(installed: Installation) -> None:
    """Also when another one takes what is new, and would charge the payer once more: these two
    derive other keys.
    """
    await installed.deploy(NEW)
    await installed.call("StartUpgrade", version=NEW, percent=100)
    installed.bank.close_after_reading(acts=True)
    doubt = await installed.admin.create(provider="mock")
    assert rig.state(doubt) == "IN_DOUBT"
    await installed.call("RollBackUpgrade", version=NEW)
    installed.bank.lift()
    ended = await installed.admin.becomes_known(doubt.id)
    assert rig.state(ended) == "SUCCEEDED"
    (operation,) = ended.operations
    assert installed.booked(operation.id) == ["sale"]
    paid = await installed.admin.create(provider="mock")
    keys = [each.key for each in installed.bank.effects()]
    assert keys == [f"{NEW}/{operation.id}", f"{OLD}/{paid.operations[0].id}"]

"""An installation whose processes believe only whom their authority certifies."""

import asyncio
import os
import pathlib
import subprocess
import sys
from collections.abc import Iterator

import pytest
from payhub.plugin.v1 import plugin_pb2, plugin_service_pb2

import payhub_client
from deploy import stack
from payhub_client import Payment, errors
from tests import certificates, polling, postgres, starting
from tests.e2e import databases, installation

pytestmark = pytest.mark.timeout(120)

TIMEOUT_S = 60.0


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A folder with a certificate, which is its own authority, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    certificates.certify(folder)
    return folder


@pytest.fixture(scope="module")
def running(files: pathlib.Path) -> Iterator[stack.Stack]:
    """Runs an installation in which everybody asks everybody for a certificate."""
    with stack.Stack(files / "var", env=everywhere(files, *stack.NAMES)) as made:
        yield made


def everywhere(files: pathlib.Path, *names: str) -> dict[str, str]:
    """Returns settings by which processes ask everybody for a certificate."""
    held = {"CERT": "ca.pem", "KEY": "key.pem", "CA": "ca.pem", "CLIENT_CA": "ca.pem"}
    return {
        f"{name.upper()}_TLS_{what}_PATH": str(files / file)
        for name in names
        for what, file in held.items()
    }


def certified(running: stack.Stack, files: pathlib.Path, gateway: str = "") -> payhub_client.Client:
    """Returns a caller who is certified as everybody else is, at *gateway* if one is named."""
    held = payhub_client.TlsFiles(ca=files / "ca.pem", cert=files / "ca.pem", key=files / "key.pem")
    return payhub_client.Client(
        running.target(stack.PAYMENTS),
        key=running.dev_key(),
        events_target=gateway or running.target(stack.GATEWAY),
        credentials=held,
    )


async def pay(client: payhub_client.Client, provider: str = "", method: str = "tok_approve") -> str:
    """Makes a payment that succeeds, once its provider is connected; returns its id."""

    async def paid() -> str:
        payment = await client.payments.create(
            amount_minor=1250, currency="EUR", payment_method=method, provider=provider
        )
        return payment.id if payment.state == Payment.STATE_SUCCEEDED else ""

    return str(await polling.until(paid))


async def told(client: payhub_client.Client, payment_id: str) -> None:
    """Waits until a subscriber is told that a payment has succeeded."""
    async with client.events.subscribe(start="oldest") as stream:
        async for delivery in stream:
            event = delivery.event
            if (event.type, event.entity_id) == ("payment.succeeded", payment_id):
                return


async def test_a_payment_and_its_event_pass_encrypted_and_nothing_in_clear(
    running: stack.Stack, files: pathlib.Path
) -> None:
    """With certificates asked for on both sides of every call a payment is made, a subscriber
    and payctl learn of it, and who has no certificate is not answered.
    """
    async with asyncio.timeout(TIMEOUT_S), certified(running, files) as client:
        payment_id = await pay(client)
        await told(client, payment_id)
        async with payhub_client.Client(
            running.target(stack.PAYMENTS), key=running.dev_key(), connect_timeout_s=1.0
        ) as plain:
            with pytest.raises(errors.Unavailable, match="was not reached"):
                await plain.payments.get(payment_id)
    shown = await asyncio.to_thread(payctl, running, files, "show", payment_id)
    assert "SUCCEEDED" in shown
    assert payment_id in await audited(running, files)


async def test_payments_go_on_when_the_authority_is_another_one(
    running: stack.Stack, files: pathlib.Path
) -> None:
    """After all files were replaced a process that lives on calls others, and so does a caller,
    though nobody would take what they had at their start.
    """
    async with asyncio.timeout(TIMEOUT_S), certified(running, files) as client:
        await told(client, await pay(client))
        certificates.certify(files)
        for name in (stack.GATEWAY, stack.MOCK):
            await asyncio.to_thread(running.restart, name)
        await told(client, await pay(client))


async def test_a_plugin_registers_itself_and_is_called(
    running: stack.Stack, files: pathlib.Path
) -> None:
    """Core lets in a plugin that calls it, dials back, and takes payments through it."""
    port = stack.free_ports()[stack.MOCK].grpc
    where = f"127.0.0.1:{port}"
    env = {
        **os.environ,
        **everywhere(files, "vouchers"),
        "VOUCHERS_GRPC_PORT": str(port),
        "VOUCHERS_BOOKS": str(files / "vouchers.db"),
        "PLUGIN_CORE_ENDPOINT": running.target(stack.PAYMENTS),
        "PLUGIN_KEY": running.plugin_key_file.read_text().strip(),
    }
    command = [sys.executable, "-m", "examples.simple_provider"]
    async with asyncio.timeout(TIMEOUT_S), certified(running, files) as client:
        await client.plugins.allow(
            plugin_pb2.PluginAllowance(
                plugin_id="vouchers",
                kind=plugin_service_pb2.PLUGIN_KIND_PROVIDER,
                endpoint_pattern=where.replace(".", r"\."),
            ),
            reason="a test",
        )
        process = starting.popen(command, env=env, stdout=subprocess.DEVNULL)
        try:
            await polling.until(lambda: is_registered(client))
            await client.bindings.create("*", "vouchers", config_json="{}", reason="a test")
            await client.plugins.initialize("vouchers", reason="a test")
            await client.plugins.enable("vouchers", reason="a test")
            await pay(client, "vouchers", "voucher_1")
        finally:
            process.terminate()
            await asyncio.to_thread(process.wait, TIMEOUT_S)


async def is_registered(client: payhub_client.Client) -> bool:
    """Tells whether the plugin is."""
    found = await client.plugins.get("vouchers")
    return found.plugin.state == plugin_pb2.Plugin.STATE_REGISTERED


async def test_a_recovery_reads_the_log(running: stack.Stack, files: pathlib.Path) -> None:
    """What is run after a restore calls the gateway, which asks it of keys, as they are served."""
    async with asyncio.timeout(TIMEOUT_S), certified(running, files) as client:
        await told(client, await pay(client))
    await asyncio.to_thread(running.stop_one, stack.PAYMENTS)
    process = starting.popen(
        [sys.executable, "-m", "payment_service", "recover"],
        env=running.environment(stack.PAYMENTS),
        stdout=subprocess.DEVNULL,
    )
    assert await asyncio.to_thread(process.wait, TIMEOUT_S) == 0
    await asyncio.to_thread(running.restart, stack.PAYMENTS)


async def test_a_gateway_passes_members_on_to_its_replica(
    files: pathlib.Path, postgres_url: str, tmp_path: pathlib.Path
) -> None:
    """A member at one replica works for a consumer that the other one runs, each certified."""
    url = postgres.with_database(postgres_url, f"log_{installation.new_name()}")
    databases.remake(url)
    env = {
        **everywhere(files, *stack.NAMES),
        "EVENT_GATEWAY_DATABASE_URL": url,
        "EVENT_GATEWAY_AUTO_MIGRATE": "true",
    }
    async with asyncio.timeout(TIMEOUT_S):
        with stack.Stack(tmp_path / "var", env=env) as first:
            port = stack.free_ports()[stack.GATEWAY].grpc
            process = starting.popen(
                [sys.executable, "-m", "event_gateway"],
                env={
                    **first.environment(stack.GATEWAY),
                    "EVENT_GATEWAY_GRPC_PORT": str(port),
                    "EVENT_GATEWAY_HTTP_PORT": "0",
                },
                stdout=subprocess.DEVNULL,
            )
            try:
                await members_at_both(first, f"127.0.0.1:{port}", files)
            finally:
                process.terminate()
                await asyncio.to_thread(process.wait, TIMEOUT_S)


async def members_at_both(first: stack.Stack, other: str, files: pathlib.Path) -> None:
    """Pays until a member at *other* has worked for a consumer that the first gateway runs."""
    async with certified(first, files) as here, certified(first, files, other) as there:
        await here.consumers.create("ledger", start="oldest")
        async with here.consume("ledger", member="here") as own:
            await pay(here)
            await (await anext(own)).ack()
            async with there.consume("ledger", member="there") as passed_on:
                taking = asyncio.create_task(anext(passed_on))
                while not taking.done():
                    await pay(here)
                await (await taking).ack()


def payctl(running: stack.Stack, files: pathlib.Path, *arguments: str) -> str:
    """Runs a command as a certified operator; returns what it printed."""
    env = {
        **os.environ,
        "PAYHUB_TARGET": running.target(stack.PAYMENTS),
        "PAYHUB_EVENTS_TARGET": running.target(stack.GATEWAY),
        "PAYHUB_KEY": running.dev_key(),
        "PAYHUB_CA_FILE": str(files / "ca.pem"),
        "PAYHUB_CERT_FILE": str(files / "ca.pem"),
        "PAYHUB_CERT_KEY_FILE": str(files / "key.pem"),
    }
    return subprocess.run(
        [sys.executable, "-m", "payctl", *arguments],
        env=env,
        check=True,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
    ).stdout


async def audited(running: stack.Stack, files: pathlib.Path) -> str:
    """Runs the audit log until it has written of a payment that succeeded; returns its lines."""
    env = {
        **os.environ,
        **everywhere(files, "audit_log"),
        "AUDIT_LOG_GRPC_PORT": "0",
        "AUDIT_LOG_HTTP_PORT": "0",
        "AUDIT_LOG_EVENTS_TARGET": running.target(stack.GATEWAY),
        "AUDIT_LOG_KEY": running.dev_key(),
        "AUDIT_LOG_LOG": str(files / "log"),
        "AUDIT_LOG_ANCHOR": str(files / "anchor"),
    }
    command = [sys.executable, "-m", "subscribers.audit_log", "run"]
    process = starting.popen(command, env=env, stdout=subprocess.DEVNULL)
    log = files / "log"
    try:
        await polling.until(lambda: log.exists() and "payment.succeeded" in log.read_text())
    finally:
        process.terminate()
        await asyncio.to_thread(process.wait, TIMEOUT_S)
    return log.read_text()

"""An installation whose processes believe only whom their authority certifies."""

import asyncio
import os
import pathlib
import subprocess
import sys

import grpc
import pytest

import payhub_client
from deploy import stack
from payhub_client import Payment, errors
from tests import certificates, polling, starting

pytestmark = pytest.mark.timeout(120)

TIMEOUT_S = 60.0


@pytest.fixture
def files(tmp_path: pathlib.Path) -> pathlib.Path:
    """A folder with a certificate, which is its own authority, and its key."""
    certificates.certify(tmp_path)
    return tmp_path


def everywhere(files: pathlib.Path) -> dict[str, str]:
    """Returns settings by which every process asks everybody for a certificate."""
    held = {"CERT": "ca.pem", "KEY": "key.pem", "CA": "ca.pem", "CLIENT_CA": "ca.pem"}
    return {
        f"{name.upper()}_TLS_{what}_PATH": str(files / file)
        for name in (*stack.NAMES, "audit_log")
        for what, file in held.items()
    }


def credentials(files: pathlib.Path) -> grpc.ChannelCredentials:
    """Returns what a certified caller connects with."""
    trusted = (files / "ca.pem").read_bytes()
    return grpc.ssl_channel_credentials(trusted, (files / "key.pem").read_bytes(), trusted)


async def test_a_payment_and_its_event_pass_encrypted_and_nothing_in_clear(
    files: pathlib.Path,
) -> None:
    """With certificates asked for on both sides of every call a payment is made, a subscriber
    and payctl learn of it, and who has no certificate is not answered.
    """
    with stack.Stack(files / "var", env=everywhere(files)) as running:
        payments, events = running.target(stack.PAYMENTS), running.target(stack.GATEWAY)
        key = running.dev_key()
        async with (
            asyncio.timeout(TIMEOUT_S),
            payhub_client.Client(
                payments, key=key, events_target=events, credentials=credentials(files)
            ) as client,
        ):
            payment = await client.payments.create(
                amount_minor=1250, currency="EUR", payment_method="tok_approve"
            )
            assert payment.state == Payment.STATE_SUCCEEDED
            async with client.events.subscribe(start="oldest") as stream:
                async for delivery in stream:
                    if delivery.event.type == "payment.succeeded":
                        break
            assert delivery.event.entity_id == payment.id
            async with payhub_client.Client(payments, key=key, connect_timeout_s=1.0) as plain:
                with pytest.raises(errors.Unavailable, match="was not reached"):
                    await plain.payments.get(payment.id)
        shown = await asyncio.to_thread(payctl, running, files, "show", payment.id)
        assert "SUCCEEDED" in shown
        assert payment.id in await audited(running, files)


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
        **everywhere(files),
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

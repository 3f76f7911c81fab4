"""The mail notifier between a real installation and a real SMTP server."""

import asyncio
import base64
import contextlib
import email
import email.policy
import json
import os
import pathlib
import re
import secrets
import signal
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator
from email.message import EmailMessage
from typing import Any

import pytest
from aiosmtpd import smtp
from payhub.events.v1 import consumer_pb2
from payhub.payments.v1 import plan_service_pb2

import payhub_client
from deploy import stack
from tests.integration.gateway import harness

READY = re.compile(r"email_notifier ready grpc=\S+ http=(\S+)")
DEADLINE_S = 25.0


class Server:
    """An SMTP server: keeps what it accepts, answers as told, and may kill a client."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        self.recipients: list[str] = []
        self.answers: list[str] = []
        self.refused = ""
        self.on_accept: Callable[[], None] | None = None
        self.port = 0

    async def handle_RCPT(  # noqa: D102
        self, server: Any, session: Any, envelope: Any, address: str, options: Any
    ) -> str:
        if address == self.refused:
            return f"550 5.1.1 <{address}> is unknown here"
        if self.answers:
            return self.answers.pop(0)
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: D102
        mail = email.message_from_bytes(envelope.content, policy=email.policy.SMTP)
        assert isinstance(mail, EmailMessage)
        self.mails.append(mail)
        self.recipients += envelope.rcpt_tos
        if self.on_accept is not None:
            self.on_accept()
        return "250 OK"

    def subjects(self, address: str) -> list[str]:
        """Returns the subjects of what came for *address*, sorted."""
        pairs = zip(self.recipients, self.mails, strict=True)
        return sorted(str(mail["Subject"]) for to, mail in pairs if to == address)


@contextlib.asynccontextmanager
async def _serving() -> AsyncIterator[Server]:
    made = Server()
    loop = asyncio.get_running_loop()
    listener = await loop.create_server(
        lambda: smtp.SMTP(made, hostname="mx.test", loop=loop), "127.0.0.1", 0
    )
    made.port = listener.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        listener.close()


class Notifier:
    """`python -m subscribers.email_notifier` as a process.

    Args:
        running: What it listens to.
        consumer: Its name there.
        port: Of the SMTP server.
    """

    def __init__(self, running: stack.Stack, consumer: str, port: int) -> None:
        self._env = {
            "EMAIL_NOTIFIER_HTTP_PORT": "0",
            "EMAIL_NOTIFIER_PAYMENTS_TARGET": running.target(stack.PAYMENTS),
            "EMAIL_NOTIFIER_EVENTS_TARGET": running.target(stack.GATEWAY),
            "EMAIL_NOTIFIER_KEY_FILE": str(running.dev_key_file),
            "EMAIL_NOTIFIER_CONSUMER": consumer,
            "EMAIL_NOTIFIER_RETRY_BACKOFF_S": "[0.2]",
            "EMAIL_NOTIFIER_SMTP_HOST": "127.0.0.1",
            "EMAIL_NOTIFIER_SMTP_PORT": str(port),
            "EMAIL_NOTIFIER_SMTP_TLS": "none",
            "EMAIL_NOTIFIER_FROM_ADDRESS": "billing@shop.test",
        }
        self._log = tempfile.NamedTemporaryFile("r", suffix=".log")  # noqa: SIM115
        self._process: subprocess.Popen[str] | None = None
        self._http = ""

    def _spawn(self) -> "subprocess.Popen[str]":
        with pathlib.Path(self._log.name).open("a") as stderr:
            return subprocess.Popen(
                [sys.executable, "-m", "subscribers.email_notifier"],
                env={**os.environ, **self._env},
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
            )

    async def start(self) -> None:
        """Starts it and waits until its consumer is joined."""
        self._process = await asyncio.to_thread(self._spawn)
        assert self._process.stdout is not None
        line = await asyncio.to_thread(self._process.stdout.readline)
        found = READY.match(line)
        assert found is not None, line + self.log()
        self._http = found[1]
        await harness.until(self._ready, DEADLINE_S)

    async def get(self, path: str) -> str:
        """Returns what its HTTP server answers; raises OSError for an error."""

        def ask() -> str:
            with urllib.request.urlopen(f"http://{self._http}{path}", timeout=5) as answer:
                return str(answer.read().decode())

        return await asyncio.to_thread(ask)

    async def _ready(self) -> bool:
        try:
            return bool(await self.get("/readyz"))
        except OSError:
            return False

    def log(self) -> str:
        """Returns everything it has written to stderr."""
        return pathlib.Path(self._log.name).read_text()

    def kill(self) -> None:
        """Sends SIGKILL to the process."""
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGKILL)

    async def ended(self) -> int:
        """Waits for the end; returns the exit status."""
        assert self._process is not None
        status = await asyncio.to_thread(self._process.wait, DEADLINE_S)
        assert self._process.stdout is not None
        self._process.stdout.close()
        return status

    async def stop(self) -> int:
        """Asks it to end; returns the exit status."""
        assert self._process is not None
        self._process.terminate()
        return await self.ended()


@contextlib.asynccontextmanager
async def _notifying(running: stack.Stack, name: str, port: int) -> AsyncIterator[Notifier]:
    made = Notifier(running, name, port)
    await made.start()
    try:
        yield made
        assert await made.stop() == 0, made.log()
    finally:
        if made._process is not None and made._process.poll() is None:
            made.kill()
            await made.ended()
        made._log.close()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[stack.Stack]:
    """One installation with webhooks of its provider."""
    ports = stack.free_ports()
    secret = base64.b64encode(secrets.token_bytes(24)).decode()
    env = {
        "PAYMENT_SERVICE_PROVIDER_SECRETS": json.dumps(
            {"mock": {"webhook_secret": f"whsec_{secret}"}}
        ),
        "PROVIDER_MOCK_WEBHOOK_URL": (
            f"http://127.0.0.1:{ports[stack.PAYMENTS].http}/webhooks/mock/{{binding_id}}"
        ),
        "PROVIDER_MOCK_WEBHOOK_RETRY_S": "0.2,0.5,1,2",
    }
    with stack.Stack(tmp_path_factory.mktemp("mails"), ports=ports, env=env) as made:
        yield made


@pytest.fixture
async def client(running: stack.Stack) -> AsyncIterator[payhub_client.Client]:
    """A client of the installation."""
    async with payhub_client.Client(
        running.target(stack.PAYMENTS),
        key=running.dev_key(),
        events_target=running.target(stack.GATEWAY),
    ) as made:
        yield made


async def _pay(client: payhub_client.Client, customer_id: str, token: str = "tok_approve") -> None:
    await client.payments.create(
        amount_minor=1250, currency="EUR", payment_method=token, customer_id=customer_id
    )


async def _settled(client: payhub_client.Client, consumer: str) -> None:
    async def empty() -> bool:
        return not (await client.consumers.get(consumer)).status.backlog

    await harness.until(empty, DEADLINE_S)


@pytest.mark.timeout(120)
async def test_each_fact_is_mailed_once_to_whom_it_concerns(
    running: stack.Stack, client: payhub_client.Client
) -> None:
    """Receipt, notice, welcome and invoice arrive once at the address of now; who has no address
    is counted; SIGTERM ends it in good order, and no log line shows an address.
    """
    async with _serving() as server, _notifying(running, "each", server.port) as notifier:
        ada = await client.customers.create(name="Ada <b>L</b>", email="old@x.test")
        await client.customers.update(ada.id, email="ada@x.test")
        nobody = await client.customers.create(name="Nobody")
        await _pay(client, ada.id)
        await _pay(client, ada.id, "tok_decline_insufficient_funds")
        await _pay(client, nobody.id)
        await _pay(client, "")
        await client.payment_methods.attach(ada.id, "tok_approve", set_default=True)
        plan = await client.plans.create(
            name="Small",
            amount_minor=990,
            currency="EUR",
            interval=plan_service_pb2.Plan.INTERVAL_MONTH,
        )
        await client.subscriptions.create(ada.id, plan.id)
        wanted = ["Invoice", "Receipt for 12.50 EUR", "Welcome", "Your payment of 12.50 EUR"]

        def arrived() -> bool:
            subjects = server.subjects("ada@x.test")
            return all(any(one.startswith(start) for one in subjects) for start in wanted)

        await harness.until(arrived, DEADLINE_S)
        await _settled(client, "each")
        subjects = server.subjects("ada@x.test")
        assert len([one for one in subjects if one == "Receipt for 12.50 EUR"]) == 1
        assert set(server.recipients) == {"ada@x.test"}
        ids = [mail["Message-ID"] for mail in server.mails]
        assert len(ids) == len(set(ids))
        skipped = 'mails_total{outcome="skipped",type="payment.succeeded"} 2.0'

        async def counted() -> bool:
            return skipped in await notifier.get("/metrics")

        await harness.until(counted, DEADLINE_S)
        assert "x.test" not in notifier.log()
        assert "Ada" not in notifier.log()


@pytest.mark.timeout(120)
async def test_a_server_that_says_later_or_never_is_believed(
    running: stack.Stack, client: payhub_client.Client
) -> None:
    """After 451 the mail is sent again and arrives once; after 550 it is parked with the code and
    without the address, and the next mail still goes out.
    """
    async with _serving() as server, _notifying(running, "later", server.port) as notifier:
        server.answers, server.refused = ["451 4.7.1 greylisted"], "gone@x.test"
        customer = await client.customers.create(email="late@x.test")
        await _pay(client, customer.id)
        await harness.until(lambda: bool(server.mails), DEADLINE_S)
        gone = await client.customers.create(email="gone@x.test")
        await _pay(client, gone.id)
        parked: list[consumer_pb2.ParkedEvent] = []

        async def set_aside() -> bool:
            parked[:] = [each async for each in client.consumers.parked("later")]
            return bool(parked)

        await harness.until(set_aside, DEADLINE_S)
        assert [each.reason for each in parked] == ["recipient refused: SMTP 550 5.1.1"]
        await _pay(client, customer.id)
        await harness.until(lambda: len(server.mails) == 2, DEADLINE_S)
        await _settled(client, "later")
        assert server.recipients == ["late@x.test", "late@x.test"]
        assert 'outcome="rejected",type="payment.succeeded"} 1.0' in await notifier.get("/metrics")
        assert "x.test" not in notifier.log()


@pytest.mark.timeout(120)
async def test_a_crash_after_sending_repeats_the_same_message_id(
    running: stack.Stack, client: payhub_client.Client
) -> None:
    """Killed when the server has the mail and the gateway no ACK, the restarted process sends one
    second copy, which bears the Message-ID of the first, and no third.
    """
    async with _serving() as server, _notifying(running, "crash", server.port) as notifier:
        server.on_accept = notifier.kill
        customer = await client.customers.create(email="twice@x.test")
        await _pay(client, customer.id)
        assert await notifier.ended() == -signal.SIGKILL
        assert len(server.mails) == 1
        server.on_accept = None
        await notifier.start()
        await harness.until(lambda: len(server.mails) == 2, DEADLINE_S)
        await _settled(client, "crash")
        first, second = server.mails
        assert first["Message-ID"] == second["Message-ID"]
        assert first["Subject"] == second["Subject"] == "Receipt for 12.50 EUR"

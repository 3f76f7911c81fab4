"""A real SMTP server and the mail notifier as a process.

Owns both, and certificates for the server. Called by the tests of this folder. Never reaches into
the notifier.
"""

import asyncio
import contextlib
import email
import email.policy
import os
import pathlib
import re
import secrets
import signal
import ssl
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import AsyncIterator, Callable, Mapping
from email.message import EmailMessage
from typing import Any

from aiosmtpd import smtp

from deploy import stack
from tests import starting
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
        self.logins: list[tuple[str, bool, bool]] = []
        self.password = secrets.token_hex(8)
        self.port = 0

    def authenticate(
        self, server: Any, session: Any, envelope: Any, mechanism: str, given: Any
    ) -> smtp.AuthResult:
        """Notes who logged in, whether encrypted and with the one password, which it takes."""
        encrypted = server.transport.get_extra_info("ssl_object") is not None
        good = given.password.decode() == self.password
        self.logins.append((given.login.decode(), encrypted, good))
        return smtp.AuthResult(success=good, handled=False, auth_data=given)

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
async def serving(
    made: Server, *, tls: ssl.SSLContext | None = None, **options: Any
) -> AsyncIterator[Server]:
    """Listens, encrypted from the beginning if *tls* says so; *options* are those of aiosmtpd."""
    loop = asyncio.get_running_loop()
    listener = await loop.create_server(
        lambda: smtp.SMTP(made, hostname="mx.test", loop=loop, **options), "127.0.0.1", 0, ssl=tls
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
        env: More of its environment.
    """

    def __init__(
        self, running: stack.Stack, consumer: str, port: int, env: Mapping[str, str]
    ) -> None:
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
            **env,
        }
        self._log = tempfile.NamedTemporaryFile("r", suffix=".log")  # noqa: SIM115
        self._process: subprocess.Popen[str] | None = None
        self._http = ""

    def _spawn(self) -> "subprocess.Popen[str]":
        with pathlib.Path(self._log.name).open("a") as stderr:
            made: subprocess.Popen[str] = starting.popen(
                [sys.executable, "-m", "subscribers.email_notifier"],
                env={**os.environ, **self._env},
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
            )
        return made

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
            try:
                with urllib.request.urlopen(f"http://{self._http}{path}", timeout=20) as answer:
                    return str(answer.read().decode())
            except urllib.error.HTTPError as refused:
                refused.close()
                raise

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
async def notifying(
    running: stack.Stack, name: str, port: int, **env: str
) -> AsyncIterator[Notifier]:
    """Runs a notifier that ends in good order; *env* adds to its settings."""
    made = Notifier(running, name, port, env)
    await made.start()
    try:
        yield made
        assert await made.stop() == 0, made.log()
    finally:
        if made._process is not None and made._process.poll() is None:
            made.kill()
            await made.ended()
        made._log.close()

"""The mail notifier between a real installation and a real SMTP server."""

import dataclasses
import pathlib
import signal
from collections.abc import AsyncIterator, Iterator
from email import message
from typing import Any

import pytest
from payhub.events.v1 import consumer_pb2
from payhub.payments.v1 import plan_service_pb2

import payhub_client
from deploy import stack
from subscribers.email_notifier import smtp
from tests import certificates
from tests.integration.email_notifier import mailing
from tests.integration.gateway import harness


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[stack.Stack]:
    """One installation with webhooks of its provider."""
    ports = stack.free_ports()
    env = stack.mock_webhooks(ports) | {"PROVIDER_MOCK_WEBHOOK_RETRY_S": "0.2,0.5,1,2"}
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

    await harness.until(empty, mailing.DEADLINE_S)


@pytest.mark.timeout(120)
async def test_each_fact_is_mailed_once_to_whom_it_concerns(
    running: stack.Stack, client: payhub_client.Client
) -> None:
    """Receipt, notice, welcome and invoice arrive once at the address of now; who has no address
    is counted; SIGTERM ends it in good order, and no log line shows an address.
    """
    async with (
        mailing.serving(mailing.Server()) as server,
        mailing.notifying(running, "each", server.port) as notifier,
    ):
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
        wanted = [
            "Invoice",
            "Receipt for 9.90 EUR",
            "Receipt for 12.50 EUR",
            "Welcome",
            "Your payment of 12.50 EUR",
        ]

        def arrived() -> bool:
            subjects = server.subjects("ada@x.test")
            return all(any(one.startswith(start) for one in subjects) for start in wanted)

        await harness.until(arrived, mailing.DEADLINE_S)
        await _settled(client, "each")
        subjects = server.subjects("ada@x.test")
        assert len([one for one in subjects if one == "Receipt for 12.50 EUR"]) == 1
        assert set(server.recipients) == {"ada@x.test"}
        ids = [mail["Message-ID"] for mail in server.mails]
        assert len(ids) == len(set(ids))
        skipped = 'mails_total{outcome="skipped",type="payment.succeeded"} 2.0'

        async def counted() -> bool:
            return skipped in await notifier.get("/metrics")

        await harness.until(counted, mailing.DEADLINE_S)
        assert "x.test" not in notifier.log()
        assert "Ada" not in notifier.log()


@pytest.mark.timeout(120)
async def test_a_server_that_says_later_or_never_is_believed(
    running: stack.Stack, client: payhub_client.Client
) -> None:
    """After 451 the mail is sent again and arrives once; after 550 it is parked with the code and
    without the address, and the next mail still goes out.
    """
    async with (
        mailing.serving(mailing.Server()) as server,
        mailing.notifying(running, "later", server.port) as notifier,
    ):
        server.answers, server.refused = ["451 4.7.1 greylisted"], "gone@x.test"
        customer = await client.customers.create(email="late@x.test")
        await _pay(client, customer.id)
        await harness.until(lambda: bool(server.mails), mailing.DEADLINE_S)
        gone = await client.customers.create(email="gone@x.test")
        await _pay(client, gone.id)
        parked: list[consumer_pb2.ParkedEvent] = []

        async def set_aside() -> bool:
            parked[:] = [each async for each in client.consumers.parked("later")]
            return bool(parked)

        await harness.until(set_aside, mailing.DEADLINE_S)
        assert [each.reason for each in parked] == ["recipient refused: SMTP 550 5.1.1"]
        await _pay(client, customer.id)
        await harness.until(lambda: len(server.mails) == 2, mailing.DEADLINE_S)
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
    async with (
        mailing.serving(mailing.Server()) as server,
        mailing.notifying(running, "crash", server.port) as notifier,
    ):
        server.on_accept = notifier.kill
        customer = await client.customers.create(email="twice@x.test")
        await _pay(client, customer.id)
        assert await notifier.ended() == -signal.SIGKILL
        assert len(server.mails) == 1
        server.on_accept = None
        await notifier.start()
        await harness.until(lambda: len(server.mails) == 2, mailing.DEADLINE_S)
        await _settled(client, "crash")
        first, second = server.mails
        assert first["Message-ID"] == second["Message-ID"]
        assert first["Subject"] == second["Subject"] == "Receipt for 12.50 EUR"


@pytest.mark.timeout(120)
async def test_a_consumer_that_was_deleted_ends_it_and_is_made_anew(
    running: stack.Stack, client: payhub_client.Client
) -> None:
    """The process ends with status 1 and one line that says what to do; started again it makes the
    consumer anew and mails about what comes from then on.
    """
    async with (
        mailing.serving(mailing.Server()) as server,
        mailing.notifying(running, "deleted", server.port) as notifier,
    ):
        await client.consumers.delete("deleted")
        assert await notifier.ended() == 1
        assert "no consumer deleted" in notifier.log()
        assert "this process makes it anew" in notifier.log()
        assert "Traceback" not in notifier.log()
        await notifier.start()
        customer = await client.customers.create(email="again@x.test")
        await _pay(client, customer.id)
        await harness.until(lambda: bool(server.mails), mailing.DEADLINE_S)
        await _settled(client, "deleted")


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    ("mode", "problem"), [("starttls", "SSLCertVerificationError"), ("tls", "SMTPConnectError")]
)
async def test_nothing_is_sent_before_server_and_login_are_proved(
    running: stack.Stack,
    client: payhub_client.Client,
    tmp_path: pathlib.Path,
    mode: str,
    problem: str,
) -> None:
    """A server whose certificate is not trusted is given neither password nor mail, one that
    refuses the password no mail; the event waits meanwhile, and is mailed once both are right.
    """
    context, trusted = certificates.certify(tmp_path)
    server, name = mailing.Server(), f"proved-{mode}"
    options: dict[str, Any] = {"authenticator": server.authenticate}
    if mode == "starttls":
        options |= {"tls_context": context, "require_starttls": True, "auth_required": True}
    else:
        # aiosmtpd knows of no encryption but what it began itself.
        options |= {"tls": context, "auth_require_tls": False}
    env = {
        "EMAIL_NOTIFIER_SMTP_TLS": mode,
        "EMAIL_NOTIFIER_SMTP_USERNAME": "shop",
        "EMAIL_NOTIFIER_SMTP_PASSWORD": server.password,
        "EMAIL_NOTIFIER_MAX_DELIVERIES": "1000",
    }
    async with mailing.serving(server, **options):
        async with mailing.notifying(running, name, server.port, **env) as notifier:
            customer = await client.customers.create(email="safe@x.test")
            await _pay(client, customer.id)
            await harness.until(
                lambda: any(
                    "mail not sent yet" in line and problem in line
                    for line in notifier.log().splitlines()
                ),
                mailing.DEADLINE_S,
            )
        assert server.logins == []
        env["SSL_CERT_FILE"] = str(trusted)
        wrong = env | {"EMAIL_NOTIFIER_SMTP_PASSWORD": "another"}
        async with mailing.notifying(running, name, server.port, **wrong) as notifier:
            await harness.until(lambda: "SMTP 535" in notifier.log(), mailing.DEADLINE_S)
            assert "another" not in notifier.log()
        assert set(server.logins) == {("shop", True, False)}
        assert server.mails == []
        async with mailing.notifying(running, name, server.port, **env) as notifier:
            await harness.until(lambda: bool(server.mails), mailing.DEADLINE_S)
            await _settled(client, name)
        assert server.recipients == ["safe@x.test"]
        assert [good for *_, good in server.logins].count(True) == 1
        assert {encrypted for _, encrypted, _ in server.logins} == {True}


async def test_a_server_without_starttls_is_given_nothing() -> None:
    """Where encryption was asked for and the server has none, no mail goes out in clear."""
    async with mailing.serving(mailing.Server()) as server:
        mailer = smtp.Mailer(
            host="127.0.0.1",
            port=server.port,
            tls="starttls",
            username="",
            password="",
            from_address="billing@shop.test",
            timeout_s=mailing.DEADLINE_S,
            send_timeout_s=mailing.DEADLINE_S,
        )
        mail = message.EmailMessage()
        mail.set_content("In clear.")
        with pytest.raises(smtp.TryLater):
            await mailer.send(mail, "safe@x.test")
        plain = dataclasses.replace(mailer, tls="none")
        await plain.send(mail, "plain@x.test")
        assert server.recipients == ["plain@x.test"]

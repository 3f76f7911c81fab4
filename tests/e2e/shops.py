"""Two shops on one installation of real processes, one of each provider.

Owns starting core, both providers and the strict Stripe double, the tenants with their bindings
and webhooks, and what payers, banks and clocks do at either. Called by the tests of payment rows.
Never calls core but as its callers do.
"""

import asyncio
import base64
import contextlib
import dataclasses
import json
import pathlib
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import payhub_client
from deploy import stack
from payhub_client import bindings
from tests import invariants
from tests.integration.payment_service import (
    conftest,
    paying,
    records,
    rig,
    stripe_site,
)
from tests.integration.provider import rig as provider_rig
from tests.stripe_double import running as doubles
from tests.stripe_double import store

SECRETS = {
    "mock": {"webhook_secret": f"whsec_{base64.b64encode(b'of the shop at the bank').decode()}"},
    "stripe": {"api_key": store.DEFAULT_KEY, "webhook_secret": "whsec_of_the_shop"},
}
PROVIDERS = tuple(SECRETS)
SCOPES = (*rig.PAY, "admin")
DAY_S = 86_400
# Within this an entity and its events agree, however many webhooks follow each other.
SETTLED_S = 20.0
# News come by webhook, or these tests would show less.
QUIET = {
    "PAYMENT_SERVICE_RESOLVER_PENDING_FIRST_S": "3600",
    "PAYMENT_SERVICE_RESOLVER_LONGEST_S": "3600",
    "PAYMENT_SERVICE_RESOLVER_IDLE_S": "0.1",
}
# What a payer pays with, by what comes of it.
CARDS = {
    "mock": {
        "good": "tok_approve",
        "refused": "tok_decline_insufficient_funds",
        "asks": "tok_action_required",
        "disputed": "tok_approve+dispute.fraudulent",
    },
    "stripe": {
        "good": "pm_card_visa",
        "refused": "pm_card_visa_chargeDeclinedInsufficientFunds",
        "asks": "pm_card_threeDSecure2Required",
        "disputed": "pm_card_createDispute",
    },
}
# Headers as a provider sends them, with a signature of somebody else.
FORGED = {
    "mock": {"webhook-id": "evt_1", "webhook-signature": f"v1,{'A' * 43}="},
    "stripe": {"stripe-signature": f"t=%(now)s,v1={'0' * 64}"},
}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Town:
    """What runs.

    Attributes:
        processes: Core and the simulated provider.
        double: Address of the strict Stripe double.
        database_url: Of core.
        printed: Log files of all processes.
    """

    processes: stack.Stack
    double: str
    database_url: str
    printed: tuple[pathlib.Path, ...]

    @property
    def core_url(self) -> str:
        """Where webhooks are taken."""
        return self.processes.http_url(stack.PAYMENTS)

    @property
    def bank_url(self) -> str:
        """Where the simulated provider takes orders."""
        return self.processes.http_url(stack.MOCK)

    def check(self) -> None:
        """Fails if books, events or logs break a rule."""
        found = invariants.check(
            payments=self.database_url,
            secrets=[value for slots in SECRETS.values() for value in slots.values()],
            printed=list(self.printed),
        )
        assert not found, "\n".join(found[:20])


@contextlib.contextmanager
def running(folder: pathlib.Path) -> Iterator[Town]:
    """Runs everything on an empty database, without a shop yet."""
    ports = stack.free_ports()
    with contextlib.ExitStack() as cleanup:
        double = cleanup.enter_context(stripe_site.double(folder))
        sidecar = provider_rig.Sidecar(
            "provider_stripe", folder, {"PROVIDER_STRIPE_API_BASE": double}
        )
        cleanup.callback(sidecar.stop)
        targets = {"mock": f"127.0.0.1:{ports[stack.MOCK].grpc}", "stripe": sidecar.target}
        core = f"http://127.0.0.1:{ports[stack.PAYMENTS].http}"
        url = f"sqlite:///{folder / 'payments.db'}"
        processes = stack.Stack(
            folder,
            ports=ports,
            env={
                **conftest.RESOLVER,
                **QUIET,
                "PAYMENT_SERVICE_PROVIDERS": json.dumps(targets),
                "PAYMENT_SERVICE_DEFAULT_PROVIDER": "mock",
                "PROVIDER_MOCK_WEBHOOK_URL": f"{core}/webhooks/mock/{{binding_id}}",
            },
            databases={stack.PAYMENTS: url},
            names=(stack.PAYMENTS, stack.MOCK),
        )
        printed = (sidecar.log, *map(processes.log_file, (stack.PAYMENTS, stack.MOCK)))
        with processes:
            yield Town(processes=processes, double=double, database_url=url, printed=printed)


@dataclasses.dataclass(slots=True, kw_only=True)
class Shop:
    """A tenant whose default provider is one of the two.

    Attributes:
        town: Where it is.
        provider: Its provider.
        tenant: Its name at core.
        client: Calls core as this tenant.
        records: What core keeps, to compare events with.
        hook_url: Where its provider sends webhooks.
    """

    town: Town
    provider: str
    tenant: str
    client: payhub_client.Client
    records: records.Records
    hook_url: str

    def card(self, what: str) -> str:
        """Returns what to pay with for something to happen."""
        return CARDS[self.provider][what]

    async def order(self, mock: str, stripe: str, /, **body: Any) -> Any:
        """Orders the provider of this shop: a path of one's control port or the other's."""
        if self.provider == "mock":
            return await rig.post(f"{self.town.bank_url}/{mock}")
        return await doubles.order(self.town.double, stripe, **body)

    async def advance(self, days: float) -> None:
        """Moves the provider's clock."""
        seconds = days * DAY_S
        await self.order(f"clock?advance_s={seconds}", "advance", seconds=seconds)

    async def authenticate(self, payment: Any, *, agreed: bool) -> None:
        """Lets the payer answer the question of their bank."""
        page = urllib.parse.urlsplit(payment.action.redirect_url).path.strip("/")
        await self.order(
            f"{page}/{'complete' if agreed else 'fail'}",
            f"payment_intents/{payment.provider_payment_id}/authenticate",
            agreed=agreed,
        )

    async def pay_checkout(self, checkout: Any) -> None:
        """Lets the payer pay on the provider's page."""
        page = urllib.parse.urlsplit(checkout.redirect_url).path.strip("/")
        there = checkout.mirror.provider_object_id
        await self.order(f"{page}/complete?token=tok_approve", f"checkout/{there}/complete")

    async def refuse(self, method: Any, *, refused: bool = True) -> None:
        """Has the bank refuse a kept payment method from now on, or approve it again."""
        there = method.mirror.provider_object_id
        token = "tok_bill.decline_insufficient_funds" if refused else "tok_approve"
        await self.order(
            f"control/payment_methods/{there}?token={urllib.parse.quote(token)}",
            f"payment_methods/{there}",
            decline="insufficient_funds" if refused else "none",
        )

    async def collect(self, invoice: Any) -> None:
        """Has the provider try an open invoice again, as in its dashboard."""
        there = invoice.mirror.provider_object_id
        if self.provider == "mock":
            await rig.post(f"{self.town.bank_url}/control/invoices/{there}/pay")
            return
        await asyncio.to_thread(_ask_stripe, self.town.double, f"invoices/{there}/pay")

    async def decide(self, dispute: Any, *, won: bool) -> None:
        """Has the bank decide a dispute."""
        there = dispute.mirror.provider_object_id
        await self.order(
            f"control/disputes/{there}/{'win' if won else 'lose'}",
            f"disputes/{there}/decide",
            won=won,
        )

    async def forge(self, now_s: int) -> int:
        """Sends a webhook that somebody else signed; returns the HTTP status."""
        headers = {name: text % {"now": now_s} for name, text in FORGED[self.provider].items()}
        headers |= {"webhook-timestamp": str(now_s)} if self.provider == "mock" else {}
        body = json.dumps({"id": "evt_1", "type": "forged"}).encode()
        request = urllib.request.Request(self.hook_url, data=body, headers=headers, method="POST")

        def send() -> int:
            try:
                with urllib.request.urlopen(request, timeout=10) as answer:
                    return int(answer.status)
            except urllib.error.HTTPError as error:
                with error:
                    return error.code

        return await asyncio.to_thread(send)

    async def read(self, url: str) -> bytes:
        """Returns what is at an address of the provider."""

        def get() -> bytes:
            with urllib.request.urlopen(url, timeout=10) as answer:
                return bytes(answer.read())

        return await asyncio.to_thread(get)

    async def story(self, entity: Any) -> list[str]:
        """Returns the types of an entity's events, after checking that they are dense and that
        the newest tells the entity as it stands, once no news comes in between.
        """
        get = {
            "cus": self.client.customers.get,
            "pmt": self.client.payment_methods.get,
            "pay": self.client.payments.get,
            "plan": self.client.plans.get,
            "sub": self.client.subscriptions.get,
            "inv": self.client.invoices.get,
            "chk": self.client.checkouts.get,
            "dsp": self.client.disputes.get,
        }[entity.id.partition("_")[0]]
        ends_s = time.monotonic() + SETTLED_S
        while True:
            try:
                return self.records.story(await get(entity.id))
            except AssertionError:
                if time.monotonic() > ends_s:
                    raise
            await asyncio.sleep(0.05)

    async def make_due(self) -> None:
        """Makes every waiting retry due now: no policy is that fast."""
        await asyncio.to_thread(paying.make_retries_due, self.town.database_url)


def _ask_stripe(double: str, path: str) -> None:
    headers = {"Authorization": f"Bearer {store.DEFAULT_KEY}"}
    request = urllib.request.Request(
        f"{double}/v1/{path}", data=b"", headers=headers, method="POST"
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        answer.read()


async def found(town: Town) -> None:
    """Makes both tenants with their bindings, defaults and webhooks, once per town."""
    async with admin(town) as operator:
        for provider, slots in SECRETS.items():
            binding_id = await bind(operator, f"{provider}-shop", provider, slots)
            await operator.bindings.set_default(f"{provider}-shop", provider, reason="its choice")
            if provider == "stripe":
                url = f"{town.core_url}/webhooks/stripe/{binding_id}"
                settings = {"secrets": [slots["webhook_secret"]], "account": store.MAIN_ACCOUNT}
                await doubles.order(town.double, "webhooks", url=url, **settings)


async def bind(
    operator: payhub_client.Client, tenant: str, provider: str, slots: dict[str, str]
) -> str:
    """Makes the binding of a tenant to a provider and returns its id."""

    async def ready() -> bool:
        status = await operator.status.get()
        return any(one.ready for one in status.providers if one.provider == provider)

    await rig.until(ready)
    secrets = [bindings.Secret(slot=slot, value=text.encode()) for slot, text in slots.items()]
    made = await operator.bindings.create(
        tenant, provider, reason="the shop opens", config_json="{}", secrets=secrets
    )
    return str(made.binding.id)


def milestones(story: list[str]) -> list[str]:
    """Returns a story without its `updated`: an operation is told as it is asked for, and once
    more when its answer comes after the webhook that has told what came of it.
    """
    return [told for told in story if not told.endswith(".updated")]


async def becomes(
    get: Callable[[], Awaitable[Any]], state: str, *, also: Callable[[Any], Any] = lambda _: True
) -> Any:
    """Returns what *get* returns once it is in a state and *also* holds of it."""

    async def there() -> Any:
        found = await get()
        return found if rig.state(found) == state and also(found) else None

    return await rig.until(there)


def admin(town: Town) -> payhub_client.Client:
    """Returns a client of whoever runs the installation."""
    target = town.processes.target(stack.PAYMENTS)
    return payhub_client.Client(target, key=town.processes.dev_key())


@contextlib.asynccontextmanager
async def calling(town: Town, tenant: str) -> AsyncIterator[payhub_client.Client]:
    """Returns a client of a tenant."""
    async with admin(town) as operator:
        key = await operator.keys.create(tenant_id=tenant, scopes=SCOPES, name=tenant)
    target = town.processes.target(stack.PAYMENTS)
    async with payhub_client.Client(target, key=key.secret) as client:
        yield client


@contextlib.asynccontextmanager
async def opened(town: Town, provider: str) -> AsyncIterator[Shop]:
    """Returns the shop of a provider."""
    tenant = f"{provider}-shop"
    async with calling(town, tenant) as client:
        page = await client.bindings.list_page(tenant_id=tenant, plugin_id=provider)
        (binding,) = page.bindings
        yield Shop(
            town=town,
            provider=provider,
            tenant=tenant,
            client=client,
            records=records.Records(town.database_url),
            hook_url=f"{town.core_url}/webhooks/{provider}/{binding.id}",
        )

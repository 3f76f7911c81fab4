"""What a check works with: one provider, connected, and what is known of it.

Owns the connection, calls that read the whole status, and expectations that
say what was seen. Made by `sites`; given to every check. Never retries a call, but one whose
answer was not there in time, where a check asks for it.
"""

import asyncio
import contextlib
import random
import secrets
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import grpc
import grpc.aio
from grpc_health.v1 import health_pb2_grpc
from payhub.plugin.v1 import capability_pb2, plugin_service_pb2_grpc
from payhub.plugin.v1 import plugin_service_pb2 as ps
from payhub.provider.v1 import billing_provider_service_pb2_grpc as billing_grpc
from payhub.provider.v1 import checkout_provider_service_pb2_grpc as checkout_grpc
from payhub.provider.v1 import dispute_provider_service_pb2_grpc as dispute_grpc
from payhub.provider.v1 import notice_provider_service_pb2_grpc as notice_grpc
from payhub.provider.v1 import operation_pb2, payment_provider_service_pb2_grpc
from payhub.provider.v1 import payment_method_provider_service_pb2_grpc as methods_grpc
from payhub.type.v1 import money_pb2

from provider_sdk.conformance import (
    binding,
    breaches,
    channels,
    checks,
    expectations,
    process,
    refusal,
)
from provider_sdk.conformance import canaries as canaries_module
from provider_sdk.conformance import core as cores
from provider_sdk.conformance import profile as profiles
from provider_sdk.conformance import upstream as upstreams
from servicekit import tls

T = TypeVar("T")
Spare = Callable[..., contextlib.AbstractAsyncContextManager["Run"]]

OFFER = (
    ps.CORE_CAPABILITY_CUSTOMER_ACTION,
    ps.CORE_CAPABILITY_PENDING_OPERATIONS,
)
SERVICES = (
    "payhub.plugin.v1.PluginService",
    "payhub.provider.v1.PaymentProviderService",
)
POLL_S = 0.05
TRIES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What a run does beyond the ordinary.

    Args:
        memory_s: How long the growth of memory is watched, seconds; 0: it is not.
        tls_files: Whom the suite believes, and what it shows of itself; none for calls in clear.
    """

    memory_s: float = 0.0
    tls_files: tls.Files = field(default_factory=tls.Files)


class Run:
    """One provider under check.

    Args:
        target: `host:port`.
        profile: What the suite was told, with placeholders filled.
        seed: Of every random choice.
        canaries: Watches over the secrets.
        process: The process, if the suite started it.
        upstream: The double it is pointed at, if it is.
        spare: Starts another process of the same kind; takes what `Run.spare` takes.
        siblings: Returns every run with a process of the suite's, this one included.
        secrets: Value of each slot.
        options: What is done beyond the ordinary.
    """

    def __init__(
        self,
        *,
        target: str,
        profile: profiles.Profile,
        seed: int,
        canaries: canaries_module.Canaries,
        process: process.Process | None = None,
        upstream: upstreams.Upstream | None = None,
        spare: Spare | None = None,
        siblings: Callable[[], Sequence["Run"]] = tuple,
        secrets: Mapping[str, bytes],
        options: Options | None = None,
    ) -> None:
        self.target = target
        self.profile = profile
        self.seed = seed
        self.random = random.Random(seed)
        self.canaries = canaries
        # Those of the whole suite, where it says so before this is opened.
        self.breaches = breaches.Breaches()
        self.process = process
        self.upstream = upstream
        self.secrets = dict(secrets)
        self.options = options or Options()
        self.dialer = tls.dialer(self.options.tls_files)
        self.notes: list[str] = []
        self.handshake = ps.HandshakeResponse()
        self.schema = ps.GetConfigSchemaResponse()
        self.capabilities: frozenset[int] = frozenset()
        self.siblings = siblings
        self._spare = spare
        self._made: list[binding.Binding] = []
        self.channel: Any = None
        self.plugin: Any = None
        self.provider: Any = None
        self.methods: Any = None
        self.billing: Any = None
        self.checkouts: Any = None
        self.disputes: Any = None
        self.notices: Any = None
        self.health: Any = None

    async def open(self) -> None:
        """Connects, shakes hands and reads the schema. Raises Refused."""
        await self.reconnect()
        await self.shake_hands()
        self.schema = await self.call(self.plugin.GetConfigSchema, ps.GetConfigSchemaRequest())

    async def reconnect(self) -> None:
        """Replaces the connection by a fresh one."""
        await self.close()
        self.channel = channels.open_channel(self.target, self.canaries, self.breaches, self.dialer)
        self.plugin = plugin_service_pb2_grpc.PluginServiceStub(self.channel)
        self.provider = payment_provider_service_pb2_grpc.PaymentProviderServiceStub(self.channel)
        self.methods = methods_grpc.PaymentMethodProviderServiceStub(self.channel)
        self.billing = billing_grpc.BillingProviderServiceStub(self.channel)
        self.checkouts = checkout_grpc.CheckoutProviderServiceStub(self.channel)
        self.disputes = dispute_grpc.DisputeProviderServiceStub(self.channel)
        self.notices = notice_grpc.NoticeProviderServiceStub(self.channel)
        self.health = health_pb2_grpc.HealthStub(self.channel)

    async def close(self) -> None:
        """Closes the connection."""
        if self.channel is not None:
            await self.channel.close()
            self.channel = None

    async def shake_hands(self, *, customer_action: bool = True) -> ps.HandshakeResponse:
        """Shakes hands and keeps the answer. Raises Refused.

        Args:
            customer_action: Whether core offers to handle customer actions.
        """
        offer = OFFER if customer_action else OFFER[1:]
        request = ps.HandshakeRequest(
            core_version="conformance", services=SERVICES, core_capabilities=offer
        )
        self.handshake = await self.call(self.plugin.Handshake, request, timeout_s=5.0)
        self.capabilities = frozenset(
            int(status.capability) for status in self.handshake.capabilities if status.enabled
        )
        return self.handshake

    def has(self, capability: capability_pb2.Capability) -> bool:
        """Whether the provider declares *capability* and has it enabled."""
        return int(capability) in self.capabilities

    @property
    def plugin_id(self) -> str:
        """Who the provider says it is."""
        return str(self.handshake.identity.plugin_id)

    def token(self) -> str:
        """Returns 32 random hex digits, fresh in every run whatever the seed."""
        return uuid.uuid4().hex

    def new_operation_id(self) -> str:
        """Returns an operation id that nobody ever used, whatever the seed."""
        return f"op_{self.token()}"

    def instrument(self, name: str) -> str:
        """Returns the payment method token that does *name*.

        Raises:
            NotProven: The profile has none.
        """
        token = self.profile.instruments.get(name)
        if token is None:
            raise checks.NotProven(
                f"the profile has no instrument `{name}`; add `instruments.{name}` if the "
                "provider's test mode has one",
                cause=checks.Cause.PROFILE,
            )
        return token

    def money(self, amount_minor: int | None = None, currency: str | None = None) -> Any:
        """Returns an amount; the profile's amount and first currency by default."""
        return money_pb2.Money(
            amount_minor=self.profile.amount_minor if amount_minor is None else amount_minor,
            currency_code=currency or self.profile.currencies[0],
        )

    async def new_binding(
        self,
        *,
        config: Mapping[str, Any] | None = None,
        secrets: Mapping[str, bytes] | None = None,
        configure: bool = True,
        generation: int = 1,
    ) -> binding.Binding:
        """Returns a binding nobody else uses, configured unless told otherwise. Raises Refused."""
        made = binding.Binding(
            self,
            binding_id=str(uuid.uuid4()),
            config=self.profile.config if config is None else config,
            secrets=self.secrets if secrets is None else secrets,
        )
        self._made.append(made)
        if configure:
            await made.configure(generation=generation)
        return made

    def new_secret(self, slot: str) -> bytes:
        """Returns another value that a slot takes, and looks out for it."""
        known = self.profile.secrets.get(slot)
        return self.canaries.new(slot, known.prefix if known is not None else "")

    async def clean(self) -> None:
        """Removes the bindings made so far, as far as the provider lets it."""
        made, self._made = self._made, []
        for one in made:
            with contextlib.suppress(refusal.Refused):
                await one.remove()

    async def other_account(self) -> binding.Binding:
        """Returns a configured binding of another merchant account.

        Raises:
            NotProven: The profile names only one account.
        """
        profile = self.profile
        if profile.other_account is not None:
            account = profile.other_account
            changed = profiles.values(account.secrets, self.canaries)
            return await self.new_binding(
                config={**profile.config, **account.config}, secrets={**self.secrets, **changed}
            )
        if not all(secret.canary for secret in profile.secrets.values()):
            raise checks.NotProven(
                "the profile names one merchant account; add `other_account` with the config "
                "or secrets of a second one",
                cause=checks.Cause.PROFILE,
            )
        fresh = profiles.values(profile.secrets, self.canaries)
        return await self.new_binding(secrets=fresh)

    async def call(self, method: Any, request: Any, *, timeout_s: float | None = 10.0) -> Any:
        """Calls *method* once.

        Raises:
            Refused: It ended with a status other than OK.
        """
        try:
            return await method(request, timeout=timeout_s)
        except grpc.aio.AioRpcError as error:
            raise self.refused(error) from error

    async def in_time(self, call: Callable[[], Awaitable[T]]) -> T:
        """Returns what a call gives; makes it again, at most twice, if its deadline came first.

        What a provider keeps back of a short deadline is soon lost on a machine that is busy
        elsewhere; one that keeps nothing back is late every time.

        Raises:
            Refused: It ended with a status other than OK.
        """
        for _ in range(TRIES - 1):
            try:
                return await call()
            except refusal.Refused as refused:
                if refused.code is not grpc.StatusCode.DEADLINE_EXCEEDED or refused.infos:
                    raise
        return await call()

    def refused(self, error: grpc.aio.AioRpcError) -> refusal.Refused:
        """Returns a status taken apart, after looking for secrets in it."""
        refused = refusal.Refused(error)
        self.canaries.inspect(refused.text, place=f"a {refused.code.name} status")
        for _, value in refused.metadata:
            self.canaries.inspect(value, place=f"the details of a {refused.code.name} status")
        return refused

    async def expect_status(
        self,
        call: Awaitable[Any],
        *,
        what: str,
        code: expectations.Code,
        reason: expectations.Text | None = None,
        effect: str | None = None,
        fix: str = "",
    ) -> refusal.Refused:
        """Expects *call* to be refused, and returns with what; see `expectations.status`."""
        return await expectations.status(
            call,
            domain=self.plugin_id,
            what=what,
            code=code,
            reason=reason,
            effect=effect,
            fix=fix,
        )

    def expect_state(
        self,
        operation: operation_pb2.Operation,
        state: operation_pb2.Operation.State,
        *,
        what: str,
        fix: str = "",
    ) -> None:
        """Expects *operation* to stand in *state*; see `expectations.state`."""
        expectations.state(operation, state, what=what, fix=fix)

    async def until(
        self, holds: Callable[[], Awaitable[bool]], *, what: str, fix: str, timeout_s: float = 10.0
    ) -> None:
        """Waits until *holds* returns true.

        Raises:
            Failed: It does not within *timeout_s* seconds.
        """
        loop = asyncio.get_running_loop()
        end_s = loop.time() + timeout_s
        while not await holds():
            if loop.time() > end_s:
                raise checks.Failed(f"{what}: not within {timeout_s:g} s", fix=fix)
            await asyncio.sleep(POLL_S)

    @contextlib.asynccontextmanager
    async def spare(
        self, *, previous: bool = False, core: cores.Core | None = None, wait: bool = True
    ) -> AsyncIterator["Run"]:
        """Yields a run of another process, to be stopped or killed as a check likes.

        Args:
            previous: Of the version before, as the profile says.
            core: Double of core it is to register itself with.
            wait: Whether to wait until it serves, and connect.

        Raises:
            NotProven: The suite can't start such a process of this provider.
        """
        if self._spare is None:
            raise checks.NotProven("the profile has no `command`; add one that starts the provider")
        if previous and self.profile.previous is None:
            raise checks.NotProven(
                "the profile has no `previous`; add how the version before is started"
            )
        if core is not None and self.profile.registration is None:
            raise checks.NotProven(
                "the profile has no `registration`; add the environment in which the provider "
                "registers itself"
            )
        async with self._spare(previous=previous, core=core, wait=wait) as other:
            yield other

    def note(self, text: str) -> None:
        """Adds a measured value to the check's line in the report."""
        self.notes.append(text)

    async def restart(self, *, kill: bool = False) -> None:
        """Ends this run's process and starts it again on its state; bindings are gone.

        Args:
            kill: With SIGKILL instead of SIGTERM.
        """
        assert self.process is not None
        await self.close()
        if kill:
            await self.process.kill()
        else:
            await self.process.stop()
        await self.process.start()
        await channels.serving(
            self.process, timeout_s=self.profile.start_timeout_s, dialer=self.dialer
        )
        await self.open()

    def log_lines(self) -> list[str]:
        """Returns what the process wrote since its first start; nothing without a process."""
        return self.process.log_lines() if self.process is not None else []


def new_seed() -> int:
    """Returns a seed for a run that was given none."""
    return secrets.randbelow(2**32)

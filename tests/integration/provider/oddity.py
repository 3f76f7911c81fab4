"""A provider that does as a test tells it, behind a real socket in the test's process.

Owns its class and its configuration. Called by the tests of this folder.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence

import pydantic
from payhub.plugin.v1 import capability_pb2
from payhub.provider.v1 import operation_pb2
from payhub.provider.v1 import payment_provider_service_pb2 as pps

from provider_sdk import errors, provider
from tests.integration.provider import rig, serving

State = operation_pb2.Operation


class Config(pydantic.BaseModel):
    """Configuration of the provider below."""

    model_config = pydantic.ConfigDict(extra="forbid")
    account: str = "main"
    limits: list[int] = []


class Odd(provider.Provider[Config]):
    """A provider that does as told, and waits while its gate is shut."""

    plugin_id = "odd"
    plugin_version = "1.0.0"
    config_model = Config
    capabilities = frozenset({capability_pb2.CAPABILITY_SALE, capability_pb2.CAPABILITY_REFUND})
    secret_slots = (provider.SecretSlot(slot="api_key", description="The key."),)
    max_concurrent_calls = 2

    def __init__(self) -> None:
        self.disabled = {capability_pb2.CAPABILITY_REFUND: "upstream is being moved"}
        self.gate = asyncio.Event()
        self.gate.set()
        self.calls: list[provider.Call[Config]] = []
        self.answer = operation_pb2.Operation(state=State.STATE_SUCCEEDED)
        self.error: BaseException | None = None
        self.configuring = asyncio.Event()
        self.refusal: errors.ProviderError | None = None
        self.found: list[provider.Diagnostic] = []
        self.health = provider.Health()

    async def authorize(
        self, request: pps.AuthorizePaymentRequest, call: provider.Call[Config]
    ) -> operation_pb2.Operation:
        """Answers what the test put there."""
        self.calls.append(call)
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        return self.answer

    async def get_operation(
        self, operation_id: str, binding: provider.Binding[Config], *, timeout_s: float
    ) -> operation_pb2.Operation:
        """Raises what the test put there."""
        raise self.error or errors.LookupInconclusive("nobody knows")

    async def probe(self) -> provider.Readiness | provider.Health:
        """Raises, or says, what the test put there."""
        if self.error is not None:
            raise self.error
        return self.health

    async def validate(
        self, config: Config, secrets: Mapping[str, Sequence[provider.Secret]]
    ) -> Sequence[provider.Diagnostic]:
        """Finds what the test put there."""
        return self.found

    async def configure(self, binding: provider.Binding[Config]) -> None:
        """Refuses one account, waits for another one, and refuses all where the test says so."""
        if self.refusal is not None:
            raise self.refusal
        if binding.config.account == "slow":
            self.configuring.set()
            await asyncio.Event().wait()
        if binding.config.account == "locked":
            raise errors.CredentialsRejected("the account is locked")


@contextlib.asynccontextmanager
async def served() -> AsyncIterator[tuple[Odd, rig.Core]]:
    """Serves one, and connects core to it."""
    plugin = Odd()
    async with serving.served(plugin) as core:
        key = rig.ps.SecretValue(slot="api_key", version=1, value=b"k")
        await core.configure("{}", secrets=[key])
        try:
            yield plugin, core
        finally:
            plugin.gate.set()

"""A provider that keeps payment methods and reads webhooks as a test tells it.

Owns its class and its configuration, with secrets of three ages. Called by the tests of the
services beside payments.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator

import pydantic
from payhub.plugin.v1 import capability_pb2
from payhub.provider.v1 import notice_provider_service_pb2 as nps
from payhub.provider.v1 import operation_pb2, provider_object_pb2
from payhub.provider.v1 import payment_method_provider_service_pb2 as mps
from payhub.provider.v1 import payment_provider_service_pb2 as pps

from provider_sdk import errors, provider
from tests.integration.provider import further, rig, serving

Operation = operation_pb2.Operation
SUCCEEDED = operation_pb2.Operation.STATE_SUCCEEDED

DECLARED = frozenset(
    {
        capability_pb2.CAPABILITY_SALE,
        capability_pb2.CAPABILITY_CUSTOMERS,
        capability_pb2.CAPABILITY_OPERATION_LOOKUP,
        capability_pb2.CAPABILITY_PAYMENT_METHODS,
        capability_pb2.CAPABILITY_WEBHOOKS,
        capability_pb2.CAPABILITY_OBJECT_FETCH,
    }
)


class Config(pydantic.BaseModel):
    """Configuration of the provider below."""

    model_config = pydantic.ConfigDict(extra="forbid")


class Keeper(provider.Provider[Config]):
    """Keeps payment methods as told, waits while its gate is shut, and notes what it got."""

    plugin_id, plugin_version = "keeper", "1.0.0"
    config_model = Config
    currencies = frozenset({"EUR"})
    capabilities = DECLARED
    secret_slots = (provider.SecretSlot(slot="signing", description="Of webhooks."),)

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.gate.set()
        self.calls: list[provider.Call[Config]] = []
        self.hints: list[pps.OperationHints] = []
        self.secrets: list[bytes] = []
        self.tolerances_s: list[int] = []
        self.answer: provider.Result = Operation(state=SUCCEEDED)
        self.verdict = nps.VerifyWebhookResponse()
        self.fetched = nps.FetchObjectResponse()

    async def authorize(
        self, request: pps.AuthorizePaymentRequest, call: provider.Call[Config]
    ) -> Operation:
        """Sells."""
        return Operation(state=SUCCEEDED)

    async def create_customer(
        self, request: pps.CreateCustomerRequest, call: provider.Call[Config]
    ) -> Operation:
        """Makes one."""
        return Operation(state=SUCCEEDED, provider_object_id="cus_1")

    async def update_customer(
        self, request: pps.UpdateCustomerRequest, call: provider.Call[Config]
    ) -> Operation:
        """Changes one."""
        return Operation(state=SUCCEEDED)

    async def look_up(
        self,
        operation_id: str,
        binding: provider.Binding[Config],
        *,
        hints: pps.OperationHints,
        timeout_s: float,
    ) -> provider.Result:
        """Finds nothing, but what it was told to."""
        self.hints.append(hints)
        if hints.provider_object_id:
            return self.answer
        raise errors.NotFound("no such operation")

    async def attach_payment_method(
        self, request: mps.AttachPaymentMethodRequest, call: provider.Call[Config]
    ) -> provider.Result:
        """Answers what the test put there."""
        self.calls.append(call)
        await self.gate.wait()
        return self.answer

    async def detach_payment_method(
        self, request: mps.DetachPaymentMethodRequest, call: provider.Call[Config]
    ) -> provider.Result:
        """Answers what the test put there."""
        return self.answer

    async def set_default_payment_method(
        self, request: mps.SetDefaultPaymentMethodRequest, call: provider.Call[Config]
    ) -> provider.Result:
        """Answers what the test put there."""
        return self.answer

    async def parse_webhook(self, request: nps.WebhookRequest) -> nps.ParseWebhookResponse:
        """Reads the whole body as the event's id."""
        return nps.ParseWebhookResponse(provider_event_id=request.body.decode())

    async def verify_webhook(
        self, request: nps.VerifyWebhookRequest, binding: provider.Binding[Config]
    ) -> nps.VerifyWebhookResponse:
        """Says what the test wants and notes the secrets."""
        self.secrets = [secret.reveal() for secret in binding.secrets["signing"]]
        self.tolerances_s.append(request.tolerance.seconds)
        return self.verdict

    async def fetch_object(
        self,
        reference: provider_object_pb2.ObjectReference,
        binding: provider.Binding[Config],
        *,
        timeout_s: float,
    ) -> nps.FetchObjectResponse:
        """Answers what the test put there."""
        if reference.provider_object_id == "pm_none":
            raise errors.NotFound("no such object")
        return self.fetched


@contextlib.asynccontextmanager
async def served() -> AsyncIterator[tuple[Keeper, rig.Core, further.Stubs]]:
    """Serves one with a secret that has expired, one that will and one that stays."""
    plugin = Keeper()
    async with serving.served(plugin) as core:
        secrets = [_secret(1, b"gone", -3600), _secret(2, b"old", 3600), _secret(3, b"new", None)]
        await core.configure("{}", secrets=secrets)
        try:
            yield plugin, core, further.Stubs(core.channel)
        finally:
            plugin.gate.set()


def _secret(version: int, value: bytes, expires_in_s: int | None) -> rig.ps.SecretValue:
    secret = rig.ps.SecretValue(slot="signing", version=version, value=value)
    if expires_in_s is not None:
        secret.expire_time.FromSeconds(int(time.time()) + expires_in_s)
    return secret

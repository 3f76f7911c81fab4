"""Acme: payments through an upstream system that is asked over HTTP.

Owns what is sent upstream for each operation. Called by the SDK's servicer.
Keeps nothing that matters: what became of an operation, upstream knows, so any
number of instances may run. Never repeats a request: core decides about that.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from payhub.plugin.v1 import capability_pb2
from payhub.provider.v1 import operation_pb2
from payhub.provider.v1 import payment_provider_service_pb2 as pps

from examples.advanced_provider import answers
from examples.advanced_provider import config as configs
from provider_sdk import errors, http_client, provider, tracing
from servicekit import logs

# A caller that gives up does not end its request: the answer still counts.
REQUEST_MAX_S = 30.0
CHECK_MAX_S = 5.0
PROBE_MAX_S = 1.0

_log = logs.get_logger(__name__)

Operation = operation_pb2.Operation
Call = provider.Call[configs.AcmeConfig]
Binding = provider.Binding[configs.AcmeConfig]
Secrets = Mapping[str, Sequence[provider.Secret]]


class Acme(provider.Provider[configs.AcmeConfig]):
    """Everything a provider can offer, customers aside.

    Args:
        url: Where the upstream system is.
        max_concurrent_calls: Most operations in progress.
        version: Semantic version of this provider.
        on_trouble: Told whenever upstream gets into trouble, why, and with nothing when
            that is over.
    """

    plugin_id = "acme"
    name = "Acme Payments"
    description = "Cards through Acme, an upstream system asked over HTTP."
    author = "Payhub's examples"
    # It pays the rest of what a voucher does not cover. Where there are none it does without.
    dependencies = (
        provider.Dependency(plugin_id="vouchers", version_specifier=">=1,<2", required=False),
    )
    requested_permissions = ("events:publish:acme.*",)
    config_model = configs.AcmeConfig
    config_schema_version = configs.SCHEMA_VERSION
    currencies = frozenset({"EUR", "GBP", "JPY", "KWD", "USD"})
    capabilities = frozenset(
        {
            capability_pb2.CAPABILITY_MANUAL_CAPTURE,
            capability_pb2.CAPABILITY_SALE,
            capability_pb2.CAPABILITY_PARTIAL_CAPTURE,
            capability_pb2.CAPABILITY_MULTIPLE_CAPTURE,
            capability_pb2.CAPABILITY_VOID,
            capability_pb2.CAPABILITY_REFUND,
            capability_pb2.CAPABILITY_PARTIAL_REFUND,
            capability_pb2.CAPABILITY_CUSTOMER_ACTION,
            capability_pb2.CAPABILITY_UPSTREAM_IDEMPOTENCY,
            capability_pb2.CAPABILITY_OPERATION_LOOKUP,
            capability_pb2.CAPABILITY_CREDENTIAL_CHECK,
            capability_pb2.CAPABILITY_OVERLAPPING_SECRETS,
        }
    )
    secret_slots = (
        provider.SecretSlot(
            slot="api_key", description="Back office, Developers, API keys: the live key."
        ),
    )
    # Acme's manual promises 30 days.
    upstream_idempotency_retention_s = 30 * 86_400.0
    upstream_request_max_s = REQUEST_MAX_S

    def __init__(
        self,
        url: str,
        *,
        max_concurrent_calls: int,
        version: str,
        on_trouble: Callable[[Sequence[str]], None] | None = None,
    ) -> None:
        self.plugin_version = version
        self.max_concurrent_calls = max_concurrent_calls
        self._client = http_client.Client(url)
        self._on_trouble = on_trouble
        self._in_trouble = False
        # Until when upstream limits a binding, monotonic seconds.
        self._limited_s: dict[str, float] = {}

    async def migrate_config(
        self, from_version: int, config: Mapping[str, Any]
    ) -> provider.Migrated:
        """Takes configurations of schema version 1."""
        return configs.migrate(from_version, config)

    async def check_credentials(
        self, config: configs.AcmeConfig, secrets: Secrets
    ) -> Sequence[provider.Diagnostic]:
        """Asks for the account, which moves no money."""
        response = await self._client.send(
            "GET", "/v1/account", timeout_s=CHECK_MAX_S, headers=_credentials(secrets)
        )
        if response.status in answers.REFUSED:
            return [provider.Diagnostic(summary="Acme refuses the secret api_key")]
        if response.status != 200:
            raise errors.NoAnswer("Acme did not say", upstream_code=f"http_{response.status}")
        return ()

    async def probe(self) -> provider.Health:
        """Asks whether upstream is there; says whom it limits."""
        reasons: list[str] = []
        try:
            response = await self._client.send("GET", "/v1/account", timeout_s=PROBE_MAX_S)
            # Refused credentials are one binding's trouble; the system itself is there.
            if response.status >= 500:
                reasons.append(f"Acme answers {response.status}")
        except errors.ProviderError as error:
            reasons.append(error.message)
        if bool(reasons) != self._in_trouble:
            self._in_trouble = bool(reasons)
            if self._on_trouble is not None:
                self._on_trouble(reasons)
        limited = {
            binding_id: ["Acme limits the rate of calls"]
            for binding_id, until_s in self._limited_s.items()
            if until_s > time.monotonic()
        }
        return provider.Health(reasons=reasons, binding_reasons=limited)

    async def remove_binding(self, binding_id: str) -> None:
        """Forgets what was noted of it."""
        self._limited_s.pop(binding_id, None)

    async def on_enable(self, reason: str) -> None:
        """For whoever reads the log."""
        _log.info("enabled", reason=reason)

    async def on_disable(self, reason: str) -> None:
        """For whoever reads the log."""
        _log.info("disabled", reason=reason)

    async def authorize(self, request: pps.AuthorizePaymentRequest, call: Call) -> Operation:
        """Sends the instrument; upstream decides what it is worth."""
        limit_minor = call.binding.config.limits_minor.get(request.amount.currency_code)
        # What was sent while the limit was higher counts: upstream says what became of it.
        if (
            limit_minor is not None
            and request.amount.amount_minor > limit_minor
            and not await self._was_sent(call)
        ):
            return answers.over_the_limit(limit_minor)
        sale = request.capture_method == pps.CAPTURE_METHOD_AUTOMATIC
        return await self._operate(
            call,
            kind="sale" if sale else "authorize",
            amount_minor=request.amount.amount_minor,
            currency=request.amount.currency_code,
            instrument=request.payment_method,
            return_url=request.return_url,
            reference=request.payment_id,
            description=request.description,
            customer_action=call.customer_action_allowed,
        )

    async def capture(self, request: pps.CapturePaymentRequest, call: Call) -> Operation:
        """Sends the capture."""
        return await self._operate(
            call,
            kind="capture",
            object=request.provider_payment_id,
            amount_minor=request.amount.amount_minor,
            currency=request.amount.currency_code,
            final=request.final,
        )

    async def void(self, request: pps.VoidPaymentRequest, call: Call) -> Operation:
        """Sends the void, by payment and by the key of its authorization."""
        return await self._operate(
            call,
            kind="void",
            object=request.provider_payment_id,
            target=answers.key(request.target_operation_id),
        )

    async def refund(self, request: pps.RefundPaymentRequest, call: Call) -> Operation:
        """Sends the refund."""
        return await self._operate(
            call,
            kind="refund",
            object=request.provider_payment_id,
            amount_minor=request.amount.amount_minor,
            currency=request.amount.currency_code,
            reason=request.reason,
        )

    async def get_operation(
        self, operation_id: str, binding: Binding, *, timeout_s: float
    ) -> Operation:
        """Asks for the operation; only upstream's own "not found" is a promise."""
        path = f"/v1/operations/{answers.key(operation_id)}"
        headers = _headers(binding)
        try:
            response = await self._client.send("GET", path, timeout_s=timeout_s, headers=headers)
            return answers.found(response, operation_id)
        except (errors.Unreachable, errors.NoAnswer) as error:
            raise errors.LookupInconclusive(error.message) from error

    async def _was_sent(self, call: Call) -> bool:
        """Says whether an earlier attempt reached upstream; raises where nobody knows."""
        try:
            await self.get_operation(call.operation_id, call.binding, timeout_s=call.timeout_s)
        except errors.NotFound:
            return False
        return True

    async def _operate(self, call: Call, **params: Any) -> Operation:
        """Sends one operation and tells its answer in the contract's terms."""
        headers = [
            ("idempotency-key", answers.key(call.operation_id)),
            ("content-type", "application/json"),
            *_headers(call.binding),
        ]
        response = await self._client.send(
            "POST",
            "/v1/operations",
            timeout_s=REQUEST_MAX_S,
            headers=headers,
            body=answers.body(params),
            before_sending=call.ensure_in_time,
        )
        _log.info("upstream answered", status=response.status)
        try:
            return answers.operation(response, call.operation_id)
        except errors.RateLimited as limited:
            self._limited_s[call.binding.binding_id] = time.monotonic() + limited.retry_after_s
            raise


def _headers(binding: Binding) -> list[tuple[str, str]]:
    """Returns who it is for: each binding has a sub-account of its merchant."""
    headers = _credentials(binding.secrets)
    headers.append(("account", f"{binding.config.merchant}.{binding.binding_id}"))
    traceparent = tracing.current()
    if traceparent:
        headers.append(("traceparent", traceparent))
    return headers


def _credentials(secrets: Secrets) -> list[tuple[str, str]]:
    """Returns the newest key; the older one of a rotation is not needed to send."""
    newest = secrets["api_key"][0].reveal()
    return [("authorization", f"Bearer {answers.header_safe(newest)}")]

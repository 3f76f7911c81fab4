"""One configured binding and the calls through it.

Owns building valid requests from the profile's instruments. Made by
`Run.new_binding`; used by checks. Never repeats a call by itself.
"""

import json
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from payhub.plugin.v1 import capability_pb2
from payhub.plugin.v1 import plugin_service_pb2 as ps
from payhub.provider.v1 import operation_pb2
from payhub.provider.v1 import payment_provider_service_pb2 as pps

from provider_sdk.conformance import checks

if TYPE_CHECKING:
    from provider_sdk.conformance import run as runs

TIMEOUT_S = 10.0
State = operation_pb2.Operation


class Binding:
    """A merchant account at the provider under check.

    Args:
        run: Where it lives.
        binding_id: UUID, made for this run.
        config: Configuration sent unless a call says otherwise.
        secrets: Value of each slot, likewise.
    """

    def __init__(
        self,
        run: "runs.Run",
        *,
        binding_id: str,
        config: Mapping[str, Any],
        secrets: Mapping[str, bytes],
    ) -> None:
        self.run = run
        self.binding_id = binding_id
        self.generation = 0
        self.config = dict(config)
        self.secrets = dict(secrets)

    def sent(
        self,
        config: Mapping[str, Any] | str | None = None,
        secrets: Mapping[str, bytes] | None = None,
        *,
        version: int = 1,
    ) -> ps.BindingConfig:
        """Returns a whole configuration; what is None is the binding's own.

        Args:
            config: Object, or its text.
            secrets: Value of each slot.
            version: Version of the secrets.
        """
        values = self.secrets if secrets is None else secrets
        for slot, value in values.items():
            self.run.canaries.watch(slot, value)
        document = self.config if config is None else config
        return ps.BindingConfig(
            config_json=document if isinstance(document, str) else json.dumps(document),
            secrets=[
                ps.SecretValue(slot=slot, version=version, value=value)
                for slot, value in values.items()
            ],
        )

    async def configure(
        self,
        *,
        generation: int | None = None,
        config: Mapping[str, Any] | str | None = None,
        secrets: Mapping[str, bytes] | None = None,
        version: int = 1,
    ) -> ps.ConfigureResponse:
        """Sends Configure; the next generation by default. Raises Refused."""
        sent = self.generation + 1 if generation is None else generation
        request = ps.ConfigureRequest(
            binding_id=self.binding_id,
            generation=sent,
            config=self.sent(config, secrets, version=version),
        )
        answer: ps.ConfigureResponse = await self.run.call(
            self.run.plugin.Configure, request, timeout_s=15.0
        )
        self.generation = max(self.generation, sent)
        return answer

    async def validate(
        self,
        config: Mapping[str, Any] | str | None = None,
        secrets: Mapping[str, bytes] | None = None,
        **options: Any,
    ) -> list[ps.Diagnostic]:
        """Sends ValidateConfig and returns what it found. Raises Refused."""
        request = ps.ValidateConfigRequest(config=self.sent(config, secrets), **options)
        answer = await self.run.call(self.run.plugin.ValidateConfig, request, timeout_s=15.0)
        return list(answer.diagnostics)

    async def remove(self) -> None:
        """Sends RemoveBinding. Raises Refused."""
        request = ps.RemoveBindingRequest(binding_id=self.binding_id)
        await self.run.call(self.run.plugin.RemoveBinding, request)

    async def applied_generation(self) -> int:
        """Returns the generation that Probe reports; 0 if it does not list the binding."""
        probe = await self.run.call(self.run.plugin.Probe, ps.ProbeRequest(), timeout_s=5.0)
        for status in probe.bindings:
            if status.binding_id == self.binding_id:
                return int(status.applied_generation)
        return 0

    def context(
        self,
        *,
        operation_id: str | None = None,
        not_after_s: float = TIMEOUT_S,
        attempt: int = 1,
    ) -> operation_pb2.OperationContext:
        """Returns the context of an attempt whose fence is *not_after_s* seconds ahead."""
        context = operation_pb2.OperationContext(
            binding_id=self.binding_id,
            operation_id=operation_id or self.run.new_operation_id(),
            attempt=attempt,
            config_generation=self.generation,
        )
        context.not_after.FromMicroseconds(round((time.time() + not_after_s) * 1e6))
        return context

    def authorization(
        self,
        instrument: str = "approve",
        *,
        amount_minor: int | None = None,
        currency: str | None = None,
        sale: bool | None = None,
        **context: Any,
    ) -> pps.AuthorizePaymentRequest:
        """Returns a request to authorize, or with *sale* to capture at once.

        Without *sale* it authorizes if the provider offers manual capture.
        """
        if sale is None:
            sale = not self.run.has(capability_pb2.CAPABILITY_MANUAL_CAPTURE)
        return pps.AuthorizePaymentRequest(
            context=self.context(**context),
            amount=self.run.money(amount_minor, currency),
            payment_method=self.run.instrument(instrument),
            capture_method=pps.CAPTURE_METHOD_AUTOMATIC if sale else pps.CAPTURE_METHOD_MANUAL,
            return_url="https://shop.example/return",
            payment_id=f"pay_{self.run.token()}",
        )

    def capturing(
        self,
        payment_id: str,
        amount_minor: int | None = None,
        *,
        currency: str | None = None,
        final: bool = True,
        **context: Any,
    ) -> pps.CapturePaymentRequest:
        """Returns a request to capture."""
        return pps.CapturePaymentRequest(
            context=self.context(**context),
            provider_payment_id=payment_id,
            amount=self.run.money(amount_minor, currency),
            final=final,
        )

    def voiding(
        self, target_operation_id: str, *, payment_id: str = "", **context: Any
    ) -> pps.VoidPaymentRequest:
        """Returns a request to void the authorization of that operation."""
        return pps.VoidPaymentRequest(
            context=self.context(**context),
            provider_payment_id=payment_id,
            target_operation_id=target_operation_id,
        )

    def refunding(
        self,
        payment_id: str,
        amount_minor: int | None = None,
        *,
        currency: str | None = None,
        **context: Any,
    ) -> pps.RefundPaymentRequest:
        """Returns a request to refund."""
        return pps.RefundPaymentRequest(
            context=self.context(**context),
            provider_payment_id=payment_id,
            amount=self.run.money(amount_minor, currency),
            reason="requested_by_customer",
        )

    async def authorize(
        self, instrument: str = "approve", *, timeout_s: float = TIMEOUT_S, **request: Any
    ) -> operation_pb2.Operation:
        """Authorizes; see `authorization` for the arguments. Raises Refused."""
        built = self.authorization(instrument, **request)
        return await self._operation(self.run.provider.AuthorizePayment, built, timeout_s)

    async def capture(
        self,
        paid: operation_pb2.Operation,
        amount_minor: int | None = None,
        *,
        timeout_s: float = TIMEOUT_S,
        **request: Any,
    ) -> operation_pb2.Operation:
        """Captures of *paid*; its whole amount by default. Raises Refused."""
        built = self.capturing(
            paid.provider_object_id, **_amount_of(paid, amount_minor, request), **request
        )
        return await self._operation(self.run.provider.CapturePayment, built, timeout_s)

    async def refund(
        self,
        paid: operation_pb2.Operation,
        amount_minor: int | None = None,
        *,
        timeout_s: float = TIMEOUT_S,
        **request: Any,
    ) -> operation_pb2.Operation:
        """Refunds of *paid*; its whole amount by default. Raises Refused."""
        built = self.refunding(
            paid.provider_object_id, **_amount_of(paid, amount_minor, request), **request
        )
        return await self._operation(self.run.provider.RefundPayment, built, timeout_s)

    async def void(
        self,
        target: operation_pb2.Operation | str,
        *,
        timeout_s: float = TIMEOUT_S,
        **request: Any,
    ) -> operation_pb2.Operation:
        """Voids an authorization, or by operation id alone. Raises Refused."""
        if isinstance(target, str):
            built = self.voiding(target, **request)
        else:
            payment_id = target.provider_object_id
            built = self.voiding(target.operation_id, payment_id=payment_id, **request)
        return await self._operation(self.run.provider.VoidPayment, built, timeout_s)

    def incrementing(
        self, held: operation_pb2.Operation, amount_minor: int, total_minor: int
    ) -> pps.IncrementAuthorizationRequest:
        """Returns a request to raise what is authorized by *amount_minor* to *total_minor*."""
        currency = held.amount.currency_code
        return pps.IncrementAuthorizationRequest(
            context=self.context(),
            provider_payment_id=held.provider_object_id,
            amount=self.run.money(amount_minor, currency),
            total=self.run.money(total_minor, currency),
        )

    async def looked_up(self, operation_id: str) -> pps.GetOperationResponse:
        """Looks an operation up, with its objects. Raises Refused."""
        request = pps.GetOperationRequest(binding_id=self.binding_id, operation_id=operation_id)
        answer: pps.GetOperationResponse = await self.run.call(
            self.run.provider.GetOperation, request, timeout_s=TIMEOUT_S
        )
        return answer

    async def find(
        self, operation_id: str, *, timeout_s: float = TIMEOUT_S
    ) -> operation_pb2.Operation:
        """Looks an operation up. Raises Refused."""
        request = pps.GetOperationRequest(binding_id=self.binding_id, operation_id=operation_id)
        return await self._operation(self.run.provider.GetOperation, request, timeout_s)

    async def pay(
        self, amount_minor: int | None = None, currency: str | None = None, **context: Any
    ) -> operation_pb2.Operation:
        """Makes a captured payment, by sale if offered; its `provider_object_id` is the payment.

        Raises:
            Failed: The profile's `approve` instrument was not approved.
        """
        sale = self.run.has(capability_pb2.CAPABILITY_SALE)
        paid = await self.authorize(
            amount_minor=amount_minor, currency=currency, sale=sale, **context
        )
        self.run.expect_state(paid, State.STATE_SUCCEEDED, what="the instrument `approve`")
        if not sale:
            captured = await self.capture(paid)
            self.run.expect_state(captured, State.STATE_SUCCEEDED, what="the capture")
        return paid

    async def _operation(
        self, method: Any, request: Any, timeout_s: float
    ) -> operation_pb2.Operation:
        answer = await self.run.call(method, request, timeout_s=timeout_s)
        if not answer.HasField("operation"):
            raise checks.Failed(
                f"{type(answer).__name__} came without an operation",
                rule="An OK answer carries the operation as it stands.",
                fix="fill `operation` in every answer of the method",
            )
        operation: operation_pb2.Operation = answer.operation
        return operation


def _amount_of(
    paid: operation_pb2.Operation, amount_minor: int | None, request: dict[str, Any]
) -> dict[str, Any]:
    """Takes amount and currency from the payment where the caller names none."""
    return {
        "amount_minor": paid.amount.amount_minor if amount_minor is None else amount_minor,
        "currency": request.pop("currency", None) or paid.amount.currency_code or None,
    }

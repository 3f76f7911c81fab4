"""The simulated provider as a whole: payments and everything beside them.

Owns the calls of payment methods, billing, checkouts and disputes, fetches and
webhooks. Called by the SDK's servicers. Never keeps anything outside the ledger
but what to sign webhooks with.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from payhub.plugin.v1 import capability_pb2
from payhub.provider.v1 import billing_provider_service_pb2 as bps
from payhub.provider.v1 import checkout_provider_service_pb2 as cps
from payhub.provider.v1 import dispute_provider_service_pb2 as dps
from payhub.provider.v1 import notice_provider_service_pb2 as nps
from payhub.provider.v1 import operation_pb2, provider_object_pb2
from payhub.provider.v1 import payment_method_provider_service_pb2 as mps
from payhub.provider.v1 import payment_provider_service_pb2 as pps

from provider_mock import answers, finding, ledger, provider, scenarios, settlement
from provider_mock.billing import operations
from provider_mock.webhooks import reading, sender
from provider_sdk import errors, fingerprint, times
from provider_sdk import provider as sdk
from servicekit import ids

Call = provider.Call
Binding = sdk.Binding[provider.MockConfig]


class Bank(provider.MockProvider):
    """A provider that also keeps methods, bills, checks out and is disputed."""

    capabilities = provider.MockProvider.capabilities | {
        capability_pb2.CAPABILITY_PAYMENT_METHODS,
        capability_pb2.CAPABILITY_SAVE_PAYMENT_METHOD,
        capability_pb2.CAPABILITY_OFF_SESSION,
        capability_pb2.CAPABILITY_INCREMENTAL_AUTHORIZATION,
        capability_pb2.CAPABILITY_PLANS,
        capability_pb2.CAPABILITY_SUBSCRIPTIONS,
        capability_pb2.CAPABILITY_CHECKOUT,
        capability_pb2.CAPABILITY_DISPUTES,
        capability_pb2.CAPABILITY_WEBHOOKS,
        capability_pb2.CAPABILITY_OBJECT_FETCH,
    }

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._signing: dict[str, Sequence[sdk.Secret]] = {}

    async def configure(self, binding: Binding) -> None:
        """Notes what the binding's webhooks are signed with."""
        self._signing[binding.binding_id] = binding.secrets.get(provider.WEBHOOK_SECRET, ())

    async def remove_binding(self, binding_id: str) -> None:
        """Forgets it."""
        self._signing.pop(binding_id, None)

    def signing_secrets(self) -> sender.Secrets:
        """Returns what webhooks are signed with: unexpired versions, the highest first."""
        now_us = self.time.real_us()
        return {
            binding_id: [one for one in held if one.expire_us is None or one.expire_us > now_us]
            for binding_id, held in self._signing.items()
        }

    async def authorize(self, request: pps.AuthorizePaymentRequest, call: Call) -> sdk.Result:
        """Does what the token says, and answers with the method that was kept."""
        operation = await super().authorize(request, call)
        if not request.save_payment_method or isinstance(operation, sdk.Answer):
            return operation
        return sdk.Answer(operation, await self._made(call.operation_id))

    async def increment(
        self, request: pps.IncrementAuthorizationRequest, call: Call
    ) -> operation_pb2.Operation:
        """Does what the payment's token says of increments."""
        entry = self._entry(
            request,
            call,
            object_id=request.provider_payment_id,
            amount_minor=request.amount.amount_minor,
            currency=request.amount.currency_code,
        )
        if request.total.currency_code != request.amount.currency_code:
            text = "must be of the currency of amount"
            raise errors.InvalidRequest(f"total {text}", [("total.currency_code", text)])
        total_minor = request.total.amount_minor
        return await self._record(lambda conn: ledger.increment(conn, entry, total_minor), call)

    async def look_up(
        self,
        operation_id: str,
        binding: Binding,
        *,
        hints: pps.OperationHints,
        timeout_s: float,
    ) -> sdk.Result:
        """Says what the ledger holds, with what the operation made."""
        operation = await self.get_operation(operation_id, binding, timeout_s=timeout_s)
        return sdk.Answer(operation, await self._made(operation_id))

    async def attach_payment_method(
        self, request: mps.AttachPaymentMethodRequest, call: Call
    ) -> sdk.Result:
        """Does what the token says of attaching."""
        scenario = scenarios.of_token(request.token)
        asked = {
            "customer_id": request.provider_customer_id,
            # A token of another form is an unknown instrument.
            "scenario": scenario.text if scenario is not None else request.token,
            "set_default": request.set_default,
        }
        return await self._operate(
            request,
            call,
            "ATTACH_PAYMENT_METHOD",
            ids.new_id("mpm"),
            asked,
            reference=request.payment_method_id,
        )

    async def detach_payment_method(
        self, request: mps.DetachPaymentMethodRequest, call: Call
    ) -> sdk.Result:
        """Does what the method's token says of detaching."""
        object_id = request.provider_payment_method_id
        return await self._operate(request, call, "DETACH_PAYMENT_METHOD", object_id, {})

    async def set_default_payment_method(
        self, request: mps.SetDefaultPaymentMethodRequest, call: Call
    ) -> sdk.Result:
        """Does what the method's token says of becoming the default."""
        object_id = request.provider_payment_method_id
        asked = {"customer_id": request.provider_customer_id}
        return await self._operate(request, call, "SET_DEFAULT_PAYMENT_METHOD", object_id, asked)

    async def create_plan(self, request: bps.CreatePlanRequest, call: Call) -> sdk.Result:
        """Does what the plan's name says."""
        asked = {
            "name": request.name,
            "interval": request.interval,
            "interval_count": request.interval_count,
        }
        return await self._operate(
            request,
            call,
            "CREATE_PLAN",
            ids.new_id("mprice"),
            asked,
            reference=request.plan_id,
            amount_minor=request.amount.amount_minor,
            currency=request.amount.currency_code,
        )

    async def archive_plan(self, request: bps.ArchivePlanRequest, call: Call) -> sdk.Result:
        """Does what the plan's name says of archiving."""
        return await self._operate(request, call, "ARCHIVE_PLAN", request.provider_price_id, {})

    async def create_subscription(
        self, request: bps.CreateSubscriptionRequest, call: Call
    ) -> sdk.Result:
        """Does what the customer's name says; the method bills the first period."""
        asked = {
            "customer_id": request.provider_customer_id,
            "price_id": request.provider_price_id,
            "quantity": request.quantity,
            "trial_days": request.trial_days,
            "method_id": request.provider_payment_method_id,
            "payer_present": call.customer_action_allowed,
        }
        expected = request.HasField("amount")
        return await self._operate(
            request,
            call,
            "CREATE_SUBSCRIPTION",
            ids.new_id("msub"),
            asked,
            reference=request.subscription_id,
            amount_minor=request.amount.amount_minor if expected else None,
            currency=request.amount.currency_code if expected else "",
        )

    async def change_subscription(
        self, request: bps.ChangeSubscriptionRequest, call: Call
    ) -> sdk.Result:
        """Does what the customer's name says of changes."""
        asked = {
            "price_id": request.provider_price_id,
            "quantity": request.quantity,
            "proration": request.proration,
        }
        object_id = request.provider_subscription_id
        return await self._operate(request, call, "CHANGE_SUBSCRIPTION", object_id, asked)

    async def cancel_subscription(
        self, request: bps.CancelSubscriptionRequest, call: Call
    ) -> sdk.Result:
        """Does what the customer's name says of cancellations."""
        asked = {"at_period_end": request.at_period_end}
        object_id = request.provider_subscription_id
        return await self._operate(request, call, "CANCEL_SUBSCRIPTION", object_id, asked)

    async def reactivate_subscription(
        self, request: bps.ReactivateSubscriptionRequest, call: Call
    ) -> sdk.Result:
        """Does what the customer's name says of reactivations."""
        object_id = request.provider_subscription_id
        return await self._operate(request, call, "REACTIVATE_SUBSCRIPTION", object_id, {})

    async def create_checkout(self, request: cps.CreateCheckoutRequest, call: Call) -> sdk.Result:
        """Does what the description says."""
        single = request.WhichOneof("subject") == "amount"
        expires_us = times.micros(request.expire_time, field="expire_time")
        asked = {
            "customer_id": request.provider_customer_id,
            "price_id": request.provider_price_id,
            "quantity": request.quantity or 1,
            "trial_days": request.trial_days,
            "expire_us": self._own_us(expires_us) if expires_us else 0,
            "token": ids.new_id("pay").removeprefix("pay_"),
            "embedded": request.embedded,
            "scenario": _clauses(request.description),
            "success_url": request.success_url,
            "cancel_url": request.cancel_url,
        }
        return await self._operate(
            request,
            call,
            "CREATE_CHECKOUT",
            ids.new_id("mchk"),
            asked,
            reference=request.checkout_id,
            amount_minor=request.amount.amount_minor if single else None,
            currency=request.amount.currency_code if single else "",
        )

    async def expire_checkout(self, request: cps.ExpireCheckoutRequest, call: Call) -> sdk.Result:
        """Does what the description says of expiring."""
        object_id = request.provider_checkout_id
        return await self._operate(request, call, "EXPIRE_CHECKOUT", object_id, {})

    async def submit_evidence(self, request: dps.SubmitEvidenceRequest, call: Call) -> sdk.Result:
        """Does what the payment's token says of evidence."""
        object_id = request.provider_dispute_id
        return await self._operate(request, call, "SUBMIT_EVIDENCE", object_id, {})

    async def accept_dispute(self, request: dps.AcceptDisputeRequest, call: Call) -> sdk.Result:
        """Does what the payment's token says of giving up."""
        object_id = request.provider_dispute_id
        return await self._operate(request, call, "ACCEPT_DISPUTE", object_id, {})

    async def parse_webhook(self, request: nps.WebhookRequest) -> nps.ParseWebhookResponse:
        """Says whom a webhook is for; the account is the binding."""
        return reading.parse(request)

    async def verify_webhook(
        self, request: nps.VerifyWebhookRequest, binding: Binding
    ) -> nps.VerifyWebhookResponse:
        """Checks a webhook's signature and reads it."""
        held = binding.secrets.get(provider.WEBHOOK_SECRET, ())
        return reading.verify(request, [secret.reveal() for secret in held])

    async def fetch_object(
        self,
        reference: provider_object_pb2.ObjectReference,
        binding: Binding,
        *,
        timeout_s: float,
    ) -> nps.FetchObjectResponse:
        """Returns what the ledger holds."""
        kind = provider_object_pb2.ObjectKind.Name(reference.kind).removeprefix("OBJECT_KIND_")
        found = await self.read(
            lambda conn: finding.fetch(
                conn,
                kind.lower(),
                reference.provider_object_id,
                binding_id=binding.binding_id,
                base_url=self.base_url,
            )
        )
        if found is None:
            raise errors.NotFound(f"no {kind.lower()} {reference.provider_object_id[:64]}")
        return found

    def _own_us(self, real_us: int) -> int:
        """Returns a moment of the machine's clock as the provider's own, moved one, has it."""
        return real_us + self.time.now_us() - self.time.real_us()

    async def _operate(
        self,
        request: fingerprint.MutationRequest,
        call: Call,
        kind: str,
        object_id: str,
        asked: Mapping[str, Any],
        **further: Any,
    ) -> sdk.Answer:
        """Records an operation beside payments and answers with what it made."""
        details = json.dumps(asked)
        entry = self._entry(request, call, object_id=object_id, details=details, **further)
        row = await self._recorded(lambda conn: operations.record(conn, entry, kind), call)
        told = answers.operation(row, action_url=self._action_url)
        return sdk.Answer(told, await self._made(call.operation_id))

    async def _made(self, operation_id: str) -> list[provider_object_pb2.ProviderObject]:
        base_url = self.base_url
        return await self.read(
            lambda conn: finding.made(
                conn, settlement.operation(conn, operation_id), base_url=base_url
            )
        )


def _clauses(text: str) -> str:
    """Returns the clauses in a text that starts with `mock+`."""
    prefix = scenarios.EMAIL_PREFIX
    return text.removeprefix(prefix) if text.startswith(prefix) else ""

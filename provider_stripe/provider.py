"""The Stripe provider: what it is, and which module does what.

Owns the accounts of the bindings in force. Called by the SDK's servicers. Never keeps
anything beside: Stripe is the state.
"""

from collections import OrderedDict
from collections.abc import Mapping, Sequence

from payhub.plugin.v1 import capability_pb2, plugin_service_pb2
from payhub.provider.v1 import billing_provider_service_pb2 as bps
from payhub.provider.v1 import checkout_provider_service_pb2 as cps
from payhub.provider.v1 import dispute_provider_service_pb2 as dps
from payhub.provider.v1 import notice_provider_service_pb2 as nps
from payhub.provider.v1 import payment_method_provider_service_pb2 as mps
from payhub.provider.v1 import payment_provider_service_pb2 as pps
from payhub.provider.v1 import provider_object_pb2 as pb

from provider_sdk import calls, errors, provider
from provider_stripe import (
    billing,
    calling,
    checkout,
    config,
    customers,
    disputes,
    fetching,
    lookup,
    money,
    objects,
    payments,
    settings,
    transport,
    webhooks,
)

VERSION = "0.1.0"
# Stripe may drop keys after 24 hours.
IDEMPOTENCY_RETENTION_S = 86_400.0
BOUND_MAX = 100_000

_PREFIXES = {config.API_KEY: ("sk_", "rk_"), config.WEBHOOK_SECRET: ("whsec_",)}

_C = capability_pb2
Call = calling.Call
Binding = calls.Binding[config.StripeConfig]
Secrets = Mapping[str, Sequence[calls.Secret]]


class StripeProvider(provider.Provider[config.StripeConfig]):
    """See the module."""

    plugin_id = "stripe"
    name = "Stripe"
    description = "Payments, saved methods, subscriptions, checkout and disputes at Stripe."
    author = "Payhub"
    config_model = config.StripeConfig
    secret_slots = config.SECRET_SLOTS
    currencies = money.CURRENCIES
    # No OPERATION_LOOKUP: what is found counts, but lists and searches lag, so what is not
    # found proves nothing. No MULTIPLE_CAPTURE: it is for a few merchants and card networks.
    capabilities = frozenset(
        {
            _C.CAPABILITY_MANUAL_CAPTURE,
            _C.CAPABILITY_SALE,
            _C.CAPABILITY_PARTIAL_CAPTURE,
            _C.CAPABILITY_VOID,
            _C.CAPABILITY_REFUND,
            _C.CAPABILITY_PARTIAL_REFUND,
            _C.CAPABILITY_CUSTOMER_ACTION,
            _C.CAPABILITY_CUSTOMERS,
            _C.CAPABILITY_UPSTREAM_IDEMPOTENCY,
            _C.CAPABILITY_CREDENTIAL_CHECK,
            _C.CAPABILITY_OVERLAPPING_SECRETS,
            _C.CAPABILITY_PAYMENT_METHODS,
            _C.CAPABILITY_SAVE_PAYMENT_METHOD,
            _C.CAPABILITY_OFF_SESSION,
            _C.CAPABILITY_INCREMENTAL_AUTHORIZATION,
            _C.CAPABILITY_PLANS,
            _C.CAPABILITY_SUBSCRIPTIONS,
            _C.CAPABILITY_CHECKOUT,
            _C.CAPABILITY_DISPUTES,
            _C.CAPABILITY_WEBHOOKS,
            _C.CAPABILITY_OBJECT_FETCH,
        }
    )
    upstream_idempotency_retention_s = IDEMPOTENCY_RETENTION_S

    def __init__(self, told: settings.StripeSettings) -> None:
        self.plugin_version = told.version or VERSION
        self.max_concurrent_calls = told.max_concurrent_calls
        self._transport = transport.Transport(
            told.api_base,
            connect_timeout_s=told.connect_timeout_s,
            connections_max=told.connections_max,
        )
        self._accounts: dict[tuple[str, int], transport.Account] = {}
        # Stripe knows idempotency keys per account; that an id came with another binding is
        # seen as long as this process remembers.
        self._bound: OrderedDict[str, str] = OrderedDict()

    async def start(self) -> None:
        """Opens the pool of connections."""
        await self._transport.open()

    async def close(self) -> None:
        """Ends every connection."""
        await self._transport.close()

    # Bindings -----------------------------------------------------------------------

    async def configure(self, binding: Binding) -> None:
        """Makes the client of a binding; calls under way keep the one they have."""
        account = self._make(binding.config, binding.secrets)
        for known in [key for key in self._accounts if key[0] == binding.binding_id]:
            del self._accounts[known]
        self._accounts[binding.binding_id, binding.generation] = account

    async def probe(self) -> provider.Readiness | provider.Health:
        """Says whether Stripe answers."""
        if await self._transport.reachable():
            return plugin_service_pb2.ProbeResponse.READINESS_READY
        return provider.Health(reasons=("Stripe can't be reached",))

    async def remove_binding(self, binding_id: str) -> None:
        """Forgets the client of a binding."""
        for known in [key for key in self._accounts if key[0] == binding_id]:
            del self._accounts[known]

    async def check_credentials(
        self, told: config.StripeConfig, secrets: Secrets
    ) -> Sequence[provider.Diagnostic]:
        """Asks Stripe for the newest payment, which a key without rights can't read."""
        account = self._make(told, secrets)
        deadline = calling.Deadline(10.0)
        await calling.read(
            account, deadline, lambda: account.api.payment_intents.list_async({"limit": 1})
        )
        return ()

    def _make(self, told: config.StripeConfig, secrets: Secrets) -> transport.Account:
        # The highest version signs; SDK and core have seen to it that there is one.
        key = secrets[config.API_KEY][0].reveal().decode()
        return transport.Account(self._transport, key, told)

    def _of(self, call: Call) -> transport.Account:
        """Returns the account of an operation, which is always the same.

        Raises:
            Mismatch: The operation came with another binding before.
        """
        binding_id = self._bound.setdefault(call.operation_id, call.binding.binding_id)
        if binding_id != call.binding.binding_id:
            raise errors.Mismatch("the operation id was used with another binding")
        if len(self._bound) > BOUND_MAX:
            self._bound.popitem(last=False)
        return self._account(call.binding)

    def _account(self, binding: Binding) -> transport.Account:
        found = self._accounts.get((binding.binding_id, binding.generation))
        # A call that began under an older generation goes on with its own credentials.
        return found or self._make(binding.config, binding.secrets)

    # Payments -----------------------------------------------------------------------

    async def authorize(self, request: pps.AuthorizePaymentRequest, call: Call) -> calls.Result:
        """Makes and confirms a PaymentIntent; a method that was kept comes along."""
        operation, reply = await payments.authorize(self._of(call), request, call)
        method = reply.told.get("payment_method") if reply is not None else None
        if not request.save_payment_method or reply is None or not isinstance(method, dict):
            return operation
        if not method.get("customer"):
            return operation
        return calls.Answer(operation, [objects.payment_method(method, reply.at_s)])

    async def capture(self, request: pps.CapturePaymentRequest, call: Call) -> calls.Result:
        """Captures, and releases the remainder."""
        return await payments.capture(self._of(call), request, call)

    async def increment(
        self, request: pps.IncrementAuthorizationRequest, call: Call
    ) -> calls.Result:
        """Raises an authorization."""
        return await payments.increment(self._of(call), request, call)

    async def void(self, request: pps.VoidPaymentRequest, call: Call) -> calls.Result:
        """Cancels a PaymentIntent, found by the operation that made it if need be."""
        account = self._of(call)
        intent_id = request.provider_payment_id
        if not intent_id:
            hints = pps.OperationHints(method="AuthorizePayment")
            search = lookup.Lookup(account, request.target_operation_id, hints, call.timeout_s / 2)
            try:
                found = await search.find()
            except errors.LookupInconclusive:
                if not search.unbegun_id:
                    raise
                intent_id = search.unbegun_id
            else:
                operation = found.operation if isinstance(found, calls.Answer) else found
                intent_id = operation.provider_object_id
        return await payments.void(account, intent_id, call)

    async def refund(self, request: pps.RefundPaymentRequest, call: Call) -> calls.Result:
        """Makes a Refund."""
        return await payments.refund(self._of(call), request, call)

    async def look_up(
        self,
        operation_id: str,
        binding: Binding,
        *,
        hints: pps.OperationHints,
        timeout_s: float,
    ) -> calls.Result:
        """Finds an operation by the mark it left."""
        search = lookup.Lookup(self._account(binding), operation_id, hints, timeout_s)
        return await search.find()

    # Customers and payment methods -------------------------------------------------

    async def create_customer(self, request: pps.CreateCustomerRequest, call: Call) -> calls.Result:
        """Makes a Customer."""
        return await customers.create(self._of(call), request, call)

    async def update_customer(self, request: pps.UpdateCustomerRequest, call: Call) -> calls.Result:
        """Replaces what Stripe knows of a Customer."""
        return await customers.update(self._of(call), request, call)

    async def attach_payment_method(
        self, request: mps.AttachPaymentMethodRequest, call: Call
    ) -> calls.Result:
        """Keeps a PaymentMethod at its Customer."""
        return await customers.attach(self._of(call), request, call)

    async def detach_payment_method(
        self, request: mps.DetachPaymentMethodRequest, call: Call
    ) -> calls.Result:
        """Takes a PaymentMethod from its Customer."""
        return await customers.detach(self._of(call), request, call)

    async def set_default_payment_method(
        self, request: mps.SetDefaultPaymentMethodRequest, call: Call
    ) -> calls.Result:
        """Makes a PaymentMethod the default of its Customer."""
        return await customers.set_default(self._of(call), request, call)

    # Billing, checkout, disputes ------------------------------------------------------

    async def create_plan(self, request: bps.CreatePlanRequest, call: Call) -> calls.Result:
        """Makes a recurring Price."""
        return await billing.create_plan(self._of(call), request, call)

    async def archive_plan(self, request: bps.ArchivePlanRequest, call: Call) -> calls.Result:
        """Makes a Price inactive."""
        return await billing.archive_plan(self._of(call), request, call)

    async def create_subscription(
        self, request: bps.CreateSubscriptionRequest, call: Call
    ) -> calls.Result:
        """Makes a Subscription."""
        return await billing.create_subscription(self._of(call), request, call)

    async def change_subscription(
        self, request: bps.ChangeSubscriptionRequest, call: Call
    ) -> calls.Result:
        """Moves a Subscription to another Price or quantity."""
        return await billing.change_subscription(self._of(call), request, call)

    async def cancel_subscription(
        self, request: bps.CancelSubscriptionRequest, call: Call
    ) -> calls.Result:
        """Ends a Subscription."""
        return await billing.cancel_subscription(self._of(call), request, call)

    async def reactivate_subscription(
        self, request: bps.ReactivateSubscriptionRequest, call: Call
    ) -> calls.Result:
        """Takes back a cancellation at the end of the period."""
        return await billing.reactivate_subscription(self._of(call), request, call)

    async def create_checkout(self, request: cps.CreateCheckoutRequest, call: Call) -> calls.Result:
        """Makes a Checkout Session."""
        return await checkout.create(self._of(call), request, call)

    async def expire_checkout(self, request: cps.ExpireCheckoutRequest, call: Call) -> calls.Result:
        """Ends an open Checkout Session."""
        return await checkout.expire(self._of(call), request, call)

    async def submit_evidence(self, request: dps.SubmitEvidenceRequest, call: Call) -> calls.Result:
        """Submits evidence against a Dispute."""
        return await disputes.submit(self._of(call), request, call)

    async def accept_dispute(self, request: dps.AcceptDisputeRequest, call: Call) -> calls.Result:
        """Closes a Dispute."""
        return await disputes.accept(self._of(call), request, call)

    # Notices ---------------------------------------------------------------------------

    async def parse_webhook(self, request: nps.WebhookRequest) -> nps.ParseWebhookResponse:
        """Says whom a webhook is for."""
        return webhooks.parse(request)

    async def verify_webhook(
        self, request: nps.VerifyWebhookRequest, binding: Binding
    ) -> nps.VerifyWebhookResponse:
        """Checks a webhook's signature and translates it."""
        return webhooks.verify(request, binding)

    async def fetch_object(
        self, reference: pb.ObjectReference, binding: Binding, *, timeout_s: float
    ) -> nps.FetchObjectResponse:
        """Returns an object as Stripe has it now."""
        return await fetching.Fetch(self._account(binding), timeout_s).fetch(reference)

    async def validate(
        self, told: config.StripeConfig, secrets: Secrets
    ) -> Sequence[provider.Diagnostic]:
        """Finds keys that are no keys before Stripe is asked."""
        found = [
            provider.Diagnostic(summary=f"{slot} {problem}")
            for slot, prefixes in _PREFIXES.items()
            for secret in secrets.get(slot, ())
            if (problem := _wrong_with(secret.reveal(), prefixes))
        ]
        if not secrets.get(config.WEBHOOK_SECRET):
            text = "without a webhook_secret no webhook of this account is believed"
            found.append(provider.Diagnostic(summary=text, is_error=False))
        return found


def _wrong_with(secret: bytes, prefixes: tuple[str, ...]) -> str:
    """Returns why something is no key of Stripe's, or ''."""
    if not secret.startswith(tuple(prefix.encode() for prefix in prefixes)):
        return f"does not start with {' or '.join(prefixes)}"
    # A header can't hold them: no request would get out, and each be in doubt.
    if not all(0x21 <= byte <= 0x7E for byte in secret):
        return "has a blank, a line's end or another character that no key has"
    return ""

"""The groups of calls that a provider may serve beside payments.

Owns their signatures, one class per service of the contract; every method
refuses until an author writes it and declares its capability. Provider
inherits them all; the servicers call them. Never decides anything.
"""

from typing import Generic

from payhub.provider.v1 import billing_provider_service_pb2 as bps
from payhub.provider.v1 import checkout_provider_service_pb2 as cps
from payhub.provider.v1 import dispute_provider_service_pb2 as dps
from payhub.provider.v1 import notice_provider_service_pb2 as nps
from payhub.provider.v1 import payment_method_provider_service_pb2 as mps
from payhub.provider.v1 import provider_object_pb2

from provider_sdk import calls, errors
from provider_sdk.calls import ConfigT


class PaymentMethodCalls(Generic[ConfigT]):
    """PaymentMethodProviderService; needs CAPABILITY_PAYMENT_METHODS."""

    async def attach_payment_method(
        self, request: mps.AttachPaymentMethodRequest, call: calls.Call[ConfigT]
    ) -> calls.Result:
        """Keeps a payment method at a customer; answers with it once it succeeded.

        A method the bank refuses is a decline.
        """
        raise errors.NotSupported("payment methods are not offered")

    async def detach_payment_method(
        self, request: mps.DetachPaymentMethodRequest, call: calls.Call[ConfigT]
    ) -> calls.Result:
        """Takes a payment method from its customer; succeeds if it is gone already."""
        raise errors.NotSupported("payment methods are not offered")

    async def set_default_payment_method(
        self, request: mps.SetDefaultPaymentMethodRequest, call: calls.Call[ConfigT]
    ) -> calls.Result:
        """Makes a payment method the one its customer pays by; answers with it."""
        raise errors.NotSupported("payment methods are not offered")


class BillingCalls(Generic[ConfigT]):
    """BillingProviderService; needs CAPABILITY_PLANS, CAPABILITY_SUBSCRIPTIONS."""

    async def create_plan(
        self, request: bps.CreatePlanRequest, call: calls.Call[ConfigT]
    ) -> calls.Result:
        """Makes the recurring price of a plan; answers with it."""
        raise errors.NotSupported("plans are not offered")

    async def archive_plan(
        self, request: bps.ArchivePlanRequest, call: calls.Call[ConfigT]
    ) -> calls.Result:
        """Lets no new subscription use a price; answers with it, also if none may already."""
        raise errors.NotSupported("plans are not offered")

    async def create_subscription(
        self, request: bps.CreateSubscriptionRequest, call: calls.Call[ConfigT]
    ) -> calls.Result:
        """Subscribes a customer to a price; answers with it and its first invoice.

        It succeeds when the subscription exists: a first payment that is refused or waits for
        the payer is said by the subscription, not by the operation.
        """
        raise errors.NotSupported("subscriptions are not offered")

    async def change_subscription(
        self, request: bps.ChangeSubscriptionRequest, call: calls.Call[ConfigT]
    ) -> calls.Result:
        """Moves a subscription to another price or quantity; answers with it."""
        raise errors.NotSupported("subscriptions are not offered")

    async def cancel_subscription(
        self, request: bps.CancelSubscriptionRequest, call: calls.Call[ConfigT]
    ) -> calls.Result:
        """Ends a subscription now or with its period; succeeds if it has ended already."""
        raise errors.NotSupported("subscriptions are not offered")

    async def reactivate_subscription(
        self, request: bps.ReactivateSubscriptionRequest, call: calls.Call[ConfigT]
    ) -> calls.Result:
        """Takes back a cancellation at the end of the period; answers with it."""
        raise errors.NotSupported("subscriptions are not offered")


class CheckoutCalls(Generic[ConfigT]):
    """CheckoutProviderService; needs CAPABILITY_CHECKOUT."""

    async def create_checkout(
        self, request: cps.CreateCheckoutRequest, call: calls.Call[ConfigT]
    ) -> calls.Result:
        """Makes a page on which the payer pays; answers with its session."""
        raise errors.NotSupported("checkouts are not offered")

    async def expire_checkout(
        self, request: cps.ExpireCheckoutRequest, call: calls.Call[ConfigT]
    ) -> calls.Result:
        """Ends an open session; answers with it, also if it has expired already."""
        raise errors.NotSupported("checkouts are not offered")


class DisputeCalls(Generic[ConfigT]):
    """DisputeProviderService; needs CAPABILITY_DISPUTES."""

    async def submit_evidence(
        self, request: dps.SubmitEvidenceRequest, call: calls.Call[ConfigT]
    ) -> calls.Result:
        """Submits the evidence against a dispute, for good; answers with the dispute."""
        raise errors.NotSupported("disputes are not offered")

    async def accept_dispute(
        self, request: dps.AcceptDisputeRequest, call: calls.Call[ConfigT]
    ) -> calls.Result:
        """Gives the disputed money up; answers with the dispute, also if it is lost already."""
        raise errors.NotSupported("disputes are not offered")


class NoticeCalls(Generic[ConfigT]):
    """NoticeProviderService; needs CAPABILITY_WEBHOOKS, CAPABILITY_OBJECT_FETCH.

    None of these changes anything upstream, and each may be called at any time.
    """

    async def parse_webhook(self, request: nps.WebhookRequest) -> nps.ParseWebhookResponse:
        """Says whom a webhook is for, as far as it says so itself. Needs no secret. Core does not
        ask yet, for the address of a webhook names its binding.

        What can't be read leaves the answer empty; it is no error.
        """
        raise errors.NotSupported("webhooks are not offered")

    async def verify_webhook(
        self, request: nps.VerifyWebhookRequest, binding: calls.Binding[ConfigT]
    ) -> nps.VerifyWebhookResponse:
        """Checks a webhook's signature and translates it.

        Compare in constant time with every version in `binding.secrets`: those that had
        expired when core received the webhook are left out already. Take `receive_time` for
        the time, never the machine's clock, and accept signatures that are at most
        `tolerance` older or newer. Must be quick: it asks nobody.
        """
        raise errors.NotSupported("webhooks are not offered")

    async def fetch_object(
        self,
        reference: provider_object_pb2.ObjectReference,
        binding: calls.Binding[ConfigT],
        *,
        timeout_s: float,
    ) -> nps.FetchObjectResponse:
        """Returns an object as upstream has it now, and what belongs to it.

        Raises:
            NotFound: There is none of that identifier in this account.
        """
        raise errors.NotSupported("objects can't be fetched")

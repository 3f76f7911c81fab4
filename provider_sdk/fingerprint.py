"""When two requests are the same operation.

Owns the comparison of what one operation id was sent with. Called by the
servicer's single flight and by providers that keep a ledger. Never includes
what may differ between repeats: attempt, generation, fence, unknown fields.
"""

import copy
import hashlib

from payhub.provider.v1 import billing_provider_service_pb2 as bps
from payhub.provider.v1 import checkout_provider_service_pb2 as cps
from payhub.provider.v1 import dispute_provider_service_pb2 as dps
from payhub.provider.v1 import payment_method_provider_service_pb2 as mps
from payhub.provider.v1 import payment_provider_service_pb2 as pps

MutationRequest = (
    pps.AuthorizePaymentRequest
    | pps.CapturePaymentRequest
    | pps.IncrementAuthorizationRequest
    | pps.VoidPaymentRequest
    | pps.RefundPaymentRequest
    | pps.CreateCustomerRequest
    | pps.UpdateCustomerRequest
    | mps.AttachPaymentMethodRequest
    | mps.DetachPaymentMethodRequest
    | mps.SetDefaultPaymentMethodRequest
    | bps.CreatePlanRequest
    | bps.ArchivePlanRequest
    | bps.CreateSubscriptionRequest
    | bps.ChangeSubscriptionRequest
    | bps.CancelSubscriptionRequest
    | bps.ReactivateSubscriptionRequest
    | cps.CreateCheckoutRequest
    | cps.ExpireCheckoutRequest
    | dps.SubmitEvidenceRequest
    | dps.AcceptDisputeRequest
)


def of(request: MutationRequest) -> str:
    """Returns 32 hex digits equal for equal parameters, binding and kind included."""
    parameters = copy.deepcopy(request)
    parameters.ClearField("context")
    parameters.DiscardUnknownFields()
    digest = hashlib.blake2b(parameters.SerializeToString(deterministic=True), digest_size=16)
    digest.update(f"\n{type(request).__name__}\n{request.context.binding_id}".encode())
    return digest.hexdigest()

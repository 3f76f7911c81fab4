"""When two requests are the same operation.

Owns the comparison of what one operation id was sent with. Called by the
servicer's single flight and by providers that keep a ledger. Never includes
what may differ between repeats: attempt, generation, fence, unknown fields.
"""

import copy
import hashlib

from payhub.provider.v1 import payment_provider_service_pb2 as pps

MutationRequest = (
    pps.AuthorizePaymentRequest
    | pps.CapturePaymentRequest
    | pps.IncrementAuthorizationRequest
    | pps.VoidPaymentRequest
    | pps.RefundPaymentRequest
    | pps.CreateCustomerRequest
    | pps.UpdateCustomerRequest
)


def of(request: MutationRequest) -> str:
    """Returns 32 hex digits equal for equal parameters, binding and kind included."""
    parameters = copy.deepcopy(request)
    parameters.ClearField("context")
    parameters.DiscardUnknownFields()
    digest = hashlib.blake2b(parameters.SerializeToString(deterministic=True), digest_size=16)
    digest.update(f"\n{type(request).__name__}\n{request.context.binding_id}".encode())
    return digest.hexdigest()

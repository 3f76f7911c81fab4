"""A failure of a provider as the suite meets it.

Owns the way from the SDK's error to what the suite raises. Called by tests of checks that
run without a provider.
"""

import grpc
import grpc.aio
from grpc_status import rpc_status

from provider_sdk import errors
from provider_sdk.conformance import refusal
from servicekit import errors as kit_errors


def refused(error: errors.ProviderError) -> refusal.Refused:
    """Returns what a call raises that ended with *error*."""
    status = rpc_status.to_status(kit_errors.to_status(errors.to_rpc(error, domain="strict")))
    metadata = grpc.aio.Metadata(*status.trailing_metadata)
    return refusal.Refused(
        grpc.aio.AioRpcError(status.code, grpc.aio.Metadata(), metadata, details=status.details)
    )

"""Operations that made or changed an object, answered with it.

Owns the one shape that payment methods, billing, checkout and disputes answer in. Called by
their modules. Never reads a PaymentIntent: `payments` does.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from payhub.provider.v1 import operation_pb2
from payhub.provider.v1 import provider_object_pb2 as pb

from provider_sdk import calls
from provider_stripe import calling, failures, payments, transport

_O = operation_pb2.Operation
Sent = Callable[[], Awaitable[Any]]
Retrieve = Callable[[str], Awaitable[Any]]
Read = Callable[[calling.Json, float], pb.ProviderObject]


async def send(
    account: transport.Account,
    deadline: calling.Deadline,
    call: calling.Call,
    request: Sent,
    read: Read,
    *,
    object_id: str = "",
    retrieve: Retrieve,
) -> calls.Answer:
    """Sends a change of an object and answers with the object, or with the refusal."""
    try:
        reply = await calling.send(account, deadline, call, request, retrieve)
    except failures.Declined as declined:
        return refused(declined, object_id)
    return done(call.operation_id, read(reply.told, reply.at_s))


def done(operation_id: str, *objects: pb.ProviderObject) -> calls.Answer:
    """Returns the success of an operation on the first of *objects*."""
    operation = _O(
        operation_id=operation_id,
        state=_O.STATE_SUCCEEDED,
        provider_object_id=objects[0].provider_object_id,
        state_time=objects[0].state_time,
    )
    return calls.Answer(operation, objects)


def refused(declined: failures.Declined, object_id: str = "") -> calls.Answer:
    """Returns a declined operation."""
    return calls.Answer(payments.declined_operation(declined.decline, object_id))

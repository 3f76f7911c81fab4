"""Holds what a provider answers to the contract.

Owns the checks of operations and objects on their way out, so that core never
has to guess. Called by what runs operations, look-ups and fetches. Never
changes a message a provider may keep: it works on copies.
"""

import copy
from collections.abc import Iterable
from dataclasses import dataclass

from google.protobuf import message
from payhub.provider.v1 import operation_pb2, provider_object_pb2

from provider_sdk import calls, errors
from servicekit import errors as kit_errors
from servicekit import validation

# As the contract has them.
ID_BYTES_MAX = 255
ACTION_BYTES_MAX = 4_096
OBJECTS_MAX = 16

State = operation_pb2.Operation


@dataclass(frozen=True, slots=True, kw_only=True)
class Owed:
    """An object that an operation must answer with once it succeeded.

    Args:
        kind: Its field in ProviderObject.
        core_id: Core's identifier, for objects the operation makes; empty otherwise.
    """

    kind: str
    core_id: str = ""


def checked(
    result: calls.Result,
    *,
    operation_id: str,
    action_allowed: bool,
    owed: Owed | None = None,
) -> calls.Answer:
    """Returns *result* as an answer core can take.

    Args:
        result: What the provider returned; an operation without id gets *operation_id*.
        operation_id: The one asked for.
        action_allowed: Whether the payer may be asked for something.
        owed: What must be among the objects of a success.

    Raises:
        PluginBug: The contract forbids it; the effect is unknown.
    """
    answer = result if isinstance(result, calls.Answer) else calls.Answer(result)
    operation = answer.operation
    if not operation.operation_id:
        # A copy: the provider may keep the message it returned.
        operation = copy.deepcopy(operation)
        operation.operation_id = operation_id
    if operation.operation_id != operation_id:
        raise errors.PluginBug("the provider answered for another operation")
    if operation.state == State.STATE_UNSPECIFIED:
        raise errors.PluginBug("the provider answered without a state")
    if operation.state == State.STATE_ACTION_REQUIRED and not action_allowed:
        raise errors.PluginBug("the provider asks for a customer action core did not offer")
    objects = list(answer.objects)
    if owed is not None and operation.state == State.STATE_SUCCEEDED:
        objects = _with_owed(operation, objects, owed)
    require_valid_objects(objects)
    return calls.Answer(_within_limits(operation), objects)


def require_valid_objects(objects: Iterable[provider_object_pb2.ProviderObject]) -> None:
    """Fails if core would refuse *objects*.

    Raises:
        PluginBug: Says which rule of the contract one breaks.
    """
    listed = list(objects)
    if len(listed) > OBJECTS_MAX:
        raise errors.PluginBug(f"the provider answered with more than {OBJECTS_MAX} objects")
    for one in listed:
        require_valid(one, what="an object")


def require_valid(answer: message.Message, *, what: str) -> None:
    """Fails if *answer* breaks a rule of the contract.

    Raises:
        PluginBug: Says which, without any of its values.
    """
    try:
        validation.validate(answer)
    except kit_errors.RpcError as refused:
        fields = ", ".join(path or "(whole)" for path, _ in refused.violations)
        raise errors.PluginBug(
            f"the provider answered with {what} the contract forbids: {fields}"
        ) from refused


def _with_owed(
    operation: operation_pb2.Operation,
    objects: list[provider_object_pb2.ProviderObject],
    owed: Owed,
) -> list[provider_object_pb2.ProviderObject]:
    """Returns *objects* with core's identifier in the one that is owed."""
    kin = [one for one in objects if one.WhichOneof("object") == owed.kind]
    if any(owed.core_id in ("", one.core_id) for one in kin):
        return objects
    # What else has changed may be told too, and then is not what the operation names.
    nameless = sorted(
        (one for one in kin if not one.core_id),
        key=lambda one: one.provider_object_id != operation.provider_object_id,
    )
    if not nameless:
        raise errors.PluginBug(f"the provider answered without the {owed.kind} of the operation")
    named = copy.deepcopy(nameless[0])
    named.core_id = owed.core_id
    return [named if one is nameless[0] else one for one in objects]


def _within_limits(operation: operation_pb2.Operation) -> operation_pb2.Operation:
    """Holds an operation to the contract's sizes; core would refuse a longer one as a whole."""
    if len(operation.decline.provider_code.encode()) > errors.CODE_BYTES_MAX:
        operation = copy.deepcopy(operation)
        operation.decline.provider_code = errors.cut(operation.decline.provider_code)
    texts = (
        ("provider_object_id", operation.provider_object_id, ID_BYTES_MAX),
        ("provider_operation_id", operation.provider_operation_id, ID_BYTES_MAX),
        ("action.redirect_url", operation.action.redirect_url, ACTION_BYTES_MAX),
        ("action.client_secret", operation.action.client_secret, ACTION_BYTES_MAX),
    )
    for name, text, bytes_max in texts:
        if len(text.encode()) > bytes_max:
            raise errors.PluginBug(f"the provider answered with {name} above {bytes_max} bytes")
    return operation

"""How a recorded operation is told to core.

Owns the translation of rows to the contract's Operation. Called by the
provider. Never reads storage.
"""

import hashlib

from payhub.provider.v1 import operation_pb2
from payhub.type.v1 import money_pb2

from provider_mock import scenarios, schema

_STATES = {
    "PENDING": operation_pb2.Operation.STATE_PENDING,
    "ACTION_REQUIRED": operation_pb2.Operation.STATE_ACTION_REQUIRED,
    "SUCCEEDED": operation_pb2.Operation.STATE_SUCCEEDED,
    "DECLINED": operation_pb2.Operation.STATE_DECLINED,
    "VOIDED": operation_pb2.Operation.STATE_VOIDED,
}


def operation(row: schema.OperationRow, *, action_url: str) -> operation_pb2.Operation:
    """Returns the operation of *row*.

    Args:
        row: As recorded.
        action_url: What an action's token is appended to for the payer's redirect.
    """
    answer = operation_pb2.Operation(
        operation_id=row.operation_id,
        state=_STATES[row.state],
        provider_object_id=row.object_id,
        provider_operation_id=row.provider_operation_id,
    )
    if row.echo_minor is not None:
        answer.amount.CopyFrom(
            money_pb2.Money(amount_minor=row.echo_minor, currency_code=row.currency)
        )
    if row.state == "DECLINED":
        answer.decline.reason = row.decline_reason  # type: ignore[assignment]
        answer.decline.provider_code = scenarios.provider_code(row.decline_reason)
        answer.decline.retryable_later = scenarios.retryable_later(row.decline_reason)
    if row.state == "ACTION_REQUIRED":
        answer.action.redirect_url = f"{action_url}{row.action_token}"
        answer.action.client_secret = client_secret(row.action_token or "")
        answer.action.expire_time.FromMicroseconds(row.action_expire_us)
    answer.state_time.FromMicroseconds(row.state_us)
    return answer


def client_secret(token: str) -> str:
    """Returns what a front end completes the action with; always the same for one token."""
    return f"mcs_{hashlib.sha256(token.encode()).hexdigest()[:32]}"

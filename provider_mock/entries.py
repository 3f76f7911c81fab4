"""What the ledger is asked to record, and the row it makes of that.

Owns the shape of an entry. Called by the provider, which makes entries, and by
`ledger`, which records them. Never touches storage.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from payhub.provider.v1 import operation_pb2

from provider_mock import scenarios, schema


class Injected(Exception):
    """A fault that a scenario asks for before anything is recorded."""

    def __init__(self, fault: scenarios.Fault) -> None:
        super().__init__(fault.value)
        self.fault = fault


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """How an operation that waits for the payer may end.

    Args:
        token: Names it in the redirect URL.
        expire_us: When it is declined, provider's time.
        auto_us: When the payer is taken to have agreed, if ever.
    """

    token: str
    expire_us: int
    auto_us: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One operation as asked for.

    Args:
        operation_id: Id core chose.
        binding_id: Account it is for.
        fingerprint: Equal for equal parameters.
        provider_operation_id: Fresh id of this effect.
        object_id: The payment or customer; a fresh id for one that is to be made.
        reference: Core's own id of it.
        target_id: The authorization to void.
        amount_minor: Minor units, or None where no amount applies.
        currency: ISO 4217 code, or empty.
        final: Nothing more will be captured.
        details: JSON of what the operation asks for besides.
        customer_id: Whose payment it is, if a customer's.
        method_id: The kept method it is paid by, if one.
        force: The global switch.
        now_us: Provider's time.
        settle_after_us: How long pending takes.
        ensure_in_time: Raises TooLate once the fence has passed.
    """

    operation_id: str
    binding_id: str
    fingerprint: str
    provider_operation_id: str
    object_id: str
    now_us: int
    settle_after_us: int
    ensure_in_time: Callable[[], None]
    reference: str = ""
    target_id: str = ""
    amount_minor: int | None = None
    currency: str = ""
    final: bool = False
    details: str = ""
    customer_id: str = ""
    method_id: str = ""
    force: scenarios.Force | None = None


class Recorded(NamedTuple):
    """An operation as it stands, and what goes wrong with its answer."""

    row: schema.OperationRow
    fault: scenarios.Fault


def row(entry: Entry, kind: str, outcome: scenarios.Outcome) -> schema.OperationRow:
    """Returns the row that records *entry* with *outcome*."""
    pending = outcome.state == "PENDING"
    declined = outcome.state == "DECLINED"
    amount_minor = entry.amount_minor
    return schema.OperationRow(
        operation_id=entry.operation_id,
        binding_id=entry.binding_id,
        kind=kind,
        fingerprint=entry.fingerprint,
        state=outcome.state,
        reference=entry.reference,
        object_id=entry.object_id,
        provider_operation_id=entry.provider_operation_id,
        target_id=entry.target_id,
        amount_minor=amount_minor,
        echo_minor=None if amount_minor is None else amount_minor + outcome.echo_delta_minor,
        currency=entry.currency,
        final=int(entry.final),
        decline_reason=outcome.reason if declined else 0,
        due_us=entry.now_us + entry.settle_after_us if pending else None,
        due_state=outcome.settles or "",
        due_reason=outcome.reason if pending else 0,
        action_token=None,
        action_expire_us=0,
        details=entry.details,
        state_us=entry.now_us,
        created_us=entry.now_us,
    )


def with_action(row: schema.OperationRow, action: Action) -> schema.OperationRow:
    """Returns *row* as one that waits for the payer."""
    automatic = action.auto_us is not None
    return row._replace(
        action_token=action.token,
        action_expire_us=action.expire_us,
        due_us=action.auto_us if automatic else action.expire_us,
        due_state="SUCCEEDED" if automatic else "DECLINED",
        due_reason=0 if automatic else operation_pb2.DECLINE_REASON_AUTHENTICATION_FAILED,
    )


def amount(entry: Entry) -> int:
    """Returns the amount of an entry that must have one, minor units."""
    assert entry.amount_minor is not None
    return entry.amount_minor

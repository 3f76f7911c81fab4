"""What a decision changes: new values and the events that say so.

Owns `Change`, `Step` and `Refusal`, the results of every decision in the
domain. Called by commands and transitions, consumed by the use cases. A step
is one committed change of state and becomes exactly one event.
"""

from dataclasses import dataclass

from payment_service.domain import model


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One event: its type and the payment right before and right after."""

    event_type: str
    before: model.Payment | None
    after: model.Payment
    refund: model.Refund | None = None
    operation_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A decision to write.

    `payment` is the payment after every step; `new_operation` and `new_refund` are
    inserted, `operations` and `refund` are updated.
    """

    payment: model.Payment
    steps: tuple[Step, ...] = ()
    new_operation: model.Operation | None = None
    operations: tuple[model.Operation, ...] = ()
    new_refund: model.Refund | None = None
    refund: model.Refund | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A decision not to do it. Nothing is written.

    `reason` is STATE_CONFLICT or AMOUNT_EXCEEDED, the latter with `max_amount_minor`.
    """

    reason: str
    message: str
    payment: model.Payment
    max_amount_minor: int = 0

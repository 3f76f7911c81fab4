"""Builders of payments, operations, refunds, customers and reports.

Owns what tests of the payment domain start from. Called by those tests. Never
asserts: amounts follow from the operations, as they do in a stored payment.
"""

from dataclasses import replace
from typing import Any

from payment_service.domain import changes, commands, model, outcomes, transitions

P = model.PaymentState
S = model.OperationState
K = model.Kind
O = outcomes.Outcome  # noqa: E741 - the tables read best with one letter per enum

AMOUNT = 1_000
NOW_US = 1_767_225_600_000_000


def operation(kind: model.Kind, number: int = 1, **over: Any) -> model.Operation:
    """Returns an operation in flight, without amount."""
    values: dict[str, Any] = {
        "id": f"op_{number:032x}",
        "tenant_id": "default",
        "entity_id": "pay_1",
        "kind": kind,
        "state": S.IN_FLIGHT,
        "currency": "EUR",
        "provider": "mock",
        "binding_id": "b-1",
        "created_us": NOW_US,
        "updated_us": NOW_US,
    }
    return model.Operation(**{**values, **over})


def payment(**over: Any) -> model.Payment:
    """Returns a payment that was created and not confirmed."""
    values: dict[str, Any] = {
        "id": "pay_1",
        "tenant_id": "default",
        "state": P.CREATED,
        "amount_minor": AMOUNT,
        "currency": "EUR",
        "capture_method": model.CaptureMethod.MANUAL,
        "provider": "mock",
        "binding_id": "b-1",
        "created_us": NOW_US,
        "updated_us": NOW_US,
    }
    return model.Payment(**{**values, **over})


def refund(number: int, **over: Any) -> model.Refund:
    """Returns a refund that was just asked for; *number* is its operation's."""
    values: dict[str, Any] = {
        "id": f"ref_{number:032x}",
        "tenant_id": "default",
        "payment_id": "pay_1",
        "operation_id": f"op_{number:032x}",
        "amount_minor": 0,
        "currency": "EUR",
        "state": model.RefundState.PENDING,
        "created_us": NOW_US,
        "updated_us": NOW_US,
    }
    return model.Refund(**{**values, **over})


def failure(outcome: outcomes.Outcome) -> model.Failure | None:
    """Returns why, for outcomes that a reason comes with."""
    if outcome is O.DECLINED:
        return model.Failure(kind=model.FailureKind.DECLINED, reason="DO_NOT_HONOR")
    if outcome is O.NOT_SENT:
        return model.Failure(kind=model.FailureKind.NOT_SENT, reason="PROVIDER_UNREACHABLE")
    if outcome is O.UNKNOWN:
        return model.Failure(kind=model.FailureKind.UNSPECIFIED, reason="ANSWER_MISMATCH")
    return None


def report(outcome: outcomes.Outcome, version: int = 1, **over: Any) -> outcomes.Report:
    """Returns a report on *version* of an operation."""
    action = None
    if outcome is O.ACTION_REQUIRED:
        action = model.CustomerAction(redirect_url="https://bank.test/3ds?secret=1")
    values: dict[str, Any] = {"failure": failure(outcome), "action": action}
    return outcomes.Report(outcome=outcome, operation_version=version, **{**values, **over})


class Story:
    """A payment that is led through commands and reports, one after the other.

    Refuses to go on where the domain refuses. Keeps every step and every refund.
    """

    def __init__(self, kind: model.Kind = K.AUTHORIZE, amount_minor: int = AMOUNT) -> None:
        automatic = model.CaptureMethod.AUTOMATIC
        method = automatic if kind is K.SALE else model.CaptureMethod.MANUAL
        self.kind = kind
        self.number = 0
        self.now_us = NOW_US
        self.refunds: dict[str, model.Refund] = {}
        created = payment(amount_minor=amount_minor, capture_method=method)
        change = commands.create(created, None)
        self.payment = change.payment
        self.steps = list(change.steps)

    def next_operation(self, kind: model.Kind, **over: Any) -> model.Operation:
        """Returns a new operation with an id of its own; a later time begins."""
        self.number += 1
        self.now_us += 1_000
        return operation(kind, self.number, **over)

    def take(self, change: changes.Change | changes.Refusal) -> None:
        """Makes *change* the present state."""
        assert isinstance(change, changes.Change), change
        self.payment = change.payment
        self.steps += change.steps
        for changed in (change.new_refund, change.refund):
            if changed is not None:
                self.refunds[changed.operation_id] = changed

    def confirm(self) -> "Story":
        """Sends it."""
        new = self.next_operation(self.kind, amount_minor=self.payment.amount_minor)
        self.take(commands.confirm(self.payment, new, self.now_us))
        return self

    def capture(self, amount_minor: int | None = None, *, final: bool = False) -> "Story":
        """Begins a capture."""
        new = self.next_operation(K.CAPTURE, final=final)
        self.take(commands.capture(self.payment, new, amount_minor, self.now_us))
        return self

    def increment(self, amount_minor: int) -> "Story":
        """Asks for more to be held."""
        new = self.next_operation(K.INCREMENT, amount_minor=amount_minor)
        self.take(commands.increment(self.payment, new, self.now_us))
        return self

    def cancel(self) -> "Story":
        """Asks for the end."""
        new = self.next_operation(K.VOID)
        self.take(commands.cancel(self.payment, new, self.now_us))
        return self

    def refund(self, amount_minor: int | None = None, *, actor: str = "") -> "Story":
        """Begins a refund."""
        new = self.next_operation(K.REFUND, cause=model.Cause(actor=actor))
        new = replace(new, refund_id=refund(self.number).id)
        self.take(
            commands.refund(self.payment, refund(self.number), new, amount_minor, self.now_us)
        )
        return self

    def report(
        self, outcome: outcomes.Outcome, number: int | None = None, **over: Any
    ) -> transitions.Applied:
        """Applies a current report to operation *number*, the newest if not given."""
        operations = self.payment.operations
        target = operations[-1] if number is None else operations[number]
        self.now_us += 1_000
        applied = transitions.apply(
            self.payment,
            target.id,
            report(outcome, target.version, **over),
            self.now_us,
            self.refunds.get(target.id),
        )
        if applied.change is not None:
            self.take(applied.change)
        return applied

    def then(self, outcome: outcomes.Outcome, number: int | None = None, **over: Any) -> "Story":
        """As `report`, for a chain."""
        self.report(outcome, number, **over)
        return self

    @property
    def event_types(self) -> list[str]:
        """The types of all events so far."""
        return [step.event_type for step in self.steps]

"""The books of the upstream double: a small payment service provider in memory.

Owns what an operation does to a payment, one effect per idempotency key, and
the ceilings. Called by `upstream`, which speaks HTTP and injects faults. Never
does I/O and never forgets: a run's payments stay refundable to its end.
"""

import enum
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

SETTLE_AFTER_S = 0.3
# What a run of the suite books at most, fuzzing included, many times over.
OPERATIONS_MAX = 200_000
ACTION_EXPIRES_S = 900.0

Params = Mapping[str, Any]
Json = dict[str, Any]


class Kind(enum.StrEnum):
    """What an operation does."""

    AUTHORIZE = "authorize"
    SALE = "sale"
    CAPTURE = "capture"
    VOID = "void"
    REFUND = "refund"
    CREATE_CUSTOMER = "create_customer"
    UPDATE_CUSTOMER = "update_customer"


class Refusal(Exception):
    """The operation is refused and leaves no trace.

    Args:
        status: HTTP status.
        code: Cause, as programs read it.
        message: Cause, as people read it.
        field: Parameter it is about, if one.
    """

    def __init__(self, status: int, code: str, message: str, field: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.body: Json = {"error": {"code": code, "message": message, "field": field}}


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """Something that was booked: what a payer or a merchant would notice.

    Args:
        key: Idempotency key it was sent with.
        kind: What it did.
        account: Merchant account it was for.
        amount_minor: Minor units, or None where no amount applies.
        currency: ISO 4217 code, or empty.
    """

    key: str
    kind: Kind
    account: str
    amount_minor: int | None
    currency: str


@dataclass(slots=True, kw_only=True)
class _Payment:
    """One payment and its sums, minor units."""

    object_id: str
    account: str
    key: str
    currency: str
    authorized_minor: int = 0
    captured_minor: int = 0
    refunded_minor: int = 0
    released_minor: int = 0
    closed: bool = False

    @property
    def capturable_minor(self) -> int:
        held_minor = self.authorized_minor - self.captured_minor - self.released_minor
        return 0 if self.closed else held_minor

    def release(self) -> int:
        """Gives back what is held; returns how much that was."""
        released_minor = self.capturable_minor
        self.released_minor += released_minor
        self.closed = True
        return released_minor


@dataclass(slots=True, kw_only=True)
class _Operation:
    """One operation as booked."""

    key: str
    kind: Kind
    account: str
    params: Params | None
    """None for an authorization that a void refused before it came."""
    operation_id: str
    object_id: str = ""
    state: str = "succeeded"
    amount_minor: int | None = None
    currency: str = ""
    decline_code: str = ""
    settles_s: float | None = None
    state_s: float = field(default=0.0)


class Psp:
    """Accounts, payments and operations.

    Args:
        instruments: Token of each kind of instrument: `approve`, `decline`,
            `action_required`, `pending`. Any other token is declined.
        now_s: The time, epoch seconds.
    """

    def __init__(
        self, instruments: Mapping[str, str], *, now_s: Callable[[], float] = time.time
    ) -> None:
        self.effects: list[Effect] = []
        self._outcomes = {token: name for name, token in instruments.items()}
        self._now_s = now_s
        self._operations: dict[str, _Operation] = {}
        self._payments: dict[str, _Payment] = {}
        self._customers: dict[str, str] = {}

    def act(self, *, account: str, key: str, params: Params) -> Json:
        """Carries an operation out once, or finds the one of this key.

        Raises:
            Refusal: Nothing was booked.
        """
        if not key:
            raise Refusal(400, "invalid", "the header Idempotency-Key is missing")
        # Whether the caller can show a challenge says nothing of the payment.
        asked = {name: value for name, value in params.items() if name != "customer_action"}
        known = self._operations.get(key)
        if known is not None:
            if known.account != account or known.params not in (None, asked):
                raise Refusal(409, "mismatch", "the key was used with other parameters")
            return self._told(known)
        if len(self._operations) >= OPERATIONS_MAX:
            raise Refusal(507, "full", f"{OPERATIONS_MAX} operations are booked; start again")
        try:
            kind = Kind(params.get("kind", ""))
        except ValueError:
            known_kinds = ", ".join(Kind)
            raise Refusal(422, "invalid", f"the kinds are {known_kinds}", "kind") from None
        operation = _Operation(
            key=key,
            kind=kind,
            account=account,
            params=asked,
            operation_id=f"uop_{len(self._operations) + 1}",
            state_s=self._now_s(),
        )
        self._carry_out(operation, params)
        self._operations[key] = operation
        if operation.state != "declined":
            self._note(operation)
        return self._told(operation)

    def find(self, *, account: str, key: str) -> Json:
        """Returns the operation of *key* as it stands.

        Raises:
            Refusal: 404: it did not take place.
        """
        known = self._operations.get(key)
        if known is None or known.account != account:
            raise Refusal(404, "not_found", "no operation of this key")
        return self._told(known)

    def _note(self, operation: _Operation) -> None:
        self.effects.append(
            Effect(
                key=operation.key,
                kind=operation.kind,
                account=operation.account,
                amount_minor=operation.amount_minor,
                currency=operation.currency,
            )
        )

    def _carry_out(self, operation: _Operation, params: Params) -> None:
        match operation.kind:
            case Kind.AUTHORIZE | Kind.SALE:
                self._authorize(operation, params)
            case Kind.CAPTURE:
                self._capture(operation, params)
            case Kind.REFUND:
                self._refund(operation, params)
            case Kind.VOID:
                self._void(operation, params)
            case Kind.CREATE_CUSTOMER:
                operation.object_id = f"ucus_{len(self._customers) + 1}"
                self._customers[operation.object_id] = operation.account
            case Kind.UPDATE_CUSTOMER:
                operation.object_id = _text(params, "object")
                if self._customers.get(operation.object_id) != operation.account:
                    raise Refusal(404, "not_found", "no such customer", "object")

    def _authorize(self, operation: _Operation, params: Params) -> None:
        operation.amount_minor, operation.currency = _money(params)
        outcome = self._outcomes.get(_text(params, "instrument"), "unknown")
        if outcome == "action_required" and not params.get("customer_action"):
            operation.state, operation.decline_code = "declined", "authentication_failed"
        elif outcome == "decline":
            operation.state, operation.decline_code = "declined", "other"
        elif outcome == "unknown":
            operation.state, operation.decline_code = "declined", "instrument_invalid"
        if operation.state == "declined":
            return
        payment = _Payment(
            object_id=f"upay_{len(self._payments) + 1}",
            account=operation.account,
            key=operation.key,
            currency=operation.currency,
        )
        self._payments[payment.object_id] = payment
        operation.object_id = payment.object_id
        if outcome == "action_required":
            operation.state = "action_required"
        elif outcome == "pending":
            operation.state = "pending"
            operation.settles_s = operation.state_s + SETTLE_AFTER_S
        else:
            _settle(operation, payment)

    def _capture(self, operation: _Operation, params: Params) -> None:
        amount_minor, payment = self._moved(operation, params)
        if amount_minor > payment.capturable_minor:
            left = payment.capturable_minor
            raise Refusal(409, "state_conflict", f"{left} can be captured", "amount_minor")
        payment.captured_minor += amount_minor
        if params.get("final", True):
            payment.release()

    def _refund(self, operation: _Operation, params: Params) -> None:
        amount_minor, payment = self._moved(operation, params)
        left = payment.captured_minor - payment.refunded_minor
        if amount_minor > left:
            raise Refusal(409, "state_conflict", f"{left} can be refunded", "amount_minor")
        payment.refunded_minor += amount_minor

    def _moved(self, operation: _Operation, params: Params) -> tuple[int, _Payment]:
        """Returns amount and payment of a capture or refund."""
        operation.amount_minor, operation.currency = _money(params)
        payment = self._payment(operation.account, _text(params, "object"))
        if payment.currency != operation.currency:
            text = f"the payment is in {payment.currency}"
            raise Refusal(422, "invalid", text, "currency")
        operation.object_id = payment.object_id
        return operation.amount_minor, payment

    def _void(self, operation: _Operation, params: Params) -> None:
        target_key = _text(params, "target")
        target = self._operations.get(target_key)
        if target is not None and target.account != operation.account:
            raise Refusal(404, "not_found", "no such operation", "target")
        object_id = params.get("object") or (target.object_id if target is not None else "")
        if not object_id:
            self._void_nothing(operation, target, target_key)
            return
        payment = self._payment(operation.account, str(object_id))
        if payment.key != target_key:
            raise Refusal(422, "invalid", "not what authorized the payment", "target")
        if payment.captured_minor and not payment.capturable_minor and not payment.released_minor:
            raise Refusal(409, "state_conflict", "everything is captured; refund it instead")
        operation.object_id = payment.object_id
        operation.amount_minor = payment.release() or None
        operation.currency = payment.currency
        authorization = self._operations[payment.key]
        if authorization.state in ("pending", "action_required"):
            authorization.state, authorization.settles_s = "voided", None
            authorization.state_s = self._now_s()

    def _void_nothing(
        self, operation: _Operation, target: _Operation | None, target_key: str
    ) -> None:
        """Voids what was declined, or what has not come yet and is refused from now on."""
        if target is None:
            self._operations[target_key] = _Operation(
                key=target_key,
                kind=Kind.AUTHORIZE,
                account=operation.account,
                params=None,
                operation_id=f"{operation.operation_id}_target",
                state="declined",
                decline_code="not_allowed",
                state_s=operation.state_s,
            )

    def _payment(self, account: str, object_id: str) -> _Payment:
        payment = self._payments.get(object_id)
        if payment is None or payment.account != account:
            raise Refusal(404, "not_found", "no such payment", "object")
        self._bring_up_to_date(self._operations[payment.key])
        return payment

    def _bring_up_to_date(self, operation: _Operation) -> None:
        due_s = operation.settles_s
        if due_s is not None and due_s <= self._now_s():
            operation.state_s = due_s
            _settle(operation, self._payments[operation.object_id])

    def _told(self, operation: _Operation) -> Json:
        """Returns the operation as JSON."""
        self._bring_up_to_date(operation)
        told: Json = {
            "id": operation.operation_id,
            "key": operation.key,
            "kind": operation.kind,
            "state": operation.state,
            "object": operation.object_id,
            "amount_minor": operation.amount_minor,
            "currency": operation.currency,
            "state_us": round(operation.state_s * 1e6),
        }
        if operation.state == "declined":
            told["decline"] = {
                "code": operation.decline_code,
                "retryable_later": operation.decline_code == "other",
            }
        if operation.state == "action_required":
            told["action"] = {
                "url": f"https://upstream.invalid/actions/{operation.operation_id}",
                "client_secret": f"ucs_{operation.operation_id}",
                "expire_us": round((operation.state_s + ACTION_EXPIRES_S) * 1e6),
            }
        return told


def _settle(operation: _Operation, payment: _Payment) -> None:
    """The authorization takes effect; a sale is captured at once."""
    operation.state, operation.settles_s = "succeeded", None
    payment.authorized_minor = operation.amount_minor or 0
    if operation.kind is Kind.SALE:
        payment.captured_minor, payment.closed = payment.authorized_minor, True


def _text(params: Params, name: str) -> str:
    value = params.get(name)
    if not isinstance(value, str) or not value:
        raise Refusal(422, "invalid", f"{name} must be text", name)
    return value


def _money(params: Params) -> tuple[int, str]:
    amount_minor = params.get("amount_minor")
    if not isinstance(amount_minor, int) or isinstance(amount_minor, bool) or amount_minor <= 0:
        raise Refusal(422, "invalid", "amount_minor must be a whole number above 0", "amount_minor")
    currency = _text(params, "currency")
    if len(currency) != 3 or not currency.isascii() or not currency.isupper():
        raise Refusal(422, "invalid", "currency must be three capital letters", "currency")
    return amount_minor, currency

"""What the simulated provider does, chosen by the instrument.

Owns the grammar of scenario tokens and the table of outcomes. Called by the
ledger, by settings and by binding configurations. Never touches storage.

    token   = "tok_" clause ("+" clause)*
    clause  = [kind "."] outcome | trait
    kind    = "authorize" | "capture" | ... (see Kind)
    trait   = "card." brand ["_" last4] | "type." name | "dispute." reason | "inquiry." reason

A clause without a kind is for the authorization (of a customer, plan or
checkout: its creation; of a kept method: attaching it and payments by it).
Kinds that no clause names are approved. A token of another form, with an
outcome that its kind does not have, or with two clauses for one kind, is
unknown: its authorization is declined with INSTRUMENT_INVALID.
"""

import enum
import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from payhub.provider.v1 import operation_pb2

TOKEN_PREFIX = "tok_"
EMAIL_PREFIX = "mock+"
TOKEN_CHARS_MAX = 255

State = Literal["SUCCEEDED", "DECLINED", "PENDING", "ACTION_REQUIRED", "VOIDED"]
DeclineReason = operation_pb2.DeclineReason


class Kind(enum.StrEnum):
    """What a clause is for."""

    AUTHORIZE = "authorize"
    CAPTURE = "capture"
    VOID = "void"
    REFUND = "refund"
    CREATE = "create"
    UPDATE = "update"
    INCREMENT = "increment"
    ATTACH = "attach"
    DETACH = "detach"
    DEFAULT = "default"
    # Payments without the payer by a kept method: off session, and of invoices.
    BILL = "bill"
    PLAN = "plan"
    ARCHIVE = "archive"
    SUBSCRIBE = "subscribe"
    CHANGE = "change"
    CANCEL = "cancel"
    REACTIVATE = "reactivate"
    CHECKOUT = "checkout"
    EXPIRE = "expire"
    EVIDENCE = "evidence"
    ACCEPT = "accept"


class Fault(enum.StrEnum):
    """What goes wrong around an operation."""

    NONE = "none"
    # Before the ledger commits: nothing happens.
    NOT_SENT = "not_sent"
    RATE_LIMITED = "rate_limited"
    CREDENTIALS_REJECTED = "credentials_rejected"
    DROP_BEFORE = "drop_before_commit"
    CRASH_BEFORE = "crash_before"
    # After it has: the effect stands, the answer is lost.
    LATE_ANSWER = "late_answer"
    NO_ANSWER = "no_answer"
    DROP_AFTER = "drop_after_commit"
    SEVER_AFTER = "sever_after_commit"
    CRASH_AFTER = "crash_after"
    BUG = "bug"


BEFORE_COMMIT = frozenset(
    {
        Fault.NOT_SENT,
        Fault.RATE_LIMITED,
        Fault.CREDENTIALS_REJECTED,
        Fault.DROP_BEFORE,
        Fault.CRASH_BEFORE,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What becomes of one operation.

    Args:
        state: State it is recorded in.
        settles: State it reaches later by itself; only for PENDING.
        reason: Cause of the decline, at once or later.
        fault: What goes wrong besides.
        echo_delta_minor: Added to the amount in every answer, not in the books.
    """

    state: State = "SUCCEEDED"
    settles: State | None = None
    reason: int = operation_pb2.DECLINE_REASON_UNSPECIFIED
    fault: Fault = Fault.NONE
    echo_delta_minor: int = 0


APPROVE = Outcome()
UNKNOWN_INSTRUMENT = Outcome(
    state="DECLINED", reason=operation_pb2.DECLINE_REASON_INSTRUMENT_INVALID
)
_RETRYABLE_LATER = frozenset(
    {
        operation_pb2.DECLINE_REASON_INSUFFICIENT_FUNDS,
        operation_pb2.DECLINE_REASON_LIMIT_EXCEEDED,
        operation_pb2.DECLINE_REASON_DO_NOT_HONOR,
    }
)


def _table() -> dict[str, Outcome]:
    other = operation_pb2.DECLINE_REASON_OTHER
    table = {
        "approve": APPROVE,
        "decline": Outcome(state="DECLINED", reason=other),
        "action_required": Outcome(state="ACTION_REQUIRED"),
        "pending_then_settled": Outcome(state="PENDING", settles="SUCCEEDED"),
        "pending_then_declined": Outcome(state="PENDING", settles="DECLINED", reason=other),
        "wrong_amount": Outcome(echo_delta_minor=1),
    }
    for name, reason in DeclineReason.items():
        if reason != operation_pb2.DECLINE_REASON_UNSPECIFIED:
            short = name.removeprefix("DECLINE_REASON_").lower()
            table[f"decline_{short}"] = Outcome(state="DECLINED", reason=reason)
    for fault in Fault:
        if fault is not Fault.NONE:
            table[fault.value] = Outcome(fault=fault)
    return table


OUTCOMES: Mapping[str, Outcome] = _table()
_AMOUNT_KINDS = frozenset({Kind.AUTHORIZE, Kind.CAPTURE, Kind.REFUND, Kind.INCREMENT, Kind.BILL})
_BY_DEFAULT = frozenset(
    {Kind.AUTHORIZE, Kind.CREATE, Kind.ATTACH, Kind.BILL, Kind.PLAN, Kind.CHECKOUT}
)
_CLAUSE = re.compile(r"(?:(?P<kind>[a-z]+)\.)?(?P<outcome>[a-z_]+)")
_TRAIT = re.compile(
    r"(?P<name>card|type|dispute|inquiry)\.(?P<value>[a-z]+(?:_[a-z]+)*(?:_[0-9]{4})?)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """The outcomes of one instrument; kinds not named are approved.

    Args:
        text: The clauses as written, without prefix.
        named: Outcome of each kind that is named.
        default: Outcome of the clause without a kind, if there is one.
        traits: What the instrument is, and what becomes of its payments later.
    """

    text: str
    named: Mapping[Kind, Outcome]
    default: Outcome | None = None
    traits: Mapping[str, str] = field(default_factory=dict)

    def outcome(self, kind: Kind) -> Outcome:
        """Returns what becomes of an operation of *kind* on this instrument."""
        named = self.named.get(kind)
        if named is not None:
            return named
        if self.default is None or kind not in _BY_DEFAULT:
            return APPROVE
        if _fits(self.default, kind):
            return self.default
        # A kept method may do what attaching it can't: `action_required` asks at each payment.
        return UNKNOWN_INSTRUMENT if kind in (Kind.AUTHORIZE, Kind.CREATE) else APPROVE


@dataclass(frozen=True, slots=True, kw_only=True)
class Force:
    """Outcomes that override every instrument: the global switch."""

    scenario: Scenario

    def outcome(self, kind: Kind) -> Outcome | None:
        """Returns the outcome forced on *kind*; None if the instrument decides."""
        named = self.scenario.named.get(kind)
        if named is not None:
            return named
        default = self.scenario.default
        return default if default is not None and _fits(default, kind) else None


def _fits(outcome: Outcome, kind: Kind) -> bool:
    if outcome.state == "ACTION_REQUIRED":
        return kind in (Kind.AUTHORIZE, Kind.BILL)
    return not outcome.echo_delta_minor or kind in _AMOUNT_KINDS


@functools.lru_cache(maxsize=4096)
def parse(text: str) -> Scenario | None:
    """Returns the scenario that *text* (clauses without prefix) spells; None if none."""
    if len(text) > TOKEN_CHARS_MAX:
        return None
    default: Outcome | None = None
    named: dict[Kind, Outcome] = {}
    traits: dict[str, str] = {}
    for part in text.split("+"):
        trait = _TRAIT.fullmatch(part)
        if trait is not None:
            if trait["name"] in traits:
                return None
            traits[trait["name"]] = trait["value"]
            continue
        match = _CLAUSE.fullmatch(part)
        outcome = OUTCOMES.get(match["outcome"]) if match else None
        if match is None or outcome is None:
            return None
        if match["kind"] is None:
            if default is not None:
                return None
            default = outcome
            continue
        if match["kind"] not in Kind._value2member_map_:
            return None
        kind = Kind(match["kind"])
        if kind in named or not _fits(outcome, kind):
            return None
        named[kind] = outcome
    return Scenario(text=text, named=named, default=default, traits=traits)


def of_token(token: str) -> Scenario | None:
    """Returns the scenario of a payment-method token; None if it is unknown."""
    return parse(token[len(TOKEN_PREFIX) :]) if token.startswith(TOKEN_PREFIX) else None


def of_customer(*, name: str, email: str) -> Scenario | None:
    """Returns the scenario in a customer's mail address or name; None if it is unknown.

    `mock+decline_other@example.com` or the name `mock+decline_other`; anything
    that does not start with `mock+` is approved.
    """
    for text in (email.partition("@")[0], name):
        if text.startswith(EMAIL_PREFIX):
            return parse(text[len(EMAIL_PREFIX) :])
    return _ORDINARY


_ORDINARY = Scenario(text="approve", named={}, default=APPROVE)


def force(text: str) -> Force | None:
    """Returns the global switch that *text* spells; None for an empty one.

    Raises:
        ValueError: It is not of the grammar.
    """
    if not text:
        return None
    scenario = parse(text.removeprefix(TOKEN_PREFIX))
    if scenario is None:
        raise ValueError(
            "not a scenario; write clauses joined by '+', for example 'decline_other' or "
            "'capture.drop_after_commit+refund.not_sent'"
        )
    return Force(scenario=scenario)


def retryable_later(reason: int) -> bool:
    """Says whether the same instrument may be approved another time."""
    return reason in _RETRYABLE_LATER


def provider_code(reason: int) -> str:
    """Returns how this provider spells a cause of decline."""
    name = DeclineReason.Name(reason)
    return f"mock_{name.removeprefix('DECLINE_REASON_').lower()}"

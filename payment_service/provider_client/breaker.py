"""Circuit breakers: a provider that can't be reached upstream is left alone for a while.

Owns when one opens, that it lets one call through from time to time, and that it closes
by itself. Kept by `pool` per binding and class of call; look-ups never ask it. Pure: time
is passed in.
"""

import enum
import itertools
from collections.abc import Callable
from dataclasses import dataclass

from payment_service.domain import model

BREAKERS_MAX = 10_000


class Admission(enum.Enum):
    """Whether a call may be sent; a trial decides whether the breaker closes."""

    NO = 0
    YES = 1
    TRIAL = 2


class State(enum.Enum):
    """Where a breaker stands."""

    CLOSED = 1
    OPEN = 2
    HALF_OPEN = 3


class CallClass(enum.StrEnum):
    """Calls that fail together: a bank that takes no new money may still give some back."""

    PAY = "pay"
    FOLLOW_UP = "follow_up"
    CUSTOMER = "customer"
    BILLING = "billing"


CLASSES: dict[model.Kind, CallClass] = {
    model.Kind.AUTHORIZE: CallClass.PAY,
    model.Kind.SALE: CallClass.PAY,
    model.Kind.INCREMENT: CallClass.PAY,
    model.Kind.CAPTURE: CallClass.FOLLOW_UP,
    model.Kind.VOID: CallClass.FOLLOW_UP,
    model.Kind.REFUND: CallClass.FOLLOW_UP,
    model.Kind.CREATE_CUSTOMER: CallClass.CUSTOMER,
    model.Kind.UPDATE_CUSTOMER: CallClass.CUSTOMER,
    model.Kind.ATTACH_PAYMENT_METHOD: CallClass.CUSTOMER,
    model.Kind.DETACH_PAYMENT_METHOD: CallClass.CUSTOMER,
    model.Kind.SET_DEFAULT_PAYMENT_METHOD: CallClass.CUSTOMER,
    model.Kind.CREATE_PLAN: CallClass.BILLING,
    model.Kind.ARCHIVE_PLAN: CallClass.BILLING,
    model.Kind.CREATE_SUBSCRIPTION: CallClass.BILLING,
    model.Kind.CHANGE_SUBSCRIPTION: CallClass.BILLING,
    model.Kind.CANCEL_SUBSCRIPTION: CallClass.BILLING,
    model.Kind.REACTIVATE_SUBSCRIPTION: CallClass.BILLING,
    model.Kind.CREATE_CHECKOUT: CallClass.BILLING,
    model.Kind.EXPIRE_CHECKOUT: CallClass.BILLING,
    model.Kind.SUBMIT_EVIDENCE: CallClass.FOLLOW_UP,
    model.Kind.ACCEPT_DISPUTE: CallClass.FOLLOW_UP,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """When a breaker opens and for how long, seconds.

    It opens once *share* of at least *calls_min* calls failed within *window_s* of the first
    failure. The first time it stays open for *open_first_s*, then twice as long after each
    trial that fails, up to *open_longest_s*.
    """

    calls_min: int = 10
    share: float = 0.5
    window_s: float = 30.0
    open_first_s: float = 2.0
    open_longest_s: float = 60.0


class Breaker:
    """One breaker, made at the first failure.

    Args:
        rule: When it opens.
        now_s: Monotonic seconds.
    """

    __slots__ = (
        "_failed",
        "_good",
        "_open_s",
        "_rule",
        "_since_s",
        "_trial",
        "_until_s",
        "last_reason",
    )

    def __init__(self, rule: Rule, now_s: float) -> None:
        self._rule = rule
        self._since_s = now_s
        self._failed = 0
        self._good = 0
        self._open_s = 0.0
        self._until_s = 0.0
        self._trial = False
        self.last_reason = ""

    def state(self, now_s: float) -> State:
        """Returns where it stands."""
        if not self._open_s:
            return State.CLOSED
        return State.HALF_OPEN if self._trial or now_s >= self._until_s else State.OPEN

    @property
    def failures(self) -> int:
        """Failures counted since the first of its window."""
        return self._failed

    def admits(self, now_s: float) -> Admission:
        """Whether a call may be sent now.

        Whoever makes the trial must tell its end with `good`, `failed` or `spoiled`: until
        then every other call is kept out.
        """
        if not self._open_s:
            return Admission.YES
        if self._trial or now_s < self._until_s:
            return Admission.NO
        self._trial = True
        return Admission.TRIAL

    def wait_s(self, now_s: float) -> float:
        """Returns the seconds until the next call may be tried; 0 for now."""
        return max(self._until_s - now_s, 0.0) if self._open_s else 0.0

    def good(self) -> bool:
        """The provider answered, with whatever result; returns whether nothing is left to know.

        A call that was sent before it opened and ends well closes it too.
        """
        self._good += 1
        if self._open_s:
            return True
        return self._good >= self._rule.calls_min and not self._crosses()

    def failed(self, now_s: float, admission: Admission) -> bool:
        """A call failed upstream or had no answer; returns whether this opened it."""
        if admission is Admission.TRIAL:
            self._trial = False
            self._open_s = min(self._open_s * 2, self._rule.open_longest_s)
            self._until_s = now_s + self._open_s
            return False
        if self._open_s:
            return False
        if now_s - self._since_s > self._rule.window_s:
            self._since_s, self._failed, self._good = now_s, 0, 0
        self._failed += 1
        if not self._crosses():
            return False
        self._open_s = self._rule.open_first_s
        self._until_s = now_s + self._open_s
        return True

    def spoiled(self) -> None:
        """The trial was not sent, or ended in a way that tells nothing: another may try."""
        self._trial = False

    def _crosses(self) -> bool:
        calls = self._failed + self._good
        return calls >= self._rule.calls_min and self._failed >= self._rule.share * calls


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A breaker as it stands."""

    tenant_id: str
    binding_id: str
    call_class: CallClass
    state: State
    failures: int
    wait_s: float
    last_reason: str


class Board:
    """The breakers of one plugin; empty as long as nothing fails.

    Args:
        rule: When each opens.
    """

    def __init__(self, rule: Rule) -> None:
        self._rule = rule
        self._breakers: dict[tuple[str, CallClass], tuple[str, Breaker]] = {}

    def __bool__(self) -> bool:
        return bool(self._breakers)

    def admit(self, operation: model.Operation, now_s: float) -> tuple[Admission, float]:
        """Returns whether an operation may be sent, and else the seconds to the next trial."""
        found = self._breakers.get(_key(operation))
        if found is None:
            return Admission.YES, 0.0
        return found[1].admits(now_s), found[1].wait_s(now_s)

    def good(self, operation: model.Operation) -> None:
        """The provider answered."""
        key = _key(operation)
        found = self._breakers.get(key)
        if found is not None and found[1].good():
            del self._breakers[key]

    def failed(
        self, operation: model.Operation, now_s: float, admission: Admission, reason: str
    ) -> bool:
        """A call failed upstream or had no answer; returns whether that opened a breaker."""
        key = _key(operation)
        found = self._breakers.get(key)
        if found is None:
            # The oldest makes room: a breaker that is lost opens again after a few calls.
            while len(self._breakers) >= BREAKERS_MAX:
                del self._breakers[next(iter(self._breakers))]
            found = (operation.tenant_id, Breaker(self._rule, now_s))
            self._breakers[key] = found
        found[1].last_reason = reason
        return found[1].failed(now_s, admission)

    def spoiled(self, operation: model.Operation) -> None:
        """A trial told nothing."""
        if (found := self._breakers.get(_key(operation))) is not None:
            found[1].spoiled()

    def clear(self) -> None:
        """Forgets everything: another process answers now."""
        self._breakers.clear()

    def keep(self, has_binding: Callable[[str], bool]) -> None:
        """Forgets those of tenants without a binding, which no call would ever close."""
        for key, (tenant_id, _) in list(self._breakers.items()):
            if not has_binding(tenant_id):
                del self._breakers[key]

    def seen(self, now_s: float, most: int) -> list[Seen]:
        """Returns at most *most* breakers."""
        return [
            Seen(
                tenant_id=tenant_id,
                binding_id=binding_id,
                call_class=call_class,
                state=each.state(now_s),
                failures=each.failures,
                wait_s=each.wait_s(now_s),
                last_reason=each.last_reason,
            )
            for (binding_id, call_class), (tenant_id, each) in itertools.islice(
                self._breakers.items(), most
            )
        ]


def _key(operation: model.Operation) -> tuple[str, CallClass]:
    return operation.binding_id, CLASSES[operation.kind]

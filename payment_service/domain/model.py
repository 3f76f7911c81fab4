"""What a payment, an operation, a refund and a customer are.

Owns their fields and states; the numbers of the enums are those of the
contract, which a test compares. Called by everything inside payment_service.
Never changes a value: every change is a new one.
"""

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace


class PaymentState(enum.IntEnum):
    """Where a payment stands; see `payhub.payments.v1.Payment.State`."""

    CREATED = 1
    PROCESSING = 2
    REQUIRES_ACTION = 3
    AUTHORIZED = 4
    SUCCEEDED = 5
    FAILED = 6
    CANCELED = 7
    IN_DOUBT = 8


class CaptureMethod(enum.IntEnum):
    """When money is captured."""

    AUTOMATIC = 1
    MANUAL = 2


class Kind(enum.IntEnum):
    """What an operation does; see `payhub.payments.v1.Operation.Kind`."""

    AUTHORIZE = 1
    SALE = 2
    CAPTURE = 3
    VOID = 4
    REFUND = 5
    CREATE_CUSTOMER = 6
    UPDATE_CUSTOMER = 7
    INCREMENT = 8
    ATTACH_PAYMENT_METHOD = 9
    DETACH_PAYMENT_METHOD = 10
    SET_DEFAULT_PAYMENT_METHOD = 11
    CREATE_PLAN = 12
    ARCHIVE_PLAN = 13
    CREATE_SUBSCRIPTION = 14
    CHANGE_SUBSCRIPTION = 15
    CANCEL_SUBSCRIPTION = 16
    REACTIVATE_SUBSCRIPTION = 17
    CREATE_CHECKOUT = 18
    EXPIRE_CHECKOUT = 19
    SUBMIT_EVIDENCE = 20
    ACCEPT_DISPUTE = 21


class OperationState(enum.IntEnum):
    """Where an operation stands; see `payhub.payments.v1.Operation.State`."""

    IN_FLIGHT = 1
    PENDING = 2
    REQUIRES_ACTION = 3
    IN_DOUBT = 4
    SUCCEEDED = 5
    DECLINED = 6
    NOT_SENT = 7
    SUPERSEDED = 8


OPEN_STATES = frozenset(
    {
        OperationState.IN_FLIGHT,
        OperationState.PENDING,
        OperationState.REQUIRES_ACTION,
        OperationState.IN_DOUBT,
    }
)
INITIAL_KINDS = frozenset({Kind.AUTHORIZE, Kind.SALE})
CUSTOMER_KINDS = frozenset({Kind.CREATE_CUSTOMER, Kind.UPDATE_CUSTOMER})


class RefundState(enum.IntEnum):
    """Where a refund stands; see `payhub.payments.v1.Refund.State`."""

    PENDING = 1
    SUCCEEDED = 2
    FAILED = 3
    IN_DOUBT = 4


class RefundReason(enum.IntEnum):
    """Why money is returned."""

    UNSPECIFIED = 0
    REQUESTED_BY_CUSTOMER = 1
    DUPLICATE = 2
    FRAUDULENT = 3
    CANCELED = 4


class FailureKind(enum.IntEnum):
    """Who said no, or that nothing was sent; unspecified while nobody knows."""

    UNSPECIFIED = 0
    DECLINED = 1
    NOT_SENT = 2


class SyncState(enum.IntEnum):
    """Whether the provider has a customer's newest profile."""

    PENDING = 1
    SYNCED = 2
    FAILED = 3
    IN_DOUBT = 4


class Action(enum.IntEnum):
    """What a caller may do with a payment."""

    CONFIRM = 1
    CAPTURE = 2
    CANCEL = 3
    REFUND = 4
    INCREMENT = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why something failed.

    `reason` is upper case with underscores; `provider_code` is for operators.
    """

    kind: FailureKind
    reason: str
    provider_code: str = ""
    retryable_later: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomerAction:
    """Something the payer must do; both texts are secrets."""

    redirect_url: str = ""
    client_secret: str = ""
    expire_us: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class References:
    """The caller's own references, stored and returned as given."""

    customer_id: str = ""
    user_id: str = ""
    subscription_id: str = ""
    order_id: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """What brought a change about; goes into its event."""

    correlation_id: str = ""
    idempotency_key: str = ""
    actor: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One intended effect at a provider.

    `reserved_minor` is what it holds back until it ends; `version` rises with
    every change of state; `not_after_us` is when the newest attempt expires;
    `next_check_us` is when the resolver looks next, 0 for never. `counted_day` is the day
    whose limit its amount was taken from, '' for none. `plugin_version` is the only version of
    the plugin that can have had its first attempt, '' where nobody knows.
    """

    id: str
    tenant_id: str
    entity_id: str
    kind: Kind
    state: OperationState
    amount_minor: int = 0
    currency: str = ""
    reserved_minor: int = 0
    final: bool = False
    refund_id: str = ""
    version: int = 1
    attempts: int = 1
    provider: str = ""
    binding_id: str = ""
    request: bytes = b""
    provider_operation_id: str = ""
    failure: Failure | None = None
    cause: Cause = Cause()
    not_after_us: int = 0
    next_check_us: int = 0
    counted_day: str = ""
    plugin_version: str = ""
    created_us: int
    updated_us: int

    @property
    def is_open(self) -> bool:
        """Whether its outcome is still to come."""
        return self.state in OPEN_STATES

    @property
    def is_unknown(self) -> bool:
        """Whether nobody knows what has become of it: it is being sent, or in doubt."""
        return self.state in (OperationState.IN_FLIGHT, OperationState.IN_DOUBT)


def turn(operation: Operation) -> tuple[int, str]:
    """Returns the key by which operations of one entity are sorted in the order they were made.

    For operations that `after` has dated. Ids alone do not tell it, if clocks of processes differ.
    """
    return operation.created_us, operation.id


def after(operation: Operation, earlier: Iterable[Operation]) -> Operation:
    """Returns *operation* as made later than *earlier*, whatever this process's clock says."""
    last_us = max((one.created_us for one in earlier), default=0)
    if operation.created_us > last_us:
        return operation
    return replace(operation, created_us=last_us + 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Payment:
    """One payment with its operations, oldest first.

    `foreign_refunded_minor` was returned by others, `disputed_minor` taken back by the
    payer's bank; both by what the provider told as of `provider_time_us`. `next_retry_us` is
    when the tenant's retry policy confirms it again, 0 for never. `saves_method` keeps its
    payment method at its customer. `version` is that of its
    newest event; `revision` counts writes of its row.
    """

    id: str
    tenant_id: str
    state: PaymentState
    amount_minor: int
    currency: str
    capture_method: CaptureMethod
    provider: str
    binding_id: str
    provider_payment_id: str = ""
    references: References = References()
    description: str = ""
    action: CustomerAction | None = None
    failure: Failure | None = None
    cancel_requested: bool = False
    authorized_minor: int = 0
    captured_minor: int = 0
    capture_reserved_minor: int = 0
    refunded_minor: int = 0
    refund_reserved_minor: int = 0
    foreign_refunded_minor: int = 0
    disputed_minor: int = 0
    payment_method_id: str = ""
    off_session: bool = False
    saves_method: bool = False
    next_retry_us: int = 0
    invoice_id: str = ""
    checkout_id: str = ""
    provider_time_us: int = 0
    version: int = 1
    created_us: int
    updated_us: int
    revision: int = 1
    operations: tuple[Operation, ...] = ()

    @property
    def is_adopted(self) -> bool:
        """Whether the provider made it by itself, and decides what becomes of it."""
        return bool(self.invoice_id or self.checkout_id)

    @property
    def attempt(self) -> Operation | None:
        """The authorization or sale that counts: the one that is open or has succeeded, else
        the newest.
        """
        made = [o for o in self.operations if o.kind in INITIAL_KINDS]
        counts = (o for o in made if o.is_open or o.state is OperationState.SUCCEEDED)
        return next(counts, max(made, key=turn, default=None))

    def operation(self, operation_id: str) -> Operation | None:
        """Returns one of its operations."""
        return next((o for o in self.operations if o.id == operation_id), None)

    def open_operation(self, *kinds: Kind) -> Operation | None:
        """Returns its operation of one of *kinds* whose outcome is still to come."""
        return next((o for o in self.operations if o.kind in kinds and o.is_open), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Refund:
    """One return of money."""

    id: str
    tenant_id: str
    payment_id: str
    operation_id: str
    amount_minor: int
    currency: str
    state: RefundState
    reason: RefundReason = RefundReason.UNSPECIFIED
    note: str = ""
    failure: Failure | None = None
    created_us: int
    updated_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """What a caller says of a customer."""

    name: str = ""
    email: str = ""
    phone: str = ""
    user_id: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Customer:
    """Somebody who pays."""

    id: str
    tenant_id: str
    profile: Profile
    provider: str
    binding_id: str
    provider_customer_id: str = ""
    sync_state: SyncState = SyncState.PENDING
    version: int = 1
    created_us: int
    updated_us: int

"""What a provider tells of its objects: snapshots, each as of one moment.

Owns the domain's form of `payhub.provider.v1.ProviderObject`. Made by the provider client,
which has checked it; absorbed by the entities. Never says what core makes of it.
"""

import enum
from dataclasses import dataclass

from payment_service.domain import model


class ObjectKind(enum.IntEnum):
    """Kinds of objects at a provider; see `payhub.provider.v1.ObjectKind`."""

    PAYMENT = 1
    PAYMENT_METHOD = 2
    PLAN = 3
    SUBSCRIPTION = 4
    INVOICE = 5
    CHECKOUT = 6
    DISPUTE = 7


class SubscriptionState(enum.IntEnum):
    """Where a subscription stands at the provider."""

    PENDING = 1
    TRIALING = 2
    ACTIVE = 3
    PAST_DUE = 4
    PAUSED = 5
    CANCELED = 6
    EXPIRED = 7


class InvoiceState(enum.IntEnum):
    """Where an invoice stands, here and at the provider."""

    DRAFT = 1
    OPEN = 2
    PAID = 3
    UNCOLLECTIBLE = 4
    VOID = 5


class CheckoutState(enum.IntEnum):
    """Where a checkout stands at the provider."""

    OPEN = 1
    COMPLETED = 2
    EXPIRED = 3


class DisputeState(enum.IntEnum):
    """Where a dispute stands at the provider."""

    WARNING = 1
    NEEDS_RESPONSE = 2
    UNDER_REVIEW = 3
    WON = 4
    LOST = 5
    WARNING_CLOSED = 6


class Interval(enum.IntEnum):
    """Units of billing periods, here and at the provider."""

    DAY = 1
    WEEK = 2
    MONTH = 3
    YEAR = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """Names an object at the provider of a binding."""

    kind: ObjectKind
    provider_object_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """What people recognise a card by."""

    brand: str = ""
    last4: str = ""
    expire_month: int = 0
    expire_year: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """An object as the provider had it at `state_time_us`.

    `core_id` is core's id of it and `operation_id` the operation that made it, as far as the
    provider's metadata say so.
    """

    provider_object_id: str
    state_time_us: int
    core_id: str = ""
    operation_id: str = ""
    deleted: bool = False

    @property
    def kind(self) -> ObjectKind:
        """What it is."""
        return KINDS[type(self)]

    @property
    def reference(self) -> Reference:
        """Its name at the provider."""
        return Reference(kind=self.kind, provider_object_id=self.provider_object_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignRefund:
    """A refund that core did not ask for, minor units of the payment's currency."""

    provider_refund_id: str
    amount_minor: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Payment(Seen):
    """A payment with its sums, minor units of `currency`."""

    amount_minor: int
    currency: str
    captured_minor: int = 0
    refunded_minor: int = 0
    state: model.OperationState
    provider_customer_id: str = ""
    provider_invoice_id: str = ""
    provider_checkout_id: str = ""
    decline: model.Failure | None = None
    foreign_refunds: tuple[ForeignRefund, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentMethod(Seen):
    """A payment method; `provider_customer_id` is empty once it is detached."""

    provider_customer_id: str = ""
    type: str = ""
    card: Card | None = None
    is_default: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan(Seen):
    """The recurring price of a plan."""

    amount_minor: int
    currency: str
    interval: Interval
    interval_count: int
    active: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription(Seen):
    """A subscription; times are 0 where there is none."""

    state: SubscriptionState
    provider_customer_id: str = ""
    provider_price_id: str = ""
    quantity: int = 1
    period_start_us: int = 0
    period_end_us: int = 0
    trial_end_us: int = 0
    cancel_at_period_end: bool = False
    end_us: int = 0
    provider_invoice_id: str = ""
    provider_payment_method_id: str = ""
    action: model.CustomerAction | None = None
    decline: model.Failure | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Invoice(Seen):
    """An invoice, amounts in minor units of `currency`; both addresses are secrets."""

    state: InvoiceState
    provider_customer_id: str = ""
    provider_subscription_id: str = ""
    provider_payment_id: str = ""
    number: str = ""
    amount_due_minor: int = 0
    amount_paid_minor: int = 0
    currency: str = ""
    period_start_us: int = 0
    period_end_us: int = 0
    due_us: int = 0
    overdue: bool = False
    attempt_count: int = 0
    next_attempt_us: int = 0
    pdf_url: str = ""
    hosted_url: str = ""
    decline: model.Failure | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkout(Seen):
    """A checkout session; `redirect_url` and `client_secret` are secrets."""

    state: CheckoutState
    redirect_url: str = ""
    client_secret: str = ""
    expire_us: int = 0
    provider_payment_id: str = ""
    provider_subscription_id: str = ""
    provider_customer_id: str = ""
    paid: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Dispute(Seen):
    """A dispute; `payment_id` is core's, if the payment's metadata name it."""

    state: DisputeState
    provider_payment_id: str = ""
    amount_minor: int = 0
    currency: str = ""
    reason: str = ""
    evidence_due_us: int = 0
    has_evidence: bool = False
    open_us: int = 0
    payment_id: str = ""


KINDS: dict[type[Seen], ObjectKind] = {
    Payment: ObjectKind.PAYMENT,
    PaymentMethod: ObjectKind.PAYMENT_METHOD,
    Plan: ObjectKind.PLAN,
    Subscription: ObjectKind.SUBSCRIPTION,
    Invoice: ObjectKind.INVOICE,
    Checkout: ObjectKind.CHECKOUT,
    Dispute: ObjectKind.DISPUTE,
}

"""Shapes of what the provider keeps beside payments.

Owns the frozen bodies of payment methods, prices, subscriptions, invoices,
checkouts and disputes. Used by everything that bills. Never touches storage.
Times are epoch microseconds of the provider's clock; 0 means none.
"""

import hashlib
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """A payment method at a customer; its scenario decides payments made by it."""

    type: str
    brand: str
    last4: str
    expire_month: int
    expire_year: int
    scenario: str
    is_default: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """What one period of a plan costs; `interval` is the contract's enum value."""

    amount_minor: int
    currency: str
    interval: int
    interval_count: int
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """A customer's subscription to a price; its state is in the row.

    Args:
        price_id: What it bills.
        quantity: How many of it.
        anchor_us: From where periods are counted, so that months don't drift.
        periods: How many periods have begun since.
        period_start_us: Of the period that runs.
        period_end_us: Likewise.
        trial_end_us: End of its trial.
        trial_told: Whether the coming end of the trial was told.
        cancel_at_period_end: It ends with its period.
        ended_us: When it ended.
        invoice_id: Its newest invoice.
        invoices: How many it has had.
        method_id: What it bills; empty for the customer's default.
        credit_minor: Put on the next invoice; negative is owed to the payer.
        reason: Why its first payment was refused, the contract's enum value.
        action_token: What the payer must do for its first payment.
        action_expire_us: Until when.
    """

    price_id: str
    quantity: int
    anchor_us: int
    periods: int = 0
    period_start_us: int = 0
    period_end_us: int = 0
    trial_end_us: int = 0
    trial_told: bool = False
    cancel_at_period_end: bool = False
    ended_us: int = 0
    invoice_id: str = ""
    invoices: int = 0
    method_id: str = ""
    credit_minor: int = 0
    reason: int = 0
    action_token: str = ""
    action_expire_us: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Invoice:
    """What a subscription asks for one period; its parent is the subscription.

    Args:
        number: For people.
        amount_minor: What it asks for.
        currency: ISO 4217 code.
        first: Of a subscription that does not live before it is paid.
        period_start_us: What it bills.
        period_end_us: Likewise.
        due_us: When it has to be paid.
        paid_minor: What was paid.
        payment_id: What pays, or paid, it.
        attempts: How often payment was tried.
        next_attempt_us: When it is tried next.
        overdue: It should have been paid by now.
        reason: Why the newest try was refused.
        refusal: The same, for a payment that ended later and was not acted on yet.
    """

    number: str
    amount_minor: int
    currency: str
    first: bool
    period_start_us: int
    period_end_us: int
    due_us: int
    paid_minor: int = 0
    payment_id: str = ""
    attempts: int = 0
    next_attempt_us: int = 0
    overdue: bool = False
    reason: int = 0
    refusal: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkout:
    """A page on which a payer pays an amount, or subscribes to a price."""

    amount_minor: int
    currency: str
    price_id: str
    quantity: int
    trial_days: int
    expire_us: int
    token: str
    embedded: bool
    scenario: str
    success_url: str
    cancel_url: str
    payment_id: str = ""
    subscription_id: str = ""
    paid: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Dispute:
    """A payer's bank takes money back; its parent is the payment.

    `takes_minor` is what is withdrawn at the moment: nothing of an inquiry.
    """

    amount_minor: int
    currency: str
    reason: str
    due_us: int
    opened_us: int
    takes_minor: int
    has_evidence: bool = False


Body = Method | Price | Subscription | Invoice | Checkout | Dispute

KINDS: dict[str, type[Body]] = {
    "payment_method": Method,
    "plan": Price,
    "subscription": Subscription,
    "invoice": Invoice,
    "checkout": Checkout,
    "dispute": Dispute,
}


def derived_id(prefix: str, *parts: object) -> str:
    """Returns an identifier that is always the same for the same parts.

    What the provider makes by itself is named so: a transaction that runs twice, or a
    process that dies in between, then makes it once.
    """
    text = "\n".join(map(str, parts))
    return f"{prefix}_{hashlib.blake2b(text.encode(), digest_size=16).hexdigest()}"
